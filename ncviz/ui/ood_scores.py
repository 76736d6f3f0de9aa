"""OOD scores: known and unknown samples on one axis, the threshold, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import streamlit as st

from ncviz import metrics
from ncviz.figures import OperatingCurve, precision_recall, roc, score_distributions
from ncviz.figures.theme import Style, ood_style
from ncviz.metrics import DEFINITIONS
from ncviz.ui import components, controls, detector, loaders, samples, shell, threshold
from ncviz.ui.components import plain
from ncviz.ui.view import View

COLUMNS = ("auroc", "aupr_in", "aupr_out", "fpr95", "fpr95_ood", "detection_accuracy")
WRONG_WAY = "ranks the wrong way round on this set"
_COMPARED_DASHES = ("dash", "dot", "dashdot", "longdash", "longdashdot")


@dataclass(frozen=True)
class Choice:
    """What the page alone needs from the sidebar.

    Attributes
    ----------
    known : scores of the ID test set by `detector`
    unknown : scores of each chosen OOD set
    """

    detector: str
    known: threshold.Samples
    unknown: Mapping[str, threshold.Samples]
    cut: threshold.Cut
    compared: tuple[str, ...]
    positive: str
    log: bool

    @property
    def sets(self) -> list[str]:
        return list(self.unknown)


def body(view: View) -> None:
    """The page below its title."""
    table = loaders.detection_table(view.run)
    table = table[(table["layer"] == view.layer) & (table["epoch"] == view.epoch)]
    if table.empty:
        components.empty_state(
            f"Epoch {view.epoch} of {plain(view.run.name)} has no scores at layer "
            f"{plain(view.layer)}. Make them with:",
            *components.commands(view.run.name, imported=view.run.imported),
        )
        return
    with st.sidebar:
        choice = _choose(view, table)
    if choice is None:
        components.empty_state("Choose at least one OOD set in the sidebar.")
        return
    components.provenance(
        str(view.shown),
        f"{view.run.epochs.index(view.epoch) + 1} of {len(view.run.epochs)} saved epochs",
        f"{len(choice.known.scores):,} ID test samples",
        f"{sum(len(each.scores) for each in choice.unknown.values()):,} OOD samples",
        "scores written by scripts/evaluate.py",
        view.without_head,
    )
    _warn(table, choice)
    points = {
        name: metrics.operating_point(choice.known.scores, each.scores, choice.cut.value)
        for name, each in choice.unknown.items()
    }
    styles = {name: ood_style(list(view.run.ood_sets).index(name)) for name in choice.sets}
    with shell.readable_errors():
        _distributions(view, choice, styles)
        _confusion(view, choice)
    with shell.readable_errors():
        _curves(view, table, choice, points, styles)
    with shell.readable_errors():
        _metrics_table(table, choice)
    samples.show(view, choice.detector)


def _choose(view: View, table: pd.DataFrame) -> Choice | None:
    names = detector.in_order(table["detector"])
    sets = [name for name in view.run.ood_sets if name in set(table["set"])]
    score = detector.choose(
        names,
        help="The score that is drawn and cut: a number for each sample, higher = more "
        "in-distribution.",
    )
    chosen = controls.choose_several(
        "OOD sets",
        sets,
        key="sets",
        default=sets,
        placeholder="Choose OOD sets",
    )
    if not chosen:
        return None
    known, *others = (
        threshold.Samples(
            loaders.scores(view.run, view.epoch, view.layer, score, name),
            loaders.calibration_half(view.run, view.epoch, name),
        )
        for name in ("test", *chosen)
    )
    unknown = dict(zip(chosen, others, strict=True))
    cut = threshold.choose_threshold(known, unknown)
    compared = controls.choose_several(
        "Compare with",
        [name for name in names if name != score],
        key="compare",
        words=detector.label,
        help="Further detectors for the curves and the table.",
        placeholder="Choose detectors",
    )
    positive = controls.switch("Precision and recall of", ["ID", "OOD"], key="positive")
    density = controls.switch(
        "Density axis",
        ["linear", "log"],
        key="density",
        help="log shows the tails of scores that pile up in one place, such as MSP's at 1.",
    )
    return Choice(
        detector=score,
        known=known,
        unknown=unknown,
        cut=cut,
        compared=tuple(compared),
        positive=positive,
        log=density == "log",
    )


def _warn(table: pd.DataFrame, choice: Choice) -> None:
    rows = table[(table["detector"] == choice.detector) & table["set"].isin(choice.sets)]
    wrong = rows[rows["auroc"] < 0.5]
    if wrong.empty:
        return
    sets = ", ".join(f"{plain(row.set)} (AUROC {row.auroc:.3f})" for row in wrong.itertuples())
    where = WRONG_WAY if len(wrong) == 1 else WRONG_WAY.replace("this set", "these sets")
    st.warning(
        f"{plain(detector.label(choice.detector))} {where}: {sets}. OOD samples score higher than "
        "known ones more often than not. Nothing is flipped.",
        icon=":material/warning:",
    )


def _distributions(view: View, choice: Choice, styles: Mapping[str, Style]) -> None:
    label = detector.label(choice.detector)
    figure = score_distributions(
        choice.known.scores,
        {name: each.scores for name, each in choice.unknown.items()},
        id_name=f"{view.run.id_set} test (ID)",
        styles=styles,
        threshold=choice.cut.value,
        detector=label,
        shown=view.shown,
        log=choice.log,
    )
    components.chart(
        figure, key="distributions", alt="Densities of ID and OOD scores with the threshold"
    )
    detector.explain(choice.detector)


def _confusion(view: View, choice: Choice) -> None:
    does = f"a threshold of {choice.cut.value:.4g}"
    if not np.isfinite(choice.cut.value):
        does = "accepting nothing, which costs least here,"
    st.subheader(f"What {does} does", anchor=False)
    known, *unknown = (
        each.scores if choice.cut.by_hand else each.judged_on
        for each in (choice.known, *choice.unknown.values())
    )
    points = {
        name: metrics.operating_point(known, scores, choice.cut.value)
        for name, scores in zip(choice.unknown, unknown, strict=True)
    }
    if not choice.cut.by_hand:
        st.caption(
            "The threshold was chosen on one half of the samples; these counts are of the other "
            "half. The curves below and their points are of all samples."
        )
    counts = threshold.confusion(view.run.id_set, points, view.run.ood_sets)
    st.table(counts, hide_index=True, border="horizontal", alt="Counts on each side of the cut")


def _curves(
    view: View,
    table: pd.DataFrame,
    choice: Choice,
    points: Mapping[str, metrics.OperatingPoint],
    styles: Mapping[str, Style],
) -> None:
    left, right = st.columns(2)
    place = (view.run, view.epoch, view.layer)
    rocs, precisions = [], []
    area = "aupr_in" if choice.positive == "ID" else "aupr_out"
    for position, score in enumerate((choice.detector, *choice.compared)):
        for name in choice.sets:
            style = _curve_style(styles[name], position, bool(choice.compared))
            label = f"{detector.label(score)} · {name}" if choice.compared else name
            point = points[name] if position == 0 else None
            curve = loaders.roc_curve(*place, score, name)
            at = None if point is None else (point.fpr, point.tpr)
            auroc, aupr = (_result(table, score, name, each) for each in ("auroc", area))
            rocs.append(OperatingCurve(label, auroc, curve.x, curve.y, at, style))
            curve = loaders.precision_recall_curve(*place, score, name, choice.positive.lower())
            at = None if point is None else _precision_point(point, choice.positive)
            precisions.append(OperatingCurve(label, aupr, curve.x, curve.y, at, style))
    with left:
        components.chart(roc(rocs, shown=view.shown), key="roc", alt="ROC with the threshold")
    with right:
        figure = precision_recall(precisions, positive=choice.positive, shown=view.shown)
        components.chart(figure, key="precision", alt="Precision over recall with the threshold")


def _result(table: pd.DataFrame, score: str, name: str, metric: str) -> float:
    found = table.loc[(table["detector"] == score) & (table["set"] == name), metric]
    return float(found.iloc[0]) if len(found) else np.nan


def _curve_style(style: Style, position: int, several: bool) -> Style:
    """With several detectors the colour says which set and the dash which detector."""
    if not several:
        return style
    dash = "solid" if position == 0 else _COMPARED_DASHES[(position - 1) % len(_COMPARED_DASHES)]
    return replace(style, dash=dash)


def _precision_point(point: metrics.OperatingPoint, positive: str) -> tuple[float, float] | None:
    if positive == "ID":
        return None if point.precision is None else (point.tpr, point.precision)
    rejected = point.id_rejected + point.ood_rejected
    return (1 - point.fpr, point.ood_rejected / rejected) if rejected else None


def _metrics_table(table: pd.DataFrame, choice: Choice) -> None:
    st.subheader("Without a threshold", anchor=False)
    names = [choice.detector, *choice.compared]
    rows = table[table["detector"].isin(names) & table["set"].isin(choice.sets)]
    rows = rows.sort_values("detector", key=lambda column: column.map(names.index), kind="stable")
    columns = [name for name in COLUMNS if name in rows]
    wrong = rows["auroc"] < 0.5
    shown = pd.DataFrame(
        {
            "Detector": rows["detector"].map(detector.label),
            "OOD set": rows["set"],
            "Kind": rows["group"],
            **({"Remark": np.where(wrong, WRONG_WAY, "")} if wrong.any() else {}),
            **{name: rows[name] for name in columns},
            "ID samples": rows["id_samples"],
            "OOD samples": rows["ood_samples"],
        }
    )
    config = {
        name: st.column_config.NumberColumn(
            DEFINITIONS[name].label, help=DEFINITIONS[name].definition, format="%.3f"
        )
        for name in columns
    }
    st.dataframe(shown, hide_index=True, column_config=config, alt="Detection metrics")
    with st.popover("What do these numbers mean?", icon=":material/help:", width="content"):
        for name in columns:
            components.define(DEFINITIONS[name])
