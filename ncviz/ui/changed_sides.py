"""The samples that changed sides of the threshold most often, over all saved epochs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from ncviz.through_training import SideChanges, side_changes
from ncviz.ui import components, controls, sample_loaders, selection
from ncviz.ui.components import plain
from ncviz.ui.one_sample import SIDES
from ncviz.ui.sample_table import Judge
from ncviz.ui.view import View

_ROWS = 50
_TABLE = "changed_table"


def show(view: View, by: Judge) -> None:
    """A section that is computed when it is opened."""
    if by.layer is None or len(view.run.epochs) < 2:
        return
    section = st.expander(
        "Samples that changed sides most",
        icon=":material/swap_vert:",
        key="changed_sides",
        on_change="rerun",
    )
    if section.open:
        with section:
            _show(view, by, by.layer)


def _show(view: View, by: Judge, layer: str) -> None:
    histories = sample_loaders.histories(view.run, layer, by.name)
    names = [name for name in sample_loaders.shown_sets(view.run) if name in histories]
    chosen = controls.choose_several(
        "Among",
        names,
        key="changed_among",
        default=names[:1],
        placeholder="Choose sets",
    )
    st.caption(
        f"By {plain(by.label)} at layer {plain(layer)}. A sample is on the known side at an epoch "
        "if its score is at or above the threshold that keeps 95% of the ID test samples at that "
        "epoch. Click a row to look at the sample."
    )
    if not chosen:
        return
    table = pd.concat([_changes(view, name, histories[name]) for name in chosen], ignore_index=True)
    table = table.iloc[_order(table)[:_ROWS]].reset_index(drop=True)
    changed = table[table["crossings"] > 0]
    if changed.empty:
        st.caption("No sample of these sets ever changed sides.")
        return
    components.table(
        _written(changed),
        name="changed-sides",
        shown=view.shown,
        height=320,
        key=_TABLE,
        selection_mode="single-row",
        on_select=lambda: _look_at(view, changed),
        config={
            "Largest change": st.column_config.NumberColumn(
                format="%+.1f%%",
                help="Of the percentile among the ID test samples, from one saved epoch to the "
                "next, in percentage points.",
            ),
            "Sides changed": st.column_config.NumberColumn(
                help="How often it was on the other side than at the saved epoch before."
            ),
        },
        alt="Samples by how often they changed sides of the threshold",
    )
    st.button(
        f"Select these {len(changed)}",
        key="changed_select",
        on_click=_select,
        args=(view, changed, f"changes of side by {by.label}"),
    )


def _changes(view: View, set_name: str, history: sample_loaders.History) -> pd.DataFrame:
    changes: SideChanges = side_changes(history.accepted, history.percentiles)
    samples = sample_loaders.samples(view.run)
    samples = samples[samples["set"] == set_name].set_index("row")
    found = pd.DataFrame(
        {
            "set": set_name,
            "row": np.arange(len(changes.crossings)),
            "crossings": changes.crossings,
            "first": changes.first,
            "last": changes.last,
            "largest": changes.largest,
            "epoch": np.array(history.epochs)[changes.at],
        }
    )
    return found.join(samples[["index", "label", "key"]], on="row", how="inner")


def _order(table: pd.DataFrame) -> np.ndarray:
    columns = ("crossings", "first", "last", "largest")
    crossings, first, last, largest = (table[name].to_numpy() for name in columns)
    return SideChanges(crossings, first, last, largest, np.zeros(len(table), int)).order()


def _written(changed: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Set": changed["set"],
            "Sample": changed["index"],
            "Sides changed": changed["crossings"],
            "First": [SIDES[bool(side)] for side in changed["first"]],
            "Last": [SIDES[bool(side)] for side in changed["last"]],
            "Largest change": 100 * changed["largest"],
            "At epoch": changed["epoch"],
        }
    )


def _look_at(view: View, changed: pd.DataFrame) -> None:
    rows = st.session_state[_TABLE]["selection"]["rows"]
    if rows and rows[0] < len(changed):
        one = changed.iloc[rows[0]]
        selection.look_at(view.run, one["set"], int(one["row"]))


def _select(view: View, changed: pd.DataFrame, words: str) -> None:
    rows = {name: part["row"].to_numpy() for name, part in changed.groupby("set", sort=False)}
    selection.select(view.run, rows, words)
