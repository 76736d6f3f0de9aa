"""Two tabs of the Leaderboard: detectors over epochs, and near against far sets."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from ncviz.figures import (
    Band,
    BandPanel,
    Board,
    Family,
    bands_over_epochs,
    near_against_far,
)
from ncviz.figures.theme import ID_STYLE, Style, ood_style
from ncviz.ui import components, controls, detector, told
from ncviz.ui.board import group_means
from ncviz.ui.components import plain
from ncviz.ui.view import View

_FIRST = ("energy", "knn", "vim", "energy_probe", "mahalanobis")
_EMPHASISED = 3


def over_epochs(
    view: View,
    board: Board,
    rows: pd.DataFrame,
    means: pd.DataFrame,
    sets: Mapping[str, str],
) -> None:
    """The chosen detectors over epochs, near and far apart, the others faint behind them."""
    names = detector.in_order(board.detectors)
    default = [name for name in _FIRST if name in names][:_EMPHASISED] or names[:1]
    chosen = controls.choose_several(
        "Detectors to follow",
        names,
        key="follow",
        default=default,
        words=detector.label,
        placeholder="Choose detectors",
    )
    groups = [group for group in ("near", "far") if group in sets.values()]
    panels = []
    for group in groups:
        found = group_means(rows, means, board.metric, group)
        count = sum(each == group for each in sets.values())
        title = f"{group} OOD" + (f", mean over {count} sets" if count > 1 else "")
        bands = [_band(found, name, chosen) for name in names]
        panels.append(BandPanel(title, tuple(bands)))
    figure = bands_over_epochs(
        panels,
        title="Detectors over epochs",
        value=board.label,
        shown=view.shown,
        chance=0.5 if board.metric == "auroc" else None,
    )
    words = told.bands(board.label, panels, view.epoch)
    components.chart(figure, key="board_epochs", alt=words)
    bands = "Bands are 95 % intervals over test samples. " if board.has_intervals else ""
    chance = "Dashed: chance. " if board.metric == "auroc" else ""
    if rows["epoch"].nunique() == 1:
        st.caption(f"{plain(view.layer)} has results at this epoch alone.")
    st.caption(f"{bands}{chance}Point at a faint line for its name.")


def _band(found: pd.DataFrame, name: str, chosen: list[str]) -> Band:
    line = found.loc[[name]] if name in found.index.get_level_values(0) else found.iloc[:0]
    line = line.sort_index()
    style = _style(chosen.index(name)) if name in chosen else None
    epochs = line.index.get_level_values("epoch").to_numpy()
    ends = (line[part].to_numpy() for part in ("value", "low", "high"))
    return Band(detector.label(name), epochs, *ends, style)


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
    names = [detector.family(name) for name in board.detectors]
    families = []
    for position, family in enumerate(sorted(set(names))):
        own = [at for at, name in enumerate(names) if name == family]
        labels = tuple(detector.label(board.detectors[at]) for at in own)
        values = (board.values[own, column] for column in (near, far))
        families.append(Family(family, labels, *values, _style(position)))
    figure = near_against_far(
        families, label=board.label, higher_is_better=board.higher_is_better, shown=view.shown
    )
    words = told.near_far(families, board.label, higher_is_better=board.higher_is_better)
    components.chart(figure, key="board_kinds", alt=words)
    better = "top right" if board.higher_is_better else "bottom left"
    st.caption(
        f"The best are at the {better}. Large: those that no other detector beats on both kinds, "
        "with their names where there is room; point at the others. On the dotted line near and "
        "far sets are equally hard."
    )


def _style(position: int) -> Style:
    """Eight families look different; beyond six OOD styles the symbols are open."""
    if position == 0:
        return ID_STYLE
    style = ood_style(position - 1)
    return style if position <= 6 else Style(style.colour, style.dash, f"{style.symbol}-open")
