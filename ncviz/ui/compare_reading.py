"""Reading the results of both sides so that a side that has none does not hide the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import pandas as pd
import streamlit as st

from ncviz.errors import NcvizError
from ncviz.figures.theme import Style, ood_style
from ncviz.ui import components, loaders
from ncviz.ui.compare_sides import Pair
from ncviz.ui.components import plain
from ncviz.ui.view import View

Found = TypeVar("Found")


def each_side(
    read: Callable[[int], Found | None], places: Sequence[AbstractContextManager] | None = None
) -> dict[int, Found]:
    """What `read` finds for side 0 (A) and 1 (B), without those where it finds nothing.

    `places` are where what goes wrong with a side is said.
    """
    found, said = {}, set()
    for at in (0, 1):
        with places[at] if places else nullcontext():
            try:
                value = read(at)
            except NcvizError as error:
                # Both sides may be of one damaged run.
                if str(error) not in said:
                    st.error(plain(error), icon=":material/error:")
                said.add(str(error))
                continue
        if value is not None:
            found[at] = value
    return found


def results_at(view: View) -> pd.DataFrame | None:
    """Detection metrics of a side by every detector; None, with what to do, where it has none."""
    table = loaders.detection_table(view.run)
    here = table[(table["epoch"] == view.epoch) & (table["layer"] == view.layer)]
    if len(here):
        return here
    if view.run.ood_sets:
        without_results(view)
    else:
        components.empty_state(
            f"{plain(view.run.name)} has no OOD sets, so nothing tells how well it detects them."
        )
    return None


def results_of(pair: Pair, view: View) -> pd.DataFrame | None:
    """Detection metrics of a side by the pair's detector, a row for each OOD set; None as above."""
    here = results_at(view)
    if here is None:
        return None
    own = here[here["detector"] == pair.detector]
    if own.empty:
        components.empty_state(
            f"{plain(pair.label)} has no scores at {plain(view.shown)}. A layer without a "
            "classifier of its own has only the detectors that need none, and the energy of a "
            "linear probe: choose another detector or layer in the sidebar."
        )
        return None
    return own.set_index("set").loc[[name for name in view.run.ood_sets if name in set(own["set"])]]


def without_results(view: View) -> None:
    """How results of a side are made."""
    components.empty_state(
        f"There are no results of {plain(view.shown)}. Make them with:",
        *components.commands(view.run.name, imported=view.run.imported),
    )


def style_of(pair: Pair, name: str) -> Style:
    """The style of an OOD set, the same on both sides."""
    known = list(dict.fromkeys([*pair.a.run.ood_sets, *pair.b.run.ood_sets]))
    return ood_style(known.index(name))
