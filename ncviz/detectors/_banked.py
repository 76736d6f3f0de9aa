"""One pass over the training samples, shared by all detectors that compare with each of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from ncviz import xp
from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.detectors._approximate import Index
from ncviz.detectors.base import Detector, over_blocks
from ncviz.errors import InvalidOptionError
from ncviz.linalg import unit_vectors
from ncviz.xp import Array

# Samples and training samples that are compared at once: 8 MB of products on a thread, and as
# tensors 256 MB.
_ROWS, _COLUMNS, _TENSOR_COLUMNS = 2048, 1024, 4096
# Lengths whose squares and products float32 holds.
_SHORTEST, _LONGEST = 1e-15, 1e15


class Listener(Protocol):
    """What makes scores of a block of samples out of their cosines with the training samples."""

    def add(self, at: slice, cosines: Array) -> None:
        """Take in the cosines (B, n) with the training samples `at`, without changing them."""

    def finish(self) -> Array:
        """(B,) scores, once all training samples have passed."""


class Banked(Detector):
    """What detectors share that keep the training features as they were given."""

    family = "neighbours"
    probes: int | None = None
    """How many cells of an index to look at instead of comparing with every training sample."""

    bank_: Array

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        self.bank_ = train.features

    def samples_used(self, train: FeatureSet, statistics: ClassStatistics | None) -> int:
        """Return the number of training samples in the bank."""
        return len(self.bank_)

    def score(self, samples: FeatureSet) -> Array:
        """(N,) float64 scores of N samples, higher = more in-distribution."""
        if self.probes is None:
            return score_together([self], samples)[0]
        self.require_fits(samples)
        found = over_blocks(self._score_by_index, samples, _ROWS)
        return xp.namespace(samples.features).concat(list(found))

    def _score_by_index(self, samples: FeatureSet) -> Array:
        """Scores (B,) from the training samples that an index finds in the cells it looks at."""
        unit = unit_vectors(samples.features)
        listener = self._listen(samples, unit, self._products)
        # What an index knows of its vectors is coarse: twice as many are told apart afterwards.
        wanted = min(2 * listener.wanted, len(self.bank_))
        listener.take(*self._index.search(unit, wanted))
        return listener.finish()

    @cached_property
    def _index(self) -> Index:
        if not xp.is_numpy(self.bank_):
            raise InvalidOptionError(
                f"Detector '{self.name}' looks at {self.probes} cells of an index, which takes "
                "NumPy arrays; leave 'probes' out to compare tensors with every training sample."
            )
        return Index(self._indexed, *self.bank_.shape, self.probes)

    def _indexed(self, at: slice) -> Array:
        """(n, D) what an index is to hold of the training samples `at`."""
        raise NotImplementedError

    def _listen(self, samples: FeatureSet, unit: Array, dtype: Any) -> Listener:
        """What is to hear of the samples, whose features of length one are `unit` (B, D)."""
        raise NotImplementedError

    def _cosines(self, unit: Array, dtype: Any) -> Iterator[tuple[slice, Array]]:
        """Cosines with the training samples, for a block of these at a time.

        Parameters
        ----------
        unit : (B, D) features of length one, or zero
        dtype : of the products

        Yields
        ------
        at : slice of the bank
        cosines : (B, n) with the training samples `at`, 0 for a feature of length zero
        """
        library = xp.namespace(unit)
        unit = library.astype(unit, dtype)
        inverse = library.astype(self._inverse_lengths, dtype)
        step = _COLUMNS if xp.is_numpy(unit) else _TENSOR_COLUMNS
        for start in range(0, len(self.bank_), step):
            at = slice(start, start + step)
            # The copy of a bank in another type is that of a block, and products are divided by
            # the lengths of training features rather than these before each product.
            products = unit @ library.astype(self.bank_[at], dtype, copy=False).T
            products *= inverse[at]
            yield at, products

    @cached_property
    def _inverse_lengths(self) -> Array:
        """(N,) float64, one over the length of each training feature; 0 for a feature of zeros."""
        blocks = [self.bank_[at : at + _ROWS] for at in range(0, len(self.bank_), _ROWS)]
        library = xp.namespace(self.bank_)
        lengths = library.concat([xp.norms(xp.float64(each)) for each in blocks])
        return xp.ratio(library.ones_like(lengths), lengths)

    @cached_property
    def _products(self) -> Any:
        """Type of the products: float64 costs four times the time of float32."""
        library = xp.namespace(self.bank_)
        inverse = self._inverse_lengths[self._inverse_lengths > 0]
        fits = not len(inverse) or (
            float(inverse.min()) > 1 / _LONGEST and float(inverse.max()) < 1 / _SHORTEST
        )
        wide = self.bank_.dtype == library.float64 or not fits
        return library.float64 if wide else library.float32


def score_together(detectors: Sequence[Banked], samples: FeatureSet) -> list[Array]:
    """(N,) scores by each of the detectors, which must share one bank: in one pass over it."""
    for detector in detectors:
        detector.require_fits(samples)
    dtype = detectors[0]._products

    def see(block: FeatureSet) -> list[Array]:
        unit = unit_vectors(block.features)
        listeners = [detector._listen(block, unit, dtype) for detector in detectors]
        for at, cosines in detectors[0]._cosines(unit, dtype):
            for listener in listeners:
                listener.add(at, cosines)
        return [listener.finish() for listener in listeners]

    by_block = list(over_blocks(see, samples, _ROWS))
    library = xp.namespace(samples.features)
    return [library.concat(list(scores)) for scores in zip(*by_block, strict=True)]


class Largest:
    """The largest values of each row and their columns, taken in block by block.

    Attributes
    ----------
    values : (B, count) in no order
    columns : (B, count) int64
    """

    def __init__(self, rows: int, count: int, example: Array):
        library = xp.namespace(example)
        self.values = xp.like(np.full((rows, count), -np.inf), example)
        self.values = library.astype(self.values, example.dtype)
        self.columns = xp.like(np.zeros((rows, count), np.int64), example)

    def add(self, at: slice, values: Array) -> None:
        """Take in values (B, n) of the columns `at`."""
        columns = xp.like(np.arange(values.shape[1]), values) + at.start
        if xp.is_numpy(values):
            values, columns = self._above(values, columns)
        else:
            columns = columns.expand(values.shape)
        library = xp.namespace(values)
        merged = library.concat([self.values, values], axis=1)
        self.values, kept = xp.top(merged, self.values.shape[1])
        merged_columns = library.concat([self.columns, columns], axis=1)
        self.columns = library.take_along_axis(merged_columns, kept, axis=1)

    def _above(self, values: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is larger than the smallest value kept, moved to the left: (B, m), m as needed.

        After the first blocks these are few, and sorting them out costs next to nothing.
        """
        above = values > self.values.min(axis=1, keepdims=True)
        numbers = np.count_nonzero(above, axis=1)
        width = int(numbers.max(initial=0))
        if 4 * width > values.shape[1]:
            return values, np.broadcast_to(columns, values.shape)
        rows, found = np.nonzero(above)
        places = np.arange(len(rows)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
        left = np.full((len(values), width), -np.inf, values.dtype)
        left[rows, places] = values[rows, found]
        where = np.zeros((len(values), width), np.int64)
        where[rows, places] = columns[found]
        return left, where


def rounding(unit: Array, dtype: Any) -> float:
    """What rounding may add to a cosine: errors of D products add up like a random walk."""
    library = xp.namespace(unit)
    return 16 * math.sqrt(unit.shape[1]) * float(library.finfo(dtype).eps)
