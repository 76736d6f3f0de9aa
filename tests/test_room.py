"""Float32 arrays that memory may not hold."""

import math
import os
import tempfile

import numpy as np
import pytest
from browser import ROOT

from ncviz import detectors
from ncviz.errors import StorageError
from ncviz.store import open_run, room


@pytest.fixture
def little_memory(monkeypatch, tmp_path):
    """As if no array of features fitted into memory, nor more than a few rows at once."""
    monkeypatch.setattr(room, "IN_MEMORY", 0)
    monkeypatch.setattr(room, "_AT_ONCE", 1000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("shape", [(7, 300), (2, 1500), (5,), (3, 4, 5)])
def test_blocks_come_to_the_whole(little_memory, shape):
    numbers = np.random.default_rng(0).normal(size=shape)
    asked = []

    def make(at: slice) -> np.ndarray:
        asked.append(at)
        return numbers[at]

    array = room.filled(make, shape)
    assert isinstance(array, np.memmap)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, numbers.astype(np.float32))
    most = max(1000, math.prod(shape[1:]))
    assert all(numbers[at].size <= most for at in asked)
    assert list(little_memory.iterdir()) == []  # the file has no name


def test_what_memory_holds_is_made_at_once():
    numbers, asked = np.arange(12.0).reshape(4, 3), []
    array = room.filled(lambda at: asked.append(at) or numbers[at], (4, 3))
    assert type(array) is np.ndarray
    assert asked == [slice(None)]
    np.testing.assert_array_equal(array, numbers.astype(np.float32))


@pytest.mark.parametrize("layer", ["encoder", "projector"])
def test_a_set_larger_than_memory_is_the_same_set(little_memory, monkeypatch, layer):
    epoch = open_run(ROOT / "checkpoints" / "cifar100-resnet18-controlled").epoch(60)
    mapped = epoch.features("train", layer)
    assert isinstance(mapped.features, np.memmap)
    assert isinstance(mapped.logits, np.memmap)
    monkeypatch.undo()
    held = epoch.features("train", layer)
    assert type(held.features) is np.ndarray
    np.testing.assert_allclose(mapped.features, held.features, rtol=0, atol=1e-6)
    np.testing.assert_allclose(mapped.logits, held.logits, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(mapped.labels, held.labels)
    head, statistics = epoch.head("projector"), epoch.statistics("projector")
    if layer == "projector":
        for name in ("knn", "vim", "react", "ash_s", "kl_matching"):
            one, other = (
                detectors.create(name).fit(train, head, statistics).score(train)
                for train in (mapped, held)
            )
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system reserves no room")
def test_a_full_disk_is_one_error(little_memory, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match=r"0\.0 GB .* do not fit into .*TMPDIR"):
        room.filled(lambda at: np.zeros((2, 3))[at], (2, 3))
