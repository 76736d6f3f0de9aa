"""What the pages read about one sample at all epochs: scores, predictions, distances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ncviz import metrics, xp
from ncviz.arrays import FeatureSet
from ncviz.errors import MissingDataError, UnknownNameError
from ncviz.store import Epoch, Run
from ncviz.through_training import class_distances
from ncviz.ui import detector
from ncviz.ui.sample_loaders import is_known, kept_apart, known_scores, scores_at

_ABSENT = (MissingDataError, UnknownNameError)


@dataclass(frozen=True)
class Judged:
    """A sample's scores by K detectors at E epochs; NaN where there is none.

    Attributes
    ----------
    scores, thresholds : (E, K); the threshold accepts 95% of the ID test samples
    percentiles : (E, K) percentile of the sample among the ID test samples, in [0, 1]
    """

    epochs: tuple[int, ...]
    detectors: tuple[str, ...]
    scores: np.ndarray
    thresholds: np.ndarray
    percentiles: np.ndarray

    @property
    def accepted(self) -> np.ndarray:
        """(E, K) bool, whether the score is at or above the threshold."""
        return self.scores >= self.thresholds


@kept_apart
def judged(run: Run, layer: str, set_name: str, row: int) -> Judged | None:
    """The sample's scores at a layer; None where no epoch has any."""
    found = {number: _judge(run, number, layer, set_name, row) for number in run.epochs}
    found = {number: by for number, by in found.items() if by}
    if not found:
        return None
    names = tuple(detector.in_order({name for by in found.values() for name in by}))
    nothing = (np.nan, np.nan, np.nan)
    cube = np.array([[by.get(name, nothing) for name in names] for by in found.values()])
    return Judged(tuple(found), names, *np.moveaxis(cube, 2, 0))


def _judge(run: Run, number: int, layer: str, set_name: str, row: int) -> dict[str, tuple]:
    """Return score, threshold and percentile by detector."""
    found = {}
    all_known = known_scores(run, number, layer)
    for name, by_set in scores_at(run.epoch(number), layer).items():
        known, own = all_known.get(name), by_set.get(set_name)
        if known is None or own is None or row >= len(own):
            continue
        score = float(own[row])
        share = float(metrics.percentiles(np.array([score]), known)[0])
        found[name] = (score, metrics.threshold_at_tpr(known), share)
    return found


@dataclass(frozen=True)
class Placed:
    """What the network makes of a sample at E epochs.

    Attributes
    ----------
    label : its class, or -1 where it belongs to none of the run's
    probabilities : (E, C) softmax of the logits; (E, 0) where there are none
    own, nearest : (E,) distances to class means in units of the layer's spread within classes; NaN
        where there is none
    nearest_class : (E,)
    """

    epochs: tuple[int, ...]
    label: int
    probabilities: np.ndarray
    own: np.ndarray
    nearest: np.ndarray
    nearest_class: np.ndarray


@kept_apart
def placed(run: Run, layer: str, set_name: str, row: int) -> Placed | None:
    """The sample's class and its distances at a layer; None where no epoch has its features."""
    epochs, rows, label = [], [], -1
    for number in run.epochs:
        epoch = run.epoch(number)
        try:
            one = epoch.features(set_name, layer)[row : row + 1]
        except _ABSENT:
            continue
        if len(one):
            label = _label(run, set_name, one)
            epochs.append(number)
            rows.append((_probabilities(one), *_distances(epoch, layer, one, label)))
    if not epochs:
        return None
    probabilities, own, nearest, nearest_class = (
        np.array(each) for each in zip(*rows, strict=True)
    )
    return Placed(tuple(epochs), label, probabilities, own, nearest, nearest_class)


def _label(run: Run, set_name: str, one: FeatureSet) -> int:
    return -1 if one.labels is None or not is_known(run, set_name) else int(one.labels[0])


def _probabilities(one: FeatureSet) -> np.ndarray:
    """Return the softmax (C,) of a single sample, (0,) where the layer has no logits."""
    return xp.softmax(one.logits)[0] if one.logits.shape[1] else np.zeros(0)


def _distances(epoch: Epoch, layer: str, one: FeatureSet, label: int) -> tuple[float, float, int]:
    try:
        statistics = epoch.statistics(layer)
    except _ABSENT:
        return np.nan, np.nan, -1
    found = class_distances(one.features, np.array([label]), statistics)
    return float(found.own[0]), float(found.nearest[0]), int(found.nearest_class[0])
