"""Results of an epoch as rows of tables: collapse, detection with intervals, means over sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd

from ncviz import collapse, xp
from ncviz.arrays import FeatureSet
from ncviz.caching import stratified_sample
from ncviz.duplicates import count_duplicates
from ncviz.errors import InvalidArrayError
from ncviz.evaluation.layers import Layer, Scores
from ncviz.metrics import (
    DEFINITIONS,
    INTERVAL_METRICS,
    MISCLASSIFICATION_DEFINITIONS,
    SUMMARY_METRICS,
    CorrelatedEstimate,
    augrc,
    aurc,
    detection_estimates,
    detection_metrics,
    mean_estimate,
    ood_risks,
)
from ncviz.xp import Array

GROUPS = ("near", "far", "all")
_INTERVALS = tuple(f"{metric}_{end}" for metric in INTERVAL_METRICS for end in ("low", "high"))
_COLLAPSE = ("layer", "metric", "set", "value", "samples")
SPREAD_SAMPLES = 10_000
"""Training samples that entropy and effective rank are computed from: both depend on n."""
_DETECTION = (
    *("layer", "detector", "set", "group"),
    *(*DEFINITIONS, *_INTERVALS),
    *("id_samples", "ood_samples"),
)
_MEANS = (
    *("layer", "detector", "group", "sets", *SUMMARY_METRICS, *_INTERVALS),
    *("id_samples", "ood_samples"),
)
_MISCLASSIFICATION = (
    *("layer", "detector", *MISCLASSIFICATION_DEFINITIONS),
    *("samples", "errors"),
)


def collapse_table(layer: Layer) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return a row per metric of a layer, and per OOD set for metrics of an OOD set.

    Returns
    -------
    table, left_out : the rows, and why metrics are left out that are undefined for the features
    """
    if layer.without_features:
        return pd.DataFrame(columns=_COLLAPSE), ()
    statistics, head, spread_out = layer.statistics, layer.head, _stratified(layer.train)
    computed = [
        ("", statistics.samples, lambda: collapse.measure(statistics, head)),
        ("", len(spread_out), lambda: collapse.spread(spread_out)),
    ]
    if head is not None:
        agree = partial(collapse.agreement, layer.train, statistics, head)
        computed.append(("", len(layer.train), agree))
    computed += [
        (name, len(samples), partial(collapse.orthogonality, statistics, samples.features))
        for name, samples in layer.ood.items()
    ]
    rows, left_out = [], {}
    for name, count, compute in computed:
        try:
            rows += _values(compute().to_dict(), layer=layer.name, set=name, samples=count)
        except InvalidArrayError as error:
            left_out[f"Collapse metrics are left out at layer {layer.name}: {error}"] = None
    return pd.DataFrame(rows, columns=_COLLAPSE), tuple(left_out)


def _stratified(train: FeatureSet) -> Array:
    """Return the features of a fixed number of training samples, each class in proportion."""
    labels = np.zeros(len(train), int) if train.labels is None else xp.to_numpy(train.labels)
    chosen = stratified_sample(labels, SPREAD_SAMPLES)
    if len(chosen) == len(train):
        return train.features
    return train.features[xp.like(chosen, train.features)]


def _values(metrics: Mapping[str, float | None], **where: str | int) -> Iterator[dict]:
    for metric, value in metrics.items():
        if value is not None:
            yield {**where, "metric": metric, "value": value}


def duplicates_table(layer: Layer, names: Mapping[str, str]) -> pd.DataFrame:
    """A row for each set of a layer that shares samples with the cached training samples.

    Parameters
    ----------
    names : full name of each set
    """
    train = xp.to_numpy(layer.train.features)
    counted = {
        names[name]: (count_duplicates(train, xp.to_numpy(samples.features)), len(samples))
        for name, samples in layer.sets.items()
    }
    rows = [(name, found, of) for name, (found, of) in counted.items() if found]
    return pd.DataFrame(rows, columns=["set", "duplicates", "samples"])


def detection_tables(
    layer: str, scores: Scores, groups: Mapping[str, str], correct: np.ndarray | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How well each detector of a layer tells sets apart: set by set, and on average.

    Parameters
    ----------
    scores : by detector and set
    groups : of each OOD set, ``"near"`` or ``"far"``
    correct : (N,) bool, whether each ID test sample is classified correctly; None without labels
    """
    rows, means = [], []
    for detector, by_set in scores.items():
        oods = {name: values for name, values in by_set.items() if name != "test"}
        if not oods:
            continue
        where = {"layer": layer, "detector": detector}
        known = by_set["test"]
        estimates = {
            name: detection_estimates(known, unknown, ood_name=name)
            for name, unknown in oods.items()
        }
        own = [{**where, **_row(known, *one, estimates[one[0]], correct)} for one in oods.items()]
        for row in own:
            row["group"] = groups[row["set"]]
        rows += own
        means += [{**where, **mean} for mean in _mean_rows(own, estimates)]
    return pd.DataFrame(rows, columns=_DETECTION), pd.DataFrame(means, columns=_MEANS)


def misclassification_table(layer: str, scores: Scores, correct: np.ndarray | None) -> pd.DataFrame:
    """A row for each detector of a layer: how well its ID scores find errors of the network.

    Empty without labels.

    Parameters
    ----------
    scores : by detector and set
    correct : (N,) bool, whether each ID test sample is classified correctly; None without labels
    """
    rows = [
        {
            "layer": layer,
            "detector": detector,
            "misclassification_aurc": aurc(by_set["test"], correct),
            "misclassification_augrc": augrc(by_set["test"], correct),
            "samples": len(correct),
            "errors": int(np.count_nonzero(~correct)),
        }
        for detector, by_set in scores.items()
        if correct is not None
    ]
    return pd.DataFrame(rows, columns=_MISCLASSIFICATION)


def _row(
    known: np.ndarray,
    name: str,
    unknown: np.ndarray,
    estimates: Mapping[str, CorrelatedEstimate],
    correct: np.ndarray | None,
) -> dict:
    return {
        "set": name,
        **detection_metrics(known, unknown).to_dict(),
        **ood_risks(known, unknown, correct),
        **_ends(estimates),
        "id_samples": len(known),
        "ood_samples": len(unknown),
    }


def _mean_rows(
    rows: list[dict], estimates: Mapping[str, Mapping[str, CorrelatedEstimate]]
) -> Iterator[dict]:
    for group in GROUPS:
        own = [row for row in rows if group in ("all", row["group"])]
        if not own:
            continue
        by_set = [estimates[row["set"]] for row in own]
        yield {
            "group": group,
            "sets": len(own),
            **{name: float(np.mean([row[name] for row in own])) for name in SUMMARY_METRICS},
            **_ends({name: mean_estimate([one[name] for one in by_set]) for name in by_set[0]}),
            "id_samples": own[0]["id_samples"],
            "ood_samples": min(row["ood_samples"] for row in own),  # of the smallest set
        }


def _ends(estimates: Mapping[str, CorrelatedEstimate]) -> dict[str, float]:
    return {
        f"{metric}_{end}": getattr(estimate, end)
        for metric, estimate in estimates.items()
        for end in ("low", "high")
    }
