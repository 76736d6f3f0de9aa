"""Images made to break what opens them: bounded memory and time, one clear line each."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from made_files import encoded, photograph, png_of_size
from PIL import ExifTags, Image

from ncviz.data import uploads
from ncviz.data.uploads import UnreadableImageError, files_below, open_file, open_upload
from ncviz.errors import MissingDataError

ROOT = Path(__file__).resolve().parents[1]
HTML = b"<html><script>alert(1)</script>"


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def inside_png(*chunks: bytes) -> bytes:
    """A PNG image with further chunks before its pixels."""
    content = encoded(photograph(), "PNG")
    return content[:33] + b"".join(chunks) + content[33:]


def webp_canvas(width: int, height: int) -> bytes:
    """An animated WebP of a few bytes that says how large its canvas is."""
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    content = bytearray(encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    at = content.index(b"VP8X") + 12
    content[at : at + 6] = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return bytes(content)


def gif_screen(width: int, height: int) -> bytes:
    content = bytearray(encoded(photograph().convert("P"), "GIF"))
    content[6:10] = struct.pack("<HH", width, height)
    return bytes(content)


def gif_frame(width: int, height: int) -> bytes:
    """A small screen with a frame that is larger than it."""
    content = bytearray(encoded(photograph().convert("P"), "GIF"))
    at = content.index(b"\x2c\0\0\0\0")
    content[at + 5 : at + 9] = struct.pack("<HH", width, height)
    return bytes(content)


def bmp_size(width: int, height: int) -> bytes:
    content = bytearray(encoded(photograph(), "BMP"))
    content[18:26] = struct.pack("<ii", width, height)
    return bytes(content)


def jpeg_size(width: int, height: int) -> bytes:
    content = bytearray(encoded(photograph(), "JPEG"))
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def tiff_size(width: int, height: int, tile: int = 0) -> bytes:
    """A TIFF that states a size, and with `tile` the side of its tiles, without that much data."""
    entries = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (277, 1)]
    if tile:
        entries += [(322, tile), (323, tile), (324, 8), (325, 64)]
    else:
        entries += [(273, 8), (278, height), (279, 64)]
    fields = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries))
    directory = struct.pack("<H", len(entries)) + fields + bytes(4)
    return b"II*\0" + struct.pack("<I", 72) + bytes(64) + directory


def archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.png", bytes(10**7))
    return content.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encoded(photograph(), "JPEG", exif=exif)


def bombs() -> dict[str, bytes]:
    """Small files that are large once they are opened, by what they do."""
    unfolds = zlib.compress(bytes(10**8))
    return {
        "PNG": png_of_size(30_000, 30_000),
        "PNG of 2^31": png_of_size(8, 8).replace(
            struct.pack(">II", 8, 8), struct.pack(">II", 2**31 - 1, 2**31 - 1), 1
        ),
        "WebP canvas": webp_canvas(16_384, 16_384),
        "WebP canvas of 2^24": webp_canvas(2**24, 2**24),
        "GIF screen": gif_screen(65_535, 65_535),
        "GIF frame": gif_frame(65_535, 65_535),
        "BMP": bmp_size(2**30, 2**30),
        "BMP of a negative size": bmp_size(-5, -5),
        "JPEG": jpeg_size(65_500, 65_500),
        "TIFF": tiff_size(30_000, 30_000),
        "TIFF in a large tile": tiff_size(24, 16, tile=60_000),
        "text that unfolds": inside_png(chunk(b"zTXt", b"a\0\0" + unfolds)),
        "translation that unfolds": inside_png(chunk(b"iTXt", b"a\0\1\0\0\0" + unfolds)),
        "profile that unfolds": inside_png(chunk(b"iCCP", b"a\0\0" + unfolds)),
        "pixels that unfold": encoded(photograph(), "PNG")[:33]
        + chunk(b"IDAT", unfolds)
        + chunk(b"IEND", b""),
        "many chunks": inside_png(*[chunk(b"tEXt", b"a\0" + b"b" * 50)] * 50_000),
        "line": png_of_size(100_000, 1),
        "archive": archive(),
    }


READ = """
import json, resource, sys, time
from pathlib import Path
from ncviz.data.uploads import UnreadableImageError, open_upload
import PIL.Image
PIL.Image.init()
found = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    content = path.read_bytes()
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        said = str(open_upload("a.png", content).size)
    except UnreadableImageError as error:
        said = str(error)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    found[path.name] = (said, grown, time.process_time() - start)
print(json.dumps(found))
"""


def test_bombs_take_neither_memory_nor_time(tmp_path):
    made = bombs()
    for name, content in made.items():
        assert len(content) < 5 * 2**20
        (tmp_path / name).write_bytes(content)
    command = [sys.executable, "-c", READ, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == made.keys()
    for name, (said, kilobytes, seconds) in found.items():
        assert kilobytes < 130_000, (name, kilobytes)
        assert seconds < 5, (name, seconds)
        assert "\n" not in said
        harmless = ("many chunks", "pixels that unfold", "profile that unfolds")
        assert said.startswith("a.png") or name in harmless, (name, said)
    assert sum(kilobytes for _, kilobytes, _ in found.values()) < 300_000


POLYGLOTS = {
    "HTML behind": encoded(photograph(), "PNG") + HTML,
    "HTML in a comment": encoded(photograph(), "GIF", comment=HTML),
    "archive behind": encoded(photograph(), "JPEG") + archive(),
    "script behind": encoded(photograph(), "GIF") + b"*/=1;alert(1)//",
    "pickle behind": encoded(photograph(), "PNG") + b"cos\nsystem\n(S'true'\ntR.",
    "another image behind": encoded(photograph(), "PNG") + encoded(photograph(), "BMP"),
}


@pytest.mark.parametrize("content", POLYGLOTS.values(), ids=POLYGLOTS)
def test_a_file_of_two_kinds_is_the_image_that_it_begins_with(content):
    seen = np.asarray(open_upload("a.html", content)).astype(int)
    assert np.abs(seen - np.asarray(photograph())).mean() < 20
    assert seen.shape == (16, 24, 3)


FOREIGN = {
    "SVG": (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'></svg>", "SVG"),
    "SVG after a space": (b"\n  <svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
    "SVG with a mark": (b"\xef\xbb\xbf<svg/>", "SVG"),
    "HTML": (HTML, "web page"),
    "HTML in capitals": (b"<!DOCTYPE html><img>", "web page"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run", "PostScript"),
    "PostScript for Windows": (b"\xc5\xd0\xd3\xc6" + bytes(30), "PostScript"),
    "PDF": (b"%PDF-1.7\n/OpenAction", "PDF"),
    "image behind PostScript": (b"%!PS\n" + encoded(photograph(), "PNG"), "PostScript"),
    "image behind HTML": (HTML + encoded(photograph(), "PNG"), "web page"),
    "archive before an image": (archive() + encoded(photograph(), "PNG"), "zip archive"),
    "tar": (b"a.png" + bytes(252) + b"ustar" + bytes(300), "no image"),
    "Python": (b"import os\nos.system('true')\n", "no image"),
    "MPEG": (b"\x00\x00\x01\xba" + bytes(50), "no image"),
    "icon": (encoded(photograph(), "ICO"), "no image"),
    "JPEG 2000": (encoded(photograph(), "JPEG2000"), "no image"),
    "Netpbm": (encoded(photograph(), "PPM"), "no image"),
    "FITS": (b"SIMPLE  =                    T" + bytes(3000), "no image"),
    "MIC of OLE": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "no image"),
}


@pytest.mark.parametrize(("content", "what"), FOREIGN.values(), ids=FOREIGN)
def test_no_other_kind_of_file_reaches_a_decoder(content, what, monkeypatch):
    def opened(*_):
        raise AssertionError("a decoder was asked")

    for kind in set(Image.OPEN) - set(uploads.FORMATS):
        monkeypatch.setitem(Image.OPEN, kind, (opened, opened))
    monkeypatch.setattr(subprocess, "Popen", opened)
    with pytest.raises(UnreadableImageError) as error:
        open_upload("photo.png", content)
    assert what in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("orientation", [0, 9, 255, 65_535])
def test_an_orientation_that_there_is_none(orientation):
    assert open_upload("a.jpg", turned(orientation)).size == (24, 16)


def test_camera_notes_that_lie():
    content = turned(6)
    start = content.index(b"Exif\0\0") + 6
    for place in range(start, start + 40):
        for value in (0, 0x7F, 0xFF):
            changed = bytearray(content)
            changed[place] = value
            try:
                seen = open_upload("a.jpg", bytes(changed))
            except UnreadableImageError as error:
                assert str(error).startswith("a.jpg")  # noqa: PT017
            else:
                assert seen.size in ((24, 16), (16, 24))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("profile", [b"", b"\0" * 128, b"\xff" * 5000, b"acsp" * 99], ids=len)
def test_a_colour_profile_of_garbage(kind, profile):
    seen = open_upload("a", encoded(photograph(), kind, icc_profile=profile))
    assert np.abs(np.asarray(seen).astype(int) - np.asarray(photograph())).mean() < 12


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_a_long_animation_no_more_is_decoded_than_is_shown(kind):
    frames = [Image.new("RGB", (64, 64), (value, 0, 0)) for value in range(256)]
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=10)
    start = time.process_time()
    for cut in (len(content), int(0.9 * len(content))):
        try:
            assert np.asarray(open_upload("a", content[:cut])).max() < 10
        except UnreadableImageError as error:
            assert cut < len(content)
            assert "damaged" in str(error)  # noqa: PT017
    assert time.process_time() - start < 5


def test_ten_thousand_files(tmp_path):
    content = encoded(photograph(8, 8), "PNG")
    for number in range(10_000):
        (tmp_path / f"{number}.png").write_bytes(content if number % 2 else b"")
    start = time.process_time()
    found = files_below(tmp_path)
    assert [path.name for path in found[:3]] == ["0.png", "1.png", "2.png"]
    outcomes = []
    for path in found[::10] + found[1::10]:
        try:
            outcomes.append(open_file(path).size)
        except UnreadableImageError:
            outcomes.append(None)
    assert outcomes == [None] * 1000 + [(8, 8)] * 1000
    assert time.process_time() - start < 30


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/stdin", "/dev/full", "/proc/self/mem"])
def test_a_device_is_no_image(device):
    with pytest.raises((MissingDataError, UnreadableImageError)):
        open_file(Path(device))


def test_a_folder_of_links_in_a_circle(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(photograph(), "PNG"))
    (tmp_path / "around").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "gone.png").symlink_to("nothing")
    found = files_below(tmp_path)
    assert [path.name for path in found] == ["a.png", "gone.png", "self"]
    with pytest.raises(MissingDataError, match="self is not there"):
        open_file(tmp_path / "self")
