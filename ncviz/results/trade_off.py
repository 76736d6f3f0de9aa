"""Collapse against detection, transfer and entropy: tables of points over the same data sets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ncviz.estimates import Estimate, mean_of_dependent, mean_of_independent, wilson
from ncviz.metrics import DEFINITIONS
from ncviz.shared_sets import shared, why_none

MEASURES = ("fpr95", "auroc", "transfer", "entropy")
"""What collapse is plotted against, each a column of `averaged`."""
DETECTION = ("fpr95", "auroc")
ENDS = ("low", "high")
CHANCE = 0.5
_ENTROPY = "Entropy, mean log ρ"


@dataclass(frozen=True)
class Basis:
    """The data sets that every point of a comparison is measured on.

    Attributes
    ----------
    ood, transfer : OOD sets of the detection metrics, and sets of the transfer errors
    problems : why there is no mean, a sentence each
    """

    ood: tuple[str, ...]
    transfer: tuple[str, ...]
    problems: tuple[str, ...] = ()

    def title(self, measure: str) -> str:
        """Name a measure together with the sets that it is averaged over."""
        if measure == "entropy":
            return _ENTROPY
        label = self.short(measure)
        sets = self.ood if measure in DETECTION else self.transfer
        return f"{label} on {sets[0]}" if len(sets) == 1 else f"{label}, mean over {len(sets)} sets"

    def short(self, measure: str) -> str:
        """Name a measure without its sets."""
        names = {"entropy": "Entropy", "transfer": "Transfer error"}
        return names.get(measure) or DEFINITIONS[measure].label

    @property
    def words(self) -> str:
        """The sets of both kinds in one sentence; empty where there is none."""
        parts = [
            f"{kind} on {', '.join(sets)}"
            for kind, sets in (("detection", self.ood), ("transfer", self.transfer))
            if sets
        ]
        return f"Measured {'; '.join(parts)}." if parts else ""


def layer_table(
    collapse: pd.DataFrame,
    detection: pd.DataFrame,
    means: pd.DataFrame,
    transfer: pd.DataFrame,
    layer: str,
    detector: str | None,
) -> pd.DataFrame:
    """Collect the metrics of a layer set by set, one row for each evaluated epoch.

    Parameters
    ----------
    collapse, detection, means, transfer : result tables of a run
    detector : whose detection metrics to take

    Returns
    -------
    DataFrame
        epoch, layer, the collapse metrics that are not about a set, and for each set and each
        measure (fpr95, auroc, transfer) the value and the ends of its 95% interval as
        ``MEASURE:SET``, ``MEASURE_low:SET`` and ``MEASURE_high:SET``. Transfer errors have
        Wilson's interval. ``MEASURE_low@all`` is the end for the mean over all sets of the epoch.
    """
    of_layer = collapse[(collapse["layer"] == layer) & (collapse["set"] == "")]
    parts = [of_layer.pivot(index="epoch", columns="metric", values="value")]
    rows = detection[(detection["layer"] == layer) & (detection["detector"] == detector)]
    errors = _with_intervals(transfer[transfer["layer"] == layer])
    for measure, found in (*((name, rows) for name in DETECTION), ("transfer", errors)):
        for column in (measure, *(f"{measure}_{end}" for end in ENDS)):
            if len(found) and column in found:
                by_set = found.pivot(index="epoch", columns="set", values=column)
                parts.append(by_set[found["set"].unique()].add_prefix(f"{column}:"))
    own = means[
        (means["layer"] == layer) & (means["detector"] == detector) & (means["group"] == "all")
    ].set_index("epoch")
    ends = [f"{measure}_{end}" for measure in DETECTION for end in ENDS]
    parts.append(own[[name for name in ends if name in own]].add_suffix("@all"))
    table = pd.concat(parts, axis=1).loc[parts[0].index].reset_index()
    table.insert(1, "layer", layer)
    return table


def _with_intervals(transfer: pd.DataFrame) -> pd.DataFrame:
    found = transfer.rename(columns={"probe_error": "transfer"})
    if found.empty:
        return found
    pairs = zip(found["transfer"], found["test_samples"], strict=True)
    estimates = [wilson(float(error), int(samples)) for error, samples in pairs]
    return found.assign(
        **{f"transfer_{end}": [getattr(each, end) for each in estimates] for end in ENDS}
    )


def measured_on(row: Mapping[str, float], measure: str) -> tuple[str, ...]:
    """Names of the sets that a row of `layer_table` has a measure on."""
    prefix = f"{measure}:"
    return tuple(
        name.removeprefix(prefix)
        for name, value in row.items()
        if isinstance(name, str) and name.startswith(prefix) and np.isfinite(value)
    )


def choose_basis(tables: Mapping[str, pd.DataFrame], ood_set: str | None = None) -> Basis:
    """Return the sets that all rows of all tables share, or one chosen set.

    Rows without any set, such as layers that a detector was not evaluated at, are not part of the
    comparison.

    Parameters
    ----------
    tables : what `layer_table` returns, by a name for messages
    ood_set : the only set to compare on; None for the mean over the shared sets
    """
    found, problems = {}, []
    for measure, kind in (("fpr95", "OOD set"), ("transfer", "transfer set")):
        rows = [
            (name, int(row["epoch"]), measured_on(row, measure))
            for name, table in tables.items()
            for row in table.to_dict("records")
        ]
        if ood_set is None:
            found[measure] = shared({str(at): sets for at, (_, _, sets) in enumerate(rows)})
            problems.append(why_none(_distinct(rows), kind))
        else:
            known = any(ood_set in sets for _, _, sets in rows)
            found[measure] = (ood_set,) if known else ()
            if not known and any(sets for _, _, sets in rows):
                what = "Transfer" if measure == "transfer" else "Detection"
                problems.append(f"{what} was not measured on {ood_set}.")
    return Basis(found["fpr95"], found["transfer"], tuple(filter(None, problems)))


def _distinct(rows: Collection[tuple[str, int, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    """The sets of each table, with the epoch where they differ between its epochs."""
    found: dict[str, tuple[str, ...]] = {}
    for name, epoch, sets in rows:
        if sets and found.setdefault(name, sets) != sets:
            found.setdefault(f"{name}, epoch {epoch}", sets)
    return found


def averaged(table: pd.DataFrame, basis: Basis) -> pd.DataFrame:
    """Add to a table of `layer_table` its means over the sets of a basis.

    Returns
    -------
    DataFrame
        The table with the columns fpr95, auroc and transfer, each with ``_low`` and ``_high``, NaN
        in rows that lack one of the sets, and `worse`: whether detection is worse than chance,
        that is, the AUROC and the upper end of its interval are below 0.5. Where there is no
        interval nothing is marked.
    """
    records = table.to_dict("records")
    added = {}
    for measure in (*DETECTION, "transfer"):
        sets = basis.transfer if measure == "transfer" else basis.ood
        if not any(sets and _has(row, measure, sets) for row in records):
            continue
        estimates = [_mean(row, measure, sets) for row in records]
        for column, part in ((measure, "value"), *((f"{measure}_{end}", end) for end in ENDS)):
            added[column] = [getattr(each, part) for each in estimates]
    found = table.assign(**added)
    worse = found["auroc_high"] < CHANCE if "auroc_high" in found else False
    return found.assign(worse=worse)


def _has(row: Mapping[str, float], measure: str, sets: Collection[str]) -> bool:
    return all(np.isfinite(row.get(f"{measure}:{name}", np.nan)) for name in sets)


def _mean(row: Mapping[str, float], measure: str, sets: tuple[str, ...]) -> Estimate:
    if not _has(row, measure, sets):
        return Estimate(np.nan)
    parts = [
        Estimate(
            row[f"{measure}:{name}"],
            *(row.get(f"{measure}_{end}:{name}", np.nan) for end in ENDS),
        )
        for name in sets
    ]
    if measure == "transfer":
        return mean_of_independent(parts)
    found = mean_of_dependent(parts)
    # The evaluation knows how the sets depend on each other, but only for the mean over all.
    stored = [row.get(f"{measure}_{end}@all", np.nan) for end in ENDS]
    if len(sets) > 1 and set(sets) == set(measured_on(row, measure)) and np.isfinite(stored).all():
        return Estimate(found.value, *stored)
    return found
