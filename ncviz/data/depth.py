"""Bit depth of decoded images: more than 8 bits per channel to 8, with a note about assumptions."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ncviz.errors import InvalidArrayError

DEEP_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})
"""Pillow's modes for one channel with more than 8 bits"""
NOTE = "ncviz_depth"
"""key in `Image.info` under which the note is passed on"""

# Formats whose decoders return the full range of 16 bits: PNG stores it, PGM declares its maximum.
_SIXTEEN_BIT_FORMATS = frozenset({"PNG", "PPM"})
_MAX_16_BIT = 2**16 - 1
_UPPER_BYTE_OF_12_BIT = 2**12 >> 8


def load_pixels(image: Image.Image) -> Image.Image:
    """Decode an opened file and note a loss of precision that its mode does not show afterwards.

    Pillow reads the upper byte of colour images with 16 bits per channel. Such a file with values
    of 12 bits or fewer comes out nearly black.
    """
    is_truncated = image.mode not in DEEP_MODES and any(map(_is_16_bit, image.tile))
    image.load()
    if is_truncated and 0 < _brightest(image) < _UPPER_BYTE_OF_12_BIT:
        image.info[NOTE] = (
            "16 bits per channel, but no value above 4,095, so they come out nearly black. Save "
            "them with 8 bits per channel"
        )
    return image


def _is_16_bit(tile: tuple) -> bool:
    arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
    return any(isinstance(each, str) and ";16" in each for each in arguments)


def _brightest(image: Image.Image) -> int:
    bands = [name for name in image.getbands() if name != "A"]
    return max(image.getchannel(name).getextrema()[1] for name in bands)


def to_eight_bits(image: Image.Image, file_format: str | None) -> Image.Image:
    """Scale one channel of 16 or 32 bits to 8 bits; `depth_note` returns the assumed bit depth.

    Files do not state how many bits their values use. The smallest usual depth that contains all
    values is assumed: 12 or 16 bits for files that store 16 bits, and 8, 12 or 16 bits for files
    that store 32. A PGM file declares its maximum, so nothing is assumed.

    Parameters
    ----------
    image : a mode in `DEEP_MODES`
    file_format : Pillow's name of the format it was read from

    Raises
    ------
    InvalidArrayError : negative values, or values beyond 16 bits.
    """
    values = np.asarray(image)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > _MAX_16_BIT:
        raise InvalidArrayError(
            f"The image has pixel values from {low:,} to {high:,}, whose range is undefined; "
            "save it with 8 bits, or with 16 bits and values from 0 to 65,535."
        )
    stored = 16 if file_format in _SIXTEEN_BIT_FORMATS or image.mode != "I" else 32
    depths = {16: (12, 16), 32: (8, 12, 16)}[stored]
    bits = 16 if file_format == "PPM" else next(bits for bits in depths if high < 2**bits)
    limit = 2**bits - 1
    scaled = (values.astype(np.uint32) * 510 + limit) // (2 * limit)
    result = Image.fromarray(scaled.astype(np.uint8))
    if bits < 16 and high > 0:
        result.info[NOTE] = (
            f"{stored} bits per pixel, but no value above {limit:,}: read as {bits} bits. Save "
            "with 8 bits per pixel to choose the scale yourself"
        )
    return result


def depth_note(image: Image.Image) -> str:
    """Return the assumption that was made about the bit depth of `image`, or an empty string."""
    return image.info.get(NOTE, "")
