"""The data everything else speaks in: FeatureSet, Head and ClassStatistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from ncviz.errors import InvalidArrayError


def require_finite(array: np.ndarray, what: str) -> None:
    """Raise InvalidArrayError if `array` holds a NaN or an infinity; `what` names it."""
    # A sum needs no temporary the size of the array, and carries every NaN and infinity.
    with np.errstate(invalid="ignore", over="ignore"):
        if np.isfinite(np.sum(array, dtype=np.float64)):
            return
    bad = np.count_nonzero(~np.isfinite(array))
    if not bad:  # finite values whose sum overflows
        return
    raise InvalidArrayError(
        f"{what} holds {bad:,} values that are NaN or infinite (of {array.size:,}); "
        "every value must be finite. Check the learning rate of the run or the export."
    )


def require_matrix(array: np.ndarray, what: str, rows: int | None = None) -> None:
    """Raise InvalidArrayError unless `array` is finite and (rows, ...), or (N, ...) without."""
    if array.ndim != 2 or (rows is not None and len(array) != rows):
        expected = f"({'N' if rows is None else rows}, ...)"
        raise InvalidArrayError(
            f"{what} has shape {array.shape}; expected {expected}, one row each."
        )
    require_finite(array, what)


def require_labels(labels: np.ndarray, rows: int, classes: int | None) -> None:
    """Raise InvalidArrayError unless `labels` are (rows,) integers, in 0..classes-1 if given."""
    if labels.shape != (rows,) or labels.dtype.kind not in "iu":
        raise InvalidArrayError(
            f"Labels have shape {labels.shape} and type {labels.dtype}; "
            f"expected ({rows},) integers."
        )
    if classes is not None and rows and not 0 <= labels.min() <= labels.max() < classes:
        raise InvalidArrayError(
            f"Labels run from {labels.min()} to {labels.max()}; with {classes} classes they must "
            f"lie in 0..{classes - 1}."
        )


@dataclass(frozen=True)
class FeatureSet:
    """What a network saw of one set of samples, at one layer.

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

    features: np.ndarray
    logits: np.ndarray
    labels: np.ndarray | None = None

    def __post_init__(self) -> None:
        require_matrix(self.features, "Features")
        require_matrix(self.logits, "Logits", rows=len(self.features))
        if self.labels is not None:
            require_labels(self.labels, len(self.features), classes=None)

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows) -> FeatureSet:
        """The samples `rows`, any index NumPy takes that keeps the arrays' dimensions."""
        labels = None if self.labels is None else self.labels[rows]
        return FeatureSet(self.features[rows], self.logits[rows], labels)


@dataclass(frozen=True)
class Head:
    """A linear classifier on a layer's features: logits = features @ weight.T + bias.

    Attributes
    ----------
    weight : (C, D) floating point
    bias : (C,) floating point
    """

    weight: np.ndarray
    bias: np.ndarray

    def __post_init__(self) -> None:
        require_matrix(self.weight, "Head weight")
        if self.bias.shape != (len(self.weight),):
            raise InvalidArrayError(
                f"Head bias has shape {self.bias.shape}; expected ({len(self.weight)},), "
                f"one value for each row of the weight {self.weight.shape}."
            )
        require_finite(self.bias, "Head bias")

    @property
    def classes(self) -> int:
        return self.weight.shape[0]

    @property
    def dim(self) -> int:
        return self.weight.shape[1]

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Logits (N, C) of features (N, D), in the wider of the two types."""
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise InvalidArrayError(
                f"Features have shape {features.shape}; this head takes (N, {self.dim})."
            )
        return features @ self.weight.T + self.bias


@dataclass
class ClassStatistics:
    """Counts, means and scatter of a layer's features by class, in float64, mergeable.

    Batches are merged by the pairwise update of Chan, Golub and LeVeque (1983): every term that is
    added to a scatter is positive semi-definite, so no subtraction of nearly equal numbers occurs,
    however far the features have collapsed. Batches, workers and GPUs may come in any order.

    Attributes
    ----------
    counts : (C,) int64, samples of each class
    means : (C, D) float64, class means (zero for a class without samples)
    scatter : (D, D) float64, sum over all samples of (h - mu_c)(h - mu_c)^T
    squares : (C,) float64, sum over the samples of a class of ||h - mu_c||^2
    """

    counts: np.ndarray
    means: np.ndarray
    scatter: np.ndarray
    squares: np.ndarray

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
    def of(cls, features: np.ndarray, labels: np.ndarray, classes: int) -> Self:
        """Statistics of features (N, D) with labels (N,) in 0..classes-1."""
        return cls.empty(classes, np.shape(features)[-1]).update(features, labels)

    def update(self, features: np.ndarray, labels: np.ndarray) -> Self:
        """Add features (B, D) with labels (B,) in 0..C-1; returns self.

        Raises
        ------
        InvalidArrayError : wrong shape, NaN or infinity, or a label outside 0..C-1. Nothing has
            been added then.
        """
        features, labels = np.asarray(features), np.asarray(labels)
        require_matrix(features, "Features")
        if features.shape[1] != self.dim:
            raise InvalidArrayError(
                f"Features have {features.shape[1]} columns; these statistics hold {self.dim}."
            )
        require_labels(labels, len(features), self.classes)
        if not len(features):
            return self
        order = np.argsort(labels, kind="stable")
        labels = labels[order]
        centred = features[order].astype(np.float64)  # (B, D), rows of a class side by side
        present, starts, counts = np.unique(labels, return_index=True, return_counts=True)
        batch = self.empty(self.classes, self.dim)
        batch.counts[present] = counts
        batch.means[present] = np.add.reduceat(centred, starts, axis=0) / counts[:, None]
        centred -= batch.means[labels]
        batch.scatter = centred.T @ centred
        batch.squares[present] = np.add.reduceat(np.einsum("bd,bd->b", centred, centred), starts)
        return self.merge(batch)

    def merge(self, other: ClassStatistics) -> Self:
        """Add the samples of `other`, which must have the same C and D; returns self."""
        if self.means.shape != other.means.shape:
            raise InvalidArrayError(
                f"Statistics of {other.means.shape} (classes, features) cannot be merged into "
                f"statistics of {self.means.shape}."
            )
        counts = self.counts + other.counts
        filled = np.maximum(counts, 1)
        gap = other.means - self.means  # (C, D)
        weight = self.counts * (other.counts / filled)  # n_a n_b / (n_a + n_b)
        weighted = gap * np.sqrt(weight)[:, None]
        self.scatter = self.scatter + other.scatter + weighted.T @ weighted
        self.squares = self.squares + other.squares + np.einsum("cd,cd->c", weighted, weighted)
        self.means = self.means + gap * (other.counts / filled)[:, None]
        self.counts = counts
        return self

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
        empty = np.flatnonzero(self.counts == 0)
        if len(empty):
            shown = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
            raise InvalidArrayError(
                f"{len(empty)} of {self.classes} classes have no sample (labels {shown}); "
                "every class needs at least one."
            )

    @property
    def mean(self) -> np.ndarray:
        """(D,) mean over all samples; the mean of class means where the classes are balanced."""
        return self.counts @ self.means / max(self.samples, 1)

    @property
    def within_covariance(self) -> np.ndarray:
        """(D, D) Sigma_W = (1/N) sum of (h - mu_c)(h - mu_c)^T."""
        return self.scatter / max(self.samples, 1)

    @property
    def total_covariance(self) -> np.ndarray:
        """(D, D) Sigma_T = (1/N) sum of (h - mu)(h - mu)^T, mu the mean over all samples."""
        centred = (self.means - self.mean) * np.sqrt(self.counts)[:, None]
        return (self.scatter + centred.T @ centred) / max(self.samples, 1)
