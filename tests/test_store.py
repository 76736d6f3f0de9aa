"""The run folder: atomic writes, checks on read, staleness, names, and what a disk may refuse."""

from __future__ import annotations

import inspect
import json
import os
import pickle
import re
import shutil
import struct
import time
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ncviz
from ncviz.arrays import ClassStatistics
from ncviz.errors import (
    CorruptFileError,
    InvalidOptionError,
    MissingDataError,
    NcvizError,
    StorageError,
    UnknownNameError,
)
from ncviz.packing import pack
from ncviz.store import (
    checksums,
    files,
    layout,
    list_runs,
    open_run,
    open_runs,
    provenance,
    run_folder,
    write,
)
from ncviz.store.parts import pack_symmetric, unpack_symmetric

FEATURES = "features/digits/test.safetensors"
ARRAYS = {"a": np.arange(6.0).reshape(2, 3)}
TABLE = pd.DataFrame({"name": ["x", "y"], "value": [0.1 + 0.2, 1e-300], "count": [1, 2]})
KINDS = {"name": "text", "value": "number", "count": "integer"}
WRITERS = {
    "arrays": (
        "f.safetensors",
        lambda path, size: files.write_arrays(
            path, {"a": np.ones(size), "é": np.ones(3, "i1")}, extra={"b": "ü", "c": "d"}
        ),
    ),
    "table": (
        "f.parquet",
        lambda path, size: files.write_table(
            path, pd.DataFrame({"a": np.random.default_rng(0).random(size)})
        ),
    ),
    "csv": ("f.csv", lambda path, size: files.write_csv(path, pd.DataFrame({"a": range(size)}))),
    "json": ("f.json", lambda path, size: files.write_json(path, {"a": list(range(size))})),
}


def epoch_of(run, number=6):
    return open_run(run.path).epoch(number)


# Single files


def test_a_write_that_fails_midway_keeps_the_old_file_and_leaves_no_other(tmp_path):
    path = tmp_path / "f.txt"
    path.write_text("old")

    def fail(part):
        part.write_text("half")
        raise ValueError("midway")

    with pytest.raises(ValueError, match="midway"):
        files.write_atomically(path, fail)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"f.txt": "old"}


def test_a_written_file_is_as_readable_as_any_other(tmp_path):
    before = os.umask(0o027)
    try:
        for name, write_file in WRITERS.values():
            write_file(tmp_path / name, 1)
    finally:
        os.umask(before)
    assert {oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == {"0o640"}


def test_a_file_and_its_name_are_on_the_disk_before_a_write_returns(tmp_path, monkeypatch):
    """The new file is synced before it takes its place, its folder after, new folders too."""
    done = []
    sync, rename = files.sync, os.replace
    monkeypatch.setattr(files, "sync", lambda path: (done.append(path), sync(path)))
    monkeypatch.setattr(os, "replace", lambda part, to: (done.append("rename"), rename(part, to)))
    files.write_json(tmp_path / "a" / "b" / "f.json", {})
    made, part, *after = done[:2], done[2], *done[3:]
    assert made == [tmp_path / "a", tmp_path]
    assert part.suffix == ".part"
    assert after == ["rename", tmp_path / "a" / "b"]


def test_parts_of_killed_writers_go_once_they_are_old(tmp_path):
    old, new = tmp_path / ".f.json.0a.part", tmp_path / ".f.json.0b.part"
    other = tmp_path / ".g.json.0a.part"
    for part in (old, new, other):
        part.write_text("half")
    long_ago = time.time() - 2 * files.LEFT_OVER
    os.utime(old, (long_ago, long_ago))
    os.utime(other, (long_ago, long_ago))

    files.write_json(tmp_path / "f.json", {})

    assert {p.name for p in tmp_path.iterdir()} == {"f.json", new.name, other.name}


@pytest.mark.parametrize(
    "array",
    [
        np.array(3),
        np.zeros((0, 4), np.float32),
        np.arange(12.0).reshape(3, 4).T,
        np.arange(8, dtype=np.float16)[::2],
        np.array([True, False]),
        np.array([-1, 2], np.int32),
    ],
    ids=["number", "empty", "transposed", "strided half", "bool", "int"],
)
def test_arrays_come_back_as_they_were(tmp_path, array):
    path = tmp_path / "f.safetensors"
    files.write_arrays(path, {"a": array, "b": np.ones(2)})
    back = files.read_arrays(path)
    np.testing.assert_array_equal(back["a"], array)
    assert (back["a"].dtype, back["a"].shape) == (array.dtype, array.shape)
    assert list(files.read_arrays(path, ["b"])) == ["b"]
    mapped = files.map_arrays(path)
    assert set(mapped) == {"a", "b"}
    np.testing.assert_array_equal(mapped["a"], array)
    assert (mapped["a"].dtype, mapped["a"].shape) == (array.dtype, array.shape)


@pytest.mark.parametrize("kind", WRITERS)
def test_the_same_content_makes_the_same_file(tmp_path, kind):
    name, write_file = WRITERS[kind]
    for folder in "abc":
        write_file(tmp_path / folder / name, 50)
    assert len({(tmp_path / folder / name).read_bytes() for folder in "abc"}) == 1


@pytest.mark.parametrize("read", [files.read_arrays, lambda path: files.read_table(path, {})])
def test_a_file_that_has_just_gone_is_missing_and_not_damaged(tmp_path, monkeypatch, read):
    path = tmp_path / "f"
    path.write_bytes(b"some")
    monkeypatch.setattr(files, "require_inside", Path.unlink)
    with pytest.raises(MissingDataError, match="f does not exist"):
        read(path)


def test_a_file_that_has_just_come_is_read(tmp_path, monkeypatch):
    path = tmp_path / "f.safetensors"
    files.write_arrays(path, {"a": np.ones(2)})
    looks, is_file = [False], Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda self: looks.pop() if looks else is_file(self))
    assert list(files.read_arrays(path)) == ["a"]
    assert not looks


def test_tables_come_back_as_they_were(tmp_path):
    files.write_table(tmp_path / "f.parquet", TABLE)
    files.write_csv(tmp_path / "f.csv", TABLE)
    for back in (
        files.read_table(tmp_path / "f.parquet", KINDS),
        files.read_csv(tmp_path / "f.csv", KINDS),
    ):
        pd.testing.assert_frame_equal(back, TABLE, check_exact=True, check_dtype=False)


def test_a_table_is_not_read_by_the_names_of_its_folders(tmp_path):
    path = tmp_path / "rate=0.1" / "f.parquet"
    files.write_table(path, TABLE)
    assert list(files.read_table(path, KINDS)) == list(TABLE)


def test_the_triangle_of_a_symmetric_matrix_is_enough():
    half = np.random.default_rng(0).normal(size=(5, 5))
    matrix = half + half.T
    packed = pack_symmetric(matrix)
    assert packed.shape == (15,)
    np.testing.assert_array_equal(unpack_symmetric(packed, 5), matrix)


def test_the_fingerprint_follows_names_types_shapes_and_values():
    marks = [
        checksums.of_arrays(arrays)
        for arrays in (
            ARRAYS,
            {"b": ARRAYS["a"]},
            {"a": ARRAYS["a"].astype(np.float32)},
            {"a": ARRAYS["a"].reshape(3, 2)},
            {"a": ARRAYS["a"] + np.eye(2, 3)},
            {**ARRAYS, "b": np.array([])},
        )
    ]
    assert len(set(marks)) == len(marks)
    assert checksums.of_arrays({"a": np.asfortranarray(ARRAYS["a"])}) == marks[0]


# Disks that refuse


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_is_one_error_and_the_old_file_stays(disk, files_below, kind):
    full = disk(64).folder
    name, write_file = WRITERS[kind]
    write_file(full / name, 10)
    before = files_below(full)

    with pytest.raises(StorageError, match=f"{name}: .*No space left on device"):
        write_file(full / name, 100_000)
    assert files_below(full) == before


@pytest.mark.parametrize("kind", WRITERS)
def test_a_read_only_disk_is_one_error_and_reading_goes_on(disk, files_below, kind):
    read_only = disk(256)
    name, write_file = WRITERS[kind]
    write_file(read_only.folder / name, 10)
    before = files_below(read_only.folder)
    read_only.make_read_only()

    with pytest.raises(StorageError, match=f"{name}.*Read-only file system"):
        write_file(read_only.folder / name, 11)
    with pytest.raises(StorageError, match="Read-only file system"):
        write_file(read_only.folder / "new" / name, 11)
    assert files_below(read_only.folder) == before


def test_a_run_on_a_full_disk_keeps_its_results(digits_run, disk, files_below):
    folder = disk(16000).folder
    epoch = epoch_of(open_run(shutil.copytree(digits_run.path, folder / "digits")))
    before, detection = files_below(folder), epoch.detection()

    with pytest.raises(StorageError, match="what was there is kept"):
        write.save_results(
            epoch,
            dict.fromkeys(layout.TABLES, detection.head(1)),
            {"too much": np.ones(2 * 10**6)},
            {},
        )
    assert files_below(folder) == before
    pd.testing.assert_frame_equal(epoch.detection(), detection)


# Staleness: what does not come from what is there now is never shown


def change(path):
    """Write `path` again with other values, as a new extraction or training would."""
    sources, arrays = files.sources_of(path), files.read_arrays(path)
    for name, array in arrays.items():
        if array.dtype.kind == "f":
            arrays[name] = array * 1.5
    files.write_arrays(path, arrays, sources=sources)


RESULT_READERS = {
    "collapse": lambda epoch: epoch.collapse(),
    "detection": lambda epoch: epoch.detection(),
    "scores": lambda epoch: epoch.scores("energy", "noise"),
}


@pytest.mark.parametrize("read", RESULT_READERS.values(), ids=RESULT_READERS)
@pytest.mark.parametrize(
    "source",
    [
        *(FEATURES, "features/noise/test.safetensors"),
        *(layout.HEAD, layout.STATISTICS, layout.PROBES),
    ],
)
def test_results_of_other_inputs_are_stale(digits_run, source, read):
    epoch = epoch_of(digits_run)
    read(epoch)
    change(epoch.path / source)
    with pytest.raises(MissingDataError, match=r"Run: python scripts/evaluate\.py digits"):
        read(epoch)


def test_results_of_a_set_that_is_gone_are_stale(digits_run):
    epoch = epoch_of(digits_run)
    (epoch.path / "features/noise/test.safetensors").unlink()
    with pytest.raises(MissingDataError, match="older than its features"):
        epoch.detection()


def test_results_of_another_version_of_the_metrics_are_stale(digits_run, monkeypatch):
    monkeypatch.setattr(provenance, "RESULTS_VERSION_SOURCE", {"code:version": "another"})
    with pytest.raises(MissingDataError, match="this version of ncviz"):
        epoch_of(digits_run).collapse()


EXTRACTED_READERS = {
    "features": lambda epoch: epoch.features("test"),
    "statistics": lambda epoch: epoch.statistics(),
    "probe": lambda epoch: epoch.probe(),
    **RESULT_READERS,
}


@pytest.mark.parametrize("read", EXTRACTED_READERS.values(), ids=EXTRACTED_READERS)
def test_what_other_weights_saw_is_stale(digits_run, read):
    epoch = epoch_of(digits_run)
    change(epoch.path / layout.MODEL)
    with pytest.raises(MissingDataError, match=r"other weights.*python scripts/extract\.py digits"):
        read(epoch)


def test_features_of_other_samples_are_stale(digits_run):
    samples = digits_run.samples
    write.save_samples(digits_run, samples.drop(samples.index[samples["set"] == "noise/test"][0]))
    epoch = epoch_of(digits_run)
    with pytest.raises(MissingDataError, match=r"other samples.*scripts/extract\.py"):
        epoch.features("noise")
    assert len(epoch.features("letters"))


def test_tables_over_epochs_leave_stale_epochs_out(digits_run):
    change(epoch_of(digits_run, 2).path / FEATURES)
    assert digits_run.epochs == (1, 2, 4, 6)
    for table in (digits_run.collapse(), digits_run.detection()):
        assert set(table["epoch"]) == {1, 4, 6}


def test_tables_of_a_run_without_results_are_empty_and_have_their_columns(digits_run):
    for folder in digits_run.path.glob("epochs/*/results"):
        shutil.rmtree(folder)
    assert list(digits_run.collapse()) == [*("epoch", "layer", "metric", "set", "value", "samples")]
    assert {"epoch", "detector", "set", "auroc"} <= set(digits_run.detection())
    assert len(digits_run.detection()) == 0


# Damage: a typed error that names the file and the cure


READERS = {
    layout.DESCRIPTION: lambda run: open_run(run.path),
    layout.HISTORY: lambda run: run.history,
    layout.SAMPLES: lambda run: run.samples,
    layout.TRAINING_STATE: write.load_training_state,
    f"epochs/0006/{layout.MODEL}": lambda run: epoch_of(run).weights(),
    f"epochs/0006/{layout.HEAD}": lambda run: epoch_of(run).head(),
    f"epochs/0006/{layout.STATISTICS}": lambda run: epoch_of(run).statistics(),
    f"epochs/0006/{layout.PROBES}": lambda run: epoch_of(run).probe(),
    f"epochs/0006/{FEATURES}": lambda run: epoch_of(run).features("test"),
    f"epochs/0006/{layout.TABLES['collapse']}": lambda run: epoch_of(run).collapse(),
    f"epochs/0006/{layout.TABLES['detection']}": lambda run: epoch_of(run).detection(),
    f"epochs/0006/{layout.SCORES}": lambda run: epoch_of(run).scores("msp", "noise"),
}


class Bomb:
    """Goes off when it is unpickled."""

    def __reduce__(self):
        return warnings.warn, ("a file of a run was unpickled",)


DAMAGE = {
    "truncated": lambda content: content[: len(content) // 2],
    "cut short": lambda content: content[:-9],
    "empty": lambda content: b"",
    "zeros": lambda content: bytes(len(content)),
    "text": lambda content: b"<!DOCTYPE html><title>Not found</title>\n",
    "pickle": lambda content: pickle.dumps(Bomb()),
    "binary": lambda content: np.random.default_rng(0).bytes(5000),
}


@pytest.mark.filterwarnings("error:a file of a run was unpickled")
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_named_with_its_cure(digits_run, name, damage):
    path = digits_run.path / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CorruptFileError) as caught:
        READERS[name](digits_run)
    assert str(path) in str(caught.value)
    assert re.search("[Tt]rain|[Rr]un: python scripts/", str(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", READERS)
def test_a_device_in_place_of_a_file_is_not_waited_for(digits_run, name):
    path = digits_run.path / name
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(CorruptFileError, match="not a regular file"):
        READERS[name](digits_run)


def lying(header: dict, data: bytes = bytes(64), length: int | None = None) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def array_header(**changes) -> dict:
    return {"encoder": {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]} | changes}


LIES = {
    "more rows than data": lying(array_header(shape=[4000, 4])),
    "offsets beyond the end": lying(array_header(data_offsets=[0, 6400], shape=[400, 4])),
    "offsets backwards": lying(array_header(data_offsets=[64, 0])),
    "negative shape": lying(array_header(shape=[-4, -4])),
    "huge shape": lying(array_header(shape=[2**62, 4])),
    "header longer than the file": lying(array_header(), length=2**40),
    "header of no JSON": struct.pack("<Q", 9) + b"not JSON!",
    "unknown type": lying(array_header(dtype="F13")),
    "type that NumPy lacks": lying(array_header(dtype="BF16", shape=[8, 4])),
    "metadata of no text": lying(array_header() | {"__metadata__": {"sources": 3}}),
}


@pytest.mark.parametrize("content", LIES.values(), ids=LIES)
def test_a_lying_header_is_a_corrupt_file(digits_run, content):
    path = epoch_of(digits_run).path / FEATURES
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"test\.safetensors.*scripts/extract\.py"):
        epoch_of(digits_run).features("test")


def rewrite(path, **arrays):
    """Replace arrays of `path` (None removes one), keeping its sources."""
    kept = files.read_arrays(path) | arrays
    kept = {name: array for name, array in kept.items() if array is not None}
    files.write_arrays(path, kept, sources=files.sources_of(path))


def nan_at_the_end(array):
    array = array.copy()
    array.flat[-1] = np.nan
    return array


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"encoder": nan_at_the_end}, "1 values that are NaN or infinite"),
        ({"encoder": lambda a: a[:, :-1]}, "this head takes"),
        ({"encoder": lambda a: a.ravel()}, "this head takes"),
        ({"encoder": lambda a: None}, "no array 'encoder'"),
        ({"labels": lambda a: a[:-1]}, "Labels have shape"),
        ({"labels": lambda a: a.astype(np.float32)}, "Labels have shape"),
        ({"logits": lambda a: np.zeros((3, 8), np.float32)}, "Logits has shape"),
    ],
    ids=["NaN", "narrow", "flat", "no layer", "few labels", "float labels", "few logits"],
)
def test_features_that_do_not_fit_are_named(digits_run, changes, reason):
    path = epoch_of(digits_run).path / FEATURES
    arrays = files.read_arrays(path)
    rewrite(path, **{name: change(arrays.get(name)) for name, change in changes.items()})
    with pytest.raises(CorruptFileError, match=reason) as caught:
        epoch_of(digits_run).features("test")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("encoder.means", nan_at_the_end),
        ("encoder.means", lambda a: a[:-1]),
        ("encoder.means", lambda a: a.astype(np.float16)),
        ("encoder.counts", lambda a: a.astype(np.float64)),
        ("encoder.scatter", lambda a: a[:-1]),
        ("encoder.scatter", nan_at_the_end),
        ("encoder.squares", lambda a: None),
    ],
)
def test_statistics_that_do_not_fit_are_named(digits_run, name, changed):
    path = epoch_of(digits_run).path / layout.STATISTICS
    rewrite(path, **{name: changed(files.read_arrays(path)[name])})
    with pytest.raises(CorruptFileError, match=r"statistics\.safetensors.*Delete.*extract\.py"):
        epoch_of(digits_run).statistics()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (nan_at_the_end, "NaN or infinite"),
        (lambda a: a[:-1], "7 classes, but the run has 8"),
        (lambda a: a.ravel(), "Head weight has shape"),
    ],
    ids=["NaN", "few classes", "flat"],
)
def test_a_head_that_does_not_fit_is_named(digits_run, changed, reason):
    path = epoch_of(digits_run).path / layout.HEAD
    rewrite(path, **{name: changed(array) for name, array in files.read_arrays(path).items()})
    with pytest.raises(CorruptFileError, match=rf"head\.safetensors.*{reason}.*Train the run"):
        epoch_of(digits_run).head()


def test_a_layer_without_a_head_says_where_the_head_is(digits_run):
    run = write.update_description(digits_run, layers=["stage1", "encoder"])
    message = r"stage1 .* no classifier .* on the encoder"
    with pytest.raises(MissingDataError, match=message):
        epoch_of(run).head("stage1")
    with pytest.raises(UnknownNameError, match=rf"Unknown detector 'msp'.*{message}"):
        epoch_of(run).scores("msp", "noise", "stage1")
    assert not epoch_of(run).has_head("stage1")


@pytest.mark.parametrize("changed", [nan_at_the_end, lambda a: a[None], lambda a: a > 0])
def test_scores_that_do_not_fit_are_named(digits_run, changed):
    path = epoch_of(digits_run).path / layout.SCORES
    name = "encoder/msp/noise/test"
    rewrite(path, **{name: changed(files.read_arrays(path)[name])})
    with pytest.raises(CorruptFileError, match=r"scores\.safetensors.*evaluate\.py"):
        epoch_of(digits_run).scores("msp", "noise")


@pytest.mark.parametrize(
    "text",
    [
        "epoch,seconds\n1,2\n2,",
        "epoch,seconds\n1,2\n2",
        "epoch,seconds\n1,2\n2,abc\n",
        "epoch\none\n",
        "seconds\n1\n",
    ],
    ids=["no value", "cut short", "words", "no number", "no epoch"],
)
def test_a_foreign_history_is_named(digits_run, text):
    (digits_run.path / layout.HISTORY).write_text(text)
    with pytest.raises(CorruptFileError, match=r"history\.csv.*Resume the training"):
        _ = digits_run.history


@pytest.mark.parametrize(
    ("column", "value"), [("auroc", "high"), ("auroc", None), ("detector", 3), ("group", None)]
)
def test_a_foreign_table_is_named(digits_run, column, value):
    path = epoch_of(digits_run).path / layout.TABLES["detection"]
    table = epoch_of(digits_run).detection()
    sources = files.sources_of(path)
    table[column] = value
    files.write_table(path, table, sources=sources)
    with pytest.raises(CorruptFileError, match=f"column '{column}'.*evaluate"):
        epoch_of(digits_run).detection()


def test_a_flipped_bit_in_a_table_is_found(digits_run):
    path = epoch_of(digits_run).path / layout.TABLES["detection"]
    content = bytearray(path.read_bytes())
    auroc = pq.ParquetFile(path).metadata.row_group(0).column(4)
    # In the values of a page: a page's own header has bytes that mean nothing.
    content[auroc.dictionary_page_offset + auroc.total_compressed_size // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"detection\.parquet"):
        epoch_of(digits_run).detection()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_happens_to_a_file_reading_it_gives_a_value_or_a_typed_error(digits_run, data):
    name = data.draw(st.sampled_from(list(READERS)))
    path = digits_run.path / name
    content = path.read_bytes()
    # The first and last bytes hold the headers, where a change does most.
    near = st.integers(0, min(len(content), 400) - 1)
    at = data.draw(near | near.map(lambda i: len(content) - 1 - i) | st.integers(0, len(content)))
    damaged = data.draw(
        st.sampled_from(
            [
                content[:at],
                content[:at] + bytes([255 - content[at % len(content)]]) + content[at + 1 :],
                content[:at] + content[at + 1 :],
                content[:at] + b'"9' + content[at:],
            ]
        )
    )
    path.write_bytes(damaged)
    try:
        with suppress(NcvizError):
            READERS[name](digits_run)
    finally:
        path.write_bytes(content)


# The description


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("recipe", "digits"),
        ("recipe", {"epochs": 3}),
        ("classes", ["one"]),
        ("classes", [1, 2]),
        ("classes", None),
        ("transform", []),
        ("id_set", "../../secrets"),
        ("id_set", 3),
        ("layers", []),
        ("layers", "encoder"),
        ("layers", ["a/b"]),
        ("ood_sets", ["noise"]),
        ("ood_sets", {"noise": "middle"}),
        ("ood_sets", {"../noise": "far"}),
        ("superclasses", ["even", "odd"]),
        ("superclasses", "even"),
        ("data", {"digits/train": 3}),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(digits_run, field, value):
    write.update_description(digits_run, **{field: value})
    with pytest.raises(CorruptFileError, match=rf"run\.json is damaged.*{field}"):
        open_run(digits_run.path)


def test_a_missing_field_is_named(digits_run):
    path = digits_run.path / layout.DESCRIPTION
    description = dict(digits_run.description)
    del description["classes"]
    files.write_json(path, description)
    with pytest.raises(CorruptFileError, match="'classes' is missing"):
        open_run(digits_run.path)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (3, "has format 3, of a newer ncviz than this one, which reads format 2. Update ncviz"),
        (1, "has format 1, of an older ncviz"),
        (10**9, "Update ncviz"),
        (0, "has format 0, of an older ncviz.* Train or import the run again"),
        ("1", "its format is no number"),
        (True, "its format is no number"),
        (1.0, "its format is no number"),
        (None, "its format is no number"),
    ],
)
def test_another_format_is_refused_by_number(digits_run, number, words):
    files.write_json(
        digits_run.path / layout.DESCRIPTION, {**digits_run.description, "format": number}
    )
    with pytest.raises(CorruptFileError, match=rf"run\.json .*{words}"):
        open_run(digits_run.path)


@pytest.mark.parametrize("text", ["[]", "3", "[" * 100_000, '{"a": 1', "\xff"])
def test_a_description_that_is_no_object_is_refused(digits_run, text):
    (digits_run.path / layout.DESCRIPTION).write_bytes(text.encode("latin-1"))
    with pytest.raises(CorruptFileError, match=r"run\.json cannot be read"):
        open_run(digits_run.path)


# Names


def test_unknown_names_list_what_exists(digits_run):
    epoch = epoch_of(digits_run)
    for call, known in (
        (lambda: open_run(digits_run.path.parent / "digts"), "Did you mean 'digits'"),
        (lambda: digits_run.epoch(3), "Known: 0001, 0002, 0004, 0006"),
        (lambda: epoch.features("test", "projector"), "Known: encoder"),
        (lambda: epoch.head("projector"), "Known: encoder"),
        (lambda: epoch.statistics("projector"), "Known: encoder"),
        (lambda: epoch.features("svhn"), "Known: digits-heldout/test, digits/test, digits/train"),
        (lambda: epoch.scores("energie", "noise"), "Did you mean 'energy'"),
        (lambda: epoch.scores("energy", "noises"), "Did you mean 'noise/test'"),
    ):
        with pytest.raises(UnknownNameError, match=known):
            call()


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "/etc",
        "a/b",
        "a\\b",
        ".hidden",
        "C:x",
        "a\0b",
        "a\nb",
        " a",
        "\u202ecod",
        "\ud800",
        "x" * 300,
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path, name):
    with pytest.raises(InvalidOptionError, match="cannot be the name of a run"):
        run_folder(name, tmp_path)


@pytest.mark.parametrize("name", ["digits", "lr=0.1_b-2.x", "Läufe 7", "網絡"])
def test_plain_names_are_taken(tmp_path, name):
    assert run_folder(name, tmp_path) == tmp_path / name


def test_an_error_survives_the_way_from_another_process():
    error = UnknownNameError("run", "digts", ["digits"], "Look again.")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


# Finding runs


def test_a_run_opens_by_path_and_by_name(digits_run, monkeypatch):
    monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(digits_run.path.parent))
    for one in (digits_run.path, str(digits_run.path), "digits"):
        assert open_run(one) == digits_run
    with pytest.raises(UnknownNameError, match=f"Looked in {digits_run.path.parent}"):
        open_run("other")


def test_the_checkpoints_folder_is_the_default(digits_run, monkeypatch):
    monkeypatch.delenv("NCVIZ_CHECKPOINTS", raising=False)
    digits_run.path.parent.rename(digits_run.path.parents[1] / "checkpoints")
    monkeypatch.chdir(digits_run.path.parents[1])
    assert list(open_runs()) == ["digits"]
    assert open_run("digits").name == "digits"


def test_a_folder_without_runs_is_empty(tmp_path):
    assert open_runs(tmp_path) == {}
    assert open_runs(tmp_path / "missing") == {}
    with pytest.raises(UnknownNameError, match=r"no run yet.*train\.py RECIPE"):
        open_run(tmp_path / "x")


def test_a_damaged_run_does_not_hide_the_others(digits_run):
    folder = digits_run.path.parent
    (folder / "broken").mkdir()
    (folder / "broken" / layout.DESCRIPTION).write_text("{")
    shutil.copytree(digits_run.path, folder / ".trash")

    listing = list_runs(folder)
    assert list(listing.runs) == ["digits"]
    assert list(listing.problems) == ["broken"]
    assert isinstance(listing.problems["broken"], CorruptFileError)
    with pytest.warns(UserWarning, match="Run broken is left out: .*run.json"):
        assert list(open_runs(folder)) == ["digits"]


def test_a_link_out_of_the_folder_is_a_problem_and_one_inside_a_run(digits_run, tmp_path):
    folder = digits_run.path.parent
    outside = tmp_path / "elsewhere"
    shutil.copytree(digits_run.path, outside)
    (folder / "inner").symlink_to("digits")
    (folder / "outer").symlink_to(outside)
    (folder / "half").mkdir()
    (folder / "half" / layout.DESCRIPTION).symlink_to(outside / layout.DESCRIPTION)

    listing = list_runs(folder)
    assert sorted(listing.runs) == ["digits", "inner"]
    assert sorted(listing.problems) == ["half", "outer"]
    assert "leads out" in str(listing.problems["outer"])
    assert open_run(outside).classes == digits_run.classes


def test_only_epochs_with_a_head_and_a_plain_number_count(digits_run):
    epochs = digits_run.path / layout.EPOCHS
    for name in ("00006", "6", "latest", "٠٠٠٧", "10000"):
        shutil.copytree(epochs / "0006", epochs / name)
    (epochs / "0005").mkdir()
    assert open_run(digits_run.path).epochs == (1, 2, 4, 6, 10000)


def test_a_run_is_not_started_twice(digits_run):
    with pytest.raises(InvalidOptionError, match=r"holds a run already.*--resume"):
        write.create_run(digits_run.path, digits_run.description)


def test_an_imported_run_has_an_empty_history(digits_run):
    (digits_run.path / layout.HISTORY).unlink()
    assert list(digits_run.history) == ["epoch"]
    assert len(digits_run.history) == 0


# Sharing


def test_a_packed_run_reads_like_the_original(digits_run, tmp_path):
    packed = pack(digits_run, tmp_path / "shared" / "digits", weights=(6,), progress=False).run

    assert not (packed.path / layout.TRAINING).exists()
    assert [epoch.has_weights for epoch in map(packed.epoch, packed.epochs)] == [False] * 3 + [True]
    pd.testing.assert_frame_equal(packed.detection(), digits_run.detection())
    pd.testing.assert_frame_equal(packed.collapse(), digits_run.collapse())
    original, half = epoch_of(digits_run).weights(), epoch_of(packed).weights()
    for name, array in original.items():
        np.testing.assert_allclose(half[name], array, rtol=1e-3, atol=1e-6)
    with pytest.raises(MissingDataError, match="shared without weights"):
        epoch_of(packed, 1).weights()


def test_packing_refuses_a_set_that_is_not_listed(digits_run, tmp_path):
    features = epoch_of(digits_run).path / layout.FEATURES
    shutil.copytree(features / "noise", features / "training")
    with pytest.raises(CorruptFileError, match=r"features of training/test, which .* lacks"):
        pack(digits_run, tmp_path / "digits", weights=(), progress=False)


def test_packing_onto_a_full_disk_leaves_nothing(digits_run, disk, files_below):
    folder = disk(300).folder
    with pytest.raises(StorageError, match="No space left on device"):
        pack(digits_run, folder / "digits", weights=(6,))
    assert files_below(folder) == {}


def test_packing_an_epoch_without_weights_says_so(digits_run, tmp_path):
    packed = pack(digits_run, tmp_path / "a" / "digits", weights=(6,), progress=False).run
    with pytest.raises(MissingDataError, match="Epoch 1 of digits was shared without weights"):
        pack(packed, tmp_path / "b" / "digits", weights=(1,))
    assert not (tmp_path / "b" / "digits").exists()


# The contract: names that scripts, pages and other people's code rely on


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (ncviz.open_runs, "folder"),
        (ncviz.open_run, "path"),
        (ncviz.Run.epoch, "self number"),
        (ncviz.Epoch.features, "self set_name layer"),
        (ncviz.Epoch.head, "self layer"),
        (ncviz.Epoch.statistics, "self layer set"),
        (ncviz.FeatureSet, "features logits labels"),
        (ncviz.Head, "weight bias"),
        (ncviz.ClassStatistics.empty, "classes dim"),
        (ncviz.ClassStatistics.update, "self features labels"),
        (ncviz.ClassStatistics.merge, "self other"),
        (ncviz.collapse.measure, "statistics head"),
        (ncviz.collapse.agreement, "features statistics head"),
        (ncviz.collapse.orthogonality, "statistics ood_features"),
        (ncviz.detectors.names, ""),
        (ncviz.detectors.create, "name parameters"),
        (ncviz.detectors.restore, "name state"),
        (ncviz.metrics.detection_metrics, "id_scores ood_scores"),
    ],
    ids=lambda value: getattr(value, "__qualname__", None),
)
def test_functions_keep_their_parameters(function, parameters):
    assert list(inspect.signature(function).parameters) == parameters.split()


def test_a_run_keeps_its_attributes(digits_run):
    assert digits_run.name == "digits"
    assert digits_run.recipe["name"] == "digits"
    assert digits_run.classes == tuple("01234567")
    assert digits_run.epochs == (1, 2, 4, 6)
    assert digits_run.layers == ("encoder",)
    assert digits_run.ood_sets == {
        "digits-heldout": "near",
        "letters": "near",
        "photo-patches": "far",
        "noise": "far",
    }
    assert list(digits_run.history["epoch"]) == [1, 2, 3, 4, 5, 6]
    assert {"train_loss", "train_accuracy", "test_accuracy", "learning_rate"} <= set(
        digits_run.history
    )


def test_an_epoch_gives_features_head_and_statistics(digits_run):
    epoch = digits_run.epoch(6)
    features, head, statistics = epoch.features("test"), epoch.head(), epoch.statistics()
    assert isinstance(features, ncviz.FeatureSet)
    assert isinstance(head, ncviz.Head)
    assert isinstance(statistics, ClassStatistics)
    assert features.features.shape == (431, 64)
    assert features.logits.shape == (431, 8)
    assert features.features.dtype == features.logits.dtype == np.float32
    assert head.weight.shape == statistics.means.shape == (8, 64)
    assert statistics.samples == 1012
    assert epoch.statistics().update(features.features, features.labels).samples == 1012 + 431
    assert epoch.statistics().merge(statistics).samples == 2 * 1012
