"""What the Gram explorer reads from runs: cached as in `ncviz.ui.loaders`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ncviz import collapse, metrics
from ncviz.errors import MissingDataError, NcvizError
from ncviz.figures import Order, PairCosines
from ncviz.results.geometry import order_classes
from ncviz.store import Run
from ncviz.ui.loaders import geometry, kept

_BAND = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Cosines:
    """The cosines of all pairs of classes, over the epochs that have class statistics.

    Attributes
    ----------
    epochs : (E,)
    pairs : (E, C (C-1) / 2) float32, the pairs (0, 1), (0, 2), ... (1, 2), ...
    bands : (3, E) 5th, 50th and 95th percentile over the pairs
    """

    epochs: np.ndarray
    pairs: np.ndarray
    bands: np.ndarray

    def of(self, first: int, second: int, classes: int, title: str) -> PairCosines:
        """The course of the pair of two different ones of so many `classes`."""
        low, high = sorted((first, second))
        at = low * classes - low * (low + 1) // 2 + high - low - 1
        return PairCosines(title, self.epochs, self.pairs[:, at], *self.bands)


@kept
def cosines(run: Run, layer: str) -> Cosines:
    """Cosines of all pairs at a layer; raises MissingDataError where no epoch has statistics."""
    above = np.triu_indices(len(run.classes), k=1)
    epochs, pairs = [], []
    for number in run.epochs:
        try:
            gram = collapse.gram(run.epoch(number).statistics(layer))
            pairs.append(gram[above].astype(np.float32))
        except NcvizError:
            continue  # a stage that is not there, a dead layer, a damaged file: told at that epoch
        epochs.append(number)
    if not epochs:
        raise MissingDataError(
            f"No epoch of {run.name} has class statistics of the {layer}. {run.how_to_extract()}"
        )
    stacked = np.array(pairs)
    return Cosines(np.array(epochs), stacked, np.quantile(stacked, _BAND, axis=1))


@kept
def farthest_pair(run: Run) -> collapse.ClassPair:
    """The pair farthest from the ETF at the layer under the head, at the last epoch that has it."""
    layer = run.layers[-1]
    last = int(cosines(run, layer).epochs[-1])
    return collapse.worst_pairs(geometry(run, last, layer).gram, 1)[0]


@kept
def class_order(run: Run, layer: str, kind: str) -> Order:
    """Classes by ``"name"``, by ``"cluster"`` or by ``"superclass"``: the same at every epoch.

    Clusters are those of the last epoch that has class statistics of the layer.
    """
    if kind != "cluster":
        return order_classes(run, kind)
    last = int(cosines(run, layer).epochs[-1])
    return order_classes(run, kind, geometry(run, last, layer).gram)


@dataclass(frozen=True)
class Predictions:
    """What the network takes the cached ID test samples for.

    Attributes
    ----------
    labels, predicted : (N,) true and predicted class
    confusion : (C, C) number of samples by true class (row) and predicted class (column)
    """

    labels: np.ndarray
    predicted: np.ndarray
    confusion: np.ndarray

    def rows(self, label: int, predicted: int | None = None) -> np.ndarray:
        """Positions of the samples of a class, or of those taken for the class `predicted`."""
        found = self.labels == label
        if predicted is not None:
            found = found & (self.predicted == predicted)
        return np.flatnonzero(found)

    def outcomes(self, label: int, first: int, second: int) -> np.ndarray:
        """(3,) samples of a class taken for `first`, for `second`, for another class."""
        row = self.confusion[label]
        return np.array([row[first], row[second], row.sum() - row[first] - row[second]])


@kept
def known_labels(run: Run) -> np.ndarray:
    """(N,) class of each cached ID test sample; empty where they are not cached."""
    try:
        labels = run.epoch(run.epochs[-1]).features("test", run.layers[-1]).labels
    except NcvizError:
        labels = None
    return np.zeros(0, np.int64) if labels is None else labels


def predictions(run: Run, epoch: int) -> Predictions:
    """What the network takes the cached ID test samples for.

    Raises
    ------
    MissingDataError, UnknownNameError : they are not cached, or there is no classifier
    """
    samples = run.epoch(epoch).features("test", run.layers[-1])
    if samples.labels is None:
        raise MissingDataError(
            f"The test samples of {run.name} have no labels, so nothing tells which are mistaken."
        )
    predicted = samples.logits.argmax(axis=1)
    confusion = metrics.confusion_matrix(samples.labels, predicted, len(run.classes))
    return Predictions(samples.labels, predicted, confusion.astype(np.int32))


@kept
def predictions_over_epochs(run: Run) -> dict[int, Predictions]:
    """What the network takes them for, by epoch; epochs where this is not known are left out.

    Kept as one: a long run would push its own epochs out of the cache.
    """
    found = {}
    for number in run.epochs:
        try:
            found[number] = predictions(run, number)
        except NcvizError:
            continue
    return found
