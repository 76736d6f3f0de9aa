"""Images from anywhere: a stranger's file to RGB, or one sentence on why it cannot be shown."""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image

from ncviz.data.depth import load_pixels
from ncviz.data.images import to_rgb
from ncviz.data.natural import natural_key
from ncviz.errors import MissingDataError, NcvizError
from ncviz.literal import readable

_NAMES = ("PNG", "JPEG", "WebP", "BMP", "TIFF", "GIF")
FORMATS = {name.upper(): name for name in _NAMES}
"""what is decoded, by Pillow's name and by its usual one; of an animation the first frame"""
MAX_BYTES = 20 * 2**20
MAX_PIXELS = 25_000_000
MAX_RATIO = 50
"""longer side over shorter: the shorter is resized to what the network sees, the longer with it"""
LIMITS = (
    f"{', '.join(list(FORMATS.values())[:-1])} or GIF (first frame), up to "
    f"{MAX_BYTES // 2**20} MB and {MAX_PIXELS // 10**6} megapixels"
)

_NAME_LENGTH = 120
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # TIFF tags
_HEAD = 32
# What people take for an image, by its first bytes.
_FOREIGN = (
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a zip archive or an office document"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript document"),
    (4, b"ftyphei", "a HEIC image"),
    (4, b"ftypmif", "a HEIC image"),
    (4, b"ftypavif", "an AVIF image"),
    (4, b"ftyp", "a video"),
)
# The same for texts, whatever their case and the space before them.
_TEXTS = (
    (b"%!ps", "a PostScript document"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an SVG drawing or another XML document"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
)


class UnreadableImageError(NcvizError, ValueError):
    """A file that is no image to look at; the message names it and says how to mend it."""


def open_upload(name: str, content: bytes) -> Image.Image:
    """The RGB image in the bytes of a file; see `to_rgb` for how modes are converted.

    The format is told from the content, never from the name, and the size is read before any pixel
    is decoded. Nothing is written to disk.

    Parameters
    ----------
    name : of the file, for messages
    content : all of it

    Raises
    ------
    UnreadableImageError : empty, too large, of another format, damaged, or too long and thin.
    """
    shown = plain_name(name)
    if not content:
        raise UnreadableImageError(f"{shown} is empty. Choose a file with an image in it.")
    if len(content) > MAX_BYTES:
        raise _too_large(shown, len(content))
    kind = _format_of(shown, content[:_HEAD])
    try:
        # Through the plugin itself: Image.open would warn about large images, or raise, before
        # their size can be told to the reader.
        with Image.OPEN[kind][0](io.BytesIO(content), "") as image:
            _require_size(shown, *image.size)
            _require_small_tiles(shown, image)
            return to_rgb(load_pixels(image))
    except UnreadableImageError:
        raise
    except NcvizError as error:
        raise UnreadableImageError(f"{shown}: {error}") from error
    except (MemoryError, Image.DecompressionBombError) as error:
        raise UnreadableImageError(
            f"{shown} takes more memory to decode than there is. Make it smaller."
        ) from error
    except Exception as error:
        # Whatever a decoder raises on a stranger's bytes, the file is to blame.
        raise UnreadableImageError(
            f"{shown} is a damaged {FORMATS[kind]} image ({_first_line(error)}). Save it again "
            "from the program it came from."
        ) from error


def open_file(path: Path, name: str | None = None) -> Image.Image:
    """The RGB image in a file; `name` is what messages call it, by default its path.

    Raises
    ------
    MissingDataError : there is no such file, or it may not be read.
    UnreadableImageError : as `open_upload`.
    """
    name = str(path) if name is None else name
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        raise MissingDataError(f"{plain_name(name)} {what}. Name an image file that exists.")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise _too_large(plain_name(name), size)
        content = path.read_bytes()
    except OSError as error:
        raise MissingDataError(
            f"{plain_name(name)} cannot be read: {error.strerror or error}. Allow reading it."
        ) from error
    return open_upload(name, content)


def files_below(folder: Path) -> list[Path]:
    """Every file below `folder` in natural order, hidden ones and links to folders left out.

    Images are told by their content when they are opened, not here by their names.

    Raises
    ------
    MissingDataError : there is none, or the folder may not be listed.
    """
    problems: list[OSError] = []
    found = []
    for place, folders, names in os.walk(folder, onerror=problems.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place) / name for name in names if not name.startswith(".")]
    if problems:
        reason = problems[0].strerror or problems[0]
        raise MissingDataError(f"{plain_name(problems[0].filename)} cannot be listed: {reason}.")
    if not found:
        raise MissingDataError(f"{plain_name(str(folder))} holds no file. Name one with images.")
    return sorted(found, key=lambda path: [natural_key(part) for part in path.parts])


def plain_name(name: str) -> str:
    """A file's name on one line, without control characters, shortened in the middle."""
    return readable(name, _NAME_LENGTH) or "A file without a name"


def _format_of(name: str, head: bytes) -> str:
    """Pillow's name of the format that the first bytes announce."""
    Image.init()
    for kind in FORMATS:
        if Image.OPEN[kind][1](head):
            return kind
    for start, mark, what in _FOREIGN:
        if head[start:].startswith(mark):
            raise UnreadableImageError(f"{name} is {what}. Expected {LIMITS}.")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for mark, what in _TEXTS:
        if text.startswith(mark):
            raise UnreadableImageError(f"{name} is {what}. Expected {LIMITS}.")
    raise UnreadableImageError(f"{name} holds no image, whatever its name says. Expected {LIMITS}.")


def _require_size(name: str, width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise UnreadableImageError(
            f"{name} is {width:,} x {height:,} pixels large; there is nothing to see in it."
        )
    if width * height > MAX_PIXELS:
        raise UnreadableImageError(
            f"{name} has {width:,} x {height:,} pixels, more than the "
            f"{MAX_PIXELS // 10**6} megapixels that are decoded here. Make it smaller; the network "
            "sees a small square anyway."
        )
    if max(width, height) > MAX_RATIO * min(width, height):
        raise UnreadableImageError(
            f"{name} is {width:,} x {height:,} pixels, more than {MAX_RATIO} times as long as "
            "wide. The network sees a square from its middle: cut out the part that matters."
        )


def _require_small_tiles(name: str, image: Image.Image) -> None:
    # libtiff allocates a whole tile, whatever the size of the image.
    tags = getattr(image, "tag_v2", {})
    width, height = tags.get(_TILE_WIDTH, 0), tags.get(_TILE_LENGTH, 0)
    if width * height > MAX_PIXELS:
        raise UnreadableImageError(
            f"{name} is stored in tiles of {width:,} x {height:,} pixels, larger than the "
            f"{MAX_PIXELS // 10**6} megapixels that are decoded here. Save it without tiles."
        )


def _too_large(name: str, size: int) -> UnreadableImageError:
    return UnreadableImageError(
        f"{name} has {size / 2**20:.1f} MB, more than the {MAX_BYTES // 2**20} MB that are read "
        "here. Save it smaller; the network sees a small square anyway."
    )


def _first_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return plain_name(text) if text else type(error).__name__
