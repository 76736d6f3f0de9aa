"""Maps of every epoch: the same samples in the plane, each epoch's started from the one before."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from ncviz.definitions import CODE
from ncviz.embedding import (
    QUALITY_NEIGHBOURS,
    LinearView,
    MapQuality,
    etf_view,
    map_quality,
    pca_view,
    umap_chain,
)
from ncviz.embedding.maps import MIN_DISTANCE, NEIGHBOURS
from ncviz.errors import InvalidArrayError, InvalidOptionError, MissingDataError
from ncviz.store import Epoch, Run, marks, write
from ncviz.store.epoch import Maps
from ncviz.store.lock import writes_run

LIMIT = 5000


@writes_run
def embed(
    run: Run,
    *,
    limit: int = LIMIT,
    seed: int = 0,
    neighbours: int = NEIGHBOURS,
    min_distance: float = MIN_DISTANCE,
    progress: bool = True,
) -> None:
    """Write the maps of all extracted epochs of `run`; maps that are current are kept.

    For each layer a UMAP map, started from the last epoch's and aligned to it, and two linear
    views whose axes are the last epoch's: its principal axes, and its class means.

    Parameters
    ----------
    limit : most samples of the ID test set and the OOD sets together; evenly chosen beyond. The
        quality of maps is measured on the same samples
    seed, neighbours, min_distance : of UMAP, see `ncviz.embedding.first_map`

    Raises
    ------
    NcvizError : no extracted epoch, damaged features, options out of range. An interrupted call
        leaves whole maps, from which the next one goes on to the same result.
    """
    if run.without_features:
        raise MissingDataError(run.without_features)
    epochs = [epoch for epoch in map(run.epoch, run.epochs) if epoch.sets]
    if not epochs:
        raise MissingDataError(f"Run {run.name} has no features. {run.how_to_extract()}")
    rows = _chosen_rows(run, limit)
    options = {"seed": seed, "neighbours": neighbours, "min_distance": min_distance}
    views = {layer: _views(epochs[-1], rows, layer) for layer in run.layers}
    made_by = marks.of_maps({**options, "rows": len(rows)}, epochs[-1].axes_mark)
    previous: Epoch | None = None
    mark = "none"
    for epoch in tqdm(epochs, unit="epoch", desc=f"embed {run.name}", disable=not progress):
        sources = epoch.inputs() | made_by | {f"{CODE}previous": mark}
        if epoch.maps_sources() != sources:
            points, quality = {}, {}
            for layer in run.layers:
                points[layer], quality[layer] = _layer_maps(
                    epoch, rows, layer, views[layer], previous, options
                )
            write.save_maps(epoch, rows, points, sources, quality)
        mark = epoch.maps_fingerprint
        previous = epoch


def _chosen_rows(run: Run, limit: int) -> np.ndarray:
    """Rows of `run.samples`: the ID test set's and the OOD sets', evenly thinned to `limit`.

    Samples stand in the order of their sets and, in image folders, of their classes: evenly spaced
    ones keep the share of each.
    """
    if limit < 3:
        raise InvalidOptionError(f"samples is {limit}; a map takes at least 3 of them.")
    shown = [f"{run.id_set}/test", *(f"{name}/test" for name in run.ood_sets)]
    rows = np.flatnonzero(run.samples["set"].isin(shown))
    if len(rows) > limit:
        rows = rows[np.linspace(0, len(rows) - 1, limit).round().astype(int)]
    return rows.astype(np.int32)


def _features(epoch: Epoch, rows: np.ndarray, layer: str) -> np.ndarray:
    """(N, D) features of the samples in `rows`, in that order."""
    shown = epoch.run.samples.iloc[rows]
    position = epoch.run.samples.groupby("set").cumcount().to_numpy()[rows]
    parts = [
        epoch.features(name, layer).features[position[shown["set"] == name]]
        for name in shown["set"].unique()
    ]
    return np.concatenate(parts)


def _views(epoch: Epoch, rows: np.ndarray, layer: str) -> dict[str, LinearView]:
    views = {"pca": pca_view(_features(epoch, rows, layer))}
    try:
        views["etf"] = etf_view(epoch.statistics(layer))
    except InvalidArrayError:
        # Two classes span a line: there is no plane of class means to look at.
        return views
    return views


def _layer_maps(
    epoch: Epoch,
    rows: np.ndarray,
    layer: str,
    views: dict[str, LinearView],
    previous: Epoch | None,
    options: dict,
) -> tuple[dict[str, np.ndarray], dict[str, MapQuality]]:
    """Return the maps of a layer and their quality, by kind."""
    features = _features(epoch, rows, layer)
    before: Maps | None = None if previous is None else previous.maps(layer)
    start = None if before is None else before.points["umap"]
    umap = next(umap_chain([features], previous=start, **options))
    points = {"umap": umap} | {kind: view.project(features) for kind, view in views.items()}
    if len(rows) <= 2 * QUALITY_NEIGHBOURS:
        return points, {}
    quality = map_quality(features, points)
    for kind, view in views.items():
        quality[kind] = quality[kind]._replace(explained=view.explained(features))
    return points, quality
