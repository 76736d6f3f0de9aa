"""OOD scores: known and unknown samples on one axis, the threshold, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from ncviz import metrics
from ncviz.figures import (
    OperatingCurve,
    mark_sample,
    precision_recall,
    roc,
    score_distributions,
)
from ncviz.figures.theme import Style, ood_style
from ncviz.metrics import DEFINITIONS
from ncviz.metrics.precision import EXPLANATION, MARK
from ncviz.results.board import notes
from ncviz.results.fitted import FITTED_ON
from ncviz.results.words import left_out
from ncviz.thresholds import promise
from ncviz.ui import (
    components,
    detector,
    loaders,
    samples,
    score_selection,
    shell,
    told,
)
from ncviz.ui.components import plain
from ncviz.ui.plot import Gestures
from ncviz.ui.score_choice import Choice, choose
from ncviz.ui.score_selection import Scored, place_on_curve
from ncviz.ui.view import View

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

COLUMNS = ("auroc", "aupr_in", "aupr_out", "fpr95", "fpr95_ood", "detection_accuracy")
WRONG_WAY = "ranks the wrong way round on this set"
_COMPARED_DASHES = ("dash", "dot", "dashdot", "longdash", "longdashdot")


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
        choice = choose(view, table)
    if choice is None:
        components.empty_state("Choose at least one OOD set in the sidebar.")
        return
    components.provenance(
        str(view.shown),
        f"{view.run.epochs.index(view.epoch) + 1} of {len(view.run.epochs)} saved epochs",
        loaders.computed_on(view.run) or f"{len(choice.known.evaluated):,} ID test samples",
        f"{sum(len(each.evaluated) for each in choice.unknown.values()):,} OOD samples",
        *left_out(view.run),
        "scores written by scripts/evaluate.py",
        view.without_head,
    )
    _warn(table, choice)
    points = {
        name: metrics.operating_point(choice.known.evaluated, each.evaluated, choice.cut.value)
        for name, each in choice.unknown.items()
    }
    styles = {name: ood_style(list(view.run.ood_sets).index(name)) for name in choice.sets}
    scored = _scored(view, choice)
    with shell.readable_errors():
        _distributions(scored, choice, styles)
        _confusion(scored, choice)
    with shell.readable_errors():
        _curves(scored, table, choice, points, styles)
    with shell.readable_errors():
        _metrics_table(view, table, choice)
    samples.show(view, choice.detector)


def _scored(view: View, choice: Choice) -> Scored:
    known = f"{view.run.id_set} test (ID)"
    return Scored(
        view=view,
        detector=choice.detector,
        samples={known: choice.known, **choice.unknown},
        full_names={known: f"{view.run.id_set}/test"}
        | {name: f"{name}/test" for name in choice.sets},
        cut=choice.cut,
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


def _distributions(scored: Scored, choice: Choice, styles: Mapping[str, Style]) -> None:
    label = detector.label(choice.detector)
    known, *sets = scored.samples
    chosen = scored.chosen()
    figure = score_distributions(
        choice.known.evaluated,
        {name: choice.unknown[name].evaluated for name in sets},
        id_name=known,
        styles=styles,
        threshold=choice.cut.value,
        detector=label,
        shown=scored.view.shown,
        log=choice.log,
        selected=chosen,
    )
    ends = figure.layout.xaxis.range
    if found := scored.looked_at():
        name, score = found
        mark_sample(figure, score, f"{name}: {score:.4g}")
    components.chart(
        figure,
        key="distributions",
        alt=told.distributions(
            label,
            {name: each.evaluated for name, each in scored.samples.items()},
            choice.cut.value,
            {name: len(rows) for name, rows in chosen.items()},
        ),
        gestures=Gestures(span=scored.select_range, click=scored.look),
    )
    st.caption(
        "Drag over the chart to select the samples whose score lies in that range, in all sets "
        "drawn; click one of their marks to look at that sample. To zoom instead, choose the "
        "magnifier at the top right; double-click goes back."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        score_selection.choose_range(scored, *ends)
        detector.explain(choice.detector)


def _confusion(scored: Scored, choice: Choice) -> None:
    does = f"a threshold of {choice.cut.value:.4g}"
    if not np.isfinite(choice.cut.value):
        does = "accepting nothing, which costs least here,"
    st.subheader(f"What {does} does", anchor=False)
    st.caption(_about_threshold(choice))
    score_selection.confusion(scored)
    st.caption(_about_counts(scored))
    score_selection.choose_side(scored)


def _about_threshold(choice: Choice) -> str:
    """Return what the threshold was chosen on, and what that promises."""
    criterion = choice.cut.criterion
    if criterion is None:
        return "Threshold set by hand. The counts are of all samples."
    if not criterion.needs_ood:
        sentence = promise(criterion, len(choice.known.evaluated))
        return f"{sentence} The threshold needs no OOD samples; the counts are of all samples."
    known = int(choice.known.calibration.sum())
    unknown = sum(int(each.calibration.sum()) for each in choice.unknown.values())
    return (
        f"Threshold rule: {criterion}, chosen on one half of the samples ({known:,} ID and "
        f"{unknown:,} OOD). The counts are of the other half; the curves below and their points "
        "are of all samples."
    )


def _about_counts(scored: Scored) -> str:
    words = "Click a count to select those samples."
    if scored.listed == scored.evaluated:
        return words
    return (
        f"The counts are of {scored.evaluated:,} samples; {scored.listed:,} of them are kept for "
        f"inspection. {words[:-1]}, as far as they are kept."
    )


def _curves(
    scored: Scored,
    table: pd.DataFrame,
    choice: Choice,
    points: Mapping[str, metrics.OperatingPoint],
    styles: Mapping[str, Style],
) -> None:
    left, right = st.columns(2)
    view, chosen = scored.view, scored.chosen()
    place = (view.run, view.epoch, view.layer)
    rocs, precisions = [], []
    area = "aupr_in" if choice.positive == "ID" else "aupr_out"
    for position, score in enumerate((choice.detector, *choice.compared)):
        for name in choice.sets:
            style = _curve_style(styles[name], position, bool(choice.compared))
            label = f"{detector.label(score)} · {name}" if choice.compared else name
            auroc, aupr = (_result(table, score, name, each) for each in ("auroc", area))
            for curves, value, positive, curve in (
                (rocs, auroc, None, loaders.roc_curve(*place, score, name)),
                (
                    precisions,
                    aupr,
                    choice.positive,
                    loaders.precision_recall_curve(*place, score, name, choice.positive.lower()),
                ),
            ):
                at, marks = None, ()
                if position == 0:
                    at = place_on_curve(points[name], positive)
                    marks = scored.marks(name, chosen, style, positive)
                curves.append(OperatingCurve(label, value, curve.x, curve.y, at, style, marks))
    selected = f"selected ({sum(map(len, chosen.values())):,})" if chosen else None
    with left:
        components.chart(
            roc(rocs, shown=view.shown, selected=selected),
            key="roc",
            alt=told.curves("ROC", "AUROC", rocs),
        )
    with right:
        figure = precision_recall(
            precisions, positive=choice.positive, shown=view.shown, selected=selected
        )
        name = f"Precision over recall of {choice.positive}"
        components.chart(figure, key="precision", alt=told.curves(name, "AUPR", precisions))
    if chosen:
        st.caption(
            "Hollow marks: the selected samples, each where the curve would be cut if its score "
            "were the threshold."
        )


def _result(table: pd.DataFrame, score: str, name: str, metric: str) -> float:
    found = table.loc[(table["detector"] == score) & (table["set"] == name), metric]
    return float(found.iloc[0]) if len(found) else np.nan


def _curve_style(style: Style, position: int, several: bool) -> Style:
    """With several detectors the colour says which set and the dash which detector."""
    if not several:
        return style
    dash = "solid" if position == 0 else _COMPARED_DASHES[(position - 1) % len(_COMPARED_DASHES)]
    return replace(style, dash=dash)


def _metrics_table(view: View, table: pd.DataFrame, choice: Choice) -> None:
    st.subheader("Summary metrics", anchor=False)
    names = [choice.detector, *choice.compared]
    rows = table[table["detector"].isin(names) & table["set"].isin(choice.sets)]
    rows = rows.sort_values("detector", key=lambda column: column.map(names.index), kind="stable")
    columns = [name for name in COLUMNS if name in rows]
    wrong = rows["auroc"] < 0.5
    fitted = loaders.fitted_on(view.run, view.epoch, view.layer)
    marked = {name: notes(rows[name], rows[["id_samples", "ood_samples"]]) for name in columns}
    approximate = any(any(found) for found in marked.values())
    shown = pd.DataFrame(
        {
            "Detector": rows["detector"].map(detector.label),
            "OOD set": rows["set"],
            "Kind": rows["group"],
            **({"Remark": np.where(wrong, WRONG_WAY, "")} if wrong.any() else {}),
            **{name: rows[name] for name in columns},
            "ID samples": rows["id_samples"],
            "OOD samples": rows["ood_samples"],
            FITTED_ON: [fitted.get(name, "") for name in rows["detector"]],
        }
    )
    config = {
        name: st.column_config.NumberColumn(
            DEFINITIONS[name].label, help=DEFINITIONS[name].definition
        )
        for name in columns
    }

    def whole() -> pd.DataFrame:
        labels = _approximate(marked, len(shown))
        return shown.assign(Approximate=labels) if approximate else shown

    components.table(
        _with_marks(shown, marked),
        name="detection",
        shown=view.shown,
        config=config,
        values=whole,
        alt="Detection metrics of each detector and OOD set, which depend on no threshold",
    )
    detector.explain_left_out(view.run, view.epoch, view.layer)
    if approximate:
        st.caption(EXPLANATION)
    with st.popover("What do these numbers mean?", icon=":material/help:", width="content"):
        for name in columns:
            components.define(DEFINITIONS[name])


def _with_marks(shown: pd.DataFrame, marked: Mapping[str, Sequence[str]]) -> Styler:
    """Return the table with a mark in front of each value that few samples decide."""
    shown = shown.reset_index(drop=True)
    styled = shown.style.format("{:.3f}", subset=list(marked), na_rep="")
    for name, found in marked.items():
        at = [row for row, note in enumerate(found) if note]
        styled = styled.format(f"{MARK}{{:.3f}}", subset=pd.IndexSlice[at, [name]])
    return styled


def _approximate(marked: Mapping[str, Sequence[str]], rows: int) -> list[str]:
    """Return for each row the metrics that few samples decide."""
    return [
        ", ".join(DEFINITIONS[name].label for name, found in marked.items() if found[at])
        for at in range(rows)
    ]
