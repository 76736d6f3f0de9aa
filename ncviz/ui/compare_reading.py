"""Reading the results of both sides so that a side that has none does not hide the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import pandas as pd
import streamlit as st

from ncviz.errors import NcvizError
from ncviz.figures.theme import Style, ood_style
from ncviz.ui import compare_loaders, components, loaders
from ncviz.ui.compare_sides import Pair
from ncviz.ui.components import plain
from ncviz.ui.view import View

Found = TypeVar("Found")


def each_side(
    pair: Pair,
    read: Callable[[int], Found | None],
    places: Sequence[AbstractContextManager] | None = None,
) -> dict[int, Found]:
    """What `read` finds for side 0 (A) and 1 (B), without those where it finds nothing.

    `places` are where what goes wrong with a side is said.
    """
    found = {}
    for at in (0, 1):
        with places[at] if places else nullcontext():
            try:
                value = read(at)
            except NcvizError as error:
                # Both sides may be of one damaged run, and several charts of one file.
                if str(error) not in pair.problems:
                    st.error(plain(error), icon=":material/error:")
                pair.problems.add(str(error))
                continue
        if value is not None:
            found[at] = value
    return found


def results_of(pair: Pair, view: View) -> pd.DataFrame | None:
    """Detection metrics of a side by OOD set; None, with what to do, where there are none."""
    found = _results(pair, view)
    if len(found):
        return found
    if not view.run.ood_sets:
        components.empty_state(
            f"{plain(view.run.name)} has no OOD sets, so there is nothing to tell known samples "
            "from. Its collapse can be compared: choose Gram, Map or Collapse above."
        )
    elif pair.detector is None or not _scored_at_all(view):
        without_results(view)
    else:
        components.empty_state(
            f"{plain(pair.label)} has no scores at {plain(view.shown)}. A layer without a "
            "classifier of its own has only the detectors that need none, and the energy of a "
            "linear probe: choose another detector or layer in the sidebar."
        )
    return None


def results_of_both(pair: Pair) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """The same of both sides, on the OOD sets that they share; None where a side has none."""
    try:
        first, second = (_results(pair, view) for view in pair.views)
    except NcvizError:
        return None
    shared = [name for name in first.index if name in second.index]
    return (first.loc[shared], second.loc[shared]) if len(first) and len(second) else None


def _results(pair: Pair, view: View) -> pd.DataFrame:
    return compare_loaders.results(view.run, view.epoch, view.layer, pair.detector)


def _scored_at_all(view: View) -> bool:
    table = loaders.detection_table(view.run)
    return bool(((table["epoch"] == view.epoch) & (table["layer"] == view.layer)).any())


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
