"""The data everything else speaks in: FeatureSet, Head and ClassStatistics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from ncviz import threads, xp
from ncviz.errors import InvalidArrayError
from ncviz.xp import Array

# Float64 numbers of a batch that are handled at once on a thread: 16 MB.
_ENTRIES = 2**21


def require_finite(array: Array, what: str) -> None:
    """Raise InvalidArrayError if `array` holds a NaN or an infinity; `what` names it."""
    library = xp.namespace(array)
    # A sum needs no temporary the size of the array, and carries every NaN and infinity.
    with np.errstate(invalid="ignore", over="ignore"):
        if library.isfinite(library.sum(array, dtype=library.float64)):
            return
    bad = int(library.count_nonzero(~library.isfinite(array)))
    if not bad:  # finite values whose sum overflows
        return
    size = math.prod(array.shape)
    raise InvalidArrayError(
        f"{what} holds {bad:,} values that are NaN or infinite (of {size:,}); "
        "every value must be finite. Check the learning rate of the run or the export."
    )


def require_matrix(array: Array, what: str, rows: int | None = None) -> None:
    """Raise InvalidArrayError unless `array` is finite and (rows, ...), or (N, ...) without."""
    if array.ndim != 2 or (rows is not None and len(array) != rows):
        expected = f"({'N' if rows is None else rows}, ...)"
        raise InvalidArrayError(
            f"{what} has shape {tuple(array.shape)}; expected {expected}, one row each."
        )
    require_finite(array, what)


def require_labels(labels: Array, rows: int, classes: int | None) -> None:
    """Raise InvalidArrayError unless `labels` are (rows,) integers, in 0..classes-1 if given."""
    integers = xp.namespace(labels).isdtype(labels.dtype, "integral")
    if tuple(labels.shape) != (rows,) or not integers:
        raise InvalidArrayError(
            f"Labels have shape {tuple(labels.shape)} and type {labels.dtype}; "
            f"expected ({rows},) integers."
        )
    if classes is not None and rows and not 0 <= labels.min() <= labels.max() < classes:
        raise InvalidArrayError(
            f"Labels run from {int(labels.min())} to {int(labels.max())}; with {classes} classes "
            f"they must lie in 0..{classes - 1}."
        )


@dataclass(frozen=True)
class FeatureSet:
    """What a network saw of one set of samples, at one layer.

    All arrays are NumPy's, or all are torch tensors on one device.

    Attributes
    ----------
    features : (N, D) floating point
    logits : (N, C) floating point
    labels : (N,) integers, or None. Labels of an OOD set count its own classes, so they are not
        bound to 0..C-1.

    Raises
    ------
    InvalidArrayError : a shape does not fit, or a value is NaN or infinite.
    """

    features: Array
    logits: Array
    labels: Array | None = None

    def __post_init__(self) -> None:
        xp.namespace(self.features, self.logits)
        require_matrix(self.features, "Features")
        require_matrix(self.logits, "Logits", rows=len(self.features))
        if self.labels is not None:
            xp.namespace(self.features, self.labels)
            require_labels(self.labels, len(self.features), classes=None)

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows) -> FeatureSet:
        """The samples `rows`, any index NumPy takes that keeps the arrays' dimensions."""
        labels = None if self.labels is None else self.labels[rows]
        features, logits = self.features[rows], self.logits[rows]
        if features.ndim != 2:
            return FeatureSet(features, logits, labels)  # which says what is wrong
        chosen = object.__new__(FeatureSet)  # every value of these has been looked at
        vars(chosen).update(features=features, logits=logits, labels=labels)
        return chosen

    def like(self, example: Array) -> FeatureSet:
        """The same samples in the library and on the device of `example`."""
        arrays = (self.features, self.logits, self.labels)
        return FeatureSet(*(None if each is None else xp.like(each, example) for each in arrays))


@dataclass(frozen=True)
class Head:
    """A linear classifier on a layer's features: logits = features @ weight.T + bias.

    Attributes
    ----------
    weight : (C, D) floating point
    bias : (C,) floating point
    """

    weight: Array
    bias: Array

    def __post_init__(self) -> None:
        xp.namespace(self.weight, self.bias)
        require_matrix(self.weight, "Head weight")
        if tuple(self.bias.shape) != (len(self.weight),):
            raise InvalidArrayError(
                f"Head bias has shape {tuple(self.bias.shape)}; expected ({len(self.weight)},), "
                f"one value for each row of the weight {tuple(self.weight.shape)}."
            )
        require_finite(self.bias, "Head bias")

    @property
    def classes(self) -> int:
        return self.weight.shape[0]

    @property
    def dim(self) -> int:
        return self.weight.shape[1]

    def logits(self, features: Array) -> Array:
        """Logits (N, C) of features (N, D), in the wider of the two types."""
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise InvalidArrayError(
                f"Features have shape {tuple(features.shape)}; this head takes (N, {self.dim})."
            )
        library = xp.namespace(features, self.weight)
        return library.matmul(features, self.weight.T) + self.bias

    def like(self, example: Array) -> Head:
        """The same head in the library and on the device of `example`."""
        return Head(xp.like(self.weight, example), xp.like(self.bias, example))


@dataclass
class ClassStatistics:
    """Counts, means and scatter of a layer's features by class, in float64, mergeable.

    Batches are merged by the pairwise update of Chan, Golub and LeVeque (1983): every term that is
    added to a scatter is positive semi-definite, so no subtraction of nearly equal numbers occurs,
    however far the features have collapsed. Batches, workers and GPUs may come in any order.
    Products are made on one thread each: they round alike whatever the number of cores, and no
    other thread of BLAS lies in wait for the next one while a network has its turn.

    Attributes
    ----------
    counts : (C,) int64, samples of each class
    means : (C, D) float64, class means (zero for a class without samples)
    scatter : (D, D) float64, sum over all samples of (h - mu_c)(h - mu_c)^T
    squares : (C,) float64, sum over the samples of a class of ||h - mu_c||^2

    All are NumPy arrays, or torch tensors on one device.
    """

    counts: Array
    means: Array
    scatter: Array
    squares: Array

    @classmethod
    def empty(cls, classes: int, dim: int) -> Self:
        """Statistics of no sample at all, for `classes` classes of `dim` features."""
        if classes < 1 or dim < 1:
            raise InvalidArrayError(
                f"Statistics need at least one class and one feature; got {classes} and {dim}."
            )
        return cls(
            counts=np.zeros(classes, np.int64),
            means=np.zeros((classes, dim)),
            scatter=np.zeros((dim, dim)),
            squares=np.zeros(classes),
        )

    @classmethod
    def of(cls, features: Array, labels: Array, classes: int) -> Self:
        """Statistics of features (N, D) with labels (N,) in 0..classes-1."""
        return cls.empty(classes, np.shape(features)[-1]).update(features, labels)

    @threads.single_products()
    def update(self, features: Array, labels: Array) -> Self:
        """Add features (B, D) with labels (B,) in 0..C-1; returns self.

        The features are read once, a block at a time, so that a memory-mapped array may be larger
        than memory. Statistics of no sample take over the library and device of the first batch.

        Raises
        ------
        InvalidArrayError : wrong shape, NaN or infinity, or a label outside 0..C-1. Nothing has
            been added then.
        """
        features, labels = xp.as_array(features), xp.as_array(labels)
        xp.namespace(features, labels)
        if features.ndim != 2:
            require_matrix(features, "Features")
        if features.shape[1] != self.dim:
            raise InvalidArrayError(
                f"Features have {features.shape[1]} columns; these statistics hold {self.dim}."
            )
        require_labels(labels, len(features), self.classes)
        # Blocks that are small against the classes would be more merging than adding up.
        rows = max(_ENTRIES // self.dim, 16 * self.classes)
        blocks = [slice(at, at + rows) for at in range(0, len(features), rows)]
        work = threads.spread if xp.is_numpy(features) else map
        added = self.empty(self.classes, self.dim)
        for batch in work(lambda at: self._batch(features[at], labels[at]), blocks):
            added.merge(batch)
        return self.merge(added) if blocks else self

    def _batch(self, features: Array, labels: Array) -> ClassStatistics:
        """Statistics of one block, which is checked for NaN and infinity."""
        require_finite(features, "Features")
        library = xp.namespace(features)
        centred = xp.float64(features)
        counts = xp.counts(labels, self.classes)
        filled = library.astype(library.clip(counts, 1), library.float64)
        means = xp.class_sums(centred, labels, self.classes) / filled[:, None]
        centred -= means[labels]
        squares = xp.class_sums(xp.squares(centred)[:, None], labels, self.classes)[:, 0]
        return ClassStatistics(counts, means, centred.T @ centred, squares)

    @threads.single_products()
    def merge(self, other: ClassStatistics) -> Self:
        """Add the samples of `other`, which must have the same C and D; returns self."""
        if self.means.shape != other.means.shape:
            raise InvalidArrayError(
                f"Statistics of {tuple(other.means.shape)} (classes, features) cannot be merged "
                f"into statistics of {tuple(self.means.shape)}."
            )
        if not other.samples:
            return self
        if not self.samples:
            self.counts, self.means = other.counts, other.means
            self.scatter, self.squares = other.scatter, other.squares
            return self
        library = xp.namespace(self.means, other.means)
        counts = self.counts + other.counts
        share = other.counts / library.astype(library.clip(counts, 1), library.float64)
        gap = other.means - self.means  # (C, D)
        weight = self.counts * share  # n_a n_b / (n_a + n_b)
        weighted = gap * library.sqrt(weight)[:, None]
        self.scatter = self.scatter + other.scatter + weighted.T @ weighted
        self.squares = self.squares + other.squares + xp.squares(weighted)
        self.means = self.means + gap * share[:, None]
        self.counts = counts
        return self

    def like(self, example: Array) -> ClassStatistics:
        """The same statistics in the library and on the device of `example`."""
        arrays = (self.counts, self.means, self.scatter, self.squares)
        return ClassStatistics(*(xp.like(each, example) for each in arrays))

    @property
    def classes(self) -> int:
        return self.means.shape[0]

    @property
    def dim(self) -> int:
        return self.means.shape[1]

    @property
    def samples(self) -> int:
        """Number of samples seen, N."""
        return int(self.counts.sum())

    def require_every_class(self) -> None:
        """Raise InvalidArrayError if a class has no sample: its mean does not exist."""
        empty = np.flatnonzero(xp.to_numpy(self.counts) == 0)
        if len(empty):
            shown = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
            raise InvalidArrayError(
                f"{len(empty)} of {self.classes} classes have no sample (labels {shown}); "
                "every class needs at least one."
            )

    @property
    def mean(self) -> Array:
        """(D,) mean over all samples; the mean of class means where the classes are balanced."""
        return self._float_counts @ self.means / max(self.samples, 1)

    @property
    def within_covariance(self) -> Array:
        """(D, D) Sigma_W = (1/N) sum of (h - mu_c)(h - mu_c)^T."""
        return self.scatter / max(self.samples, 1)

    @property
    def total_covariance(self) -> Array:
        """(D, D) Sigma_T = (1/N) sum of (h - mu)(h - mu)^T, mu the mean over all samples."""
        library = xp.namespace(self.means)
        centred = (self.means - self.mean) * library.sqrt(self._float_counts)[:, None]
        return (self.scatter + centred.T @ centred) / max(self.samples, 1)

    @property
    def _float_counts(self) -> Array:
        library = xp.namespace(self.means)
        return library.astype(self.counts, library.float64)
