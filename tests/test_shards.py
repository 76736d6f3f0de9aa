"""Parts of files that several processes make: kept while they are current, used, removed."""

from __future__ import annotations

import shutil
from importlib import import_module

import numpy as np
import pytest

from ncviz.extraction import extract, pieces
from ncviz.inference import split_evenly
from ncviz.packing import pack
from ncviz.processes import Processes
from ncviz.store import layout, open_run, write
from ncviz.store.shards import Shards

ARRAYS = {"encoder": np.arange(12, dtype=np.float32).reshape(4, 3), "labels": np.arange(4)}
SETS = ("noise/test", "digits/train")


@pytest.fixture
def shards(digits_run) -> Shards:
    return Shards(digits_run.epoch(1), "features/digits/train", 3, {"weights": "abc"})


def paths(run):
    return sorted((run.path / layout.EXTRACTION).rglob("*.safetensors"))


def test_a_part_is_what_was_written(shards):
    assert not shards.has(1)
    assert shards.read(1) is None
    shards.write(1, ARRAYS)
    assert shards.has(1)
    found = shards.read(1)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert shards.read(0) is None


def test_parts_of_other_sources_are_as_good_as_absent(shards):
    shards.write(0, ARRAYS)
    other = Shards(shards.epoch, shards.name, 3, {"weights": "abd"})
    assert not other.has(0)
    assert other.read(0) is None


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_part_is_as_good_as_absent(shards, damage):
    shards.write(0, ARRAYS)
    (path,) = paths(shards.epoch.run)
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[-3] ^= 1
    path.write_bytes({"truncated": content[:-9], "empty": b""}.get(damage, content))
    assert shards.read(0) is None


def test_discarding_leaves_the_parts_of_others(shards):
    other = Shards(shards.epoch, "features/noise/test", 1, {})
    for one in (shards, other):
        one.write(0, ARRAYS)
    shards.discard()
    assert len(paths(shards.epoch.run)) == 1
    other.discard()
    assert not (shards.epoch.run.path / layout.EXTRACTION).exists()
    other.discard()  # of nothing


def test_parts_are_not_shared(shards, tmp_path):
    shards.write(0, ARRAYS)
    copy = pack(shards.epoch.run, tmp_path / "packed", weights=(), progress=False).run
    assert not (copy.path / layout.EXTRACTION).exists()


# In an extraction


@pytest.fixture
def lacking(digits_run, monkeypatch):
    """The run `digits` without what its first epoch saw of two sets, cut into many parts."""
    monkeypatch.setattr(
        pieces, "all_batches", lambda images: split_evenly(np.arange(len(images)), 60)
    )
    for name in SETS:
        layout.feature_file(digits_run.epoch(1).path, name).unlink()
    return digits_run


def extract_as(monkeypatch, run, rank, count):
    """`extract` of one of several processes, the others of which never come."""
    with monkeypatch.context() as patch:
        module = import_module("ncviz.extraction.extract")
        patch.setattr(module, "join", lambda device: Processes(rank, count, rank))
        patch.setattr(Processes, "wait", lambda self: None)
        return extract(open_run(run.path), device="cpu", progress=False)


def seen_parts(monkeypatch) -> list[str]:
    """Grows by the set of each part that is seen."""
    seen = []
    for kind in (pieces.TrainingSet, pieces.Samples):
        see = kind._see_part

        def note(self, *arguments, see=see):
            seen.append(self.name)
            return see(self, *arguments)

        monkeypatch.setattr(kind, "_see_part", note)
    return seen


@pytest.fixture
def whole(lacking, files_below, tmp_path):
    """The files of an undisturbed extraction with the same parts, and how many parts there are."""
    copy = open_run(shutil.copytree(lacking.path, tmp_path / "whole" / "digits"))
    extract(copy, device="cpu", progress=False)
    samples = copy.samples["set"].value_counts()
    sizes = (samples["noise/test"], copy.description["train_samples"])
    return files_below(copy.path), [len(pieces.all_batches(range(size))) for size in sizes]


@pytest.mark.parametrize(("rank", "count"), [(1, 2), (2, 3)])
def test_parts_left_behind_are_used_by_one_process(
    lacking, whole, files_below, monkeypatch, rank, count
):
    expected, counts = whole
    seen = seen_parts(monkeypatch)
    run = extract_as(monkeypatch, lacking, rank, count)
    left = len(seen)
    assert left == len(paths(run)) == sum(len(range(rank, each, count)) for each in counts)
    extract(run, device="cpu", progress=False)
    assert len(seen) == sum(counts)  # none was seen twice
    assert files_below(run.path) == expected


def test_parts_left_behind_are_used_by_another_number_of_processes(
    lacking, whole, files_below, monkeypatch
):
    expected, counts = whole
    seen = seen_parts(monkeypatch)
    for rank, count in ((1, 2), (3, 4), (0, 5)):
        extract_as(monkeypatch, lacking, rank, count)
    assert len(seen) == sum(counts)
    assert files_below(lacking.path) == expected


def test_parts_of_other_weights_are_not_used(lacking, whole, monkeypatch):
    _, counts = whole
    extract_as(monkeypatch, lacking, 1, 2)
    epoch = lacking.epoch(1)
    changed = {name: array * np.float32(1.5) for name, array in epoch.weights().items()}
    write.save_network(lacking, 1, changed, {"encoder": epoch.head()})
    seen = seen_parts(monkeypatch)
    run = extract(open_run(lacking.path), device="cpu", progress=False)
    assert sum(name in SETS for name in seen) == sum(counts)
    assert not (run.path / layout.EXTRACTION).exists()


def test_parts_whose_file_is_there_are_removed(digits_run, files_below):
    before = files_below(digits_run.path)
    Shards(digits_run.epoch(2), "network_scores/noise/test", 3, {}).write(2, ARRAYS)
    extract(digits_run, device="cpu", progress=False)
    assert files_below(digits_run.path) == before


def test_sums_are_the_same_where_the_features_lie(lacking, whole, monkeypatch):
    """As on a GPU: the tensors themselves, without a copy as arrays."""
    monkeypatch.setattr(pieces, "as_numbers", lambda tensor: tensor)
    monkeypatch.setattr(pieces, "_ENTRIES", 5000)
    before = lacking.epoch(1).statistics()
    run = extract(lacking, device="cpu", progress=False)
    after = run.epoch(1).statistics()
    np.testing.assert_array_equal(after.counts, before.counts)
    for part in ("means", "scatter", "squares"):
        one, other = getattr(after, part), getattr(before, part)
        assert isinstance(one, np.ndarray)
        np.testing.assert_allclose(one, other, atol=1e-6 * np.abs(other).max())
