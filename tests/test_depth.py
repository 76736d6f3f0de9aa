"""Bit depth and subfolders: one ramp in several files looks the same wherever it is decoded."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ncviz import data
from ncviz.data.depth import depth_note, to_eight_bits
from ncviz.data.uploads import UnreadableImageError, open_file
from ncviz.errors import CorruptFileError, InvalidArrayError

RAMP = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (16, 1))
CASES = {
    "grey8.png": (Image.fromarray(RAMP), ""),
    "grey16.png": (Image.fromarray(RAMP.astype(np.uint16) * 257), ""),
    "grey12_in_16.png": (Image.fromarray(RAMP.astype(np.uint16) * 16), "read as 12 bits"),
    "grey12_in_16.tif": (Image.fromarray(RAMP.astype(np.uint16) * 16), "read as 12 bits"),
    "int32_0_255.tif": (Image.fromarray(RAMP.astype(np.int32)), "read as 8 bits"),
    "int32_0_65535.tif": (Image.fromarray(RAMP.astype(np.int32) * 257), ""),
    "rgb.tif": (Image.fromarray(RAMP).convert("RGB"), ""),
}


def write_set(root: Path, name: str, image: Image.Image) -> Path:
    path = root / "ramps" / "test" / "ramp" / name
    path.parent.mkdir(parents=True)
    image.save(path)
    return path


@pytest.mark.parametrize("name", CASES)
def test_every_depth_shows_the_same_ramp_in_data_sets_and_uploads(tmp_path, name):
    image, note = CASES[name]
    path = write_set(tmp_path, name, image)
    images = data.load("ramps", "test", root=tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        opened = images.image(0)
    assert [note in str(each.message) for each in caught] == [True] * bool(note)
    assert all(str(each.message).startswith("ramps has images with") for each in caught)

    uploaded = open_file(path)
    assert note in depth_note(uploaded)
    assert bool(depth_note(uploaded)) == bool(note)
    for seen in (opened, uploaded):
        assert seen.mode == "RGB"
        difference = np.asarray(seen).astype(int) - RAMP[..., None]
        assert np.abs(difference).max() <= 1


def test_depth_warning_is_shown_once_per_data_set(tmp_path):
    image, _ = CASES["grey12_in_16.png"]
    folder = write_set(tmp_path, "1.png", image).parent
    for number in (2, 3):
        image.point(lambda value: value).save(folder / f"{number}.png")
    images = data.load("ramps", "test", root=tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        data.decode(images, data.Transform(8))
    assert len(caught) == 1


def test_depth_of_colour_with_twelve_bits_is_noted(tmp_path):
    # Pillow cannot write such a file: PNG by hand, 16 bits per channel of which 12 are used.
    path, colour = tmp_path / "deep.png", np.repeat(RAMP[..., None], 3, -1).astype(np.uint16)
    path.write_bytes(sixteen_bit_png(colour * 16))
    assert "nearly black" in depth_note(open_file(path))
    path.write_bytes(sixteen_bit_png(colour * 257))
    seen = open_file(path)
    assert depth_note(seen) == ""
    np.testing.assert_array_equal(np.asarray(seen)[..., 0], RAMP)
    path.write_bytes(sixteen_bit_png(0 * colour))
    assert depth_note(open_file(path)) == ""


def sixteen_bit_png(values: np.ndarray) -> bytes:
    """Encode (H, W, 3) values of 16 bits."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("values", [[-1, 4], [0, 70_000]])
def test_integers_beyond_sixteen_bits_are_rejected(tmp_path, values):
    image = Image.fromarray(np.array([values], np.int32))
    with pytest.raises(InvalidArrayError, match=r"pixel values from .* undefined; save it with 8"):
        to_eight_bits(image, "TIFF")
    path = write_set(tmp_path, "a.tif", image)
    with pytest.raises(CorruptFileError, match="range is undefined"):
        data.load("ramps", "test", root=tmp_path).image(0)
    with pytest.raises(UnreadableImageError, match="range is undefined"):
        open_file(path)


def test_declared_maximum_of_pgm_is_used(tmp_path):
    write_set(tmp_path, "dark.pgm", Image.fromarray(RAMP.astype(np.uint16)))
    image = data.load("ramps", "test", root=tmp_path).image(0)
    assert np.asarray(image).max() == 1  # 252 of 65,535
    assert depth_note(image) == ""


def test_black_image_of_sixteen_bits_needs_no_note(tmp_path):
    write_set(tmp_path, "a.png", Image.fromarray(np.zeros((4, 4), np.uint16)))
    image = data.load("ramps", "test", root=tmp_path).image(0)
    assert depth_note(image) == ""
    assert np.asarray(image).max() == 0


def test_subfolders_of_a_class_are_read_as_torchvision_reads_them(tmp_path):
    from torchvision.datasets import ImageFolder

    place = tmp_path / "nested" / "test"
    for name in ("a/1.png", "a/more/10.png", "a/more/2.png", "a/more/still/3.png", "b/deep/1.png"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RAMP).save(place / name)
    (place / "a" / "more" / "notes.txt").write_text("no image")
    (place / "a" / "more" / ".hidden.png").write_bytes(b"")
    (place / "a" / "around").symlink_to(place / "a", target_is_directory=True)

    images = data.load("nested", "test", root=tmp_path)

    assert images.keys == (
        "test/a/1.png",
        *("test/a/more/2.png", "test/a/more/10.png", "test/a/more/still/3.png"),
        "test/b/deep/1.png",
    )
    assert images.labels.tolist() == [0, 0, 0, 0, 1]
    opened = data.open_image("nested", "test", images.keys[3], root=tmp_path)
    np.testing.assert_array_equal(np.asarray(opened), np.asarray(images.image(3)))

    (place / "a" / "around").unlink()
    (place / "a" / "more" / ".hidden.png").unlink()
    theirs = ImageFolder(str(place))
    assert sorted(images.keys) == sorted(
        Path(path).relative_to(tmp_path / "nested").as_posix() for path, _ in theirs.samples
    )
