"""The detectors of an epoch, fitted as its scores were made."""

from __future__ import annotations

from collections.abc import Iterable

from ncviz import detectors
from ncviz.detectors import Detector
from ncviz.store import Epoch


def fit_detectors(epoch: Epoch, layer: str, names: Iterable[str]) -> dict[str, Detector]:
    """Detectors by name, fitted to the cached training features of `layer`.

    Raises
    ------
    MissingDataError : the epoch was not extracted.
    """
    head = epoch.head(layer) if epoch.has_head(layer) else epoch.probe(layer)
    train, statistics = epoch.features("train", layer), epoch.statistics(layer)
    return {name: detectors.create(name).fit(train, head, statistics) for name in names}
