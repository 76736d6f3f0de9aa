"""OOD detection: the chosen detector's scores, and all detectors on all sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from ncviz import metrics
from ncviz.figures import (
    Board,
    OperatingCurve,
    bands_over_epochs,
    near_against_far,
    precision_recall,
    roc,
    score_distributions,
)
from ncviz.figures import leaderboard as draw_board
from ncviz.figures.theme import ood_style
from ncviz.metrics import DEFINITIONS
from ncviz.metrics.precision import EXPLANATION
from ncviz.report.about import as_number, with_interval
from ncviz.report.blocks import Block, Heading, Link, Missing, Number, Picture, Table, Text
from ncviz.report.study import Study
from ncviz.results import detectors
from ncviz.results.board import band_panel, emphasised, families, group_means, make_board
from ncviz.results.fitted import FITTED_ON, left_out_sentences
from ncviz.results.tables import KINDS
from ncviz.results.words import commands
from ncviz.store import detectors_left_out, fitted_on
from ncviz.thresholds import ID_95, promise
from ncviz.without_head import unavailable_methods

CURVE_POINTS = 400
_SHOWN = ("auroc", "fpr95")
_SIZES = ("ID samples", "OOD samples")
_COLUMNS = ("auroc", "aupr_in", "aupr_out", "fpr95", "fpr95_ood", "detection_accuracy")


def scores(study: Study) -> Iterator[Block]:
    """Distributions, ROC, precision over recall and metrics of the chosen detector."""
    if study.detector is None:
        yield _nothing(study)
        return
    rows = study.here(study.detection)
    rows = rows[rows["detector"] == study.detector].set_index("set")
    sets = {
        name: study.epoch.distribution(study.detector, name, study.layer)
        for name in ("test", *(name for name in study.run.ood_sets if name in rows.index))
    }
    known = sets.pop("test")
    info = detectors.info(study.detector)
    about = (info,) if info else ()
    wrong = [name for name in sets if rows.loc[name, "auroc"] < 0.5]
    if wrong:
        yield Text(
            f"{study.label} ranks the wrong way round on {', '.join(wrong)}: OOD samples score "
            "higher than known ones more often than not. Nothing is flipped."
        )
    yield from _pictures(study, known, sets, rows, about)
    yield _metrics_table(study, rows.loc[list(sets)])


def _nothing(study: Study) -> Missing:
    return Missing(
        f"Epoch {study.number} has no scores at layer {study.layer}. Make them with:",
        commands(study.run.name, imported=study.run.imported),
    )


def _pictures(
    study: Study,
    known: np.ndarray,
    sets: Mapping[str, np.ndarray],
    rows: pd.DataFrame,
    about: tuple,
) -> Iterator[Block]:
    threshold = metrics.threshold_at_tpr(known)
    order = list(study.run.ood_sets)
    styles = {name: ood_style(order.index(name)) for name in sets}
    yield Picture(
        score_distributions(
            known,
            sets,
            id_name=f"{study.run.id_set} test (ID)",
            styles=styles,
            threshold=threshold,
            detector=study.label,
            shown=study.shown,
        ),
        f"Densities of the {study.label} scores of ID and OOD samples, with a threshold",
        f"Higher is more in-distribution. {promise(ID_95, len(known))}",
        (*about, DEFINITIONS["fpr95"]),
    )
    rocs, precisions = [], []
    for name, unknown in sets.items():
        point = metrics.operating_point(known, unknown, threshold)
        curve = metrics.thin(metrics.roc_curve(known, unknown), CURVE_POINTS)
        at = (point.fpr, point.tpr)
        auroc, aupr = (rows.get(area, {}).get(name, np.nan) for area in ("auroc", "aupr_in"))
        rocs.append(OperatingCurve(name, auroc, curve.x, curve.y, at, styles[name]))
        whole = metrics.precision_recall_curve(known, unknown, positive="id")
        curve = metrics.thin(whole, CURVE_POINTS)
        at = None if point.precision is None else (point.tpr, point.precision)
        precisions.append(OperatingCurve(name, aupr, curve.x, curve.y, at, styles[name]))
    yield Picture(
        roc(rocs, shown=study.shown),
        f"ROC of {study.label} against each OOD set",
        "Points: the threshold that accepts 95% of the ID test samples.",
        (DEFINITIONS["auroc"],),
        narrow=True,
    )
    yield Picture(
        precision_recall(precisions, positive="ID", shown=study.shown),
        f"Precision over recall of {study.label}, ID being the positive class",
        about=(DEFINITIONS["aupr_in"],),
        narrow=True,
    )


def _metrics_table(study: Study, rows: pd.DataFrame) -> Table:
    columns = [name for name in _COLUMNS if name in rows]
    return Table(
        f"Metrics of {study.label}, with 95% intervals",
        (
            "OOD set",
            "Kind",
            *(Link(DEFINITIONS[name]) for name in columns),
            "ID samples",
            "OOD samples",
        ),
        [
            (
                name,
                row["group"],
                *(with_interval(row, metric) for metric in columns),
                Number(f"{row['id_samples']:,}"),
                Number(f"{row['ood_samples']:,}"),
            )
            for name, row in rows.iterrows()
        ],
    )


def leaderboard(study: Study) -> Iterator[Block]:
    """Every detector on every set, as cells and as a table."""
    rows = _in_order(study.here(study.detection))
    if rows.empty:
        yield _nothing(study)
        return
    if study.run.without_features:
        yield Text(study.run.without_features)
    elif not study.epoch.has_head(study.layer):
        reason = study.run.without_head if study.layer == study.run.layers[-1] else ""
        yield Text(
            f"The run was {reason}. Unavailable: {unavailable_methods()}."
            if reason
            else f"{study.layer} has no classifier of its own, so detectors that need one are "
            "missing."
        )
    for sentence in left_out_sentences(detectors_left_out(study.epoch, study.layer)):
        yield Text(sentence)
    for metric in _SHOWN:
        board = _board(study, rows, metric)
        labels = [detectors.label(name) for name in board.detectors]
        looks_at = [detectors.family(name) for name in board.detectors]
        better = "higher" if board.higher_is_better else "lower"
        approximate = f" {EXPLANATION}" if board.approximate.any() else ""
        yield Picture(
            draw_board(board, labels, looks_at, shown=study.shown),
            f"{board.label} of {len(labels)} detectors on each OOD set at epoch {study.number}, "
            f"layer {study.layer}; the table below holds the same numbers",
            f"{board.label}: {better} is better; the bluer, the better among those shown. Bold: "
            f"best value of its column. {_about_ties(board)}! AUROC below 0.5. Point at a cell for "
            f"its interval.{approximate}",
            (DEFINITIONS[metric],),
        )
        yield _board_table(study, board, labels)


def _about_ties(board: Board) -> str:
    if not board.tested:
        return "Its lead is not tested. "
    return (
        "★ not significantly different from the best (DeLong's test on all evaluated samples, "
        "corrected for the number of detectors by Holm, p ≥ 0.05). "
    )


def _board(study: Study, rows: pd.DataFrame, metric: str) -> Board:
    means, comparisons = study.here(study.means), study.here(study.comparisons)
    return make_board(rows, means, comparisons, metric, study.sets_in(rows))


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """In the registry's order, so that equal means are not in that of the file."""
    names = detectors.in_order(rows["detector"])
    return rows.sort_values("detector", key=lambda column: column.map(names.index), kind="stable")


def _board_table(study: Study, board: Board, labels: list[str]) -> Table:
    rows, fitted = [], fitted_on(study.epoch, study.layer)
    for k, label in enumerate(labels):
        known = detectors.info(board.detectors[k])
        ends = zip(board.values[k], board.lows[k], board.highs[k], strict=True)
        rows.append(
            (
                Link(known) if known else label,
                detectors.family(board.detectors[k]),
                fitted.get(board.detectors[k], ""),
                Number(f"{board.ranks[k]:.1f}"),
                *(as_number(*three) for three in ends),
            )
        )
    titles = [column.title for column in board.columns]
    caption = f"{board.label} of each detector, with 95% intervals, best mean first"
    heads = ("Detector", "Looks at", FITTED_ON, "Average rank", *titles)
    return Table(caption, heads, rows)


def over_epochs(study: Study) -> Iterator[Block]:
    """Detectors over epochs, and near against far sets."""
    table = study.detection[study.detection["layer"] == study.layer]
    if table.empty:
        yield _nothing(study)
        return
    rows = _in_order(table)
    means = study.means[study.means["layer"] == study.layer]
    names = detectors.in_order(rows["detector"])
    chosen = list(dict.fromkeys([study.detector or names[0], *emphasised(names)]))
    sets = study.sets_in(rows)
    for metric in _SHOWN:
        panels = [
            band_panel(
                group_means(rows, means, metric, kind),
                names,
                chosen,
                kind,
                sum(each == kind for each in sets.values()),
            )
            for kind in KINDS
            if kind in sets.values()
        ]
        info = DEFINITIONS[metric]
        yield Picture(
            bands_over_epochs(
                panels,
                title="Detectors over epochs",
                value=info.label,
                shown=study.shown,
                chance=0.5 if metric == "auroc" else None,
            ),
            f"{info.label} of detectors over epochs, near and far OOD sets apart",
            "Bands are 95% intervals over test samples. Point at a faint line for its name.",
            (info,),
        )
    yield from _near_far(study)


def _near_far(study: Study) -> Iterator[Block]:
    yield Heading("Near against far")
    rows = study.here(study.detection)
    board = _board(study, _in_order(rows), "auroc") if len(rows) else None
    columns = [board.column(f"mean {kind}") if board else None for kind in KINDS]
    if None in columns:
        yield Missing("This compares near with far OOD sets; here are sets of one kind alone.")
        return
    yield Picture(
        near_against_far(
            families(board, *columns),
            label=board.label,
            higher_is_better=board.higher_is_better,
            shown=study.shown,
        ),
        f"{board.label} of each detector on near sets against far ones",
        "The best are at the top right. Large: those that no other detector beats on both kinds. "
        "On the dotted line near and far sets are equally hard.",
        (DEFINITIONS["auroc"],),
    )
