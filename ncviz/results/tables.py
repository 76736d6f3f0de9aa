"""Picking lines and numbers out of the tables of results."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ncviz.figures import Series
from ncviz.figures.theme import ID_STYLE, Style, ood_style

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


def auroc_series(
    table: pd.DataFrame, layer: str, detector: str | None, group: str, style: Style
) -> Series:
    """Mean AUROC of a detector over the OOD sets of a group, over epochs."""
    rows = table[
        (table["layer"] == layer) & (table["detector"] == detector) & (table["group"] == group)
    ]
    means = rows.groupby("epoch")["auroc"].mean()
    return Series(f"AUROC on {group} OOD", means.index.to_numpy(), _numbers(means), style)


def auroc_by_group(table: pd.DataFrame, layer: str, detector: str | None) -> dict[str, Series]:
    """AUROC over epochs for each kind of OOD set that was scored."""
    series = {
        kind: auroc_series(table, layer, detector, kind, ood_style(position))
        for position, kind in enumerate(KINDS)
    }
    return {kind: each for kind, each in series.items() if len(each.epochs)}


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
