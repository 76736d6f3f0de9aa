"""Picking lines and numbers out of the tables of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ncviz.estimates import Estimate, mean_of_dependent, wilson
from ncviz.figures import Series
from ncviz.figures.theme import ID_STYLE, Style, ood_style
from ncviz.shared_sets import shared

KINDS = ("near", "far")


def metric_series(
    table: pd.DataFrame,
    layer: str,
    metric: str,
    *,
    set_name: str = "",
    name: str = "",
    style: Style = ID_STYLE,
) -> Series:
    """A collapse metric over epochs; empty where it was not measured."""
    rows = table[
        (table["layer"] == layer) & (table["metric"] == metric) & (table["set"] == set_name)
    ]
    return Series(name or metric, rows["epoch"].to_numpy(), _numbers(rows["value"]), style)


def sample_count(table: pd.DataFrame, epoch: int | None, layer: str, metric: str) -> str:
    """Return what a collapse metric was computed from, such as ``"10,000 samples"``.

    A range where OOD sets differ; empty where the metric was not computed.
    """
    rows = table[
        (table["epoch"] == epoch) & (table["layer"] == layer) & (table["metric"] == metric)
    ]
    if rows.empty:
        return ""
    low, high = int(rows["samples"].min()), int(rows["samples"].max())
    return f"{low:,} samples" if low == high else f"{low:,} to {high:,} samples"


def sets_by_kind(
    table: pd.DataFrame, layer: str, detector: str | None
) -> dict[str, tuple[str, ...]]:
    """OOD sets of each kind that every evaluated epoch has, so that a mean over them is over the
    same sets at each epoch.

    Parameters
    ----------
    table : detection metrics of a run
    """
    rows = table[(table["layer"] == layer) & (table["detector"] == detector)]
    found = {}
    for kind in KINDS:
        own = rows[rows["group"] == kind]
        found[kind] = shared({str(at): list(each["set"]) for at, each in own.groupby("epoch")})
    return found


def auroc_by_group(
    table: pd.DataFrame,
    layer: str,
    detector: str | None,
    sets: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Series]:
    """Mean AUROC over epochs for each kind of OOD set.

    Parameters
    ----------
    sets : the sets of each kind to average over; None for those that all epochs share. A kind
        without a set has no line, and an epoch that lacks a set has no point.
    """
    sets = sets_by_kind(table, layer, detector) if sets is None else sets
    found = {}
    for position, kind in enumerate(KINDS):
        rows = table[
            (table["layer"] == layer)
            & (table["detector"] == detector)
            & table["set"].isin(list(sets.get(kind, ())))
        ]
        means = rows.pivot(index="epoch", columns="set", values="auroc").mean(axis=1, skipna=False)
        means = means.dropna()
        if len(means) and len(sets[kind]) == rows["set"].nunique():
            name, style = f"AUROC on {kind} OOD", ood_style(position)
            found[kind] = Series(name, means.index.to_numpy(), _numbers(means), style)
    return found


def auroc_estimate(
    rows: pd.DataFrame, means: pd.DataFrame, kind: str, sets: Sequence[str]
) -> Estimate:
    """Mean AUROC over OOD sets with its 95% interval, NaN where it was not measured.

    Parameters
    ----------
    rows, means : detection metrics of one epoch, layer and detector, and their stored means
    kind : group whose stored interval applies if `sets` are all of its sets
    sets : the sets to average over
    """
    own = rows[rows["set"].isin(list(sets))]
    if not len(sets) or len(own) < len(sets):
        return Estimate(np.nan)
    ends = [f"auroc_{end}" for end in ("low", "high")]
    parts = [
        Estimate(row["auroc"], *(row.get(end, np.nan) for end in ends)) for _, row in own.iterrows()
    ]
    found = mean_of_dependent(parts)
    stored = means[means["group"] == kind]
    if len(sets) == (rows["group"] == kind).sum() > 1 and len(stored) and set(ends) <= set(stored):
        return Estimate(found.value, *(float(stored[end].iloc[0]) for end in ends))
    return found


def accuracy_estimate(
    history: pd.DataFrame, calibration: pd.DataFrame, epoch: int | None, samples: int | None
) -> Estimate:
    """Test accuracy at an epoch with Wilson's interval; without an interval if n is unknown."""
    value = accuracy(history, calibration, epoch)
    if value is None:
        return Estimate(np.nan)
    return wilson(value, samples) if samples else Estimate(value)


def accuracy(history: pd.DataFrame, calibration: pd.DataFrame, epoch: int | None) -> float | None:
    """Test accuracy at an epoch; of a run trained elsewhere on the samples that are cached."""
    for table, column in ((history, "test_accuracy"), (calibration, "accuracy")):
        if column in table:
            found = table.loc[table["epoch"] == epoch, column].dropna()
            if len(found):
                return float(found.iloc[0])
    return None


def at_epoch(series: Series, epoch: int | None) -> float | None:
    """The value of a line at an epoch, None where there is none."""
    found = np.flatnonzero(series.epochs == epoch)
    value = float(series.values[found[0]]) if len(found) else np.nan
    return value if np.isfinite(value) else None


def _numbers(column: pd.Series) -> np.ndarray:
    return column.to_numpy(dtype=np.float64, na_value=np.nan)
