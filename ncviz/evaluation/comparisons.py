"""Each detector compared with the best one: per OOD set, and on the mean over near, far, all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from ncviz.evaluation.layers import Scores
from ncviz.evaluation.tables import GROUPS
from ncviz.metrics import AurocComponents, BestComparison, compare_with_best
from ncviz.store.columns import COMPARISONS

METRIC = "auroc"
_MIN_SAMPLES = 2


def comparisons_table(layer: str, scores: Scores, groups: Mapping[str, str]) -> pd.DataFrame:
    """Return a row for each detector on each OOD set, and on each mean over several sets.

    A detector that lacks a set, or scored fewer samples of it than the others, is left out there
    and in the means over that set. Sets of a single sample have no variance and no comparison.

    Parameters
    ----------
    layer : name of the layer
    scores : by detector and set
    groups : of each OOD set, ``"near"`` or ``"far"``
    """
    scored = [name for name in groups if any(name in by_set for by_set in scores.values())]
    components = {name: found for name in scored if (found := _components(scores, name))}
    rows: list[dict] = []
    for name, (detectors, found) in components.items():
        where = {"layer": layer, "metric": METRIC, "set": name, "group": groups[name]}
        rows += _rows(where, detectors, compare_with_best([found]))
    for group in GROUPS:
        sets = [name for name in scored if group in ("all", groups[name])]
        if not sets or not components.keys() >= set(sets):
            continue
        detectors = [name for name in scores if all(name in components[each][0] for each in sets)]
        if not detectors:
            continue
        compared = compare_with_best([_of(components[name], detectors) for name in sets])
        where = {"layer": layer, "metric": METRIC, "set": "", "group": group}
        rows += _rows(where, detectors, compared)
    return pd.DataFrame(rows, columns=list(COMPARISONS))


def _components(scores: Scores, name: str) -> tuple[list[str], AurocComponents] | None:
    """Detectors that scored a set, and the components of their AUROCs."""
    sizes = {
        detector: (len(by_set["test"]), len(by_set[name]))
        for detector, by_set in scores.items()
        if {"test", name} <= by_set.keys()
    }
    if not sizes:
        return None
    # Only scores of the same samples can be paired.
    ((shared, _),) = Counter(sizes.values()).most_common(1)
    detectors = [detector for detector, size in sizes.items() if size == shared]
    ids, oods = (
        np.array([scores[detector][each] for detector in detectors], np.float64)
        for each in ("test", name)
    )
    if min(ids.shape[1], oods.shape[1]) < _MIN_SAMPLES:
        return None
    return detectors, AurocComponents.of(ids, oods)


def _of(known: tuple[list[str], AurocComponents], detectors: list[str]) -> AurocComponents:
    names, found = known
    rows = [names.index(detector) for detector in detectors]
    return AurocComponents(found.id_part[rows], found.ood_part[rows])


def _rows(where: Mapping[str, str], detectors: list[str], found: BestComparison) -> Iterator[dict]:
    tied = found.tied
    for at, detector in enumerate(detectors):
        yield {
            **where,
            "detector": detector,
            "best": detectors[found.best],
            "difference": found.difference[at],
            "low": found.low[at],
            "high": found.high[at],
            "p_value": found.p_value[at],
            "p_corrected": found.p_corrected[at],
            "tied": tied[at],
        }
