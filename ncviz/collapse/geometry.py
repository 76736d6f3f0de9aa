"""The geometry of class means against the simplex ETF: Gram matrices, norms, orders, pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ncviz import xp
from ncviz.arrays import ClassStatistics, require_finite
from ncviz.errors import InvalidArrayError
from ncviz.xp import Array

# Class means of N samples carry a rounding error near sqrt(N) * 1e-16 of their length.
SAME_MEAN = 1e-12


class ClassPair(NamedTuple):
    """Two classes and how far their cosine lies above (+) or below (-) that of the simplex ETF."""

    first: int
    second: int
    cosine: float
    excess: float


def require_statistics(statistics: ClassStatistics) -> None:
    """Raise InvalidArrayError unless there are two classes or more, all finite and with samples."""
    if statistics.classes < 2:
        raise InvalidArrayError(
            "Neural collapse compares classes and needs at least two; these statistics hold "
            f"{statistics.classes}."
        )
    require_finite(statistics.means, "Class means")
    require_finite(statistics.scatter, "Within-class scatter")
    require_finite(statistics.squares, "Within-class squares")
    statistics.require_every_class()


def unit_rows(matrix: Array, what: str) -> Array:
    """(R, D) rows scaled to length one; `what` names a row in the error for a row of zeros."""
    norms = xp.norms(matrix)
    lengths = xp.to_numpy(norms)
    zero = np.flatnonzero(lengths <= SAME_MEAN * lengths.max(initial=0.0))
    if len(zero):
        raise InvalidArrayError(
            f"The {what} of class {zero[0]} is zero, so its cosines are undefined. A dead layer or "
            "a class whose samples average out does this: choose another epoch or layer."
        )
    return matrix / norms[:, None]


def global_mean(statistics: ClassStatistics) -> Array:
    """(D,) mean of the class means, mu_G; the mean of all samples if classes are balanced."""
    return xp.namespace(statistics.means).mean(statistics.means, axis=0)


def centred_means(statistics: ClassStatistics) -> Array:
    """(C, D) class means minus the mean of class means.

    Raises
    ------
    InvalidArrayError : one class, a class without samples, NaN, or all means equal, which leaves
        no geometry to speak of.
    """
    require_statistics(statistics)
    centred = statistics.means - global_mean(statistics)
    length = xp.namespace(centred).linalg.vector_norm
    if length(centred) <= SAME_MEAN * length(statistics.means):
        raise InvalidArrayError(
            "All class means are equal, so the between-class variance is zero and neural collapse "
            "is undefined. A dead network does this: choose another epoch or layer."
        )
    return centred


def class_mean_norms(statistics: ClassStatistics) -> Array:
    """(C,) lengths of the centred class means, ||mu_c - mu_G||."""
    return xp.norms(centred_means(statistics))


def gram(statistics: ClassStatistics, *, centred: bool = True) -> Array:
    """(C, C) cosines between class means, centred on the mean of class means unless told not to."""
    means = centred_means(statistics)
    unit = unit_rows(means if centred else statistics.means, "mean")
    cosines = xp.namespace(unit).clip(unit @ unit.T, -1.0, 1.0)
    own = xp.row_numbers(unit)
    cosines[own, own] = 1.0
    return cosines


def ideal_gram(classes: int) -> np.ndarray:
    """(C, C) cosines of the simplex ETF: 1 on the diagonal, -1/(C-1) elsewhere."""
    if classes < 2:
        raise InvalidArrayError(f"A simplex ETF needs at least two classes; got {classes}.")
    ideal = np.full((classes, classes), -1.0 / (classes - 1))
    np.fill_diagonal(ideal, 1.0)
    return ideal


def cluster_order(gram: np.ndarray) -> np.ndarray:
    """(C,) permutation that puts classes with similar means side by side.

    Average linkage on 1 - cosine with the optimal order of leaves (Bar-Joseph et al., 2001).
    """
    # Importing it takes longer than drawing a page that orders nothing.
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    distances = 1.0 - (gram + gram.T) / 2
    np.fill_diagonal(distances, 0.0)
    condensed = squareform(np.maximum(distances, 0.0), checks=False)
    return leaves_list(optimal_leaf_ordering(linkage(condensed, "average"), condensed))


def worst_pairs(gram: np.ndarray, k: int) -> list[ClassPair]:
    """The `k` pairs of classes whose cosine lies farthest from -1/(C-1), the farthest first."""
    first, second = np.triu_indices(len(gram), k=1)
    cosines = gram[first, second]
    excess = cosines - ideal_gram(len(gram))[first, second]
    order = np.argsort(-np.abs(excess), kind="stable")[:k]
    return [
        ClassPair(int(first[p]), int(second[p]), float(cosines[p]), float(excess[p])) for p in order
    ]


def farthest_between(gram: np.ndarray, first: np.ndarray, second: np.ndarray) -> ClassPair:
    """The pair of a class in `first` and another in `second` that is farthest from -1/(C-1).

    Of a class with itself, which makes no pair, the one with whichever other class.

    Parameters
    ----------
    gram : (C, C) cosines between class means
    first, second : (A,), (B,) classes, one or more of each
    """
    if len(np.union1d(first, second)) == 1:
        second = np.arange(len(gram))
    excess = gram[np.ix_(first, second)] + 1.0 / (len(gram) - 1)
    distance = np.where(np.equal.outer(first, second), -1.0, np.abs(excess))
    row, column = np.unravel_index(np.argmax(distance), distance.shape)
    one, other = int(first[row]), int(second[column])
    return ClassPair(one, other, float(gram[one, other]), float(excess[row, column]))
