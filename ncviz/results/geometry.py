"""The class means of an epoch against the simplex ETF, and the order in which classes are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ncviz import collapse
from ncviz.figures import Order
from ncviz.store import Epoch, Run


@dataclass(frozen=True)
class Geometry:
    """Class means against the simplex ETF, at one epoch and layer.

    Attributes
    ----------
    gram, ideal : (C, C) cosines of the centred class means, and of the simplex ETF
    means : (C,) lengths of the centred class means
    weights : (C,) lengths of the head's rows, or None where the layer has no head
    samples : number of training samples behind the class means
    """

    gram: np.ndarray
    ideal: np.ndarray
    means: np.ndarray
    weights: np.ndarray | None
    samples: int


def measure_geometry(saved: Epoch, layer: str) -> Geometry:
    """Geometry of the class means, not to be changed.

    Raises
    ------
    MissingDataError : the epoch has no statistics
    """
    statistics = saved.statistics(layer)
    weights = None
    if saved.has_head(layer):
        weights = np.linalg.norm(saved.head(layer).weight.astype(np.float64), axis=1)
    gram = collapse.gram(statistics)
    return Geometry(
        gram=_read_only(gram),
        ideal=_read_only(collapse.ideal_gram(len(gram))),
        means=_read_only(collapse.class_mean_norms(statistics)),
        weights=weights,
        samples=statistics.samples,
    )


def order_classes(run: Run, kind: str, gram: np.ndarray | None = None) -> Order:
    """Classes by ``"name"``, by ``"superclass"``, or by ``"cluster"``, which takes their `gram`."""
    if kind == "cluster":
        return Order(collapse.cluster_order(gram))
    names = np.array(run.classes)
    if kind == "superclass" and run.superclasses:
        groups = np.array(run.superclasses)
        rows = np.lexsort((names, groups))
        return Order(rows, tuple(groups[rows]))
    return Order(np.argsort(names, kind="stable"))


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
