"""A tab of the Leaderboard: how far a detector's rank depends on k, percentile or dimension."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from ncviz.figures import Board
from ncviz.figures.sensitivity import sensitivity
from ncviz.results.fitted import dependences
from ncviz.ui import board_loaders, components, controls
from ncviz.ui.view import View

_MEAN = "mean"


def show(view: View, board: Board, sets: Mapping[str, str]) -> None:
    """Ranges of rank and AUROC of each detector with such a parameter, and the numbers."""
    table = board_loaders.sensitivity_table(view.run, view.epoch)
    table = table[table["layer"] == view.layer] if len(table) else table
    if table.empty:
        components.empty_state(
            "No detector here was evaluated with other parameters. Make these results with:",
            *components.commands(view.run.name, imported=view.run.imported),
        )
        return
    names = [_MEAN, *sets] if len(sets) > 1 else list(sets)
    chosen = controls.switch("Results on", names, key="varied", wraps=True)
    found = dependences(table, board.detectors, "" if chosen == _MEAN else chosen)
    where = "mean over all OOD sets" if chosen == _MEAN else chosen
    if not found:
        components.empty_state("None of the detectors shown has such a parameter.")
        return
    widest = found[0]
    components.chart(
        sensitivity(found, where=where, shown=view.shown),
        key="board_sensitivity",
        alt=f"Ranges of rank and AUROC of {len(found)} parameters, {where}. Widest: {widest.name}, "
        f"rank {widest.ranks.min():g} to {widest.ranks.max():g}",
    )
    st.caption(
        "Ranks are by AUROC among all detectors of the layer, with every other detector at its "
        "default. The defaults of k and dim are chosen from the data. Values that were not tried "
        "may widen a range. Choosing a value by these OOD results would be tuning on test data."
    )
    rows = [
        {
            "Detector": one.detector,
            "Parameter": one.parameter,
            "Value": value,
            "Default": at == one.default,
            "AUROC": one.aurocs[at],
            "FPR95": one.fpr95s[at],
            "Rank": one.ranks[at],
        }
        for one in found
        for at, value in enumerate(one.values)
    ]
    components.table(
        pd.DataFrame(rows),
        name=f"sensitivity-{view.layer}-{chosen}",
        shown=view.shown,
        config={
            name: st.column_config.NumberColumn(format=form)
            for name, form in {
                "Value": "%.4g",
                "AUROC": "%.3f",
                "FPR95": "%.3f",
                "Rank": "%.1f",
            }.items()
        },
        alt="AUROC, FPR95 and rank of each detector at each value of its parameter",
    )
