"""Quality of maps in the plane: how well they keep the neighbours that samples have in features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ncviz.arrays import require_finite
from ncviz.errors import InvalidArrayError, InvalidOptionError

QUALITY_NEIGHBOURS = 15
_CELLS = 4_000_000
"""Distances held at once, 32 MB."""


class MapQuality(NamedTuple):
    """How faithful a map of N samples is to their features.

    Attributes
    ----------
    samples : int
        Number of mapped samples that it was measured on, N.
    trustworthiness : float
        0..1, about 0.5 at random: falls with each neighbour in the map that is not one in features,
        the more the farther away it is there (Venna and Kaski, ICANN 2001).
    preserved : float
        0..1: share of the k nearest neighbours in features that are among the k nearest in the map,
        about k / N at random.
    explained : tuple of float
        Share of the features' variance along each axis of a linear view; empty for other maps.
    """

    samples: int
    trustworthiness: float
    preserved: float
    explained: tuple[float, ...] = ()


def map_quality(
    features: np.ndarray, points: Mapping[str, np.ndarray], *, neighbours: int = QUALITY_NEIGHBOURS
) -> dict[str, MapQuality]:
    """Measure several maps of the same samples, without the variance that linear views explain.

    Distances are Euclidean. A sample that is as near in features as another shares its rank, to the
    advantage of the map. Takes O(N² D) operations, and memory in blocks.

    Parameters
    ----------
    features : (N, D)
    points : (N, 2) by name of the map
    neighbours : k, 1 <= k < N / 2

    Raises
    ------
    InvalidArrayError
        If shapes do not fit, or values are not finite.
    InvalidOptionError
        If `neighbours` is out of range.

    Examples
    --------
    >>> features = np.random.default_rng(0).normal(size=(50, 2))
    >>> map_quality(features, {"copy": features})["copy"]
    MapQuality(samples=50, trustworthiness=1.0, preserved=1.0, explained=())
    """
    features = _checked(features, "Features")
    samples = len(features)
    if not 1 <= neighbours < samples / 2:
        raise InvalidOptionError(
            f"neighbours is {neighbours}; the quality of a map of {samples} samples requires 1 or "
            "more, fewer than half of the samples."
        )
    near = {name: _nearest(_of(each, samples), neighbours) for name, each in points.items()}
    excess, kept = dict.fromkeys(points, 0), dict.fromkeys(points, 0)
    for rows, distances in _distance_blocks(features):
        ordered = np.sort(distances, axis=1)
        for name, found in near.items():
            own = np.take_along_axis(distances, found[rows], axis=1)
            ranks = 1 + np.array(
                [np.searchsorted(*pair) for pair in zip(ordered, own, strict=True)]
            )
            excess[name] += int(np.maximum(ranks - neighbours, 0).sum())
            kept[name] += int((ranks <= neighbours).sum())
    worst = samples * neighbours * (2 * samples - 3 * neighbours - 1) / 2
    return {
        name: MapQuality(samples, 1 - excess[name] / worst, kept[name] / (samples * neighbours))
        for name in points
    }


def _distance_blocks(features: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows and their squared distances (B, N) from all samples, infinite from themselves."""
    centred = features - features.mean(axis=0)
    squares = np.square(centred).sum(axis=1)
    size = max(1, _CELLS // len(centred))
    for start in range(0, len(centred), size):
        rows = slice(start, min(start + size, len(centred)))
        distances = squares[rows, None] + squares - 2 * centred[rows] @ centred.T
        own = np.arange(rows.start, rows.stop)
        distances[own - rows.start, own] = np.inf
        yield rows, distances


def _nearest(points: np.ndarray, neighbours: int) -> np.ndarray:
    """(N, k) the nearest other points of each."""
    from scipy.spatial import KDTree  # only here: pages load this module without it

    found = KDTree(points).query(points, k=neighbours + 1)[1]
    itself = found == np.arange(len(points))[:, None]
    # Among equal points a point may not be found itself; then the last of them is dropped.
    itself[~itself.any(axis=1), -1] = True
    return found[~itself].reshape(len(points), neighbours)


def _of(points: np.ndarray, samples: int) -> np.ndarray:
    points = _checked(points, "A map")
    if points.shape != (samples, 2):
        raise InvalidArrayError(
            f"A map has shape {points.shape}; expected ({samples}, 2), the same samples as the "
            "features."
        )
    return points


def _checked(array: np.ndarray, what: str) -> np.ndarray:
    array = np.asarray(array, np.float64)
    if array.ndim != 2 or not array.shape[1]:
        raise InvalidArrayError(f"{what} must have shape (N, D); got {array.shape}.")
    require_finite(array, what)
    return array
