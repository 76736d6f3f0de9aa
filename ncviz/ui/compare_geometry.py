"""Charts of the Compare page about collapse: cosines of class means, and metrics over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import streamlit as st

from ncviz import collapse
from ncviz.errors import MissingDataError
from ncviz.figures import Series, gram_heatmaps
from ncviz.figures.side_by_side import SIDE_STYLES, draw_collapse
from ncviz.figures.theme import signed
from ncviz.results.headlines import HEADLINES, panel_of
from ncviz.shared_sets import shared, why_none
from ncviz.store import Run
from ncviz.ui import components, controls, gram_loaders, loaders
from ncviz.ui.compare_reading import each_side, without_results
from ncviz.ui.compare_sides import SIDES, Pair
from ncviz.ui.components import plain
from ncviz.ui.view import View


def gram(pair: Pair) -> None:
    """Cosines between class means of both sides, and their difference."""
    if pair.a.run.classes != pair.b.run.classes:
        components.empty_state(
            f"{plain(pair.a.run.name)} and {plain(pair.b.run.name)} know different classes, so "
            "their class means cannot be subtracted. Their collapse can be compared: choose "
            "Collapse above."
        )
        return
    order_by, fit = _choose_drawing(pair.a.run)
    grams = {
        at: found.gram for at, found in each_side(pair, lambda at: _geometry(pair, at)).items()
    }
    if not grams:
        return
    first_side, first = next(iter(grams.items()))
    both = len(grams) == 2
    # Where one side has none, the other stands beside the ideal.
    second = grams[1] if both else collapse.ideal_gram(len(first))
    view = pair.views[first_side]
    between = np.triu_indices(len(first), k=1)
    limit = max(np.abs(each[between]).max() for each in (first, second, first - second))
    words = {"title": "Cosines of class means", "headings": ("A", "B", "A − B")} if both else {}
    figure = gram_heatmaps(
        first,
        second,
        view.run.classes,
        order=gram_loaders.class_order(view.run, view.layer, order_by),
        shown=pair.both if both else pair.shown[first_side],
        limit=float(limit) if fit else 1.0,
        **words,
    )
    components.chart(
        figure, key="compared_gram", alt=f"{words.get('title', 'Cosines')}: {pair.both}"
    )
    if both:
        st.caption(_largest_change(view.run, (first - second)[between], between))


def _choose_drawing(run: Run) -> tuple[str, bool]:
    """Order of classes, and whether colours end at the largest value; as for one network."""
    with st.sidebar:
        orders = ["name", "cluster"] + (["superclass"] if run.superclasses else [])
        order = controls.switch(
            "Order of classes",
            orders,
            key="order",
            help="cluster puts classes with similar means in A side by side.",
        )
        colours = controls.switch(
            "Colour scale",
            ["full", "fit"],
            key="colours",
            help="full runs from −1 to 1. fit ends at the largest cosine or difference between "
            "two classes, so that weak structure shows.",
        )
    return order, colours == "fit"


def _geometry(pair: Pair, at: int) -> loaders.Geometry | None:
    view = pair.views[at]
    try:
        return loaders.geometry(view.run, view.epoch, view.layer)
    except MissingDataError as error:
        commands = components.commands(view.run.name, imported=view.run.imported)[:-1]
        components.empty_state(
            f"Side {SIDES[at]} has no class means: {plain(error)}",
            *(() if view.run.without_features else commands),
        )
        return None


def _largest_change(run: Run, change: np.ndarray, between: tuple[np.ndarray, ...]) -> str:
    largest = int(np.abs(change).argmax())
    first, second = (plain(run.classes[classes[largest]]) for classes in between)
    return (
        "One colour scale for all three, with 0 in its middle. Between two classes the cosine "
        f"differs by {np.abs(change).mean():.3f} on average, most for {first} and {second}: A − B "
        f"is {signed(change[largest])}. In a simplex ETF, full collapse, every cosine is "
        f"{signed(-1 / (len(run.classes) - 1))}."
    )


def collapse_over_epochs(pair: Pair) -> None:
    """The headline of each collapse property over epochs, both sides in the same panels."""
    parts = each_side(pair, lambda at: _measured(pair.views[at], SIDES[at])).values()
    measured = {where: sets for part in parts for where, sets in part.items()}
    found = each_side(pair, lambda at: _lines(pair.views[at], at, shared(measured)))
    if not found:
        return
    if len(found) == 2 and _on_one_line(pair):
        lines = {metric: [line] for metric, line in found[0].items()}
    else:
        names = dict.fromkeys(metric for lines in found.values() for metric in lines)
        lines = {name: [own[name] for own in found.values() if name in own] for name in names}
    panels = [
        panel_of(each.metric, each.label, tuple(lines[each.metric]))
        for each in HEADLINES
        if each.metric in lines
    ]
    figure = draw_collapse(
        panels, marked={SIDES[at]: pair.shown[at] for at in found}, shown=pair.both
    )
    components.chart(figure, key="compared_collapse", alt=f"NC1 to NC5 over epochs: {pair.both}")
    one = " Two epochs of one training lie on one line." if _on_one_line(pair) else ""
    st.caption(
        f"The dotted line marks the epoch of A, the dashed orange one that of B.{one} "
        f"{_about_nc5(measured)}A dashed level is where full collapse would end."
    )


def _on_one_line(pair: Pair) -> bool:
    return (pair.a.run, pair.a.layer) == (pair.b.run, pair.b.layer)


def _measured(view: View, side: str) -> dict[str, tuple[str, ...]]:
    """The OOD sets that NC5 of a side was measured on, by epoch."""
    table = loaders.collapse_table(view.run)
    rows = table[(table["layer"] == view.layer) & (table["set"] != "")]
    return {
        f"{side}, epoch {epoch}": tuple(own["set"].unique()) for epoch, own in rows.groupby("epoch")
    }


def _about_nc5(measured: Mapping[str, tuple[str, ...]]) -> str:
    if reason := why_none(measured, "OOD set"):
        return f"NC5 is left out. {plain(reason)} "
    sets = shared(measured)
    return f"NC5 is the mean over {plain(', '.join(sets))}. " if sets else ""


def _lines(view: View, at: int, sets: Sequence[str]) -> dict[str, Series] | None:
    """By metric the line of a side; what is about OOD sets is averaged over `sets`."""
    table = loaders.collapse_table(view.run)
    table = table[table["layer"] == view.layer]
    if view.run.without_features:
        components.empty_state(plain(view.run.without_features))
        return None
    if table.empty:
        without_results(view)
        return None
    table = table[table["set"].isin(["", *sets])]
    name = f"{view.run.name} · layer {view.layer}"
    lines = {}
    for each in HEADLINES:
        means = table[table["metric"] == each.metric].groupby("epoch")["value"].mean()
        if len(means):
            values = means.to_numpy(np.float64, na_value=np.nan)
            lines[each.metric] = Series(name, means.index.to_numpy(), values, SIDE_STYLES[at])
    return lines
