"""The maps of all epochs of a run: the same samples, which can be followed through them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ncviz.embedding import QUALITY_NEIGHBOURS, MapQuality
from ncviz.errors import MissingDataError
from ncviz.results.words import percent
from ncviz.store import Run

MAPPED_LAYERS = ("encoder", "projector")


@dataclass(frozen=True)
class MapSeries:
    """The maps of all epochs that have current ones.

    Attributes
    ----------
    points : (E, L, N, 2) by kind of map, the kinds that every epoch and layer has
    sets : (N,) position in `set_names`
    positions : (N,) which sample of its set
    labels : (N,) class, -1 where the sample belongs to none of the run's
    quality : by epoch, layer and kind of map, where it was measured
    """

    epochs: tuple[int, ...]
    layers: tuple[str, ...]
    points: dict[str, np.ndarray]
    set_names: tuple[str, ...]
    sets: np.ndarray
    positions: np.ndarray
    labels: np.ndarray
    quality: dict[tuple[int, str, str], MapQuality]

    @property
    def known(self) -> int:
        """Number of ID samples."""
        return int((self.sets == 0).sum())


def read_maps(run: Run) -> MapSeries | None:
    """The maps of encoder and projector over the epochs; None where no epoch has current ones."""
    layers = tuple(layer for layer in run.layers if layer in MAPPED_LAYERS) or run.layers[:1]
    found = {number: made for number in run.epochs if (made := _maps_at(run, number, layers))}
    if not found:
        return None
    rows = found[max(found)][0].rows
    # While maps are made anew with other samples, those of the old ones cannot be followed.
    found = {number: made for number, made in found.items() if np.array_equal(made[0].rows, rows)}
    kinds = set.intersection(*(set(each.points) for made in found.values() for each in made))
    points = {
        kind: _read_only(
            np.array([[each.points[kind] for each in made] for made in found.values()])
        )
        for kind in kinds
    }
    set_names = (f"{run.id_set}/test", *(f"{name}/test" for name in run.ood_sets))
    samples = run.samples
    positions = samples.groupby("set").cumcount().to_numpy()[rows]
    samples = samples.iloc[rows]
    sets = samples["set"].map({name: at for at, name in enumerate(set_names)}).to_numpy(np.int64)
    labels = np.where(sets == 0, samples["label"].to_numpy(), -1)
    quality = {
        (number, layer, kind): one
        for number, made in found.items()
        for layer, each in zip(layers, made, strict=True)
        for kind, one in each.quality.items()
    }
    return MapSeries(tuple(found), layers, points, set_names, sets, positions, labels, quality)


def quality_in_words(quality: MapQuality) -> str:
    """Describe the quality of a map in one phrase."""
    words = (
        f"trustworthiness {quality.trustworthiness:.3f}, {percent(quality.preserved, 0)} of the "
        f"{QUALITY_NEIGHBOURS} nearest neighbours preserved"
    )
    if not quality.explained:
        return words
    axes = " + ".join(percent(share, 0) for share in quality.explained)
    return f"{words}, {percent(sum(quality.explained), 0)} of the variance shown ({axes})"


def _maps_at(run: Run, number: int, layers: tuple[str, ...]) -> list:
    try:
        return [run.epoch(number).maps(layer) for layer in layers]
    except MissingDataError:
        return []


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
