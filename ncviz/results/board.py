"""From tables of results to the board of detectors and sets, and means over groups of sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from ncviz import metrics
from ncviz.figures import Band, BandPanel, Board, Column, Family
from ncviz.figures.theme import ID_STYLE, Style, ood_style
from ncviz.results import detectors
from ncviz.results.fitted import FITTED_ON

ENDS = ("low", "high")
_FIRST = ("energy", "knn", "vim", "energy_probe", "mahalanobis")
_EMPHASISED = 3
_SIZES = ["id_samples", "ood_samples"]


def group_means(
    rows: pd.DataFrame, means: pd.DataFrame, metric: str, group: str = "all"
) -> pd.DataFrame:
    """Unweighted means over the sets of a group, by (detector, epoch): value, low, high, note.

    A mean is NaN where one of the sets was not measured. The ends are NaN for metrics that have no
    interval, such as detection accuracy.

    Parameters
    ----------
    rows : detection metrics of one layer, a row for each detector, set and epoch
    means : their means of the same layer, which hold the intervals
    group : ``"near"``, ``"far"`` or ``"all"``
    """
    own = rows if group == "all" else rows[rows["group"] == group]
    by_set = own.pivot(index=["detector", "epoch"], columns="set", values=metric)
    found = by_set.mean(axis=1, skipna=False).to_frame("value")
    given = means[means["group"] == group].set_index(["detector", "epoch"])
    for end in ENDS:
        name = f"{metric}_{end}"
        found[end] = given[name].reindex(found.index) if name in given else np.nan
    found = found.astype(float)
    sizes = given.reindex(columns=_SIZES).reindex(found.index)
    return found.assign(note=notes(found["value"], sizes))


def make_board(
    rows: pd.DataFrame,
    means: pd.DataFrame,
    comparisons: pd.DataFrame,
    metric: str,
    sets: Mapping[str, str],
) -> Board:
    """Arrange the results of one epoch and layer, best mean first.

    Parameters
    ----------
    rows, means : as in `group_means`, of one epoch
    comparisons : `Epoch.comparisons` of the same layer
    sets : the OOD sets to show, each with its group; near ones come first
    """
    info = metrics.DEFINITIONS[metric]
    higher = info.direction == "higher"
    names = pd.Index(dict.fromkeys(rows["detector"]))
    ordered = sorted(sets, key=lambda name: sets[name] != "near")
    columns, tables = [], []
    for name in ordered:
        of_set = rows[rows["set"] == name].set_index("detector").reindex(names)
        columns.append(Column(name, sets[name]))
        tables.append(_cells(of_set, metric))
    for group in mean_groups(sets.values()):
        own = group_means(rows, means, metric, group).droplevel("epoch").reindex(names)
        auroc = group_means(rows, means, "auroc", group).droplevel("epoch").reindex(names)
        columns.append(Column("mean" if group == "all" else f"mean {group}", group, mean=True))
        tables.append(own.assign(auroc=auroc["value"]))
    values, lows, highs, aurocs = (
        np.column_stack([table[part] for table in tables]) for part in ("value", *ENDS, "auroc")
    )
    last = values[:, -1]
    order = np.argsort(-last if higher else last, kind="stable")  # NaN comes last
    remarks = np.column_stack([table["note"] for table in tables])
    ranks = metrics.ranks(values[:, : len(sets)], higher_is_better=higher)
    corrected, compared_with = _compared(comparisons, metric, names, columns)
    return Board(
        metric=metric,
        label=info.label,
        higher_is_better=higher,
        detectors=tuple(names[order]),
        columns=tuple(columns),
        values=values[order],
        lows=lows[order],
        highs=highs[order],
        aurocs=aurocs[order],
        ranks=ranks[order],
        corrected=corrected[order],
        compared_with=compared_with,
        notes=remarks[order],
    )


def _compared(
    comparisons: pd.DataFrame, metric: str, names: pd.Index, columns: Sequence[Column]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Corrected p-values (K, C) against the best of each column, and the best ones' labels."""
    tested = comparisons[comparisons["metric"] == metric]
    found, best = [], []
    for column in columns:
        of_set = tested["set"] == ("" if column.mean else column.title)
        own = tested[of_set & (tested["group"] == column.group)].set_index("detector")
        found.append(own["p_corrected"].reindex(names).to_numpy(float))
        best.append(detectors.label(own["best"].iloc[0]) if len(own) else "")
    return np.column_stack(found), tuple(best)


def _cells(of_set: pd.DataFrame, metric: str) -> pd.DataFrame:
    ends = {end: of_set.get(f"{metric}_{end}", np.nan) for end in ENDS}
    found = pd.DataFrame({"value": of_set[metric], **ends, "auroc": of_set["auroc"]})
    sizes = of_set.reindex(columns=_SIZES)
    return found.astype(float).assign(note=notes(of_set[metric], sizes))


def notes(values: pd.Series, sizes: pd.DataFrame) -> list[str]:
    """Why each value is approximate, empty where it is not or where sample counts are unknown.

    Parameters
    ----------
    values : (R,) a metric
    sizes : (R, 2) numbers of ID and OOD samples
    """
    rows = zip(values, *(sizes[name] for name in _SIZES), strict=True)
    return [metrics.reliability_note(*row) if np.isfinite(row).all() else "" for row in rows]


def in_long_form(
    rows: pd.DataFrame, labels: Mapping[str, str], fitted: Mapping[str, str]
) -> pd.DataFrame:
    """Every metric of every detector on every set, each value in a row with its interval.

    `rows` are detection metrics of one epoch and layer, `fitted` what detectors were fitted on.
    """
    parts = []
    for metric in metrics.DEFINITIONS:
        if metric not in rows:
            continue
        names = {"detector": "Detector", "set": "OOD set", "group": "Kind"}
        part = rows[list(names)].rename(columns=names)
        part.insert(1, FITTED_ON, [fitted.get(name, "") for name in part["Detector"]])
        part["Detector"] = part["Detector"].map(labels)
        part["Metric"], part["Value"] = metrics.DEFINITIONS[metric].label, rows[metric]
        for end in ENDS:
            part[end.capitalize()] = rows.get(f"{metric}_{end}", np.nan)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def mean_groups(groups: Iterable[str]) -> list[str]:
    """Which means to show: none of a single set, and none twice."""
    groups = list(groups)
    kinds = [kind for kind in ("near", "far") if kind in groups]
    if len(groups) < 2:
        return []
    return kinds if len(kinds) == 1 else [*kinds, "all"]


def as_frame(
    board: Board,
    labels: Mapping[str, str],
    families: Mapping[str, str],
    *,
    intervals: bool,
    fitted: Mapping[str, str],
) -> pd.DataFrame:
    """Return the board as a table of numbers.

    With `intervals`, the ends of the intervals and the corrected p-values against the best of each
    column are in columns of their own. `fitted` states what each detector was fitted on.
    """
    frame = {
        "Detector": [labels[name] for name in board.detectors],
        "Family": [families[name] for name in board.detectors],
        "Average rank": board.ranks,
    }
    for at, column in enumerate(board.columns):
        frame[column.title] = board.values[:, at]
        if intervals:
            frame[f"{column.title} low"] = board.lows[:, at]
            frame[f"{column.title} high"] = board.highs[:, at]
            if board.tested:
                frame[f"{column.title} p"] = board.corrected[:, at]
    if board.tested:
        frame["Not different from the best on"] = [
            ", ".join(column.title for column, tied in zip(board.columns, row, strict=True) if tied)
            for row in board.tied
        ]
    frame[FITTED_ON] = [fitted.get(name, "") for name in board.detectors]
    sets = [at for at, column in enumerate(board.columns) if not column.mean]
    remarks = [", ".join(board.columns[at].title for at in sets if row[at]) for row in board.wrong]
    if any(remarks):
        frame["Worse than chance on"] = remarks
    remarks = [
        ", ".join(board.columns[at].title for at in np.flatnonzero(row))
        for row in board.approximate
    ]
    if any(remarks):
        frame["Approximate on"] = remarks
    return pd.DataFrame(frame)


def emphasised(names: Sequence[str]) -> list[str]:
    """Detectors to look at first: well-known ones that look at different things."""
    return [name for name in _FIRST if name in names][:_EMPHASISED] or list(names[:1])


def band_panel(
    found: pd.DataFrame, names: Sequence[str], chosen: Sequence[str], group: str, count: int
) -> BandPanel:
    """Detectors over epochs on the OOD sets of a group; those not `chosen` are drawn faint.

    Parameters
    ----------
    found : what `group_means` returns
    count : number of sets in the group
    """
    title = f"{group} OOD" + (f", mean over {count} sets" if count > 1 else "")
    found = found.sort_index()
    rows = found.groupby(level="detector").indices
    columns = [found.index.get_level_values("epoch").to_numpy()]
    columns += [found[part].to_numpy() for part in ("value", *ENDS)]
    bands = []
    for name in names:
        line = (column[rows.get(name, [])] for column in columns)
        style = _style(chosen.index(name)) if name in chosen else None
        bands.append(Band(detectors.label(name), *line, style))
    return BandPanel(title, tuple(bands))


def families(board: Board, near: int, far: int) -> list[Family]:
    """The detectors of a board by what they look at; `near` and `far` are columns of means."""
    names = [detectors.family(name) for name in board.detectors]
    found = []
    for position, family in enumerate(sorted(set(names))):
        own = [at for at, name in enumerate(names) if name == family]
        labels = tuple(detectors.label(board.detectors[at]) for at in own)
        values = (board.values[own, column] for column in (near, far))
        found.append(Family(family, labels, *values, _style(position)))
    return found


def _style(position: int) -> Style:
    """Eight families look different; beyond six OOD styles the symbols are open."""
    if position == 0:
        return ID_STYLE
    style = ood_style(position - 1)
    return style if position <= 6 else Style(style.colour, style.dash, f"{style.symbol}-open")
