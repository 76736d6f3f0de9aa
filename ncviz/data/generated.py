"""Sets that need no download: scikit-learn's digits and images to hold against them.

All are 8x8 with 17 grey levels, made the way the digits were (a 32x32 bitmap, counted in blocks of
4x4), so that resolution and levels tell nothing and only the content differs.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ncviz.data.images import ArrayReader, ImageSet, index_key
from ncviz.data.sources import missing_split

# images (N, 8, 8) uint8, labels (N,), names of the classes
Content = tuple[np.ndarray, np.ndarray, tuple[str, ...]]

_SIDE, _BLOCK, _LEVELS = 8, 4, 16
_BITMAP = _SIDE * _BLOCK
_ID_DIGITS = 8
_PER_LETTER = 20
_PER_NOISE = 250
# O and I are also how a zero and a one are written: no detector could tell them apart.
_LETTERS = tuple(letter for letter in string.ascii_uppercase if letter not in "IO")

# Of every ten images of a class, which ones are held out for the test split.
THREE_TENTHS = frozenset({2, 5, 8})
SEVEN_TENTHS = frozenset(range(10)) - THREE_TENTHS


@dataclass(frozen=True)
class GeneratedSource:
    """A set computed on the spot, the same on every machine.

    Attributes
    ----------
    build : makes all images of both splits
    test_tenths : ranks (modulo ten, within a class) of the images in the test split
    """

    build: Callable[[], Content]
    test_tenths: frozenset[int]
    kind = "generated"
    splits = ("train", "test")
    layout = "Needs no files."

    def load(
        self, name: str, split: str, *, root: Path, download: bool, progress: bool
    ) -> ImageSet:
        if split not in self.splits:
            raise missing_split(name, split, self.splits)
        images, labels, classes = self.build()
        rows = np.flatnonzero(self._in_test(labels) == (split == "test"))
        return ImageSet(
            name=name,
            split=split,
            classes=classes,
            labels=labels[rows].astype(np.int64),
            keys=tuple(index_key(row) for row in rows),
            reader=ArrayReader(images, name),
        )

    def _in_test(self, labels: np.ndarray) -> np.ndarray:
        rank = np.zeros(len(labels), np.int64)
        for label in np.unique(labels):
            rank[labels == label] = np.arange(np.count_nonzero(labels == label))
        return np.isin(rank % 10, list(self.test_tenths))


def _to_grey(counts: np.ndarray) -> np.ndarray:
    # Counts 0..16 -> 0..255.
    return np.rint(counts * (255 / _LEVELS)).astype(np.uint8)


def _count_blocks(bitmap: np.ndarray) -> np.ndarray:
    # (32, 32) in 0..1 -> (8, 8) in 0..16
    return bitmap.reshape(_SIDE, _BLOCK, _SIDE, _BLOCK).sum(axis=(1, 3))


@lru_cache
def _all_digits() -> Content:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return _to_grey(digits.images), digits.target, tuple(str(d) for d in range(10))


def digits() -> Content:
    """The digits 0 to 7, the known classes."""
    images, labels, names = _all_digits()
    known = labels < _ID_DIGITS
    return images[known], labels[known], names[:_ID_DIGITS]


def held_out_digits() -> Content:
    """The digits 8 and 9: the same hands, pens and scanner, classes that were never trained."""
    images, labels, names = _all_digits()
    held_out = labels >= _ID_DIGITS
    return images[held_out], labels[held_out] - _ID_DIGITS, names[_ID_DIGITS:]


@lru_cache
def letters() -> Content:
    """Capital letters but I and O, drawn with Pillow's own font in varied pose and weight."""
    rng = np.random.default_rng(0)
    images = [_draw(letter, rng) for letter in _LETTERS for _ in range(_PER_LETTER)]
    return np.stack(images), np.repeat(np.arange(len(_LETTERS)), _PER_LETTER), _LETTERS


def _draw(letter: str, rng: np.random.Generator) -> np.ndarray:
    canvas = Image.new("L", (3 * _BITMAP, 3 * _BITMAP))
    ImageDraw.Draw(canvas).text(
        (canvas.width // 2, canvas.height // 2),
        letter,
        fill=255,
        font=ImageFont.load_default(size=int(rng.integers(32, 49))),
        anchor="mm",
        stroke_width=int(rng.integers(1, 4)),
    )
    canvas = canvas.rotate(rng.uniform(-15, 15), resample=Image.Resampling.BILINEAR)
    glyph = _fit(canvas.crop(canvas.getbbox()), height=int(rng.integers(26, _BITMAP + 1)))
    bitmap = Image.new("L", (_BITMAP, _BITMAP))
    left = rng.integers(0, _BITMAP - glyph.width + 1)
    bitmap.paste(glyph, (int(left), int(rng.integers(0, _BITMAP - glyph.height + 1))))
    return _to_grey(_count_blocks(np.asarray(bitmap) > 127))


def _fit(glyph: Image.Image, *, height: int) -> Image.Image:
    width = max(1, min(_BITMAP, round(glyph.width * height / glyph.height)))
    return glyph.resize((width, height), Image.Resampling.BILINEAR)


@lru_cache
def photo_patches() -> Content:
    """Grey 32x32 tiles of scikit-learn's two photographs, without overlap."""
    from sklearn.datasets import load_sample_image

    names = ("china", "flower")
    tiles = [_tiles(load_sample_image(f"{name}.jpg")) for name in names]
    return np.concatenate(tiles), np.repeat([0, 1], [len(tile) for tile in tiles]), names


def _tiles(photo: np.ndarray) -> np.ndarray:
    grey = np.asarray(Image.fromarray(photo).convert("L")) / 255
    rows, columns = (side // _BITMAP for side in grey.shape)
    squares = (
        grey[r * _BITMAP : (r + 1) * _BITMAP, c * _BITMAP : (c + 1) * _BITMAP]
        for r in range(rows)
        for c in range(columns)
    )
    return np.stack([_to_grey(np.rint(_count_blocks(square))) for square in squares])


@lru_cache
def noise() -> Content:
    """Pixels drawn one by one: uniform over the 17 levels, and Gaussian around the middle one."""
    rng = np.random.default_rng(0)
    shape = (_PER_NOISE, _SIDE, _SIDE)
    uniform = rng.integers(0, _LEVELS + 1, shape)
    gaussian = np.clip(np.rint(rng.normal(_LEVELS / 2, _LEVELS / 4, shape)), 0, _LEVELS)
    images = _to_grey(np.concatenate([uniform, gaussian]))
    return images, np.repeat([0, 1], _PER_NOISE), ("uniform", "gaussian")
