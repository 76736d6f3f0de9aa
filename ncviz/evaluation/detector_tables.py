"""What detectors of an epoch were fitted to, and how far their ranks depend on a parameter."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from ncviz.evaluation.layers import Fit, Scores
from ncviz.metrics import detection_metrics

FITTED = ("layer", "detector", "samples", "parameters", "left_out")
SENSITIVITY = (
    *("layer", "detector", "parameter", "value", "is_default"),
    *("set", "group", "auroc", "fpr95", "rank"),
)
_METRICS = ("auroc", "fpr95")


def fitted_table(layer: str, fits: Mapping[str, Fit]) -> pd.DataFrame:
    """Return a row for each detector of a layer: samples, parameters and why it was left out."""
    rows = [
        (
            layer,
            name,
            fit.samples,
            json.dumps(dict(fit.parameters), default=lambda each: each.item()),
            fit.left_out,
        )
        for name, fit in fits.items()
    ]
    return pd.DataFrame(rows, columns=FITTED).astype({"samples": np.int64})


def sensitivity_table(
    layer: str,
    scores: Scores,
    fits: Mapping[str, Fit],
    variants: Mapping[tuple[str, str, float], Mapping[str, np.ndarray]],
    groups: Mapping[str, str],
) -> pd.DataFrame:
    """Return the results of detectors with other values of a parameter, and their ranks.

    A row for each value and OOD set, and for each value and group of sets ("near", "far", "all";
    the set is empty then, and metrics are unweighted means). The values of the results themselves
    have rows too, marked as the default. Ranks are by AUROC among the detectors of the layer, all
    others at their defaults; 1 is the best, and ties count half.

    Parameters
    ----------
    scores : by detector and set, at the defaults
    fits : of the same detectors
    variants : scores by detector, parameter and value, and by set
    groups : of each OOD set, ``"near"`` or ``"far"``
    """
    sets = [name for name in next(iter(scores.values()), {}) if name != "test"]
    if not sets:
        return pd.DataFrame([], columns=SENSITIVITY)
    defaults = {name: _results(by_set, sets, groups) for name, by_set in scores.items()}
    rows = []
    for detector, parameter in dict.fromkeys(key[:2] for key in variants):
        used = fits[detector].parameters[parameter]
        values = {used: defaults[detector]} | {
            key[2]: _results(by_set, sets, groups)
            for key, by_set in variants.items()
            if key[:2] == (detector, parameter)
        }
        others = [found for name, found in defaults.items() if name != detector]
        for value in sorted(values):
            for (set_name, group), (auroc, fpr95) in values[value].items():
                among = [found[set_name, group][0] for found in others]
                where = (layer, detector, parameter, float(value), value == used)
                rows.append((*where, set_name, group, auroc, fpr95, _rank(auroc, among)))
    return pd.DataFrame(rows, columns=SENSITIVITY)


def _results(
    by_set: Mapping[str, np.ndarray], sets: Sequence[str], groups: Mapping[str, str]
) -> dict[tuple[str, str], np.ndarray]:
    """Return AUROC and FPR95 by set and its group, and their means by group."""
    found = {}
    for name in sets:
        metrics = detection_metrics(by_set["test"], by_set[name])
        found[name, groups[name]] = np.array([getattr(metrics, each) for each in _METRICS])
    return found | dict(_means(found))


def _means(
    found: Mapping[tuple[str, str], np.ndarray],
) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
    for kind in ("near", "far", "all"):
        own = [values for (_, group), values in found.items() if kind in ("all", group)]
        if own:
            yield ("", kind), np.mean(own, axis=0)


def _rank(value: float, others: Sequence[float]) -> float:
    above = sum(other > value for other in others)
    return 1 + above + sum(other == value for other in others) / 2
