"""Fitted detectors of a packed run: small states kept, banks of training samples refitted."""

from __future__ import annotations

import numpy as np

from ncviz import detectors
from ncviz.detectors import Detector
from ncviz.errors import MissingDataError
from ncviz.store import Epoch


def states_to_keep(
    epoch: Epoch, layer: str, most_bytes: int
) -> tuple[dict[str, Detector], dict[str, str]]:
    """Return the fitted detectors of a layer whose state is small, and why others are left out.

    Detectors that hold training samples are in neither: `refit` refits them.
    """
    kept, left_out = {}, {}
    for name in epoch.detectors(layer):
        if detectors.keeps_training_samples(name) or not detectors.info(name).learns_from_samples:
            continue
        detector = epoch.detector(name, layer)
        size = sum(array.nbytes for array in detector.state().values())
        if size > most_bytes:
            left_out[name] = (
                f"its fitted state has {size / 1e6:,.1f} MB, and a packed run keeps at most "
                f"{most_bytes / 1e6:,.1f} MB of a detector"
            )
        else:
            kept[name] = detector
    return kept, left_out


def refit(
    epoch: Epoch, layer: str, rows: np.ndarray
) -> tuple[dict[str, Detector], dict[str, np.ndarray]]:
    """Fit detectors that hold training samples to the samples `rows`, and score every set.

    Returns
    -------
    fitted : detectors by name
    scores : (N,) scores of all samples by layer, detector and full name of the set, joined by
        slashes; new samples are compared with these, since scores of the full bank differ
    """
    names = [name for name in epoch.detectors(layer) if detectors.keeps_training_samples(name)]
    if not names:
        return {}, {}
    try:
        head = epoch.head(layer) if epoch.has_head(layer) else epoch.probe(layer)
    except MissingDataError:
        return {}, {}
    train = epoch.features("train", layer)[rows]
    statistics = epoch.statistics(layer)
    fitted = {name: detectors.create(name).fit(train, head, statistics) for name in names}
    scores = {}
    for each in epoch.sets:
        if each == epoch.full_name("train"):
            continue
        for name, values in detectors.score_all(fitted, epoch.features(each, layer)).items():
            scores[f"{layer}/{name}/{each}"] = np.asarray(values, np.float32)
    return fitted, scores
