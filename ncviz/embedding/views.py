"""Linear views of features: axes fitted once, at the last epoch, that every epoch is seen along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ncviz.arrays import ClassStatistics, require_finite
from ncviz.errors import InvalidArrayError, InvalidOptionError
from ncviz.linalg import positive_eigh

# Rounding leaves this much of the features' length in the differences of equal ones.
_EQUAL = 1e-12


@dataclass(frozen=True)
class LinearView:
    """Where to look from: a point and orthonormal axes in the space of features.

    Attributes
    ----------
    origin : (D,) float64, projected onto zero
    axes : (k, D) float64, orthonormal rows
    shares : (k,) float64, part of the variance that each axis shows at the epoch it was fitted on:
        of all samples for `pca_view`, of the chosen class means for `etf_view`
    """

    origin: np.ndarray
    axes: np.ndarray
    shares: np.ndarray

    def project(self, features: np.ndarray) -> np.ndarray:
        """(N, k) float32 coordinates of features (N, D) of any epoch of the same layer."""
        features = np.asarray(features)
        if features.ndim != 2 or features.shape[1] != len(self.origin):
            raise InvalidArrayError(
                f"Features have shape {features.shape}; this view takes (N, {len(self.origin)})."
            )
        require_finite(features, "Features")
        return ((features - self.origin) @ self.axes.T).astype(np.float32)

    def explained(self, features: np.ndarray) -> tuple[float, ...]:
        """Return the share of the variance of features (N, D) along each axis, 0..1.

        Features without any variance have none along an axis.
        """
        shown = self.project(features).var(axis=0, dtype=np.float64)
        total = float(np.asarray(features).var(axis=0, dtype=np.float64).sum())
        return tuple((shown / total if total > 0 else np.zeros(len(shown))).tolist())


def pca_view(features: np.ndarray, *, axes: int = 2) -> LinearView:
    """The view along the directions in which the features vary most, widest first.

    The sign of an axis is arbitrary in PCA; here its entry of largest size is positive.

    Parameters
    ----------
    features : (N, D) of the epoch that sets the axes, the last one
    axes : k >= 1

    Raises
    ------
    InvalidArrayError : wrong shape, NaN or infinity, or features that vary in fewer than k
        directions.
    """
    if axes < 1:
        raise InvalidOptionError(f"A view needs at least one axis; got {axes}.")
    view = principal_view(features, axes)
    if len(view.axes) < axes:
        raise InvalidArrayError(
            f"These features vary in {len(view.axes)} directions only; a view along {axes} axes "
            "needs as many. Choose another epoch or layer, or more samples."
        )
    return view


def principal_view(features: np.ndarray, axes: int) -> LinearView:
    """As `pca_view`, with fewer axes where the features vary in fewer directions."""
    features = np.asarray(features)
    if features.ndim != 2 or not len(features):
        raise InvalidArrayError(
            f"Features have shape {features.shape}; expected (N, D) with at least one row."
        )
    require_finite(features, "Features")
    origin = features.mean(axis=0, dtype=np.float64)
    centred = features - origin
    scatter = centred.T @ centred
    total = np.trace(scatter)
    if total <= _EQUAL**2 * len(features) * (origin @ origin):
        return LinearView(origin, np.empty((0, len(origin))), np.empty(0))
    precision = max(features.shape) * np.finfo(np.float64).eps
    values, vectors = positive_eigh(scatter, tolerance=precision)
    rows = vectors[:, :axes].T
    largest = np.abs(rows).argmax(axis=1)
    signs = np.sign(rows[np.arange(len(rows)), largest])
    return LinearView(origin, rows * signs[:, None], values[:axes] / total)


def etf_view(
    statistics: ClassStatistics, *, classes: Sequence[int] | None = None, axes: int = 2
) -> LinearView:
    """The view that lays the class means of a simplex ETF out as a regular figure.

    The axes lie in the span of the centred class means. At collapse these are the corners of a
    simplex, whose principal axes are arbitrary because it is equally wide in every direction. So
    the axes are those that bring the means nearest to fixed places (orthogonal Procrustes):
    the corners of a regular polygon, the first class on the positive first axis; with three axes,
    of four classes, those of a tetrahedron. A simplex ETF meets these places exactly, up to size.

    Parameters
    ----------
    statistics : of the training set at the epoch that sets the axes, the last one
    classes : the classes to lay out, in order around the polygon; None for all C
    axes : 2 or 3; takes one class more, or further ones

    Raises
    ------
    InvalidOptionError : another number of axes, or unknown or repeated classes.
    InvalidArrayError : too few classes, a class without samples, NaN, or class means that do not
        span the axes.
    """
    if axes not in (2, 3):
        raise InvalidOptionError(f"The class-mean view has 2 or 3 axes; got {axes}.")
    means = _chosen_means(statistics, classes, axes)
    origin = means.mean(axis=0)
    centred = means - origin
    left, values, right = np.linalg.svd(centred.T @ _places(len(means), axes), full_matrices=False)
    if values[-1] <= _EQUAL * np.linalg.norm(means):
        raise InvalidArrayError(
            f"The class means do not span {axes} directions, so there is no such view of them. "
            "Choose other classes, another epoch or layer."
        )
    rows = (left @ right).T
    shares = np.square(centred @ rows.T).sum(axis=0) / np.square(centred).sum()
    return LinearView(origin, rows, shares)


def _chosen_means(
    statistics: ClassStatistics, classes: Sequence[int] | None, axes: int
) -> np.ndarray:
    """(K, D) means of the chosen classes, in their order."""
    chosen = np.arange(statistics.classes) if classes is None else np.asarray(classes)
    if len(set(chosen.tolist()) & set(range(statistics.classes))) < len(chosen):
        raise InvalidOptionError(
            f"Classes {', '.join(map(str, chosen))} of a class-mean view must be different ones of "
            f"0..{statistics.classes - 1}."
        )
    if len(chosen) <= axes:
        raise InvalidArrayError(
            f"A class-mean view along {axes} axes needs at least {axes + 1} classes; got "
            f"{len(chosen)}. The PCA view takes any number."
        )
    empty = chosen[statistics.counts[chosen] == 0]
    if len(empty):
        raise InvalidArrayError(f"Class {empty[0]} has no sample, so it has no mean to look along.")
    require_finite(statistics.means, "Class means")
    return statistics.means[chosen]


def _places(classes: int, axes: int) -> np.ndarray:
    """(K, k) where the class means should appear: around a circle; with a third axis, a wave."""
    turn = 2 * np.pi * np.arange(classes) / classes
    return np.stack([np.cos(turn), np.sin(turn), np.cos(2 * turn)][:axes], axis=1)
