"""Neural collapse: NC1 to NC5 over epochs, and the geometry of the class means at one of them."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from ncviz.collapse import METRICS
from ncviz.errors import MissingDataError, NcvizError
from ncviz.figures import over_epochs
from ncviz.results import tables
from ncviz.results.headlines import HEADLINES, PROPERTIES, panel
from ncviz.ui import (
    components,
    controls,
    gram,
    headlines,
    loaders,
    samples,
    shell,
    told,
)
from ncviz.ui.components import number, plain
from ncviz.ui.view import View

AT_ONCE = 5
TAB = "details"


def body(view: View) -> None:
    """The page below its title."""
    with st.sidebar:
        drawing = gram.choose_drawing(view)
    table = loaders.collapse_table(view.run)
    table = table[table["layer"] == view.layer]
    components.provenance(
        str(view.shown),
        f"{view.run.epochs.index(view.epoch) + 1} of {len(view.run.epochs)} saved epochs",
        *_origin(view),
        loaders.computed_on(view.run),
        view.without_head,
    )
    with shell.readable_errors():
        _over_epochs(view, table)
    if not view.run.without_features:
        with shell.readable_errors():
            gram.show(view, drawing)
    _tabs(view, table, drawing)
    samples.show(view, None)


def _tabs(view: View, table: pd.DataFrame, drawing: gram.Drawing) -> None:
    """More of the same numbers; what is in a hidden tab is not drawn."""
    contents = {}
    if _has_geometry(view):
        contents["Farthest pairs"] = lambda: gram.farthest_pairs(view)
        contents["All cosines and lengths"] = lambda: gram.distributions(view, drawing)
    if len(table):
        contents["Every definition"] = lambda: _definitions(view, table)
    if not contents:
        return
    tabs = st.tabs(list(contents), key=TAB, on_change="rerun", bind="query-params")
    for tab, draw in zip(tabs, contents.values(), strict=True):
        if tab.open:
            with tab, shell.readable_errors():
                draw()


def _has_geometry(view: View) -> bool:
    try:
        loaders.geometry(view.run, view.epoch, view.layer)
    except NcvizError:
        return False  # the explorer has said why
    return True


def _origin(view: View) -> tuple[str, ...]:
    try:
        samples = loaders.geometry(view.run, view.epoch, view.layer).samples
    except MissingDataError:
        return ()
    script = "import_features" if view.run.imported else "extract"
    return (f"class means of {samples:,} training samples", f"written by scripts/{script}.py")


def _over_epochs(view: View, table: pd.DataFrame) -> None:
    if view.run.without_features:
        components.empty_state(plain(view.run.without_features))
        return
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
    words = told.over_epochs("Collapse over epochs", panels, view.epoch)
    components.chart(figure, key="collapse", alt=words)
    st.caption(
        "The dotted line marks the chosen epoch; a dashed line is where full collapse would end. "
        "Each property has several definitions in the literature: they are in the last tab below."
    )


def _definitions(view: View, table: pd.DataFrame) -> None:
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
        alt = told.over_epochs(f"{info.label} over epochs", [drawn], view.epoch)
        components.chart(figure, key=metric, alt=alt)
    with words:
        components.define(info, number(values[0]) if len(values) == 1 else None)
        counted = tables.sample_count(table, view.epoch, view.layer, metric)
        if counted:
            st.caption(f"Computed from {counted}.")
