"""Turn a map onto another of the same samples, so that only what really moved appears to move."""

from __future__ import annotations

import numpy as np

from ncviz.arrays import require_finite
from ncviz.errors import InvalidArrayError


def align(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The points rotated, mirrored and shifted to lie as near to the reference as they can.

    Orthogonal Procrustes (Schönemann, 1966): least squares over rotations, reflections and shifts.
    Distances between points stay as they are: there is no scaling. Least-squares scaling shrinks
    whatever does not match, so that a long chain of maps would fade to a point.

    Parameters
    ----------
    points, reference : (N, k), row i the same sample in both

    Returns
    -------
    (N, k), floating point as wide as the points, float32 at least

    Raises
    ------
    InvalidArrayError : no samples, different shapes, NaN or infinity.
    """
    points, reference = np.asarray(points), np.asarray(reference)
    if points.ndim != 2 or points.shape != reference.shape or not len(points):
        raise InvalidArrayError(
            f"Points have shape {points.shape}, their reference {reference.shape}; expected the "
            "same (N, k) with at least one row."
        )
    require_finite(points, "Points")
    require_finite(reference, "The reference")
    centre = reference.mean(axis=0, dtype=np.float64)
    centred = points - points.mean(axis=0, dtype=np.float64)
    left, _, right = np.linalg.svd(centred.T @ (reference - centre))
    aligned = centred @ (left @ right) + centre
    return aligned.astype(np.result_type(points, np.float32))


def resize(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The points (N, k) scaled about their middle to the extent of the reference (N, k).

    Extent is the root of the mean squared distance from the middle. A map's own has no meaning, but
    a chain of maps that widens or narrows leaves some of them small in a common frame. Points
    without an extent stay as they are.
    """
    middle = points.mean(axis=0, dtype=np.float64)
    extents = [np.sqrt(each.var(axis=0, dtype=np.float64).sum()) for each in (points, reference)]
    # What is left of equal points after rounding is no extent either.
    if extents[0] <= 1e-6 * np.abs(points).max() or not extents[1]:
        return points
    return ((points - middle) * (extents[1] / extents[0]) + middle).astype(points.dtype)
