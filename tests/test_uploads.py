"""Files from strangers: every mode that Pillow writes, every way to be no image."""

from __future__ import annotations

import io
import os
import struct

import numpy as np
import pytest
from made_files import encoded, photograph, png_of_size
from PIL import ExifTags, Image, ImageOps, PngImagePlugin

from ncviz.data import uploads
from ncviz.data.uploads import UnreadableImageError, files_below, open_file, open_upload
from ncviz.errors import MissingDataError

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "F")
MODES = (*MODES, "I;16", "I;16B", "I;16L", "La", "RGBa")
LOSSY = {"JPEG", "WEBP"}


def refused(name: str, content: bytes) -> str:
    """The one line that says why a file is refused."""
    with pytest.raises(UnreadableImageError) as caught:
        open_upload(name, content)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


def writable() -> list[tuple[str, str]]:
    """Every format that is read here with every mode that Pillow can write it in."""
    pairs = []
    for kind in uploads.FORMATS:
        for mode in MODES:
            if mode == "F":
                continue  # refused
            try:
                encoded(Image.new(mode, (24, 16)), kind)
            except (OSError, ValueError, KeyError):
                continue
            pairs.append((kind, mode))
    return pairs


def in_mode(mode: str) -> Image.Image:
    """The photograph in any mode; of 16 bits and of floats, its greys on that scale."""
    grey = photograph().convert("L")
    if mode.startswith("I"):
        deep = np.asarray(grey).astype(">u2" if mode == "I;16B" else "<u2") * 257
        if mode == "I":
            return Image.fromarray(deep.astype(np.int32))
        return Image.frombytes(mode, grey.size, deep.tobytes())
    if mode in ("LA", "La", "PA"):
        opaque = Image.merge("LA", [grey, Image.new("L", grey.size, 255)])
        return opaque if mode == "LA" else opaque.convert(mode)
    return grey.convert(mode) if mode in ("1", "L", "P") else photograph().convert(mode)


@pytest.mark.parametrize(("kind", "mode"), writable())
def test_every_mode_of_every_format_becomes_rgb(kind, mode):
    seen = open_upload("a", encoded(in_mode(mode), kind))
    assert seen.mode == "RGB"
    assert seen.size == (24, 16)


@pytest.mark.parametrize(
    ("kind", "mode", "expected"),
    [
        *(("PNG", mode, "grey") for mode in ("L", "LA", "I;16", "I;16B", "P")),
        *(("PNG", mode, "colour") for mode in ("RGB", "RGBA")),
        *(("JPEG", mode, "colour") for mode in ("RGB", "CMYK", "YCbCr")),
        *(("WEBP", mode, "colour") for mode in ("RGB", "RGBA")),
        *(("BMP", mode, "colour") for mode in ("RGB", "RGBA")),
        ("JPEG", "L", "grey"),
        ("BMP", "P", "grey"),
        ("GIF", "L", "grey"),
    ],
)
def test_colours_are_those_of_the_photograph(kind, mode, expected):
    seen = np.asarray(open_upload("a", encoded(in_mode(mode), kind))).astype(int)
    truth = photograph() if expected == "colour" else photograph().convert("L").convert("RGB")
    assert np.abs(seen - np.asarray(truth)).mean() < (12 if kind in LOSSY else 1)


def test_one_bit_images_keep_their_brightness():
    seen = np.asarray(open_upload("a", encoded(in_mode("1"), "PNG")))
    assert set(np.unique(seen)) == {0, 255}
    assert abs(seen.mean() - np.asarray(photograph().convert("L")).mean()) < 8


def test_the_modes_of_interest_were_all_written():
    wanted = {("JPEG", "CMYK"), ("PNG", "I;16"), ("PNG", "LA"), ("PNG", "P"), ("PNG", "1")}
    assert wanted <= set(writable())
    assert {kind for kind, _ in writable()} == set(uploads.FORMATS)


def test_transparent_pixels_lie_on_white():
    image = photograph().convert("RGBA")
    image.putalpha(0)
    for kind in ("PNG", "WEBP"):
        assert np.asarray(open_upload("a", encoded(image, kind))).min() == 255
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([9, 9, 9, 200, 0, 0])
    shown = open_upload("a", encoded(palette, "PNG", transparency=1))
    assert np.asarray(shown).min() == 255
    shown = open_upload("a", encoded(palette, "GIF", transparency=1))
    assert np.asarray(shown).min() == 255


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_orientation_of_the_camera_is_honoured(kind, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = encoded(photograph(), kind, exif=exif)
    seen = open_upload("a", content)
    with Image.open(io.BytesIO(content)) as stored:
        upright = ImageOps.exif_transpose(stored).convert("RGB")
    assert np.array_equal(np.asarray(seen), np.asarray(upright))
    assert seen.size == ((16, 24) if orientation >= 5 else (24, 16))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_shows_its_first_frame(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
    seen = np.asarray(open_upload("a", content)).mean(axis=(0, 1))
    assert np.allclose(seen, [255, 0, 0], atol=6)


def test_a_camera_s_pair_of_pictures_shows_the_first():
    first, second = photograph(), Image.new("RGB", (24, 16))
    content = encoded(first, "MPO", save_all=True, append_images=[second])
    difference = np.asarray(open_upload("a", content)).astype(int) - np.asarray(first)
    assert np.abs(difference).mean() < 12


def test_the_format_is_told_from_the_content():
    content = encoded(photograph(), "BMP")
    assert np.array_equal(np.asarray(open_upload("photo.jpg", content)), np.asarray(photograph()))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"dear diary\n" * 50, "no image"),
        (b"\x00" * 100, "no image"),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"PK\x03\x04....", "zip archive"),
        (b"\x1f\x8b....", "gzip archive"),
        (b"\x00\x00\x00\x18ftypheic....", "a HEIC image"),
        (b"\x00\x00\x00\x18ftypisom....", "a video"),
        (b"<svg xmlns='...'></svg>", "an SVG drawing"),
        (encoded(photograph(), "PPM"), "no image"),
        (encoded(photograph(), "ICO"), "no image"),
    ],
)
def test_other_files_are_named_for_what_they_are(content, what):
    message = refused("photo.png", content)
    assert message.startswith("photo.png ")
    assert what in message
    assert "Expected PNG, JPEG, WebP, BMP, TIFF or GIF (first frame), up to 20 MB" in message


def test_an_empty_file():
    assert refused("a.png", b"") == "a.png is empty. Choose a file with an image in it."


@pytest.mark.parametrize("kind", uploads.FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_cut_off_files_are_damaged(kind, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise), kind)
    message = refused("cut.img", content[: int(share * len(content))])
    assert message.startswith(f"cut.img is a damaged {uploads.FORMATS[kind]} image")
    assert message.endswith("Save it again from the program it came from.")


@pytest.mark.parametrize("kind", uploads.FORMATS)
def test_flipped_bytes_never_end_in_anything_but_an_image_or_a_line(kind):
    """A fuzz of whole files: an image comes out, or a typed error that names the file."""
    random = np.random.default_rng(1)
    content = np.frombuffer(encoded(photograph(), kind), np.uint8)
    outcomes = set()
    for _ in range(150):
        changed = content.copy()
        places = random.integers(0, len(changed), random.integers(1, 8))
        changed[places] = random.integers(0, 256, len(places))
        outcomes.add(outcome(changed.tobytes()))
    assert outcomes == {"refused", "shown"}


def outcome(content: bytes) -> str:
    """What became of a file; any other exception than a typed one fails the test."""
    try:
        image = open_upload("fuzz", content)
    except UnreadableImageError as error:
        return "refused" if str(error).startswith("fuzz") else str(error)
    small = image.width * image.height <= uploads.MAX_PIXELS
    return "shown" if image.mode == "RGB" and small else f"{image}"


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch):
    content = png_of_size(13_000, 13_000)
    assert len(content) < 30_000

    def decode(_):
        raise AssertionError("decoded")

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", decode)
    message = refused("bomb.png", content)
    assert "13,000 x 13,000 pixels, more than the 25 megapixels" in message


def test_a_bomb_warns_nobody(recwarn):
    refused("bomb.png", png_of_size(13_000, 13_000))
    assert not recwarn.list


def test_the_largest_image_is_still_decoded():
    assert open_upload("a.png", png_of_size(5000, 5000)).size == (5000, 5000)
    assert "25 megapixels" in refused("a.png", png_of_size(5000, 5001))


def test_an_image_announcing_more_than_memory_is_refused_in_every_format():
    bmp = bytearray(encoded(photograph(), "BMP"))
    bmp[18:26] = struct.pack("<ii", 2**30, 2**30)
    gif = bytearray(encoded(photograph().convert("P"), "GIF"))
    gif[6:10] = struct.pack("<HH", 65535, 65535)
    webp = bytearray(encoded(photograph().convert("RGBA"), "WEBP", save_all=True))
    jpeg = bytearray(encoded(photograph(), "JPEG"))
    start = jpeg.index(b"\xff\xc0") + 5
    jpeg[start : start + 4] = struct.pack(">HH", 65535, 65535)
    for content in (bmp, gif, jpeg):
        assert "more than the 25 megapixels" in refused("big", bytes(content))
    frame = webp.index(b"VP8")
    webp[frame + 11 : frame + 14] = b"\xff\xff\x00"
    assert refused("big", bytes(webp))


@pytest.mark.parametrize("size", [(100_000, 1), (1, 100_000), (5001, 100)])
def test_too_long_and_thin(size):
    assert "more than 50 times as long as wide" in refused("line.png", png_of_size(*size))


def test_a_single_pixel_is_an_image():
    assert open_upload("dot.png", encoded(photograph(1, 1), "PNG")).size == (1, 1)


def test_no_size_at_all():
    content = bytearray(encoded(photograph(), "BMP"))
    content[18:22] = bytes(4)
    assert refused("none.bmp", bytes(content))


def test_a_large_file_is_refused_by_its_bytes():
    content = encoded(photograph(), "PNG") + bytes(uploads.MAX_BYTES)
    assert "20.0 MB, more than the 20 MB" in refused("a.png", content)


def test_huge_comments_profiles_and_camera_notes():
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * 50_000_000, zip=True)
    content = encoded(photograph(), "PNG", pnginfo=info)
    assert len(content) < 100_000
    assert "damaged PNG" in refused("comment.png", content)
    profile = encoded(photograph(), "JPEG", icc_profile=os.urandom(3_000_000))
    assert open_upload("profile.jpg", profile).size == (24, 16)
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "x" * 60_000
    exif[ExifTags.Base.Orientation] = 6
    assert open_upload("a.jpg", encoded(photograph(), "JPEG", exif=exif)).size == (16, 24)


def test_an_image_with_an_archive_behind_it_is_an_image():
    content = encoded(photograph(), "PNG") + b"PK\x03\x04" + bytes(1000)
    assert np.array_equal(np.asarray(open_upload("a.zip", content)), np.asarray(photograph()))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b[2Jgone\n.png", "\ufffd[2Jgone\ufffd.png is empty"),
        ("<b>bold</b>", "<b>bold</b> is empty"),
        ("x" * 5000, f"{'x' * 59}…{'x' * 59} is empty"),
        ("", "A file without a name is empty"),
        ("\u202egnp.exe", "\ufffdgnp.exe is empty"),
    ],
)
def test_names_are_shown_on_one_line_without_control_characters(name, shown):
    assert refused(name, b"").startswith(shown)


def test_a_path(tmp_path):
    path = tmp_path / "a.png"
    photograph().save(path)
    assert np.array_equal(np.asarray(open_file(path)), np.asarray(photograph()))
    with pytest.raises(MissingDataError, match=r"b\.png is not there"):
        open_file(tmp_path / "b.png")
    with pytest.raises(MissingDataError, match="is a folder"):
        open_file(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MissingDataError, match="pipe is not there"):
        open_file(tmp_path / "pipe")


def test_a_large_path_is_not_read(tmp_path):
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(UnreadableImageError, match="more than the 20 MB"):
        open_file(path)


def test_a_folder_in_natural_order(tmp_path):
    for name in ("10.png", "2.png", "notes.txt", "b/1.png", ".hidden", ".cache/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path)]
    assert names == ["2.png", "10.png", "b/1.png", "notes.txt"]


def test_folders_with_nothing_to_list(tmp_path):
    with pytest.raises(MissingDataError, match="holds no file"):
        files_below(tmp_path)
    with pytest.raises(MissingDataError, match="cannot be listed"):
        files_below(tmp_path / "missing")
