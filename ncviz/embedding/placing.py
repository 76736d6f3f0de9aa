"""Where a new sample would lie on a map that it is not part of: between its neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ncviz.arrays import require_finite
from ncviz.errors import InvalidArrayError, InvalidOptionError

NEIGHBOURS = 10


@dataclass(frozen=True)
class Place:
    """A point between the mapped samples that are nearest in feature space.

    Attributes
    ----------
    point : (2,) mean of the neighbours' points, each weighted by one over its distance
    neighbours : (k,) rows of the mapped samples, nearest first
    spread : how far the neighbours lie apart on the map: the weighted root mean square of their
        distances from `point`, over that of all mapped samples from their centre. Near 0 they lie
        on one spot; near 1 they are scattered like the whole map, and the point means little.
    """

    point: np.ndarray
    neighbours: np.ndarray
    spread: float


def place(
    features: np.ndarray, mapped: np.ndarray, points: np.ndarray, *, neighbours: int = NEIGHBOURS
) -> Place:
    """Interpolate the place of one new sample; the map itself is not fitted again.

    Parameters
    ----------
    features : (D,) of the new sample
    mapped : (N, D) features of the mapped samples, same layer and epoch
    points : (N, 2) where they lie on the map
    neighbours : k, at least 1; all samples where there are fewer

    Raises
    ------
    InvalidArrayError : shapes that do not fit, NaN or infinity, or no mapped sample.
    """
    _require_fit(features, mapped, points)
    if neighbours < 1:
        raise InvalidOptionError(f"A place takes at least 1 neighbour; got {neighbours}.")
    distances = np.sqrt(np.square(mapped - features.astype(np.float64)).sum(axis=1))
    rows = np.argsort(distances, kind="stable")[:neighbours]
    weights = _weights(distances[rows])
    near = points[rows].astype(np.float64)
    point = weights @ near
    apart = np.sqrt(weights @ np.square(near - point).sum(axis=1))
    centred = points - points.mean(axis=0, dtype=np.float64)
    whole = np.sqrt(np.square(centred).sum(axis=1).mean())
    return Place(point, rows, float(apart / whole) if whole else 0.0)


def _weights(distances: np.ndarray) -> np.ndarray:
    """(k,) weights of sum 1, inverse to the distances; only those at distance 0 count, if any."""
    equal = distances == 0
    weights = equal.astype(np.float64) if equal.any() else distances.min() / distances
    return weights / weights.sum()


def _require_fit(features: np.ndarray, mapped: np.ndarray, points: np.ndarray) -> None:
    fits = mapped.ndim == 2 and features.shape == mapped.shape[1:] and len(mapped)
    if not fits or points.shape != (len(mapped), 2):
        raise InvalidArrayError(
            f"A sample of shape {features.shape}, mapped samples of {mapped.shape} and points of "
            f"{points.shape}; expected (D,), (N, D) and (N, 2) with N of at least 1."
        )
    for array, what in (
        (features, "The sample"),
        (mapped, "The mapped samples"),
        (points, "The map"),
    ):
        require_finite(array, what)
