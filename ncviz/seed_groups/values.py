"""Results of one run of a seed group in long form, over the data sets that all runs share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from ncviz.metrics import SUMMARY_METRICS
from ncviz.store import Run

COLUMNS = ("kind", "metric", "layer", "detector", "set", "group", "value")
_TRANSFER = ("probe_error", "ncm_error")


@dataclass(frozen=True)
class Results:
    """Result tables of a run over its epochs, as `Run` returns them.

    Attributes
    ----------
    accuracy : DataFrame
        Columns epoch and accuracy: the test accuracy.
    """

    run: Run
    collapse: pd.DataFrame
    detection: pd.DataFrame
    transfer: pd.DataFrame
    accuracy: pd.DataFrame

    @classmethod
    def of(
        cls,
        run: Run,
        collapse: pd.DataFrame,
        detection: pd.DataFrame,
        transfer: pd.DataFrame,
        history: pd.DataFrame,
        calibration: pd.DataFrame,
    ) -> Results:
        """Take the accuracy from the history, or else from the evaluated test samples."""
        table, column = (
            (history, "test_accuracy") if "test_accuracy" in history else (calibration, "accuracy")
        )
        accuracy = pd.DataFrame(
            {"epoch": table["epoch"], "accuracy": table.get(column, pd.Series(dtype=float))}
        )
        return cls(run, collapse, detection, transfer, accuracy)

    @property
    def epochs(self) -> tuple[int, ...]:
        """Return the evaluated epochs."""
        return tuple(sorted({*self.collapse["epoch"], *self.detection["epoch"]}))

    def at(self, table: pd.DataFrame, epoch: int) -> pd.DataFrame:
        """Return the rows of an epoch."""
        return table[table["epoch"] == epoch]


def results_of(run: Run) -> Results:
    """Read the result tables of a run."""
    return Results.of(
        run, run.collapse(), run.detection(), run.transfer(), run.history, run.calibration()
    )


def nearest_epoch(results: Iterable[Results], asked: int | None = None) -> int | None:
    """Return the epoch evaluated in all runs that is nearest to the one asked for.

    Parameters
    ----------
    results : of all runs of a group
    asked : None for the last

    Returns
    -------
    int or None
        The later of two equally near epochs; None if the runs share no evaluated epoch.
    """
    shared = set.intersection(*(set(each.epochs) for each in results))
    if not shared:
        return None
    if asked is None:
        return max(shared)
    return min(shared, key=lambda epoch: (abs(epoch - asked), -epoch))


def shared_ood_sets(results: Collection[Results], epoch: int) -> dict[str, str]:
    """Return the OOD sets of equal samples that all runs were evaluated on, with their groups."""
    tables = [each.at(each.detection, epoch) for each in results]
    described = [_samples(each.run) for each in results]
    first = tables[0].drop_duplicates("set")
    return {
        name: group
        for name, group in zip(first["set"], first["group"], strict=True)
        if all(name in set(table["set"]) for table in tables)
        and len({sets.get(f"{name}/test") for sets in described}) == 1
    }


def shared_transfer_sets(results: Iterable[Results], epoch: int) -> tuple[str, ...]:
    """Return the sets that transfer was measured on in all runs."""
    first, *others = (set(each.at(each.transfer, epoch)["set"]) for each in results)
    return tuple(sorted(first.intersection(*others)))


def _samples(run: Run) -> dict[str, tuple[int, str]]:
    return {name: (info.samples, info.digest) for name, info in run.sets.items()}


def values_of(
    results: Results, epoch: int, ood_sets: Mapping[str, str], transfer_sets: Collection[str]
) -> pd.DataFrame:
    """Return all results of a run at an epoch, one value in each row.

    Parameters
    ----------
    results : of the run
    epoch : an evaluated epoch
    ood_sets : the OOD sets to include, with their groups
    transfer_sets : the sets of transfer to include

    Returns
    -------
    DataFrame
        kind ("accuracy", "collapse", "detection" or "transfer"), metric, layer, detector, set,
        group and value. Rows with an empty set are means over the included sets of the group near,
        far or all (transfer: all), NaN where one of them was not measured.
    """
    parts = [
        _accuracy(results.at(results.accuracy, epoch)),
        _collapse(results.at(results.collapse, epoch), ood_sets),
        _detection(results.at(results.detection, epoch), ood_sets),
        _transfer(results.at(results.transfer, epoch), transfer_sets),
    ]
    parts = [part for part in parts if len(part)]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
    return table.reindex(columns=list(COLUMNS))


def _accuracy(table: pd.DataFrame) -> pd.DataFrame:
    return _rows(table.rename(columns={"accuracy": "value"})[["value"]], "accuracy", "accuracy")


def _collapse(table: pd.DataFrame, ood_sets: Mapping[str, str]) -> pd.DataFrame:
    own = table[table["set"].isin(["", *ood_sets])]
    groups = own["set"].map({"": "", **ood_sets})
    return own[["layer", "metric", "set", "value"]].assign(
        kind="collapse", detector="", group=groups
    )


def _detection(table: pd.DataFrame, ood_sets: Mapping[str, str]) -> pd.DataFrame:
    own = table[table["set"].isin(list(ood_sets))]
    own = own.assign(group=own["set"].map(ood_sets))
    parts = []
    for metric in (name for name in SUMMARY_METRICS if name in own):
        rows = own[["layer", "detector", "set", "group"]].assign(value=own[metric].astype(float))
        parts.append(_rows(rows, "detection", metric))
        for group in ("near", "far", "all"):
            sets = [name for name, kind in ood_sets.items() if group in ("all", kind)]
            if sets:
                means = _means(rows, ["layer", "detector"], sets)
                parts.append(_rows(means.assign(group=group), "detection", metric))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def _transfer(table: pd.DataFrame, sets: Collection[str]) -> pd.DataFrame:
    own = table[table["set"].isin(list(sets))]
    parts = []
    for metric in (name for name in _TRANSFER if name in own and len(own)):
        rows = own[["layer", "set"]].assign(value=own[metric].astype(float))
        parts.append(_rows(rows, "transfer", metric))
        means = _means(rows, ["layer"], sets)
        parts.append(_rows(means.assign(group="all"), "transfer", metric))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def _means(rows: pd.DataFrame, by: list[str], sets: Collection[str]) -> pd.DataFrame:
    """Average over sets; NaN where one of them is missing."""
    wide = rows[rows["set"].isin(list(sets))].pivot(index=by, columns="set", values="value")
    wide = wide.reindex(columns=list(sets))
    return wide.mean(axis=1, skipna=False).rename("value").reset_index()


def _rows(table: pd.DataFrame, kind: str, metric: str) -> pd.DataFrame:
    missing = {name: "" for name in COLUMNS[2:-1] if name not in table}
    return table.assign(kind=kind, metric=metric, **missing)
