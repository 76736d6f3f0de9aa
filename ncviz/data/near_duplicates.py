"""Near-duplicate images across sets: perceptual hashes propose pairs, pixel distances decide.

A difference hash (dHash: whether each of 8 x 8 grey cells is brighter than its left neighbour)
changes little under noise, compression and small changes of brightness. Pairs of hashes that differ
in at most `MAX_HASH_BITS` bits are compared by the root mean square difference of their pixels. The
limits are strict: on CIFAR-100 all pairs that were inspected show the same photograph, and copies
that were shifted, cropped or recoloured are not found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ncviz.data.images import ImageSet
from ncviz.data.transform import Transform, decode

MAX_HASH_BITS = 10
MAX_DISTANCE = 8.0
"""largest root mean square difference of near-duplicates, on the scale 0 to 255"""
MAX_RELATIVE_DISTANCE = 0.2
"""the same, relative to the standard deviation of the pixels of the less contrasted image"""
VERSION = 1
"""bump when other pairs are found in the same images"""

_CELLS = 8
_BLOCK_BYTES = 2**26
_HASH_PAIRS = 2**22
_THUMBNAIL_PAIRS = 2**16
_MAX_CANDIDATES = 64
# Averages differ by no more than the pixels do; cells that share pixels need some allowance.
_THUMBNAIL_ALLOWANCE = 1.5
_GREY = np.float32([0.299, 0.587, 0.114])


@dataclass(frozen=True, eq=False)
class HashedSet:
    """The images of a set with a hash and a thumbnail each.

    Attributes
    ----------
    images, transform : what was hashed: the images as the network sees them
    hashes : (N,) uint64
    thumbnails : (N, 8, 8, 3) uint8
    """

    images: ImageSet
    transform: Transform
    hashes: np.ndarray
    thumbnails: np.ndarray


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Images of a set with a near-duplicate in another set, in the order of the set.

    Attributes
    ----------
    samples : number of images of the set
    rows : (K,) their indices
    matches : (K,) indices of the nearest images of the other set
    distances : (K,) root mean square differences of the pixels; 0 for identical images
    """

    samples: int
    rows: np.ndarray
    matches: np.ndarray
    distances: np.ndarray

    @property
    def identical(self) -> int:
        """Number of images whose pixels are equal to those of an image of the other set."""
        return int(np.count_nonzero(self.distances == 0))


def hash_images(images: ImageSet, transform: Transform) -> HashedSet:
    """Decode every image of a set once and hash it.

    Raises
    ------
    CorruptFileError : an image that does not decode.
    """
    count = len(images)
    hashes = np.empty(count, np.uint64)
    thumbnails = np.empty((count, _CELLS, _CELLS, 3), np.uint8)
    cells, columns = _averages(transform.size, _CELLS), _averages(transform.size, _CELLS + 1)
    step = max(1, _BLOCK_BYTES // (transform.size**2 * 3 * np.float32().itemsize))
    for start in range(0, count, step):
        block = range(start, min(start + step, count))
        pixels = decode(images, transform, indices=block).astype(np.float32)
        rows = np.einsum("is,nstc->nitc", cells, pixels, optimize=True)
        small = np.einsum("jt,nitc->nijc", cells, rows, optimize=True)
        grey = np.einsum("jt,nit->nij", columns, rows @ _GREY, optimize=True)
        brighter = grey[:, :, 1:] > grey[:, :, :-1]
        here = slice(block.start, block.stop)
        hashes[here] = np.packbits(brighter.reshape(len(block), -1), axis=1).view(np.uint64)[:, 0]
        thumbnails[here] = np.rint(small)
    return HashedSet(images, transform, hashes, thumbnails)


def find_duplicates(known: HashedSet, other: HashedSet) -> Duplicates:
    """Return the images of `other` that have a near-duplicate in `known`.

    If both are the same set, an image is not compared with itself.
    """
    found = [_verified(known, other, *pairs) for pairs in _candidates(known, other)]
    matches, rows, distances = (np.concatenate(each) for each in zip(*found, strict=True))
    order = np.lexsort((matches, distances, rows))
    rows, first = np.unique(rows[order], return_index=True)
    nearest = order[first]
    return Duplicates(len(other.images), rows, matches[nearest], distances[nearest])


def _averages(size: int, cells: int) -> np.ndarray:
    """Return weights (cells, size) that average `size` pixels in cells of equal width."""
    edges = np.linspace(0, size, cells + 1)
    pixels = np.arange(size)
    shared = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights = np.clip(shared, 0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _candidates(known: HashedSet, other: HashedSet) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs of indices whose hashes and thumbnails are close."""
    step = max(1, _HASH_PAIRS // max(1, len(known.hashes)))
    limit = (_THUMBNAIL_ALLOWANCE * MAX_DISTANCE) ** 2
    for start in range(0, len(other.hashes), step):
        bits = np.bitwise_count(other.hashes[start : start + step, None] ^ known.hashes[None])
        if known is other:
            bits[np.arange(len(bits)), start + np.arange(len(bits))] = 64
        _keep_closest(bits)
        rows, matches = np.nonzero(bits <= MAX_HASH_BITS)
        rows += start
        close = np.empty(len(rows), bool)
        for first in range(0, len(rows), _THUMBNAIL_PAIRS):
            here = slice(first, first + _THUMBNAIL_PAIRS)
            squares = _mean_squares(known.thumbnails[matches[here]], other.thumbnails[rows[here]])
            close[here] = squares <= limit
        yield matches[close], rows[close]


def _keep_closest(bits: np.ndarray) -> None:
    # Flat images have similar hashes; comparing all of them would take hours.
    crowded = np.flatnonzero(np.count_nonzero(bits <= MAX_HASH_BITS, axis=1) > _MAX_CANDIDATES)
    for row in crowded:
        others = np.argpartition(bits[row], _MAX_CANDIDATES)[_MAX_CANDIDATES:]
        bits[row, others] = 64


def _verified(
    known: HashedSet, other: HashedSet, matches: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pairs whose pixels are close, and the distance of each."""
    ours, at = np.unique(matches, return_inverse=True)
    theirs, there = np.unique(rows, return_inverse=True)
    one = decode(known.images, known.transform, indices=ours)
    two = decode(other.images, other.transform, indices=theirs)
    distances = np.sqrt(_mean_squares(one[at], two[there]))
    contrast = np.minimum(_contrasts(one)[at], _contrasts(two)[there])
    near = distances <= np.minimum(MAX_DISTANCE, MAX_RELATIVE_DISTANCE * contrast)
    return matches[near], rows[near], distances[near]


def _mean_squares(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    difference = one.astype(np.int16) - two
    return np.mean(np.square(difference, dtype=np.float32), axis=(1, 2, 3))


def _contrasts(pixels: np.ndarray) -> np.ndarray:
    return pixels.std(axis=(1, 2, 3), dtype=np.float64)
