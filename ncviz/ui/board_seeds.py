"""A tab of the Leaderboard: results and ranks of detectors over the seeds of a group."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from ncviz.figures import Board, Column
from ncviz.results import seeds
from ncviz.seed_groups import SeedSummary
from ncviz.ui import components, controls, detector, seed_loaders
from ncviz.ui.components import plain
from ncviz.ui.view import View

MEAN, STD, COUNT = "Mean over seeds", "Standard deviation", "Seeds"
BEST_RANK, WORST_RANK = "Best rank", "Worst rank"


def note(view: View, board: Board) -> None:
    """Say below the heatmap how much the last column differs between seeds."""
    summary = seed_loaders.summary_of(view.run, view.epoch)
    if summary is None:
        quoted = next((name for name in board.detectors if name == "energy"), board.detectors[0])
        st.caption(f"{plain(seeds.unknown(seed_loaders.summaries(), quoted))}")
        return
    column = board.columns[-1]
    table = over_seeds(summary, board, view.layer, column)[[STD, BEST_RANK, WORST_RANK]]
    table = table.assign(Detector=[detector.label(name) for name in board.detectors]).dropna()
    if table.empty:
        st.caption(f"No result of {plain(column.title)} in several seeds of {plain(summary.name)}.")
        return
    widest = table.loc[(table[WORST_RANK] - table[BEST_RANK]).idxmax()]
    st.caption(
        f"Over the seeds of {plain(summary.name)} at epoch {summary.epoch}, the standard deviation "
        f"of {plain(board.label)} ({plain(column.title)}) is {table[STD].min():.3f} to "
        f"{table[STD].max():.3f}, median {table[STD].median():.3f}. The rank that changes most is "
        f"that of {plain(widest['Detector'])}: {widest[BEST_RANK]:g} to {widest[WORST_RANK]:g} of "
        f"{len(table)}."
    )


def show(view: View, board: Board) -> None:
    """Show each detector in this run and over the seeds of its group."""
    summary = seed_loaders.summary_of(view.run, view.epoch)
    if summary is None:
        quoted = detector.in_order(board.detectors)[0]
        components.empty_state(
            f"{plain(seeds.unknown(seed_loaders.summaries(), quoted))} Train the same recipe with "
            "another seed:",
            "python scripts/train.py RECIPE --run another --seed 1",
            *components.commands("another"),
        )
        return
    titles = {column.title: column for column in board.columns}
    chosen = controls.switch(
        "Results on", list(titles), key="seeds_on", default=board.columns[-1].title, wraps=True
    )
    column = titles[chosen]
    table = over_seeds(summary, board, view.layer, column)
    if table[COUNT].max() < 2:
        components.empty_state(
            f"{plain(chosen)} has no results in several seeds of {plain(summary.name)} at layer "
            f"{plain(view.layer)}. OOD sets that all seeds share: "
            f"{plain(seeds.sets_in_words(summary))}."
        )
        return
    formats = dict.fromkeys((BEST_RANK, WORST_RANK), "%g") | {COUNT: "%d"}
    config = {
        name: st.column_config.NumberColumn(format=formats.get(name, "%.3f"))
        for name in table.select_dtypes(np.number)
    }
    config["Detector"] = st.column_config.TextColumn(pinned=True, width=150)
    components.table(
        table,
        name=f"seeds-{board.metric}-{column.title}",
        shown=view.shown,
        config=config,
        alt=f"{board.label} of each detector in this run and over {len(summary.members)} seeds",
        placeholder="–",
    )
    members = ", ".join(run.name for run in summary.members)
    st.caption(
        f"{plain(board.label)}, {plain(chosen)}. This run: epoch {view.epoch} with its 95% "
        f"interval over test samples. {seeds.MEAN_STD} {plain(summary.name)}: {plain(members)}, "
        f"epoch {summary.epoch}. Means over sets use those that all seeds share: "
        f"{plain(seeds.sets_in_words(summary))}. Ranks: among the detectors shown that have "
        "results in every seed, 1 being the best."
    )


def over_seeds(summary: SeedSummary, board: Board, layer: str, column: Column) -> pd.DataFrame:
    """Return one row for each detector of a board: this run, statistics over seeds, rank range."""
    at = board.column(column.title)
    which = {"set_name": "" if column.mean else column.title, "group": column.group}
    ranks = summary.detector_ranks(board.metric, layer, board.detectors, **which)
    rows = []
    for place, name in enumerate(board.detectors):
        spread = summary.spread("detection", board.metric, layer=layer, detector=name, **which)
        own = ranks.loc[name] if name in ranks.index else pd.Series([np.nan])
        rows.append(
            {
                "Detector": detector.label(name),
                "This run": board.values[place, at],
                "Low": board.lows[place, at],
                "High": board.highs[place, at],
                MEAN: spread.mean if spread else np.nan,
                STD: spread.std if spread else np.nan,
                COUNT: spread.n if spread else 0,
                BEST_RANK: own.min(),
                WORST_RANK: own.max(),
            }
        )
    return pd.DataFrame(rows)
