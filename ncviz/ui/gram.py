"""The Gram explorer: cosines of class means as heatmaps, in which a reader picks a pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from ncviz import collapse
from ncviz.errors import MissingDataError
from ncviz.figures import Order, class_lengths, cosine_histogram, gram_heatmaps
from ncviz.figures.theme import signed
from ncviz.literal import distinct
from ncviz.ui import class_pair, components, controls, gram_loaders, loaders, selection
from ncviz.ui.components import plain
from ncviz.ui.plot import Gestures, Point
from ncviz.ui.view import View

WORST_PAIRS = 20
PAIRS_TABLE = "class_pairs"
COLOURS = ("full", "fit", "last")


@dataclass(frozen=True)
class Drawing:
    """How the classes are ordered, and where the colour scale ends: one of `COLOURS`."""

    order: str
    colours: str


def choose_drawing(view: View) -> Drawing:
    """The explorer's own controls, for the sidebar."""
    orders = ["name", "cluster"] + (["superclass"] if view.run.superclasses else [])
    order = controls.switch(
        "Order of classes",
        orders,
        key="order",
        help="cluster puts classes with similar means side by side. The clusters are those of the "
        "last saved epoch, so that classes keep their places while you step through epochs.",
    )
    colours = controls.switch(
        "Colour scale",
        COLOURS,
        key="colours",
        help="full runs from −1 to 1. fit ends at the largest cosine that two classes have at any "
        "saved epoch of this layer. last ends at the largest of the last epoch: weak structure "
        "shows there, and larger cosines of earlier epochs all take the end's colour. With any of "
        "them a colour means the same at every epoch.",
    )
    return Drawing(order, colours)


def show(view: View, drawing: Drawing) -> None:
    """The heatmaps and the pair that is picked in them; says so where statistics are missing."""
    st.subheader("The class means, pair by pair", anchor=False)
    try:
        geometry = loaders.geometry(view.run, view.epoch, view.layer)
    except MissingDataError as error:
        components.empty_state(
            f"The geometry of the class means needs class statistics. {plain(error)}",
            *components.commands(view.run.name, imported=view.run.imported)[:-1],
        )
        return
    classes = len(view.run.classes)
    st.markdown(
        "How much do the means of two classes point the same way? A cosine of 1: they do; 0: they "
        "have nothing in common; below 0: they point away from each other. In a simplex ETF, "
        f"where full collapse ends, every pair has −1/(C−1) = {signed(-1 / (classes - 1))} for "
        f"these {classes:,} classes: as far apart as so many directions can all be. "
        "**Click a cell to pick its two classes**, or choose them here:"
    )
    pair = class_pair.choose(view.run)
    _heatmaps(view, geometry, drawing, pair)
    if pair:
        class_pair.show(view, pair)


def _heatmaps(
    view: View,
    geometry: loaders.Geometry,
    drawing: Drawing,
    pair: class_pair.Pair | None,
) -> None:
    order = gram_loaders.class_order(view.run, view.layer, drawing.order)
    marked = classes_of_selection(view)
    figure = gram_heatmaps(
        geometry.gram,
        geometry.ideal,
        view.run.classes,
        order=order,
        shown=view.shown,
        limit=_limit(view, drawing.colours),
        superclasses=view.run.superclasses,
        pair=(pair.first, pair.second) if pair else None,
        marked=marked,
    )

    def follow(clicked: Point) -> None:
        found = pair_at(geometry.gram, order, clicked)
        if found:
            class_pair.pick(view.run, found.first, found.second)

    components.chart(
        figure,
        key="gram",
        alt="Cosines of class means, those of the ETF, and their difference",
        gestures=Gestures(click=follow),
    )
    notes = ["Point at a cell for its classes."]
    if pair:
        notes.append("Frames mark the two classes chosen above.")
    if order.per_cell > 1:
        notes.append(
            f"A cell is the average over {order.per_cell} × {order.per_cell} neighbouring classes, "
            f"as {len(order.rows):,} would be too many to draw; a click picks the pair in it that "
            "is farthest from the ETF."
        )
    if len(marked):
        notes.append(
            f"Green triangles mark the class{'es' * (len(marked) > 1)} of the selected samples."
        )
    st.caption(" ".join(notes))


def _limit(view: View, colours: str) -> float:
    """Where the colour scale ends: the same at every epoch."""
    if colours == "full":
        return 1.0
    pairs = np.abs(gram_loaders.cosines(view.run, view.layer).pairs)
    return float(pairs.max() if colours == "fit" else pairs[-1].max())


def pair_at(gram: np.ndarray, order: Order, clicked: Point) -> collapse.ClassPair | None:
    """The pair in a cell of a heatmap that is farthest from the ETF; None outside of all cells.

    On the diagonal, of one class, the pair of it and the class with which it is farthest.
    """
    if not isinstance(clicked.place, tuple) or len(clicked.place) != 2:
        return None
    if not all(0 <= cell < order.cells for cell in clicked.place):
        return None
    return collapse.farthest_between(gram, *map(order.classes, clicked.place))


def classes_of_selection(view: View) -> np.ndarray:
    """The classes of those selected samples that are of the ID test set, in order."""
    rows = selection.current().rows(view.run, f"{view.run.id_set}/test")
    labels = gram_loaders.known_labels(view.run)
    found = np.unique(labels[rows[rows < len(labels)]])
    return found[(found >= 0) & (found < len(view.run.classes))]


def farthest_pairs(view: View) -> None:
    """The pairs that are farthest from the ETF, in a table that picks one."""
    gram = loaders.geometry(view.run, view.epoch, view.layer).gram
    pairs = collapse.worst_pairs(gram, WORST_PAIRS)
    names = distinct(view.run.classes)
    table = pd.DataFrame(
        {
            "Class A": [names[pair.first] for pair in pairs],
            "Class B": [names[pair.second] for pair in pairs],
            "Cosine": [pair.cosine for pair in pairs],
            "Above the ETF's": [pair.excess for pair in pairs],
        }
    )
    found = gram_loaders.predictions_over_epochs(view.run).get(view.epoch)
    if found:
        table["Mistaken"] = [_mistaken(found.confusion, pair) for pair in pairs]
    if view.run.superclasses:
        table["Superclass"] = [_shared(view.run.superclasses, pair) for pair in pairs]
    st.caption("Tick a row, at its left end, to pick its two classes above.")
    _mark_picked(names, pairs)
    components.table(
        table,
        name="class-pairs",
        shown=view.shown,
        config={
            "Cosine": st.column_config.NumberColumn(format="%.3f"),
            "Above the ETF's": st.column_config.NumberColumn(
                format="%+.3f",
                help="Cosine minus −1/(C−1). Positive: the network keeps the two classes closer "
                "than the ETF would.",
            ),
            "Mistaken": st.column_config.NumberColumn(
                help="Cached test samples of either class that the network takes for the other."
            ),
        },
        key=PAIRS_TABLE,
        on_select=lambda: pick_row(view, pairs),
        selection_mode="single-row",
        alt="Pairs of classes whose cosine lies farthest from that of the simplex ETF",
    )


def _mark_picked(names: list[str], pairs: list[collapse.ClassPair]) -> None:
    """The row of the pair that is picked, wherever it was picked, is the one that is ticked."""
    picked = {st.session_state.get(class_pair.CLASS_A), st.session_state.get(class_pair.CLASS_B)}
    rows = [
        at for at, pair in enumerate(pairs) if {names[pair.first], names[pair.second]} == picked
    ]
    st.session_state[PAIRS_TABLE] = {"selection": {"rows": rows}}


def pick_row(view: View, pairs: list[collapse.ClassPair]) -> None:
    """Pick the pair of the row that a reader has ticked."""
    rows = st.session_state[PAIRS_TABLE]["selection"]["rows"]
    if rows and 0 <= rows[0] < len(pairs):
        pair = pairs[rows[0]]
        class_pair.pick(view.run, pair.first, pair.second)


def _mistaken(confusion: np.ndarray, pair: collapse.ClassPair) -> int:
    return int(confusion[pair.first, pair.second] + confusion[pair.second, pair.first])


def _shared(groups: tuple[str, ...], pair: collapse.ClassPair) -> str:
    first, second = groups[pair.first], groups[pair.second]
    return f"both {first}" if first == second else f"{first} | {second}"


def distributions(view: View, drawing: Drawing) -> None:
    """All cosines as a histogram, and the lengths of the class means."""
    geometry = loaders.geometry(view.run, view.epoch, view.layer)
    left, right = st.columns(2)
    with left:
        figure = cosine_histogram(geometry.gram, shown=view.shown)
        components.chart(figure, key="cosines", alt="Histogram of cosines between class means")
    with right:
        figure = class_lengths(
            geometry.means,
            view.run.classes,
            order=gram_loaders.class_order(view.run, view.layer, drawing.order).rows,
            shown=view.shown,
            weights=geometry.weights,
        )
        components.chart(figure, key="lengths", alt="Lengths of class means and of the head's rows")
    st.caption(
        "In a simplex ETF all pairs have the same cosine, and all class means the same length."
    )
