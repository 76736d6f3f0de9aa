"""Leaderboard: every detector on every OOD set, its means over near and far ones, and more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from ncviz.figures import Board, leaderboard
from ncviz.metrics import DEFINITIONS, INTERVAL_METRICS, SUMMARY_METRICS
from ncviz.metrics.precision import EXPLANATION
from ncviz.results.board import as_frame, in_long_form, make_board
from ncviz.results.words import left_out
from ncviz.ui import (
    board_calibration,
    board_difference,
    board_loaders,
    board_ranks,
    board_seeds,
    board_sensitivity,
    board_trends,
    components,
    controls,
    detector,
    loaders,
    shell,
    told,
)
from ncviz.ui.components import plain
from ncviz.ui.view import View
from ncviz.without_head import unavailable_methods

KINDS = ("all", "near", "far")


@dataclass(frozen=True)
class Choice:
    """What the page alone needs from the sidebar.

    Attributes
    ----------
    rows, means : results of the layer over all epochs, of the chosen families and sets
    sets : the OOD sets shown, each with its group
    groups : the groups of OOD sets that are shown, whether or not this run has both
    """

    metric: str
    rows: pd.DataFrame
    means: pd.DataFrame
    sets: Mapping[str, str]
    groups: tuple[str, ...]
    intervals: bool


def body(view: View) -> None:
    """The page below its title."""
    table = loaders.detection_table(view.run)
    table = table[table["layer"] == view.layer]
    here = table[table["epoch"] == view.epoch]
    if here.empty:
        components.empty_state(
            f"Epoch {view.epoch} of {plain(view.run.name)} has no detection results at layer "
            f"{plain(view.layer)}. Make them with:",
            *components.commands(view.run.name, imported=view.run.imported),
        )
        return
    with st.sidebar:
        choice = _choose(view, table, here)
    rows = choice.rows[choice.rows["epoch"] == view.epoch]
    means = choice.means[choice.means["epoch"] == view.epoch]
    compared = board_loaders.comparisons_table(view.run)
    compared = compared[(compared["epoch"] == view.epoch) & (compared["layer"] == view.layer)]
    board = make_board(rows, means, compared, choice.metric, choice.sets)
    components.provenance(
        str(view.shown),
        f"{len(board.detectors)} detectors",
        loaders.computed_on(view.run) or f"{int(rows['id_samples'].iloc[0]):,} ID test samples",
        f"{len(choice.sets)} OOD set{'s' * (len(choice.sets) > 1)}",
        *left_out(view.run),
        "written by scripts/evaluate.py",
    )
    with shell.readable_errors():
        _explain_layer(view)
        detector.explain_left_out(view.run, view.epoch, view.layer)
        _heatmap(view, board)
    with shell.readable_errors():
        board_seeds.note(view, board)
    with shell.readable_errors():
        _table(view, board, rows, intervals=choice.intervals)
    _tabs(view, choice, board)


def _choose(view: View, table: pd.DataFrame, here: pd.DataFrame) -> Choice:
    measured = [name for name in SUMMARY_METRICS if name in here and here[name].notna().any()]
    labels = {DEFINITIONS[name].label: name for name in measured}
    metric = labels[controls.choose("Metric", list(labels), key="metric")]
    families = {name: detector.family(name) for name in detector.in_order(table["detector"])}
    present = set(here["detector"])
    chosen = controls.choose_several(
        "Families",
        sorted({family for name, family in families.items() if name in present}),
        key="families",
        help="What detectors look at. Without a choice all are shown.",
        placeholder="All families",
    )
    sets = {name: group for name, group in view.run.ood_sets.items() if name in set(here["set"])}
    groups = set(sets.values())
    kind = KINDS[0]
    if len(groups) > 1:
        kind = controls.switch(
            "OOD sets",
            KINDS,
            key="kind",
            help="near: classes of the same kind as the known ones. far: something else "
            "altogether.",
        )
    if kind != KINDS[0]:
        sets = {name: group for name, group in sets.items() if group == kind}
    intervals = False
    if f"{metric}_low" in here:
        words = controls.switch(
            "Intervals in the table",
            ("off", "on"),
            key="intervals",
            help="on: further columns for each set, the ends of the 95% interval and, for AUROC, "
            "the corrected p-value against the best detector.",
        )
        intervals = words == "on"
    shown = [name for name, family in families.items() if not chosen or family in chosen]
    means = loaders.means_table(view.run)
    means = means[(means["layer"] == view.layer) & means["detector"].isin(shown)]
    rows = table[table["detector"].isin(shown) & table["set"].isin(list(sets))]
    # In the registry's order, so that equal means are not in that of the file.
    rows = rows.sort_values("detector", key=lambda names: names.map(shown.index), kind="stable")
    shown_groups = KINDS[1:] if kind == KINDS[0] else (kind,)
    return Choice(metric, rows, means, sets, shown_groups, intervals)


def _explain_layer(view: View) -> None:
    if view.run.without_features:
        st.markdown(f":material/info: {plain(view.run.without_features)}")
    elif view.without_head:
        st.markdown(
            f":material/info: {plain(view.run.name)} was {plain(view.without_head)} "
            f"({plain(unavailable_methods())}). All others use the logits of the network itself."
        )
    elif not board_loaders.has_head(view.run, view.epoch, view.layer):
        st.markdown(
            f":material/info: {plain(view.layer)} has no classifier of its own, so detectors that "
            "need one are missing. Those here look at its features; some take the logits of the "
            f"network's head beside them, which sits on {plain(view.run.layers[-1])}."
        )


def _heatmap(view: View, board: Board) -> None:
    labels = [detector.label(name) for name in board.detectors]
    families = [detector.family(name) for name in board.detectors]
    components.chart(
        leaderboard(board, labels, families, shown=view.shown),
        key="board",
        alt=told.board(board, labels),
    )
    better = "higher" if board.higher_is_better else "lower"
    colours = "the bluer, the better among those shown"
    if board.metric == "auroc" and board.wrong.any():
        colours += "; orange is worse than chance"
    st.caption(
        f"{plain(board.label)}: {better} is better; {colours}. {_about_best(board)} "
        "\\! AUROC below 0.5: OOD samples score higher than known ones more often than not. "
        f"Rows are ordered by the last column. {_about_numbers(board)}"
    )
    with st.popover(f"What is {plain(board.label)}?", icon=":material/help:", width="content"):
        components.define(DEFINITIONS[board.metric])


def _about_best(board: Board) -> str:
    if not board.tested:
        why = "" if board.metric == "auroc" else ", which is done for AUROC only"
        return f"Bold: best value of its column; its lead is not tested{why}."
    return (
        "Bold: best value of its column. ★ not significantly different from the best of all "
        "detectors of this layer (DeLong's test on all evaluated samples, corrected for the number "
        "of detectors by Holm, p ≥ 0.05)."
    )


def _about_numbers(board: Board) -> str:
    parts = []
    if board.has_intervals:
        parts.append(
            "95% intervals (point at a cell) describe other draws of ID and OOD test samples; "
            "training with another seed is not included. None is shown where too few samples "
            "determine it."
        )
    elif board.metric in INTERVAL_METRICS:
        parts.append(f"Too few samples for intervals of {plain(board.label)}.")
    else:
        parts.append(f"{plain(board.label)} has no interval.")
    if board.approximate.any():
        parts.append(EXPLANATION)
    if any(column.mean for column in board.columns):
        parts.append("In means every set counts the same, however many samples it has.")
    parts.append(
        "Average rank: a detector's place among those shown, 1 being the best, averaged over sets."
    )
    return " ".join(parts)


def _table(view: View, board: Board, rows: pd.DataFrame, *, intervals: bool) -> None:
    st.subheader("The same as a table", anchor=False)
    labels = {name: detector.label(name) for name in board.detectors}
    families = {name: detector.family(name) for name in board.detectors}
    fitted = loaders.fitted_on(view.run, view.epoch, view.layer)
    frame = as_frame(board, labels, families, intervals=intervals, fitted=fitted)
    formats = {"Average rank": "%.1f"}
    config = {
        name: st.column_config.NumberColumn(format=formats.get(name, "%.3f"))
        for name in frame.select_dtypes(np.number)
    }
    config["Detector"] = st.column_config.TextColumn(pinned=True, width=150)

    def whole() -> pd.DataFrame:
        wide = as_frame(board, labels, families, intervals=board.has_intervals, fitted=fitted)
        return _placed(wide, view, Metric=board.label)

    components.table(
        frame,
        name=f"leaderboard-{board.metric}-{view.layer}",
        shown=view.shown,
        config=config,
        values=whole,
        words="Save with intervals as CSV" if board.has_intervals else "Save as CSV",
        alt=f"{board.label} of each detector",
    )
    components.offer_csv(
        "Save every metric as CSV",
        lambda: _placed(in_long_form(rows, labels, fitted), view),
        name=f"leaderboard-{view.layer}",
        shown=view.shown,
    )


def _placed(table: pd.DataFrame, view: View, **more: str) -> pd.DataFrame:
    """The table with what it is of in front of each row."""
    place = {"Run": view.run.name, "Epoch": view.epoch, "Layer": view.layer, **more}
    return pd.concat([pd.DataFrame(place, index=table.index), table], axis=1)


def _tabs(view: View, choice: Choice, board: Board) -> None:
    tabs = st.tabs(
        [
            "Over epochs",
            "Near against far",
            "Is the difference real?",
            "Ranks over sets and runs",
            "Over seeds",
            "Temperature and calibration",
            "Sensitivity to parameters",
        ],
        key="tab",
        on_change="rerun",
        bind="query-params",
    )
    contents = (
        lambda: board_trends.over_epochs(view, board, choice.rows, choice.means, choice.sets),
        lambda: board_trends.near_far(view, board),
        lambda: board_difference.show(view, board, choice.sets),
        lambda: board_ranks.show(view, board, choice.groups),
        lambda: board_seeds.show(view, board),
        lambda: board_calibration.show(view, choice.sets),
        lambda: board_sensitivity.show(view, board, choice.sets),
    )
    for tab, draw in zip(tabs, contents, strict=True):
        if tab.open:
            with tab, shell.readable_errors():
                draw()
