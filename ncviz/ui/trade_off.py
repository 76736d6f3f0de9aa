"""Trade-off: collapse against detection and transfer, over epochs, layers and runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import pandas as pd
import streamlit as st

from ncviz.collapse import METRICS
from ncviz.figures import trade_off
from ncviz.results.trade_off import (
    DETECTION,
    TRANSFER,
    Course,
    panels_against,
    style_of,
    through_epochs,
)
from ncviz.store import Run
from ncviz.ui import components, controls, detector, loaders, shell, told
from ncviz.ui.components import plain
from ncviz.ui.plot import Gestures, Point
from ncviz.ui.view import View

CHART = "_trade_off"
NC1 = tuple(name for name, info in METRICS.items() if info.group == "NC1")
NC1_COLUMNS = ("nc1_pinv", "nc1_trace")
FURTHER_COLUMNS = ("nc2_gram", "nc3_duality", "nc4_agreement", "entropy", "effective_rank")
POINTS = ("epochs", "layers")
NOTES = {
    "epochs": "one point for each saved epoch · lines join the epochs of a run's layer",
    "layers": "one point for each layer of a run's last epoch, named at the chosen run · lines go "
    "from input to head",
}
DEPENDENT = {"epochs": "epochs of one run", "layers": "layers of one network"}


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
        points = controls.switch(
            "Points",
            POINTS,
            key="points",
            help="epochs: encoder and projector at every saved epoch. layers: all layers of a "
            "run at its last epoch, those inside the backbone among them where they were "
            "extracted.",
        )
    shown = {name: runs[name] for name in chosen}
    score = detector.choose_for_layers(
        shown.values(),
        help="The score whose FPR95 is shown. A layer without a head of its own has the energy of "
        "a linear probe, and scores that look at features alone.",
    )
    last = {name: _layers_of(run, score) for name, run in shown.items()}
    courses = _through_layers(shown, last) if points == "layers" else _through_epochs(shown, score)
    courses = [course for course in courses if nc1 in course.table]
    if not courses:
        reasons = [runs[name].without_features for name in chosen]
        if reasons and all(reasons):
            components.empty_state(plain(reasons[0]))
            return
        components.empty_state(
            "No chosen run has results yet. Make them with:",
            *_commands(runs[chosen[0]] if chosen else view.run),
        )
        return
    components.provenance(
        f"{len(shown)} runs" if len(shown) > 1 else next(iter(shown)),
        f"marked: {view.shown}",
        loaders.computed_on(view.run),
        f"detection by {detector.label(score)}" if score else "no detection results",
        "written by scripts/evaluate.py and scripts/extract.py --transfer",
    )
    with shell.readable_errors():
        _chart(view, courses, nc1, points)
    with shell.readable_errors():
        _last_epochs(shown, last, score)
    with shell.readable_errors():
        _what_is_missing(shown, last, points)


def _commands(run: Run) -> tuple[str, ...]:
    return components.commands(run.name, imported=run.imported)


def _through_epochs(runs: Mapping[str, Run], score: str | None) -> list[Course]:
    courses = []
    for run in runs.values():
        for layer in run.layers:
            table = loaders.trade_off_table(run, layer, score)
            if len(table):
                courses.append(through_epochs(run, layer, table, style_of(len(courses))))
    return courses


def _through_layers(runs: Mapping[str, Run], last: Mapping[str, pd.DataFrame]) -> list[Course]:
    return [
        Course(runs[name], name, table, tuple(table["layer"]), style_of(position))
        for position, (name, table) in enumerate(last.items())
        if len(table)
    ]


def _layers_of(run: Run, score: str | None) -> pd.DataFrame:
    """Metrics of all layers of a run at its last evaluated epoch, a row each."""
    table = loaders.collapse_table(run)
    if table.empty:
        return table
    epoch = table["epoch"].max()
    layers = table.loc[table["epoch"] == epoch, "layer"].unique()
    found = pd.concat([loaders.trade_off_table(run, layer, score) for layer in layers])
    return found[found["epoch"] == epoch].reset_index(drop=True)


def _chart(view: View, courses: list[Course], nc1: str, points: str) -> None:
    panels = panels_against(courses, nc1, shown=view.shown, named=points == "layers")
    figure = trade_off(
        panels,
        title="Collapse against detection, transfer and entropy",
        note=NOTES[points],
    )

    def follow(clicked: Point) -> None:
        if len(clicked.data) == 2:
            place, position = map(int, clicked.data)
            point = courses[place].table.iloc[position]
            st.session_state["run"] = courses[place].run.name
            st.session_state["layer"] = point["layer"]
            st.session_state["epoch"] = int(point["epoch"])

    components.chart(
        figure,
        key=CHART,
        alt=told.against(panels),
        gestures=Gestures(click=follow),
    )
    st.caption(
        "Full collapse lies to the left. If more collapse means better detection, points rise from "
        "left to right in the first panel; if it means worse transfer, they fall in the second. r "
        "is Pearson's correlation of log NC1 with its 95 % interval, over all points: "
        f"{DEPENDENT[points]} are not independent, so the interval is too narrow. Click a point to "
        "choose its run, layer and epoch."
    )


def _last_epochs(
    runs: Mapping[str, Run], last: Mapping[str, pd.DataFrame], score: str | None
) -> None:
    st.subheader("Each layer at its last epoch", anchor=False)
    rows = [
        _row(runs[name], table, position)
        for name, table in last.items()
        for position in range(len(table))
    ]
    config = {
        METRICS[name].label: st.column_config.NumberColumn(
            help=METRICS[name].definition, format="%.3f"
        )
        for name in NC1_COLUMNS + FURTHER_COLUMNS
    }
    config |= {name: st.column_config.TextColumn(pinned=True) for name in ("Run", "Layer")}
    table = pd.DataFrame(rows)
    for column in table.columns[2:]:
        config.setdefault(column, st.column_config.NumberColumn(format="%.3f"))
    components.table(
        table, name="layers", config=config, alt="Metrics of each layer at its run's last epoch"
    )
    by = f" by {detector.label(score)}" if score else ""
    st.caption(
        f"FPR95{by}: share of an OOD set's images accepted when 95 % of ID test images are. "
        "Transfer: error of a linear probe on the set's test split, learned on its train split."
    )


def _row(run: Run, table: pd.DataFrame, position: int) -> dict[str, object]:
    last = table.iloc[position]
    history = loaders.history(run)
    row: dict[str, object] = {"Run": run.name, "Layer": last["layer"]}
    if "test_accuracy" in history:
        row["ID test error"] = 1 - history["test_accuracy"].iloc[-1]
    # What is weighed against each other comes first, as far as a narrow window goes.
    row |= {METRICS[name].label: last[name] for name in NC1_COLUMNS if name in last}
    row |= {
        title: last[name]
        for name, title in (("fpr95", DETECTION), ("transfer", TRANSFER))
        if name in last
    }
    row |= {METRICS[name].label: last[name] for name in FURTHER_COLUMNS if name in last}
    for prefix, words in (("fpr95:", "FPR95"), ("transfer:", "Transfer error")):
        row |= {
            f"{words}, {name.removeprefix(prefix)}": last[name]
            for name in table.columns
            if name.startswith(prefix)
        }
    return row


def _what_is_missing(
    runs: Mapping[str, Run], last: Mapping[str, pd.DataFrame], points: str
) -> None:
    # What takes the network cannot be had of features that were imported.
    last = {name: table for name, table in last.items() if not runs[name].imported}
    if len(last) < len(runs):
        names = plain(", ".join(name for name in runs if name not in last))
        st.caption(f"No transfer error, and no layers but those imported, of: {names}.")
    unmeasured = [name for name, table in last.items() if "transfer" not in table]
    if unmeasured:
        components.empty_state(
            f"Transfer is not measured yet for {plain(', '.join(unmeasured))}:",
            *(f"python scripts/extract.py {shlex.quote(name)} --transfer" for name in unmeasured),
        )
    reasons = {
        f"{plain(name)} {plain(reason)}"
        for run in runs.values()
        for name, reason in run.without_transfer.items()
    }
    if reasons:
        st.caption(f"No transfer error for: {'; '.join(sorted(reasons))}.")
    without = [name for name, table in last.items() if len(table) <= len(runs[name].layers)]
    if without and points == "layers":
        names = [shlex.quote(name) for name in without]
        components.empty_state(
            "No layers inside the backbone were extracted of "
            f"{plain(', '.join(without))}. Make them with (--transfer: their transfer too):",
            *(f"python scripts/extract.py {name} --stages --transfer" for name in names),
            f"python scripts/evaluate.py {' '.join(names)}",
        )
