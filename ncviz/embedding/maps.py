"""UMAP maps of the same samples over epochs, each started from the epoch before and aligned to it.

The chain runs forwards, from the first epoch to the last. A map keeps much of the arrangement it
starts from: run backwards, the early maps would show clusters that the network does not know yet.
Forwards, a map depends on its own and earlier epochs alone; further epochs of a run extend the
chain and leave the maps already made as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ncviz.arrays import require_finite
from ncviz.embedding.alignment import align, resize
from ncviz.embedding.views import principal_view
from ncviz.errors import InvalidArrayError, InvalidOptionError

NEIGHBOURS = 15
MIN_DISTANCE = 0.1

# A step of the chain: passes over the graph, and how far points may move in the first of them.
# UMAP from scratch takes 500 and 1.0; shorter moves keep neighbourhoods as well and leave less to
# chance.
_PASSES = 200
_LEARNING_RATE = 0.25


def umap_chain(
    epochs: Iterable[np.ndarray],
    *,
    previous: np.ndarray | None = None,
    seed: int = 0,
    neighbours: int = NEIGHBOURS,
    min_distance: float = MIN_DISTANCE,
) -> Iterator[np.ndarray]:
    """Maps (N, 2) float32 of one epoch's features after the other's, made as they are asked for.

    A chain that was interrupted goes on from the last map it made, given as `previous`, with the
    features of the epochs still to come: the maps are those that one go would have made.

    Parameters
    ----------
    epochs : features (N, D) of each epoch in order, row i the same sample in all
    previous : (N, 2) float32 map of the epoch before the first of `epochs`, None at the start
    seed, neighbours, min_distance : as `first_map`
    """
    options = {"seed": seed, "neighbours": neighbours, "min_distance": min_distance}
    for features in epochs:
        if previous is None:
            previous = first_map(features, **options)
        else:
            previous = next_map(features, previous, **options)
        yield previous


def first_map(
    features: np.ndarray,
    *,
    seed: int = 0,
    neighbours: int = NEIGHBOURS,
    min_distance: float = MIN_DISTANCE,
) -> np.ndarray:
    """UMAP map (McInnes et al., 2018) of one epoch's features, started from their first two axes.

    Distances between features are Euclidean. Deterministic for a seed, on one machine. The first
    map of a process takes about a minute longer, in which numba compiles.

    Parameters
    ----------
    features : (N, D)
    seed : of the negative samples and of the neighbour search
    neighbours : k, 2 <= k < N; how much of its surroundings a sample is placed by
    min_distance : 0..1, how close samples may lie in the map

    Returns
    -------
    (N, 2) float32

    Raises
    ------
    InvalidArrayError : wrong shape, NaN or infinity.
    InvalidOptionError : neighbours or min_distance out of range.
    """
    features = _require_features(features, neighbours, min_distance)
    view = principal_view(features, 2)
    start = np.zeros((len(features), 2), np.float32)
    start[:, : len(view.axes)] = view.project(features)
    return _from_scratch(features, _spread_out(start, seed), seed, neighbours, min_distance)


def next_map(
    features: np.ndarray,
    previous: np.ndarray,
    *,
    seed: int = 0,
    neighbours: int = NEIGHBOURS,
    min_distance: float = MIN_DISTANCE,
) -> np.ndarray:
    """UMAP map of an epoch that starts from the previous epoch's map and is aligned to it.

    It is as wide as the previous one: how wide UMAP draws the same samples has no meaning. Takes
    and raises what `first_map` does. The seed is the same in every step: chance then moves the
    points of two maps alike.

    Parameters
    ----------
    features : (N, D)
    previous : (N, 2) map of the epoch before, row i the same sample

    Returns
    -------
    (N, 2) float32
    """
    features = _require_features(features, neighbours, min_distance)
    previous = np.asarray(previous)
    if previous.shape != (len(features), 2):
        raise InvalidArrayError(
            f"The previous map has shape {previous.shape}; expected ({len(features)}, 2), the same "
            "samples as the features."
        )
    require_finite(previous, "The previous map")
    moved = _step(features, previous, seed, neighbours, min_distance)
    return align(resize(moved, previous), previous)


def _require_features(features: np.ndarray, neighbours: int, min_distance: float) -> np.ndarray:
    features = np.asarray(features)
    if features.ndim != 2 or not features.shape[1]:
        raise InvalidArrayError(f"Features have shape {features.shape}; expected (N, D).")
    require_finite(features, "Features")
    if not 2 <= neighbours < len(features):
        raise InvalidOptionError(
            f"neighbours is {neighbours}; a map of {len(features)} samples takes 2 or more, fewer "
            "than there are samples."
        )
    if not 0 <= min_distance <= 1:
        raise InvalidOptionError(f"min_distance is {min_distance}; it must lie in 0..1.")
    return features.astype(np.float32)


def _from_scratch(
    features: np.ndarray, start: np.ndarray, seed: int, neighbours: int, min_distance: float
) -> np.ndarray:
    # numba, which UMAP is written in, takes seconds to import.
    from umap import UMAP

    model = UMAP(
        n_neighbors=neighbours,
        min_dist=min_distance,
        init=start,
        random_state=seed,
        n_jobs=1,  # what a fixed seed comes down to, said here to be spared the warning
    )
    return model.fit_transform(features).astype(np.float32)


def _step(
    features: np.ndarray, previous: np.ndarray, seed: int, neighbours: int, min_distance: float
) -> np.ndarray:
    """The previous map, moved by UMAP's own optimiser over the graph of these features.

    Not `UMAP(init=previous)`: that squeezes its start into a square of fixed size, from which
    clusters drift apart anew, each time elsewhere; points then move twice as far by chance.
    """
    from umap import UMAP
    from umap.layouts import optimize_layout_euclidean
    from umap.umap_ import find_ab_params, make_epochs_per_sample

    model = UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1, transform_mode="graph")
    graph = model.fit(features).graph_.tocoo()
    used = graph.data >= graph.data.max() / _PASSES
    a, b = find_ab_params(spread=1.0, min_dist=min_distance)
    points = previous.astype(np.float32)
    return optimize_layout_euclidean(
        points,
        points,
        graph.row[used],
        graph.col[used],
        n_epochs=_PASSES,
        n_vertices=len(points),
        epochs_per_sample=make_epochs_per_sample(graph.data[used], _PASSES),
        a=a,
        b=b,
        rng_state=np.random.default_rng(seed).integers(-(2**31), 2**31, 3),
        initial_alpha=_LEARNING_RATE,
        move_other=True,
    )


def _spread_out(start: np.ndarray, seed: int) -> np.ndarray:
    """The start with a little noise: UMAP divides by its extent and never parts equal points."""
    extent = float(np.ptp(start, axis=0).max()) or 1.0
    noise = np.random.default_rng(seed).normal(scale=1e-5 * extent, size=start.shape)
    return (start + noise).astype(np.float32)
