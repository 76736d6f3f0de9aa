"""Near-duplicate images: a slow definition, real duplicates of CIFAR-100, and a run's record."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ncviz import data
from ncviz.data import near_duplicates
from ncviz.data.images import ArrayReader, index_key
from ncviz.data.near_duplicates import MAX_DISTANCE, find_duplicates, hash_images
from ncviz.duplicates import in_lines, in_words
from ncviz.errors import CorruptFileError
from ncviz.extraction import Sizes, extract
from ncviz.extraction.image_duplicates import image_duplicates
from ncviz.models import ModelSpec
from ncviz.store import open_run, write
from ncviz.training import Recipe, train

REAL = os.environ.get("NCVIZ_DATA")
SIDE = 16
RNG = np.random.default_rng(0)


def photographs(count: int, random: np.random.Generator = RNG) -> np.ndarray:
    """Return smooth random images (count, SIDE, SIDE) uint8 with full contrast."""
    small = random.integers(0, 256, (count, 5, 5), dtype=np.uint8)
    return np.stack(
        [
            np.asarray(Image.fromarray(each).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
            for each in small
        ]
    )


def as_set(pixels: np.ndarray, name: str = "made") -> data.ImageSet:
    return data.ImageSet(
        name=name,
        split="test",
        classes=("a",),
        labels=np.zeros(len(pixels), np.int64),
        keys=tuple(index_key(i) for i in range(len(pixels))),
        reader=ArrayReader(pixels, name),
    )


def hashed(pixels: np.ndarray, size: int = SIDE) -> near_duplicates.HashedSet:
    return hash_images(as_set(pixels), data.Transform(size))


def noisy(pixels: np.ndarray, level: int) -> np.ndarray:
    noise = RNG.integers(-level, level + 1, pixels.shape)
    return np.clip(pixels.astype(int) + noise, 0, 255).astype(np.uint8)


def slow_duplicates(known: np.ndarray, other: np.ndarray) -> dict[int, int]:
    """Return the nearest image of `known` for each image of `other` that has one near enough."""
    found = {}
    for row, image in enumerate(other):
        distances = [np.sqrt(np.mean((one.astype(float) - image) ** 2)) for one in known]
        nearest = int(np.argmin(distances))
        contrast = min(known[nearest].std(), image.std())
        if distances[nearest] <= min(MAX_DISTANCE, 0.2 * contrast):
            found[row] = nearest
    return found


def test_duplicates_are_those_of_comparing_all_pairs():
    known = photographs(60)
    other = np.concatenate([noisy(known[10:20], 5), photographs(40), known[3:5]])
    found = find_duplicates(hashed(known), hashed(other))
    expected = slow_duplicates(known, other)
    assert dict(zip(found.rows.tolist(), found.matches.tolist(), strict=True)) == expected
    assert expected == {**{i: 10 + i for i in range(10)}, 50: 3, 51: 4}
    assert found.identical == 2
    assert found.samples == 52
    truth = [
        np.sqrt(np.mean((known[m].astype(float) - other[r]) ** 2))
        for r, m in zip(found.rows, found.matches, strict=True)
    ]
    np.testing.assert_allclose(found.distances, truth, rtol=1e-5)


def test_blocks_change_nothing(monkeypatch):
    known, other = photographs(50), photographs(30)
    other[7], other[21] = known[4], known[44]
    expected = find_duplicates(hashed(known), hashed(other))
    for name, value in (("_BLOCK_BYTES", 1), ("_HASH_PAIRS", 1), ("_THUMBNAIL_PAIRS", 1)):
        monkeypatch.setattr(near_duplicates, name, value)
    found = find_duplicates(hashed(known), hashed(other))
    assert found.rows.tolist() == expected.rows.tolist() == [7, 21]
    assert found.matches.tolist() == expected.matches.tolist() == [4, 44]


def test_a_set_is_not_a_duplicate_of_itself():
    pixels = photographs(20)
    one = hashed(pixels)
    assert len(find_duplicates(one, one).rows) == 0
    pixels[15] = pixels[2]
    one = hashed(pixels)
    found = find_duplicates(one, one)
    assert list(zip(found.rows, found.matches, strict=True)) == [(2, 15), (15, 2)]


def test_flat_images_need_neither_time_nor_memory():
    # All have the hash 0, and each has an equal among the known ones.
    levels = (np.arange(3000) % 250).astype(np.uint8)
    known = np.broadcast_to(levels[:, None, None], (3000, 4, 4)).copy()
    found = find_duplicates(hashed(known, 4), hashed(known[:1000], 4))
    # Only equal images count: without contrast, every difference is large.
    assert set(found.distances) <= {0.0}
    assert (levels[found.matches] == levels[found.rows]).all()


def test_other_images_and_empty_results():
    found = find_duplicates(hashed(photographs(30)), hashed(255 - photographs(30)))
    assert (len(found.rows), found.identical, found.samples) == (0, 0, 30)


@pytest.mark.skipif(not REAL, reason="NCVIZ_DATA is not set: no real images")
def test_duplicates_of_cifar100_are_found():
    """14 pairs within the training set and 10 test images in it are identical, as published."""

    def load(split):
        return hash_images(data.load("cifar100", split, progress=False), data.Transform(32))

    known = load("train")
    found = find_duplicates(known, load("test"))
    assert found.identical == 10
    assert 10 < len(found.rows) < 60
    within = find_duplicates(known, known)
    same = within.distances == 0
    pairs = {
        tuple(sorted(pair)) for pair in zip(within.rows[same], within.matches[same], strict=True)
    }
    assert len(pairs) == 14


# The run


@pytest.fixture
def root(tmp_path) -> Path:
    """ROOT with own/{train,test} and far/test; two test images and one OOD image are known."""
    pixels = {"own/train": photographs(24), "own/test": photographs(8), "far/test": photographs(6)}
    pixels["own/test"][[1, 6]] = noisy(pixels["own/train"][[3, 20]], 4)
    pixels["far/test"][5] = pixels["own/train"][7]
    for name, images in pixels.items():
        for number, image in enumerate(images):
            folder = tmp_path / name / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{number}.png")
    return tmp_path


@pytest.fixture
def run(root, tmp_path):
    settings = Recipe(
        name="tiny",
        data="own",
        model=ModelSpec(width=4, stem="cifar"),
        image_size=SIDE,
        epochs=1,
        batch_size=6,
        save="1",
    )
    options = {"data_root": root, "device": "cpu", "progress": False}
    return train(settings, "tiny", checkpoints=tmp_path / "runs", **options)


def extract_tiny(run, root, ood=("far",)):
    options = {"sizes": Sizes(), "data_root": root, "device": "cpu", "progress": False}
    return extract(run, ood=ood, **options)


def test_extraction_records_near_duplicates_once(run, root, monkeypatch):
    run = open_run(extract_tiny(run, root).path)
    found = run.image_duplicates
    assert found.keys() == {"own/test", "far/test"}
    counts = {name: (each["duplicates"], each["identical"]) for name, each in found.items()}
    assert counts == {"own/test": (2, 0), "far/test": (1, 1)}
    assert found["far/test"]["keys"] == [["test/b/5.png", "train/b/7.png"]]
    assert in_lines(found)[1] == (
        "far/test: 1 of 6 images are near-duplicates of training images, 1 of them identical; "
        "test/b/5.png = train/b/7.png"
    )

    table = run.epoch(1).duplicates()
    assert table["found_by"].tolist() == ["images", "images"]
    assert table["duplicates"].tolist() == [2, 1]
    assert in_words(table.to_dict("records")) == (
        "Duplicates: 2 of 8 samples of own/test and 1 of 6 samples of far/test are near-duplicates "
        "of training images. Results on samples that a network was trained on are too good."
    )
    assert len(run.duplicates()) == 2

    # Known counts are not computed again; those of other images are.
    def refuse(*arguments):
        raise AssertionError("hashed again")

    monkeypatch.setattr("ncviz.extraction.image_duplicates.hash_images", refuse)
    assert extract_tiny(run, root).image_duplicates == found
    images = {
        name: data.load(*name.split("/"), root=root, progress=False)
        for name in ("own/train", "own/test")
    }
    fewer = replace(images["own/test"], keys=images["own/test"].keys[:-1])
    with pytest.raises(AssertionError, match="hashed again"):
        image_duplicates(run, {**images, "own/test": fewer})


@pytest.mark.parametrize("wrong", [3, {"own/test": 3}, {"own/test": {"duplicates": -1}}])
def test_damaged_record_is_rejected(run, wrong):
    with pytest.raises(CorruptFileError, match="'image_duplicates' is not"):
        open_run(write.update_description(run, image_duplicates=wrong).path)
