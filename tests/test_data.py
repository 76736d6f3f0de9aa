"""Data sets: folders, generated sets, torchvision's files, the transform, the catalogue."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image
from sklearn.datasets import load_digits

from ncviz import data
from ncviz.data import generated
from ncviz.data.__main__ import catalogue, main
from ncviz.errors import (
    CorruptFileError,
    InvalidArrayError,
    InvalidOptionError,
    MissingDataError,
    StorageError,
    UnknownNameError,
)

RNG_IMAGE = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
PARTNERS = ("digits-heldout", "letters", "photo-patches", "noise")
REAL = os.environ.get("NCVIZ_DATA")
needs_real = pytest.mark.skipif(not REAL, reason="NCVIZ_DATA is not set: no real images")


def save(path: Path, image: Image.Image | None = None, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or Image.fromarray(RNG_IMAGE)).save(path, **options)
    return path


@pytest.fixture
def birds(tmp_path) -> Path:
    """ROOT with birds/{train,test}/{crow,robin}, two images a class."""
    for split in ("train", "test"):
        for name in ("robin", "crow"):
            for number in (1, 2):
                save(tmp_path / "birds" / split / name / f"{number}.png")
    return tmp_path


# Folders


def test_folder_lists_classes_by_name_and_files_in_natural_order(tmp_path):
    for file in ("10.png", "9.png", "a2.JPG", "A1.jpg", "9b.webp"):
        save(tmp_path / "own" / "test" / "robin" / file)
    save(tmp_path / "own" / "test" / "crow" / "1.png")

    images = data.load("own", "test", root=tmp_path)

    assert images.classes == ("crow", "robin")
    assert images.keys == (
        "test/crow/1.png",
        *(f"test/robin/{f}" for f in ("9.png", "9b.webp", "10.png", "A1.jpg", "a2.JPG")),
    )
    assert images.labels.dtype == np.int64
    assert images.labels.tolist() == [0, 1, 1, 1, 1, 1]
    assert len(images) == 6
    assert images.full_name == "own/test"


def test_folder_ignores_hidden_files_and_other_types(birds):
    crow = birds / "birds" / "test" / "crow"
    (crow / "notes.txt").write_text("no image")
    save(crow / ".hidden.png")
    (birds / "birds" / "test" / ".cache").mkdir()
    (birds / "birds" / "test" / "list.csv").write_text("")

    images = data.load("birds", "test", root=birds)

    assert images.keys == tuple(f"test/{c}/{n}.png" for c in ("crow", "robin") for n in (1, 2))


def test_root_comes_from_the_environment(birds, monkeypatch):
    monkeypatch.setenv("NCVIZ_DATA", str(birds))
    assert data.data_root() == birds
    assert len(data.load("birds", "train")) == 4
    assert data.describe("birds").splits == ("test", "train")
    assert data.describe("birds").kind == "folder"

    monkeypatch.delenv("NCVIZ_DATA")
    assert data.data_root() == Path("data")


@pytest.mark.parametrize("name", ["cifar10", "digits"])
def test_a_folder_wins_over_torchvision_and_generation(tmp_path, name):
    save(tmp_path / name / "test" / "only" / "1.png")
    images = data.load(name, "test", root=tmp_path)
    assert images.classes == ("only",)
    assert images.keys == ("test/only/1.png",)


def test_words_file_names_the_classes_and_keeps_them_apart(tmp_path):
    for wnid in ("n01", "n02", "n03", "n04"):
        save(tmp_path / "wnids" / "test" / wnid / "1.png")
    (tmp_path / "wnids" / "words.txt").write_text(
        "n01\tgoldfish, Carassius auratus\nn02\tcrane\nn03\tcrane, derrick\n"
    )
    images = data.load("wnids", "test", root=tmp_path)
    assert images.classes == ("goldfish", "crane (n02)", "crane (n03)", "n04")
    assert images.keys[0] == "test/n01/1.png"


def test_fingerprint_follows_name_split_keys_and_labels(birds):
    first = data.load("birds", "test", root=birds).fingerprint()
    assert first == data.load("birds", "test", root=birds).fingerprint()
    assert len(first) == 16
    assert first != data.load("birds", "train", root=birds).fingerprint()

    (birds / "birds" / "test" / "crow" / "2.png").rename(
        birds / "birds" / "test" / "robin" / "3.png"
    )
    assert first != data.load("birds", "test", root=birds).fingerprint()


# Pixels: whatever the mode, the same RGB


def rgb_of(tmp_path, file, image, **options) -> np.ndarray:
    save(tmp_path / "modes" / "test" / "c" / file, image, **options)
    opened = data.load("modes", "test", root=tmp_path).image(0)
    assert opened.mode == "RGB"
    return np.asarray(opened)


def test_rgb_stays_as_it_is(tmp_path):
    np.testing.assert_array_equal(rgb_of(tmp_path, "a.png", Image.fromarray(RNG_IMAGE)), RNG_IMAGE)


def test_grey_is_repeated(tmp_path):
    grey = RNG_IMAGE[..., 0]
    pixels = rgb_of(tmp_path, "a.png", Image.fromarray(grey))
    np.testing.assert_array_equal(pixels, np.stack([grey] * 3, axis=-1))


def test_palette_gives_its_colours(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    assert rgb_of(tmp_path, "a.png", image).tolist() == [[[10, 20, 30], [200, 100, 50]]]


def test_transparency_is_laid_on_white(tmp_path):
    pixels = np.array([[[9, 9, 9, 0], [10, 20, 30, 255], [0, 0, 0, 51]]], np.uint8)
    opened = rgb_of(tmp_path, "a.png", Image.fromarray(pixels))
    assert opened.tolist() == [[[255, 255, 255], [10, 20, 30], [204, 204, 204]]]


def test_transparent_palette_is_laid_on_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    opened = rgb_of(tmp_path, "a.png", image, transparency=0)
    assert opened.tolist() == [[[255, 255, 255], [200, 100, 50]]]


@pytest.mark.parametrize("file", ["a.png", "a.tif", "a.pgm"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, file):
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    opened = rgb_of(tmp_path, file, Image.fromarray(values))
    assert opened[0, :, 0].tolist() == [0, 1, 128, 255]
    assert (opened[..., 0] == opened[..., 2]).all()


def test_one_bit_becomes_black_and_white(tmp_path):
    opened = rgb_of(tmp_path, "a.png", Image.fromarray(np.array([[True, False]])))
    assert opened.tolist() == [[[255] * 3, [0] * 3]]


def test_cmyk_is_converted(tmp_path):
    opened = rgb_of(tmp_path, "a.tif", Image.new("CMYK", (2, 2), (255, 0, 0, 0)))
    assert opened[0, 0].tolist() == [0, 255, 255]


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # the camera lay on its side: turn a quarter clockwise
    opened = rgb_of(tmp_path, "a.png", Image.fromarray(RNG_IMAGE[:8]), exif=exif)
    np.testing.assert_array_equal(opened, np.rot90(RNG_IMAGE[:8], -1))


def test_floating_point_pixels_are_refused(tmp_path):
    image = Image.fromarray(np.ones((4, 4), np.float32))
    with pytest.raises(InvalidArrayError, match="floating-point"):
        data.to_rgb(image)
    save(tmp_path / "modes" / "test" / "c" / "a.tif", image)
    with pytest.raises(CorruptFileError, match=r"a\.tif.*floating-point"):
        data.load("modes", "test", root=tmp_path).image(0)


# Errors


def test_unknown_set_names_the_known_ones(tmp_path):
    with pytest.raises(UnknownNameError, match=r"'cifar1O'.*'cifar10'.*digits.*svhn"):
        data.load("cifar1O", "test", root=tmp_path)
    with pytest.raises(UnknownNameError, match="no-such"):
        data.describe("no-such", root=tmp_path)


def test_missing_folder_set_says_where_and_how(tmp_path):
    with pytest.raises(MissingDataError) as caught:
        data.load("ninco", "test", root=tmp_path)
    message = str(caught.value)
    for part in (str(tmp_path / "ninco" / "test"), "NCVIZ_DATA", "NAME/SPLIT/CLASS", "64"):
        assert part in message
    assert "downloaded" not in message
    with pytest.raises(MissingDataError, match="cannot be downloaded"):
        data.load("ninco", "test", root=tmp_path, download=True)


def test_missing_torchvision_set_says_where_and_how(tmp_path):
    with pytest.raises(MissingDataError) as caught:
        data.load("cifar100", "test", root=tmp_path / "absent")
    message = str(caught.value)
    for part in (str(tmp_path / "absent" / "cifar100" / "test"), "--download", "NCVIZ_DATA"):
        assert part in message
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize(
    ("name", "known"),
    [("birds", "test, train"), ("digits", "train, test"), ("mnist", "train, test")],
)
def test_missing_split_names_the_splits(birds, name, known):
    with pytest.raises(MissingDataError, match=f"'{name}' has no split 'dev'.*{known}"):
        data.load(name, "dev", root=birds)


def test_a_folder_with_one_split_is_not_completed_from_elsewhere(tmp_path):
    save(tmp_path / "digits" / "train" / "zero" / "1.png")
    with pytest.raises(MissingDataError, match="no split 'test'; it has: train"):
        data.load("digits", "test", root=tmp_path)


def test_folder_without_classes(tmp_path):
    save(tmp_path / "flat" / "test" / "1.png")
    with pytest.raises(MissingDataError, match=r"flat/test holds no class folder.*SPLIT/CLASS"):
        data.load("flat", "test", root=tmp_path)
    (tmp_path / "void").mkdir()
    with pytest.raises(MissingDataError, match="'void' has no folder"):
        data.load("void", "test", root=tmp_path)


def test_class_without_image_is_named(birds):
    (birds / "birds" / "test" / "dodo").mkdir()
    (birds / "birds" / "test" / "dodo" / "read.me").write_text("")
    with pytest.raises(MissingDataError, match=r"Class 'dodo' of birds/test has no image.*\.png"):
        data.load("birds", "test", root=birds)


@pytest.mark.parametrize("name", ["..", "../birds", "/etc", "a/b", "a\\b", "C:", "", "."])
def test_names_cannot_leave_the_root(birds, name):
    with pytest.raises(InvalidOptionError, match="data set"):
        data.load(name, "test", root=birds / "birds")
    with pytest.raises(InvalidOptionError, match="split"):
        data.load("birds", name, root=birds)


def jpeg_bytes() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RNG_IMAGE).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("0.png", b""),
        ("0.png", b"no image at all"),
        ("0.jpg", jpeg_bytes()[: len(jpeg_bytes()) // 2]),
        ("0.png", b"\x89PNG\r\n\x1a\n" + b"\x00" * 40),
    ],
    ids=["empty", "foreign", "truncated", "header only"],
)
class TestCorruptImage:
    @pytest.fixture(autouse=True)
    def _damage(self, birds, file, content):
        self.root = birds
        self.file = birds / "birds" / "test" / "robin" / file
        self.file.write_bytes(content)

    def test_is_named(self):
        images = data.load("birds", "test", root=self.root)
        with pytest.raises(CorruptFileError, match=f"robin/{self.file.name}.*skip_corrupt"):
            images.image(2)
        with pytest.raises(CorruptFileError, match=f"robin/{self.file.name}"):
            data.decode(images, data.Transform())

    def test_is_skipped_counted_and_named_on_request(self):
        with pytest.warns(UserWarning, match=f"skipped 1 corrupt of 5.*{self.file.name}") as seen:
            images = data.load("birds", "test", root=self.root, skip_corrupt=True, progress=False)
        assert seen[0].filename == __file__
        assert images.keys == tuple(f"test/{c}/{n}.png" for c in ("crow", "robin") for n in (1, 2))
        assert images.labels.tolist() == [0, 0, 1, 1]
        assert data.decode(images, data.Transform()).shape == (4, 32, 32, 3)


def test_skipping_changes_nothing_in_a_healthy_set(birds, recwarn):
    images = data.load("birds", "test", root=birds, skip_corrupt=True, progress=False)
    assert images.fingerprint() == data.load("birds", "test", root=birds).fingerprint()
    assert not recwarn.list


def test_long_lists_of_corrupt_images_are_cut(birds):
    for number in range(12):
        (birds / "birds" / "test" / "robin" / f"x{number}.png").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"skipped 12 corrupt of 16.*x9\.png and 2 more\.$"):
        data.load("birds", "test", root=birds, skip_corrupt=True, progress=False)


def test_a_class_that_loses_every_image_is_an_error(birds):
    for number in (1, 2):
        (birds / "birds" / "test" / "robin" / f"{number}.png").write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="skipped 2"),
        pytest.raises(MissingDataError, match="Every image of class 'robin' of birds/test"),
    ):
        data.load("birds", "test", root=birds, skip_corrupt=True, progress=False)


def test_a_file_that_goes_away_is_missing_not_corrupt(birds):
    images = data.load("birds", "test", root=birds)
    (birds / "birds" / images.keys[0]).unlink()
    with pytest.raises(MissingDataError, match=r"crow/1\.png cannot be read: No such file"):
        images.image(0)


def test_sets_travel_to_worker_processes(birds):
    for images in (data.load("birds", "test", root=birds), data.load("digits", "test")):
        copy = pickle.loads(pickle.dumps(images))
        assert copy.fingerprint() == images.fingerprint()
        assert copy.image(1).tobytes() == images.image(1).tobytes()


# Finding an image again


def test_open_image_finds_what_a_key_names(birds):
    save(birds / "birds" / "test" / "robin" / "2.png", Image.new("RGB", (5, 4), "red"))
    images = data.load("birds", "test", root=birds)
    assert data.open_image("birds", "test", images.keys[3], root=birds).size == (5, 4)

    digits = data.load("digits", "test")
    again = data.open_image("digits", "test", digits.keys[7])
    assert again.tobytes() == digits.image(7).tobytes()


@pytest.mark.parametrize("key", ["index:0", "index:99999", "index:x"])
def test_open_image_refuses_keys_of_other_splits(key):
    # Number 0 is a training image.
    with pytest.raises(MissingDataError, match=key):
        data.open_image("digits", "test", key)


@pytest.mark.parametrize("key", ["../birds/test/crow/1.png", "/etc/passwd", "test/../../x.png"])
def test_open_image_cannot_leave_the_set(birds, key):
    with pytest.raises(InvalidOptionError, match="key"):
        data.open_image("birds", "test", key, root=birds)


def test_open_image_of_a_missing_file(birds):
    with pytest.raises(MissingDataError, match=r"9\.png"):
        data.open_image("birds", "test", "test/crow/9.png", root=birds)


# Transform


@pytest.mark.parametrize("size", [(24, 24), (33, 47), (47, 33), (100, 21), (20, 20), (64, 65)])
@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
def test_transform_agrees_with_torchvision(size, resample):
    from torchvision.transforms import v2

    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    reference = v2.Compose([v2.Resize(32, v2.InterpolationMode(resample)), v2.CenterCrop(32)])(
        image
    )
    np.testing.assert_array_equal(
        data.Transform(32, resample=resample)(image), np.asarray(reference)
    )


def test_transform_resizes_and_crops_as_written_out():
    pixels = np.random.default_rng(1).integers(0, 256, (30, 60, 3), dtype=np.uint8)
    resized = Image.fromarray(pixels).resize((30, 15), Image.Resampling.BILINEAR)
    expected = np.asarray(resized)[:, 8:23]  # (30 - 15) / 2, rounded to even
    np.testing.assert_array_equal(data.Transform(15)(Image.fromarray(pixels)), expected)


def test_transform_leaves_an_image_of_its_size_alone():
    np.testing.assert_array_equal(data.Transform(24)(Image.fromarray(RNG_IMAGE)), RNG_IMAGE)


def test_normalise():
    transform = data.Transform(size=24, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2))
    batch = np.stack([RNG_IMAGE, RNG_IMAGE[::-1]])
    out = transform.normalise(batch)
    assert out.shape == (2, 3, 24, 24)
    assert out.dtype == np.float32
    assert out.flags.c_contiguous
    expected = (batch[1, 5, 7, 1] / 255 - 0.2) / 0.25
    assert out[1, 1, 5, 7] == pytest.approx(expected, rel=1e-5)


def test_transform_survives_json():
    transform = data.Transform(16, (0.1, 0.2, 0.3), (1, 2, 3), "bicubic")
    assert data.Transform.from_dict(json.loads(json.dumps(transform.to_dict()))) == transform


@pytest.mark.parametrize(
    "wrong",
    [{"size": 0}, {"mean": (0.5, 0.5)}, {"std": (1, 0, 1)}, {"resample": "area"}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_transform_refuses_values_outside_their_range(wrong):
    with pytest.raises(InvalidOptionError, match=next(iter(wrong))):
        data.Transform(**wrong)


def test_channel_mean_std_over_several_blocks():
    images = np.random.default_rng(2).integers(0, 200, (1500, 4, 4, 3), dtype=np.uint8)
    images[..., 2] = 7
    mean, std = data.channel_mean_std(images)
    scaled = images.reshape(-1, 3) / 255
    np.testing.assert_allclose(mean, scaled.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(std, scaled.std(axis=0), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("workers", [None, 1, 3])
def test_decode_is_the_transform_of_each_image_in_order(workers):
    images = data.load("digits", "test")
    transform = data.Transform(16)
    pixels = data.decode(images, transform, workers=workers)
    assert pixels.dtype == np.uint8
    assert pixels.nbytes == data.decoded_bytes(len(images), transform)
    np.testing.assert_array_equal(
        pixels, np.stack([transform(images.image(i)) for i in range(len(images))])
    )
    chosen = np.array([400, 3, 3])
    np.testing.assert_array_equal(
        data.decode(images, transform, indices=chosen, workers=workers), pixels[chosen]
    )


def test_decode_of_nothing_and_of_large_images(birds):
    save(birds / "birds" / "test" / "crow" / "1.png", Image.new("RGB", (200, 90), "red"))
    images = data.load("birds", "test", root=birds)
    assert data.decode(images, data.Transform(), indices=[]).shape == (0, 32, 32, 3)
    pixels = data.decode(images, data.Transform())
    assert (pixels[0] == (255, 0, 0)).all()
    np.testing.assert_array_equal(pixels[1], data.Transform()(images.image(1)))


def test_decode_shows_a_bar_on_request(capsys):
    images = data.load("digits-heldout", "train")
    data.decode(images, data.Transform(8))
    assert capsys.readouterr().err == ""
    data.decode(images, data.Transform(8), progress=True)
    assert "decoding digits-heldout/train: 100%" in capsys.readouterr().err


# Generated sets


def test_digits_are_scikit_learns():
    known = load_digits()
    for name, classes in (("digits", "01234567"), ("digits-heldout", "89")):
        both = [data.load(name, split) for split in ("train", "test")]
        rows = [int(key.removeprefix("index:")) for images in both for key in images.keys]
        labels = np.concatenate([images.labels for images in both])
        images = generated.held_out_digits if name.endswith("heldout") else generated.digits
        originals = np.flatnonzero(np.isin(known.target, [int(c) for c in classes]))

        assert both[0].classes == both[1].classes == tuple(classes)
        assert sorted(rows) == list(range(len(originals)))
        targets = known.target[originals[rows]]
        np.testing.assert_array_equal(labels + int(classes[0]), targets)
        np.testing.assert_allclose(
            images()[0] / 255 * 16, known.images[originals], atol=16 / 255 / 2
        )


def test_an_image_carries_its_own_label():
    images = data.load("digits", "test")
    known = load_digits()
    originals = known.images[known.target < 8]
    row = int(images.keys[100].removeprefix("index:"))
    grey = np.asarray(images.image(100))[..., 0]
    np.testing.assert_array_equal(grey, np.rint(originals[row] * 255 / 16))
    assert images.labels[100] == known.target[known.target < 8][row]


@pytest.mark.parametrize("name", ["digits", *PARTNERS])
def test_generated_splits_are_disjoint_stratified_and_large_enough(name):
    train, test = (data.load(name, split) for split in ("train", "test"))
    assert not set(train.keys) & set(test.keys)
    counts = [np.bincount(s.labels, minlength=len(s.classes)) for s in (train, test)]
    share = counts[1] / (counts[0] + counts[1])
    np.testing.assert_allclose(share, 0.3 if name == "digits" else 0.7, atol=0.02)
    assert len(test) >= 248


@pytest.mark.parametrize("name", ["digits", *PARTNERS])
def test_generated_sets_differ_in_content_alone(name):
    images = data.load(name, "test")
    levels = {round(level * 255 / 16) for level in range(17)}
    for i in range(0, len(images), 7):
        image = images.image(i)
        assert image.size == (8, 8)
        assert set(np.unique(np.asarray(image)).tolist()) <= levels


@pytest.mark.parametrize("build", [generated.letters, generated.photo_patches, generated.noise])
def test_generated_pixels_are_the_same_every_time(build):
    first = build()
    build.cache_clear()
    second = build()
    assert first[0] is not second[0]
    np.testing.assert_array_equal(first[0], second[0])


def test_letters_are_legible():
    # A 1-nearest-neighbour rule that sees only pixels tells the letters apart.
    train, test = (data.load("letters", split) for split in ("train", "test"))
    x, y = (
        data.decode(s, data.Transform(8))[..., 0].reshape(len(s), -1) / 255 for s in (train, test)
    )
    nearest = ((y[:, None] - x[None]) ** 2).sum(axis=2).argmin(axis=1)
    assert (train.labels[nearest] == test.labels).mean() > 0.5
    assert not set(train.classes) & {"I", "O"}


def test_fingerprints_of_the_shipped_digits_do_not_move():
    # Runs on disk refer to these.
    assert [data.load("digits", split).fingerprint() for split in ("train", "test")] == [
        "62c3fe6324051769",
        "5bb113927d401e1c",
    ]


# torchvision's files, small, in its own layout


def write_pickle(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))


def solid(value: int, side: int = 32) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


def write_cifar(root: Path, folder: str, names: list[str], files: tuple[str, ...]) -> None:
    base = root / folder
    meta, label_key, names_key = (
        ("meta", "fine_labels", "fine_label_names")
        if folder.endswith("100-python")
        else ("batches.meta", "labels", "label_names")
    )
    # Image i is filled with its label.
    rows = np.stack([solid(i).transpose(2, 0, 1).ravel() for i in (3, 0)])
    for file in files:
        write_pickle(base / file, {"data": rows, label_key: [3, 0]})
    write_pickle(base / meta, {names_key: names})


def cifar100_names() -> list[str]:
    return sorted(data.describe("cifar100").superclasses)


def write_cifar100(root: Path) -> None:
    write_cifar(root, "cifar-100-python", cifar100_names(), ("train", "test"))


CIFAR10_NAMES = [
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
]


def write_cifar10(root: Path) -> None:
    batches = tuple(f"data_batch_{i}" for i in range(1, 6))
    write_cifar(root, "cifar-10-batches-py", CIFAR10_NAMES, (*batches, "test_batch"))


def write_mnist(root: Path, folder: str = "MNIST") -> None:
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        pixels = np.stack([solid(i, 28)[..., 0] for i in (3, 0)])
        header = b"".join(n.to_bytes(4, "big") for n in (2051, 2, 28, 28))
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        header = b"".join(n.to_bytes(4, "big") for n in (2049, 2))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(header + bytes([3, 0]))


def write_svhn(root: Path) -> None:
    from scipy.io import savemat

    pixels = np.stack([solid(3), solid(0)], axis=-1)
    for split in ("train", "test"):
        # SVHN writes a zero as 10.
        savemat(root / f"{split}_32x32.mat", {"X": pixels, "y": np.array([[3], [10]])})


def write_stl10(root: Path) -> None:
    base = root / "stl10_binary"
    base.mkdir()
    for split in ("train", "test"):
        pixels = np.stack([solid(i, 96).transpose(2, 1, 0) for i in (3, 0)])
        (base / f"{split}_X.bin").write_bytes(pixels.tobytes())
        (base / f"{split}_y.bin").write_bytes(bytes([4, 1]))
    (base / "unlabeled_X.bin").write_bytes(b"")
    (base / "class_names.txt").write_text("airplane\nbird\ncar\ncat\n")


def write_dtd(root: Path) -> None:
    base = root / "dtd" / "dtd"
    names = [f"{c}/{c}_1.png" for c in ("knitted", "banded", "cracked", "dotted")]
    for value, name in zip((3, 0, 1, 2), names, strict=True):
        save(base / "images" / name, Image.fromarray(solid(value)))
    (base / "labels").mkdir()
    for split in ("train", "val", "test"):
        (base / "labels" / f"{split}1.txt").write_text("\n".join(names))


def write_flowers(root: Path) -> None:
    from scipy.io import savemat

    base = root / "flowers-102"
    for number, value in ((1, 3), (2, 0)):
        save(base / "jpg" / f"image_{number:05d}.jpg", Image.fromarray(solid(value)))
    savemat(base / "imagelabels.mat", {"labels": np.array([[4, 1]])})
    savemat(base / "setid.mat", {k: np.array([[1, 2]]) for k in ("trnid", "valid", "tstid")})


def write_pets(root: Path) -> None:
    base = root / "oxford-iiit-pet"
    names = ["great_pyrenees_1", "Abyssinian_1", "beagle_2", "Birman_3"]
    for value, name in zip((3, 0, 1, 2), names, strict=True):
        save(base / "images" / f"{name}.jpg", Image.fromarray(solid(value)))
    (base / "annotations").mkdir()
    lines = [f"{n} {label} 1 1" for n, label in zip(names, (4, 1, 2, 3), strict=True)]
    for split in ("trainval", "test"):
        (base / "annotations" / f"{split}.txt").write_text("\n".join(lines))


def write_aircraft(root: Path) -> None:
    base = root / "fgvc-aircraft-2013b" / "data"
    for number, value in (("0034309", 3), ("0034958", 0)):
        save(base / "images" / f"{number}.jpg", Image.fromarray(solid(value)))
    (base / "variants.txt").write_text("707-320\n727-200\n737-200\nA300 B4\n")
    for split in ("trainval", "test"):
        (base / f"images_variant_{split}.txt").write_text("0034309 A300 B4\n0034958 707-320\n")


def write_places(root: Path) -> None:
    # Listed out of order: the number counts, not the position.
    (root / "categories_places365.txt").write_text("/b/bog 0\n/a/attic 3\n/c/cafe 1\n/d/dam 2\n")
    (root / "places365_val.txt").write_text("Places365_val_1.jpg 3\nPlaces365_val_2.jpg 0\n")
    for number, value in ((1, 3), (2, 0)):
        save(root / "val_256" / f"Places365_val_{number}.jpg", Image.fromarray(solid(value)))


WRITERS = {
    "cifar10": (write_cifar10, ("airplane", "cat")),
    "cifar100": (write_cifar100, ("apple", "bear")),
    "mnist": (write_mnist, ("0", "3")),
    "fashion-mnist": (partial(write_mnist, folder="FashionMNIST"), ("T-shirt/top", "Dress")),
    "svhn": (write_svhn, ("0", "3")),
    "stl10": (write_stl10, ("airplane", "cat")),
    "dtd": (write_dtd, ("banded", "knitted")),
    "flowers102": (write_flowers, ("pink primrose", "sweet pea")),
    "oxford-pets": (write_pets, ("Abyssinian", "Great Pyrenees")),
    "fgvc-aircraft": (write_aircraft, ("707-320", "A300 B4")),
    "places365": (write_places, ("/b/bog", "/a/attic")),
}


def trust_files(monkeypatch) -> None:
    """Let torchvision take the small files for the real ones."""
    from torchvision.datasets import cifar, flowers102, places365, stl10, svhn

    for module in (cifar, flowers102, places365, stl10, svhn):
        monkeypatch.setattr(module, "check_integrity", lambda path, md5=None: Path(path).is_file())


@pytest.mark.parametrize("name", WRITERS)
def test_torchvision_files_are_read_in_every_split(tmp_path, monkeypatch, name):
    trust_files(monkeypatch)
    write, (zeroth, third) = WRITERS[name]
    write(tmp_path)
    for split in data.describe(name).splits:
        images = data.load(name, split, root=tmp_path)
        first_two = images.labels[:2].tolist()
        assert first_two == [3, 0]
        assert (images.classes[0], images.classes[3]) == (zeroth, third)
        assert images.keys[:2] == ("index:0", "index:1")
        pixels = [np.asarray(images.image(i)) for i in (0, 1)]
        assert [p.shape[2] for p in pixels] == [3, 3]
        assert [round(p.mean()) for p in pixels] == [3, 0]
        again = data.open_image(name, split, "index:0", root=tmp_path)
        assert np.asarray(again).mean() == pixels[0].mean()


def test_every_torchvision_entry_is_read_above():
    kinds = {name: data.describe(name).kind for name in data.names()}
    assert {name for name, kind in kinds.items() if kind == "torchvision"} == set(WRITERS)


def test_half_unpacked_files_are_called_incomplete(tmp_path):
    write_dtd(tmp_path)
    (tmp_path / "dtd" / "dtd" / "labels" / "test1.txt").unlink()
    with pytest.raises(CorruptFileError, match=r"'dtd'.*incomplete.*[Dd]elete .*--download"):
        data.load("dtd", "test", root=tmp_path)


def test_lists_without_images_are_called_incomplete(tmp_path, monkeypatch):
    trust_files(monkeypatch)
    write_places(tmp_path)
    (tmp_path / "val_256" / "Places365_val_1.jpg").unlink()
    with pytest.raises(CorruptFileError, match=r"'places365'.*incomplete"):
        data.load("places365", "test", root=tmp_path)


@pytest.mark.parametrize("number", [0, 2])
def test_corrupt_image_of_torchvisions_is_skipped_on_request(tmp_path, number):
    write_dtd(tmp_path)
    base = tmp_path / "dtd" / "dtd"
    with (base / "labels" / "test1.txt").open("a") as file:
        file.write("\nknitted/knitted_2.png\ncracked/cracked_2.png")
    for name in ("knitted", "cracked"):
        save(base / "images" / name / f"{name}_2.png", Image.fromarray(solid(9)))
    (base / "images" / ("knitted" if number == 0 else "cracked")).joinpath(
        "knitted_1.png" if number == 0 else "cracked_1.png"
    ).write_bytes(b"x")

    with pytest.raises(CorruptFileError, match=f"index:{number} of dtd/test"):
        data.load("dtd", "test", root=tmp_path).image(number)
    with pytest.warns(UserWarning, match=f"skipped 1 corrupt of 6.*index:{number} of dtd/test"):
        images = data.load("dtd", "test", root=tmp_path, skip_corrupt=True, progress=False)
    assert images.keys == tuple(f"index:{i}" for i in range(6) if i != number)
    assert images.image(4).getpixel((0, 0)) == (9, 9, 9)


def test_an_empty_list_is_called_incomplete(tmp_path):
    write_dtd(tmp_path)
    (tmp_path / "dtd" / "dtd" / "labels" / "test1.txt").write_text("")
    with pytest.raises(CorruptFileError, match="no image is listed"):
        data.load("dtd", "test", root=tmp_path)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def web(tmp_path_factory):
    """A folder, and the address that serves it."""
    folder = tmp_path_factory.mktemp("web")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


@pytest.fixture
def cifar100_online(web, tmp_path, monkeypatch):
    """CIFAR-100's archive, small, on the local server, with true check sums."""
    from torchvision.datasets import CIFAR100

    folder, address = web
    source = tmp_path / "source"
    write_cifar100(source)
    base = source / "cifar-100-python"
    archive = folder / "cifar-100-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(base, base.name)
    monkeypatch.setattr(CIFAR100, "url", address + archive.name)
    monkeypatch.setattr(CIFAR100, "tgz_md5", md5(archive))
    monkeypatch.setattr(CIFAR100, "train_list", [["train", md5(base / "train")]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", md5(base / "test")]])
    monkeypatch.setattr(CIFAR100, "meta", {**CIFAR100.meta, "md5": md5(base / "meta")})
    return archive


def test_download_of_an_archive(tmp_path, cifar100_online, capsys):
    root = tmp_path / "root"
    images = data.load("cifar100", "train", root=root, download=True)
    assert "100%" in capsys.readouterr().err
    assert list(images.classes) == cifar100_names()
    assert images.labels.tolist() == [3, 0]

    cifar100_online.unlink()
    assert len(data.load("cifar100", "test", root=root)) == 2


def test_download_without_a_bar(tmp_path, cifar100_online, capsys):
    data.load("cifar100", "test", root=tmp_path / "root", download=True, progress=False)
    assert capsys.readouterr().err == ""


def test_download_of_single_files(web, tmp_path, monkeypatch):
    from torchvision.datasets import MNIST

    folder, address = web
    write_mnist(tmp_path / "source")
    resources = []
    for file in sorted((tmp_path / "source" / "MNIST" / "raw").iterdir()):
        packed = folder / f"{file.name}.gz"
        packed.write_bytes(gzip.compress(file.read_bytes()))
        resources.append((packed.name, md5(packed)))
    monkeypatch.setattr(MNIST, "mirrors", [address])
    monkeypatch.setattr(MNIST, "resources", resources)

    images = data.load("mnist", "test", root=tmp_path / "root", download=True, progress=False)

    assert images.labels.tolist() == [3, 0]
    assert images.image(0).getpixel((5, 5)) == (3, 3, 3)


def test_download_with_a_wrong_check_sum(tmp_path, cifar100_online):
    cifar100_online.write_bytes(cifar100_online.read_bytes()[:-20])
    with pytest.raises(MissingDataError, match=r"'cifar100' could not be downloaded.*by hand"):
        data.load("cifar100", "train", root=tmp_path / "root", download=True, progress=False)


def test_download_of_what_the_server_has_not(tmp_path, cifar100_online):
    cifar100_online.unlink()
    with pytest.raises(MissingDataError, match=r"could not be downloaded.*404"):
        data.load("cifar100", "train", root=tmp_path / "root", download=True, progress=False)


def test_download_to_a_full_disk(tmp_path, cifar100_online, monkeypatch):
    from torchvision.datasets import utils

    def full(url, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(utils, "_urlretrieve", full)
    with pytest.raises(StorageError, match=r"'cifar100'.*No space left"):
        data.load("cifar100", "train", root=tmp_path / "root", download=True, progress=False)


# Catalogue and suites


def test_catalogue_is_sorted_and_complete():
    assert data.names() == tuple(sorted(data.names()))
    assert {"cifar10", "cifar100", "svhn", "imagenet-r", "digits", *PARTNERS} <= set(data.names())
    for name in data.names():
        info = data.describe(name)
        assert info.name == name
        assert "test" in info.splits
        assert info.kind in {"torchvision", "folder", "generated"}
        assert all((info.title, info.description, info.licence, info.tells, info.layout))


def test_noise_and_patches_have_no_meaningful_classes():
    assert {n for n in data.names() if not data.describe(n).labelled} == {"noise", "photo-patches"}


def test_superclasses_cover_cifar100_five_each():
    groups = data.describe("cifar100").superclasses
    assert len(groups) == 100
    members = list(groups.values())
    assert {members.count(group) for group in members} == {5}
    assert len(set(members)) == 20
    assert groups["plain"] == "large natural outdoor scenes"


def test_suites_name_catalogue_members_once():
    assert data.suites() == tuple(sorted(data.suites()))
    for name in data.suites():
        suite = data.suite(name)
        assert suite.name == name
        assert {suite.id_name, *suite.members} <= set(data.names())
        assert len(set(suite.members)) == len(suite.members)
        assert suite.id_name not in suite.members


def test_no_suite_is_named_like_a_data_set():
    # Both are given by name to the same command-line option.
    assert not set(data.suites()) & set(data.names())


def test_suites_of_the_same_id_set_agree_on_the_group():
    for name in data.suites():
        suite = data.suite(name)
        assert {data.ood_group(suite.id_name, ood) for ood in suite.near} <= {"near"}
        assert {data.ood_group(suite.id_name, ood) for ood in suite.far} <= {"far"}


def test_suites_as_published():
    assert data.suite("report").members == ("cifar10",)
    for name, near in (("openood-cifar100", "cifar10"), ("openood-cifar10", "cifar100")):
        assert data.suite(name).near == (near, "tiny-imagenet")
        assert set(data.suite(name).far) == {"mnist", "svhn", "dtd", "places365"}
    assert set(data.suite("nc-control-8").members) == {
        *("imagenet-r", "cifar100", "flowers102", "ninco"),
        *("cub-200", "fgvc-aircraft", "oxford-pets", "stl10"),
    }
    assert set(data.suite("digits-partners").members) == set(PARTNERS)


def test_group_depends_on_the_id_set():
    assert data.ood_group("cifar10", "cifar100") == "near"
    assert data.ood_group("imagenet-100", "cifar100") == "far"
    assert data.ood_group("cifar100", "my-own-images") == "far"


def test_unknown_suite_names_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"'reprt'.*'report'.*openood-cifar10"):
        data.suite("reprt")


def test_importing_and_using_folders_and_generated_sets_needs_no_torch(birds):
    code = (
        "import sys, ncviz.data as d;"
        f"d.decode(d.load('birds', 'test', root={str(birds)!r}), d.Transform());"
        "d.load('digits', 'test'); d.load('letters', 'test');"
        "\ntry: d.load('cifar10', 'test', root='nowhere')"
        "\nexcept d.loading.MissingDataError: pass\n"
        "assert not {'torch', 'torchvision'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_set_is_fetched_by_its_name(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("NCVIZ_DATA", str(tmp_path))
    main(["digits", "noise"])
    said = capsys.readouterr().out.splitlines()
    counts = [len(data.load(*name.split("/"))) for name in ("digits/train", "noise/test")]
    assert said[0].startswith(f"digits/train: {counts[0]:,} images")
    assert said[-1].startswith(f"noise/test: {counts[1]:,} images")
    for name, reason in (("ninco", "cannot be downloaded"), ("cifar1O", "Did you mean 'cifar10'")):
        with pytest.raises(SystemExit, match=rf"^error: .*{reason}"):
            main([name])
    main([])
    assert "# Data sets" in capsys.readouterr().out


# Real images


@needs_real
@pytest.mark.parametrize(
    ("name", "split", "count", "classes", "mode_size"),
    [
        ("cifar100", "train", 50_000, 100, (32, 32)),
        ("cifar100", "test", 10_000, 100, (32, 32)),
        ("cifar10", "test", 10_000, 10, (32, 32)),
        ("tiny-imagenet", "test", 5_000, 200, (64, 64)),
        ("mnist", "test", 2_000, 10, (28, 28)),
        ("dtd10", "test", 400, 10, (64, 64)),
    ],
)
def test_real_sets(name, split, count, classes, mode_size):
    images = data.load(name, split)
    assert (len(images), len(images.classes)) == (count, classes)
    np.testing.assert_array_equal(np.unique(images.labels), np.arange(classes))
    assert images.image(0).size == mode_size
    pixels = data.decode(images, data.Transform(), indices=range(0, count, count // 100))
    assert pixels.std() > 20


@needs_real
def test_real_cifar100_classes_are_the_superclass_keys_in_torchvisions_order():
    images = data.load("cifar100", "test")
    assert list(images.classes) == cifar100_names()
    assert np.bincount(images.labels).tolist() == [100] * 100


@needs_real
def test_real_tiny_imagenet_has_words_for_names():
    classes = data.load("tiny-imagenet", "test").classes
    assert "goldfish" in classes
    assert len(set(classes)) == 200


@needs_real
def test_real_statistics_are_those_everybody_quotes_for_cifar100():
    images = data.load("cifar100", "train")
    pixels = data.decode(images, data.Transform(), indices=range(0, len(images), 10))
    mean, std = data.channel_mean_std(pixels)
    np.testing.assert_allclose(mean, (0.5071, 0.4865, 0.4409), atol=0.005)
    np.testing.assert_allclose(std, (0.2673, 0.2564, 0.2762), atol=0.005)


def test_document_of_the_catalogue_is_what_the_command_prints():
    document = Path(__file__).parents[1] / "docs" / "datasets.md"
    assert document.read_text(encoding="utf-8") == catalogue() + "\n"
