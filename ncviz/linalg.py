"""Linear algebra that stays accurate when features collapse: distances, directions, spectra."""

from __future__ import annotations

from ncviz import xp
from ncviz.xp import Array


def squared_distances(points: Array, centres: Array) -> Array:
    """(N, K) squared Euclidean distances of points (N, D) to centres (K, D), by one product.

    Both are moved to the middle of the centres first: ||x||^2 - 2 x.y + ||y||^2 loses as many
    digits as the offset common to all points is long.
    """
    library = xp.namespace(points, centres)
    middle = library.mean(centres, axis=0)
    points, centres = points - middle, centres - middle
    distances = points @ centres.T
    distances *= -2
    distances += xp.squares(points)[:, None]
    distances += xp.squares(centres)
    return library.clip(distances, 0)


def unit_vectors(matrix: Array) -> Array:
    """(N, D) float64 rows of length one; a row of zeros stays zero."""
    matrix = xp.float64(matrix)
    length = xp.norms(matrix)[:, None]
    matrix /= xp.namespace(length).where(length > 0, length, 1.0)
    return matrix


def positive_eigh(matrix: Array, *, tolerance: float) -> tuple[Array, Array]:
    """The positive part of the spectrum of a symmetric matrix.

    Parameters
    ----------
    matrix : (D, D) symmetric, positive semi-definite up to rounding
    tolerance : eigenvalues up to this share of the largest count as zero. It is relative because
        an absolute one would mean something else for every scale of the features.

    Returns
    -------
    values : (r,) descending
    vectors : (D, r), one column for each value
    """
    library = xp.namespace(matrix)
    values, vectors = library.linalg.eigh(matrix)
    values, vectors = library.flip(values), library.flip(vectors, axis=1)
    rank = int(library.count_nonzero(values > max(tolerance * float(values[0]), 0.0)))
    return values[:rank], vectors[:, :rank]
