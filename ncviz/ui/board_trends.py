"""Two tabs of the Leaderboard: detectors over epochs, and near against far sets."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from ncviz.figures import Board, bands_over_epochs, near_against_far
from ncviz.results.board import band_panel, emphasised, families, group_means
from ncviz.ui import components, controls, detector, told
from ncviz.ui.components import plain
from ncviz.ui.view import View


def over_epochs(
    view: View,
    board: Board,
    rows: pd.DataFrame,
    means: pd.DataFrame,
    sets: Mapping[str, str],
) -> None:
    """The chosen detectors over epochs, near and far apart, the others faint behind them."""
    names = detector.in_order(board.detectors)
    chosen = controls.choose_several(
        "Detectors to follow",
        names,
        key="follow",
        default=emphasised(names),
        words=detector.label,
        placeholder="Choose detectors",
    )
    groups = [group for group in ("near", "far") if group in sets.values()]
    panels = []
    for group in groups:
        found = group_means(rows, means, board.metric, group)
        count = sum(each == group for each in sets.values())
        panels.append(band_panel(found, names, chosen, group, count))
    figure = bands_over_epochs(
        panels,
        title="Detectors over epochs",
        value=board.label,
        shown=view.shown,
        chance=0.5 if board.metric == "auroc" else None,
    )
    words = told.bands(board.label, panels, view.epoch)
    components.chart(figure, key="board_epochs", alt=words)
    bands = "Bands are 95% intervals over test samples. " if board.has_intervals else ""
    chance = "Dashed: chance. " if board.metric == "auroc" else ""
    if rows["epoch"].nunique() == 1:
        st.caption(f"{plain(view.layer)} has results at this epoch alone.")
    st.caption(f"{bands}{chance}Point at a faint line for its name.")


def near_far(view: View, board: Board) -> None:
    """Each detector's mean on near sets against that on far ones."""
    near, far = (board.column(f"mean {kind}") for kind in ("near", "far"))
    if near is None or far is None:
        components.empty_state(
            "Choose all OOD sets in the sidebar: this compares near with far ones."
            if len(set(view.run.ood_sets.values())) > 1
            else f"{plain(view.run.name)} has OOD sets of one kind alone; this compares near with "
            "far ones."
        )
        return
    drawn = families(board, near, far)
    figure = near_against_far(
        drawn,
        label=board.label,
        higher_is_better=board.higher_is_better,
        shown=view.shown,
    )
    words = told.near_far(drawn, board.label, higher_is_better=board.higher_is_better)
    components.chart(figure, key="board_kinds", alt=words)
    better = "top right" if board.higher_is_better else "bottom left"
    st.caption(
        f"The best are at the {better}. Large: those that no other detector beats on both kinds, "
        "with their names where there is room; point at the others. On the dotted line near and "
        "far sets are equally hard."
    )
