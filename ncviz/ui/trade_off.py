"""Trade-off: collapse against detection and transfer, over epochs, layers and runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from ncviz.collapse import METRICS
from ncviz.correlation import correlate
from ncviz.figures import Against, Track, trade_off
from ncviz.figures.theme import ID_STYLE, Style, ood_style, signed
from ncviz.store import Run
from ncviz.ui import components, controls, detector, loaders, shell
from ncviz.ui.components import plain
from ncviz.ui.view import View

CHART = "_trade_off"
DETECTION = "Mean FPR95 over OOD sets"
TRANSFER = "Mean transfer error"
ENTROPY = "Entropy, mean log ρ"
NC1 = tuple(name for name, info in METRICS.items() if info.group == "NC1")
TABLE_METRICS = ("nc1_pinv", "nc1_trace", "nc2_gram", "nc3_duality", "nc4_agreement")


@dataclass(frozen=True)
class Course:
    """A layer of a run and its metrics, one row for each epoch."""

    run: Run
    layer: str
    table: pd.DataFrame
    style: Style

    @property
    def name(self) -> str:
        return f"{self.run.name} · {self.layer}"


def body(view: View) -> None:
    """The page below its title."""
    # A chosen run whose results are damaged says so here; damaged others are left out.
    loaders.collapse_table(view.run)
    loaders.detection_table(view.run)
    # Runs on other data differ in more than collapse: a correlation over them says nothing.
    runs = {
        name: run
        for name, run in loaders.listing().runs.items()
        if run.id_set == view.run.id_set and loaders.is_sound(run)
    }
    with st.sidebar:
        chosen = controls.choose_several(
            "Runs",
            list(runs),
            key="runs",
            default=list(runs),
            help=f"The runs trained on {view.run.id_set}.",
            placeholder="Choose runs",
        )
        nc1 = controls.choose(
            "NC1 by",
            NC1,
            key="nc1",
            words=lambda name: METRICS[name].label,
            help="Definitions of NC1 can disagree about which of two layers is more collapsed.",
        )
    shown = {name: runs[name] for name in chosen}
    score = detector.choose_among(shown.values(), help="The score whose FPR95 is shown.")
    courses = _courses(shown, score, nc1)
    if not courses:
        components.empty_state(
            "No chosen run has results yet. Make them with:",
            *components.commands(chosen[0] if chosen else view.run.name),
        )
        return
    components.provenance(
        f"{len(shown)} runs" if len(shown) > 1 else next(iter(shown)),
        f"marked: {view.shown}",
        f"detection by {detector.label(score)}" if score else "no detection results",
        "written by scripts/evaluate.py and scripts/extract.py --transfer",
    )
    with shell.readable_errors():
        _chart(view, courses, nc1)
    with shell.readable_errors():
        _last_epochs(courses, score)


def _courses(runs: Mapping[str, Run], score: str | None, nc1: str) -> list[Course]:
    courses = []
    for run in runs.values():
        for layer in run.layers:
            table = loaders.trade_off_table(run, layer, score)
            if len(table) and nc1 in table:
                style = ood_style(len(courses) - 1) if courses else ID_STYLE
                courses.append(Course(run, layer, table, style))
    return courses


def _chart(view: View, courses: list[Course], nc1: str) -> None:
    label = METRICS[nc1].label
    panels = [
        _panel(view, courses, x=nc1, x_title=f"{label} (log scale)", y=y, y_title=title)
        for y, title in (("fpr95", DETECTION), ("transfer", TRANSFER), ("entropy", ENTROPY))
        if any(y in course.table for course in courses)
    ]
    figure = trade_off(
        panels,
        title="Collapse against detection, transfer and entropy",
        note="one point for each saved epoch · lines join the epochs of a run's layer",
    )

    def follow() -> None:
        points = st.session_state[CHART]["selection"]["points"]
        if points and "customdata" in points[0]:
            # The browser names the columns of a binary array by their number.
            place, epoch = (int(points[0]["customdata"][column]) for column in ("0", "1"))
            st.session_state["run"] = courses[place].run.name
            st.session_state["layer"] = courses[place].layer
            st.session_state["epoch"] = epoch

    components.chart(
        figure,
        key=CHART,
        alt="NC1 against FPR95, transfer error and entropy over epochs, layers and runs",
        on_select=follow,
    )
    st.caption(
        "Full collapse lies to the left. If more collapse means better detection, points rise from "
        "left to right in the first panel; if it means worse transfer, they fall in the second. r "
        "is Pearson's correlation of log NC1 with its 95 % interval, over all points: epochs of "
        "one run are not independent, so the interval is too narrow. Click a point to choose its "
        "run, layer and epoch."
    )
    lacking = [course.run.name for course in courses if "transfer" not in course.table]
    if lacking:
        components.empty_state(
            "Transfer is not measured yet for " + plain(", ".join(dict.fromkeys(lacking))) + ":",
            *(f"python scripts/extract.py {name} --transfer" for name in dict.fromkeys(lacking)),
        )


def _panel(
    view: View, courses: list[Course], *, x: str, x_title: str, y: str, y_title: str
) -> Against:
    tracks = tuple(
        Track(
            course.name,
            course.table["epoch"].to_numpy(),
            course.table[x].to_numpy(np.float64),
            course.table[y].to_numpy(np.float64)
            if y in course.table
            else np.full(len(course.table), np.nan),
            course.style,
            view.epoch if (course.run.name, course.layer) == (view.run.name, view.layer) else None,
        )
        for course in courses
    )
    across = np.concatenate([track.x for track in tracks])
    across = np.log(across, out=np.full(len(across), np.nan), where=across > 0)
    found = correlate(across, np.concatenate([track.y for track in tracks]))
    finding = "too few points for r"
    if found:
        finding = f"r = {signed(found.r, 2)} [{signed(found.low, 2)}, {signed(found.high, 2)}]"
    return Against(x_title, y_title, tracks, finding, log_x=True)


def _last_epochs(courses: list[Course], score: str | None) -> None:
    st.subheader("Each layer at its last epoch", anchor=False)
    rows = [_row(course) for course in courses]
    config = {
        METRICS[name].label: st.column_config.NumberColumn(
            help=METRICS[name].definition, format="%.3f"
        )
        for name in TABLE_METRICS
    }
    table = pd.DataFrame(rows)
    for column in table.columns[2:]:
        config.setdefault(column, st.column_config.NumberColumn(format="%.3f"))
    st.dataframe(table, hide_index=True, column_config=config, alt="Metrics of the last epochs")
    by = f" by {detector.label(score)}" if score else ""
    st.caption(
        f"FPR95{by}: share of an OOD set's images accepted when 95 % of ID test images are. "
        "Transfer: error of a linear probe on the set's test split, learned on its train split."
    )


def _row(course: Course) -> dict[str, object]:
    last = course.table.iloc[-1]
    history = loaders.history(course.run)
    row: dict[str, object] = {"Run": course.run.name, "Layer": course.layer}
    if "test_accuracy" in history:
        row["ID test error"] = 1 - history["test_accuracy"].iloc[-1]
    row |= {METRICS[name].label: last[name] for name in TABLE_METRICS if name in last}
    row |= {
        title: last[name]
        for name, title in (("fpr95", DETECTION), ("transfer", TRANSFER))
        if name in last
    }
    for prefix, words in (("fpr95:", "FPR95"), ("transfer:", "Transfer error")):
        row |= {
            f"{words}, {name.removeprefix(prefix)}": last[name]
            for name in course.table.columns
            if name.startswith(prefix)
        }
    return row
