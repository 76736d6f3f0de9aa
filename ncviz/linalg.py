"""Linear algebra that stays accurate when features collapse: distances, directions, spectra."""

from __future__ import annotations

import numpy as np


def squared_distances(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(N, K) squared Euclidean distances of points (N, D) to centres (K, D), by one product.

    Both are moved to the middle of the centres first: ||x||^2 - 2 x.y + ||y||^2 loses as many
    digits as the offset common to all points is long.
    """
    middle = centres.mean(axis=0)
    points, centres = points - middle, centres - middle
    distances = points @ centres.T
    distances *= -2
    distances += np.einsum("nd,nd->n", points, points)[:, None]
    distances += np.einsum("kd,kd->k", centres, centres)
    return np.maximum(distances, 0, out=distances)


def unit_vectors(matrix: np.ndarray) -> np.ndarray:
    """(N, D) float64 rows of length one; a row of zeros stays zero."""
    matrix = matrix.astype(np.float64)
    length = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.divide(matrix, length, out=matrix, where=length > 0)


def positive_eigh(matrix: np.ndarray, *, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
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
    values, vectors = np.linalg.eigh(matrix)
    values, vectors = values[::-1], vectors[:, ::-1]
    rank = np.count_nonzero(values > max(tolerance * values[0], 0.0))
    return values[:rank], vectors[:, :rank]
