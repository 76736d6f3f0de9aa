"""A tab of the Leaderboard: mean ranks over runs and OOD sets, with tests of their differences."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import streamlit as st

from ncviz.figures import Board, critical_differences
from ncviz.metrics import LEVEL, RankAnalysis
from ncviz.results.detectors import label
from ncviz.results.rank_blocks import RankBlocks, Source, analyse, collect, pair_table, rank_table
from ncviz.store import Run
from ncviz.ui import components, controls, detector, loaders, told
from ncviz.ui.components import plain
from ncviz.ui.view import View

_CHOSEN, _CHOSEN_FOR = "ranked", "_ranked_for"


def show(view: View, board: Board, groups: Collection[str]) -> None:
    """Draw the tab.

    Parameters
    ----------
    board : the detectors that the page shows, and its metric
    groups : groups of OOD sets that the page shows
    """
    runs = _choose_runs(view)
    sources = [source for run in runs if (source := _source(view, run)) is not None]
    names = detector.in_order(board.detectors)
    blocks = collect(sources, board.metric, names, groups)
    if blocks.obstacle:
        components.empty_state(blocks.obstacle)
        return
    found = analyse(blocks, board.metric)
    labels = [label(name) for name in blocks.detectors]
    components.chart(
        critical_differences(found.ranks, labels, found.cliques, shown=blocks.shown),
        key="board_ranks",
        alt=told.ranks(found, labels),
    )
    outcome = (
        "the detectors do not all rank alike"
        if found.significant
        else "no difference between detectors is found, so no pair is compared"
    )
    st.markdown(
        f"**Friedman's test**: χ² = {found.statistic:.1f}, p {_p(found.p_value)}: {outcome}."
    )
    st.caption(
        f"Ranks by {plain(board.label)} within each block, a pair of a run and an OOD set. A bar "
        "joins detectors of which no pair differs significantly (Conover's test, corrected by "
        f"Holm for all pairs, p ≥ {LEVEL:g}); filled points are in the best detector's group. "
        "Equal values share the mean of their ranks."
    )
    st.caption(f"{_about_blocks(blocks)}{_about_left_out(blocks)}")
    _tables(view, board, blocks, found)


def _choose_runs(view: View) -> list[Run]:
    """Return the page's run, and the further ones that the user picks."""
    others = {
        name: run
        for name, run in loaders.listing().runs.items()
        if run != view.run and _has_results(run)
    }
    if not others:
        return [view.run]
    default = _default(view.run, others)
    # A choice that was made for another run would leave out what belongs to this one.
    if st.session_state.get(_CHOSEN_FOR, view.run.name) != view.run.name:
        st.session_state[_CHOSEN] = default
    st.session_state[_CHOSEN_FOR] = view.run.name
    chosen = controls.choose_several(
        "Further runs",
        list(others),
        key=_CHOSEN,
        default=default,
        help="Each OOD set of each run is a block. Runs are taken at the same epoch as this one "
        "(its last epoch: at their last) and at the same layer, if they have it.",
        placeholder=f"Only {view.run.name}",
    )
    return [view.run, *(others[name] for name in chosen)]


def _has_results(run: Run) -> bool:
    return loaders.is_sound(run) and len(loaders.detection_table(run)) > 0


def _default(run: Run, others: Mapping[str, Run]) -> list[str]:
    """Return the runs with the same ID data set."""
    return [name for name, other in others.items() if other.id_set == run.id_set]


def _source(view: View, run: Run) -> Source | None:
    """Return the results of a run at the epoch and layer closest to what the page shows."""
    table = loaders.detection_table(run)
    layer = view.layer if view.layer in set(table["layer"]) else run.layers[-1]
    table = table[table["layer"] == layer]
    if table.empty:
        return None
    epochs = sorted(set(table["epoch"]))
    at_end = run != view.run and view.epoch == view.run.epochs[-1]
    epoch = view.epoch if view.epoch in epochs and not at_end else epochs[-1]
    return Source(run.name, int(epoch), layer, table[table["epoch"] == epoch])


def _about_blocks(blocks: RankBlocks) -> str:
    count = len(blocks.blocks)
    if blocks.runs == 1:
        return (
            f"{count} blocks, all of one network and one ID test set. They are not independent, "
            "so the p-values are about this network on such OOD sets, not about training again. "
        )
    return (
        f"{count} blocks from {blocks.runs} runs. The blocks of one run share its network and ID "
        f"test set and are not independent of each other: only {blocks.runs} networks support the "
        "p-values, which are too small if detectors rank differently from network to network. "
    )


def _about_left_out(blocks: RankBlocks) -> str:
    if not blocks.left_out:
        return ""
    names = ", ".join(plain(label(name)) for name in blocks.left_out)
    return f"Without results in every block, and left out: {names}."


def _tables(view: View, board: Board, blocks: RankBlocks, found: RankAnalysis) -> None:
    left, right = st.columns([3, 2])
    with left:
        components.table(
            rank_table(blocks, found, board.label),
            name="ranks",
            shown=view.shown,
            config={
                "Mean rank": st.column_config.NumberColumn(format="%.2f"),
                f"Mean {board.label}": st.column_config.NumberColumn(format="%.3f"),
                "Groups": st.column_config.TextColumn(
                    help="Numbers of the bars, best first: detectors that share a number do not "
                    "differ significantly."
                ),
            },
            alt=f"Mean rank by {board.label} of each detector, and the groups it belongs to",
        )
        components.offer_csv(
            "Save all pairs as CSV",
            lambda: pair_table(blocks, found),
            name=f"rank-pairs-{board.metric}",
            shown=view.shown,
        )
    with right:
        components.table(
            blocks.blocks,
            name="rank-blocks",
            shown=view.shown,
            alt="Run, epoch, layer and OOD set of each block",
        )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
