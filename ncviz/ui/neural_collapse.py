"""Neural collapse: NC1 to NC5 over epochs, and the geometry of the class means at one of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from ncviz import collapse
from ncviz.collapse import METRICS
from ncviz.errors import MissingDataError
from ncviz.figures import class_lengths, cosine_histogram, gram_heatmaps, over_epochs
from ncviz.figures.theme import signed
from ncviz.results import tables
from ncviz.results.headlines import HEADLINES, PROPERTIES, panel
from ncviz.ui import components, controls, headlines, loaders, shell
from ncviz.ui.components import number, plain
from ncviz.ui.view import View

WORST_PAIRS = 20
AT_ONCE = 5


def body(view: View) -> None:
    """The page below its title."""
    order, fit_colours = _choose_drawing(view)
    table = loaders.collapse_table(view.run)
    table = table[table["layer"] == view.layer]
    components.provenance(
        str(view.shown),
        f"{view.run.epochs.index(view.epoch) + 1} of {len(view.run.epochs)} saved epochs",
        *_origin(view),
        view.without_head,
    )
    with shell.readable_errors():
        _over_epochs(view, table)
    with shell.readable_errors():
        _geometry(view, order, fit_colours)
    if len(table):
        with shell.readable_errors():
            _definitions(view, table)


def _choose_drawing(view: View) -> tuple[str, bool]:
    orders = ["name", "cluster"] + (["superclass"] if view.run.superclasses else [])
    with st.sidebar:
        order = controls.switch(
            "Order of classes",
            orders,
            key="order",
            help="cluster puts classes with similar means side by side.",
        )
        colours = controls.switch(
            "Colour scale",
            ["full", "fit"],
            key="colours",
            help="full runs from −1 to 1 and keeps colours comparable between epochs. fit ends at "
            "the largest cosine between two classes, so that weak structure shows.",
        )
    return order, colours == "fit"


def _origin(view: View) -> tuple[str, ...]:
    try:
        samples = loaders.geometry(view.run, view.epoch, view.layer).samples
    except MissingDataError:
        return ()
    script = "import_features" if view.run.imported else "extract"
    return (f"class means of {samples:,} training samples", f"written by scripts/{script}.py")


def _over_epochs(view: View, table: pd.DataFrame) -> None:
    if table.empty:
        components.empty_state(
            f"The collapse metrics of {plain(view.run.name)} are not there yet. Make them with:",
            *components.commands(view.run.name, imported=view.run.imported),
        )
        return
    components.cards(list(headlines.cards(view, table)), view.previous_epoch)
    panels = [
        panel(view.run, table, view.layer, each.metric, each.label)
        for each in HEADLINES
        if (table["metric"] == each.metric).any()
    ]
    figure = over_epochs(panels, title="Collapse over epochs", shown=view.shown)
    components.chart(figure, key="collapse", alt="NC1 to NC5 over epochs, the chosen one marked")
    st.caption(
        "The dotted line marks the chosen epoch; a dashed line is where full collapse would end. "
        "Each property has several definitions in the literature: they are at the end of this page."
    )


def _geometry(view: View, order_by: str, fit_colours: bool) -> None:
    st.subheader("The class means", anchor=False)
    try:
        geometry = loaders.geometry(view.run, view.epoch, view.layer)
    except MissingDataError as error:
        components.empty_state(
            f"The geometry of the class means needs class statistics. {plain(error)}",
            *components.commands(view.run.name, imported=view.run.imported)[:-1],
        )
        return
    names = view.run.classes
    order = loaders.class_order(view.run, view.epoch, view.layer, order_by)
    between = geometry.gram[np.triu_indices(len(names), k=1)]
    figure = gram_heatmaps(
        geometry.gram,
        geometry.ideal,
        names,
        order=order,
        shown=view.shown,
        limit=float(np.abs(between).max()) if fit_colours else 1.0,
    )
    components.chart(
        figure, key="gram", alt="Cosines of class means, those of the ETF, and their difference"
    )
    st.caption(
        "In a simplex ETF the class means have equal lengths and every pair has the same cosine, "
        f"−1/(C−1) = {signed(-1 / (len(names) - 1))} for these {len(names)} classes: as far apart "
        "as so many directions can be."
    )
    left, right = st.columns(2)
    with left:
        figure = cosine_histogram(geometry.gram, shown=view.shown)
        components.chart(figure, key="cosines", alt="Histogram of cosines between class means")
    with right:
        figure = class_lengths(
            geometry.means,
            names,
            order=order.rows,
            shown=view.shown,
            weights=geometry.weights,
        )
        components.chart(figure, key="lengths", alt="Lengths of class means and of the head's rows")
    _worst_pairs(view, geometry.gram)


def _worst_pairs(view: View, gram: np.ndarray) -> None:
    st.subheader("Class pairs farthest from the ETF", anchor=False)
    names, groups = view.run.classes, view.run.superclasses
    pairs = collapse.worst_pairs(gram, WORST_PAIRS)
    table = pd.DataFrame(
        {
            "Class A": [names[pair.first] for pair in pairs],
            "Class B": [names[pair.second] for pair in pairs],
            "Cosine": [pair.cosine for pair in pairs],
            "Above the ETF's": [pair.excess for pair in pairs],
        }
    )
    if groups:
        table["Superclass"] = [_shared(groups, pair) for pair in pairs]
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "Cosine": st.column_config.NumberColumn(format="%.3f"),
            "Above the ETF's": st.column_config.NumberColumn(
                format="%+.3f",
                help="Cosine minus −1/(C−1). Positive: the network keeps the two classes closer "
                "than the ETF would.",
            ),
        },
        alt="Pairs of classes whose cosine lies farthest from that of the simplex ETF",
    )


def _shared(groups: tuple[str, ...], pair: collapse.ClassPair) -> str:
    first, second = groups[pair.first], groups[pair.second]
    return f"both {first}" if first == second else f"{first} | {second}"


def _definitions(view: View, table: pd.DataFrame) -> None:
    st.subheader("Every definition over epochs", anchor=False)
    measured = set(table["metric"])
    groups = list(dict.fromkeys(METRICS[name].group for name in METRICS if name in measured))
    group = controls.switch("Property", groups, key="group", bare=True)
    st.markdown(f"**{PROPERTIES.get(group, group)}**")
    metrics = _metrics_of(group, table)
    for metric in metrics[:AT_ONCE]:
        _definition(view, table, metric)
    if len(metrics) > AT_ONCE:
        more = st.expander(
            f"{len(metrics) - AT_ONCE} further definitions of {group}",
            key="further_definitions",
            on_change="rerun",
        )
        # Charts in a closed expander would be drawn at every step for nobody.
        if more.open:
            with more:
                for metric in metrics[AT_ONCE:]:
                    _definition(view, table, metric)


def _metrics_of(group: str, table: pd.DataFrame) -> list[str]:
    measured = set(table["metric"])
    return [name for name, info in METRICS.items() if info.group == group and name in measured]


def _definition(view: View, table: pd.DataFrame, metric: str) -> None:
    info = METRICS[metric]
    picture, words = st.columns([3, 2], gap="medium")
    drawn = panel(view.run, table, view.layer, metric, info.label)
    values = [tables.at_epoch(series, view.epoch) for series in drawn.series]
    with picture:
        figure = over_epochs([drawn], title=info.label, shown=view.shown, height=280)
        components.chart(figure, key=metric, alt=f"{info.label} over epochs")
    with words:
        components.define(info, number(values[0]) if len(values) == 1 else None)
