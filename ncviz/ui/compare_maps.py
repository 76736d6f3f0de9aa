"""The maps of both sides: the same samples, and where each network puts them."""

from __future__ import annotations

import shlex

import numpy as np
import streamlit as st

from ncviz.figures import PointSet
from ncviz.figures.maps import KINDS, class_colours, ten_of
from ncviz.figures.side_by_side import MappedSide, draw_maps
from ncviz.figures.theme import GREY, ID_STYLE
from ncviz.ui import components, controls, loaders, selection
from ncviz.ui.compare_points import Drawn
from ncviz.ui.compare_reading import each_side, style_of
from ncviz.ui.compare_sides import SIDES, Pair
from ncviz.ui.components import plain
from ncviz.ui.view import View

_COLOURS = ("class", "set")


def maps(pair: Pair) -> None:
    """The map of each side."""
    columns = st.columns(2)
    series = each_side(pair, lambda at: _mapped(pair.views[at]), columns)
    kinds = [kind for kind in KINDS if all(kind in each.points for each in series.values())]
    if not series or not kinds:
        return
    with st.sidebar:
        words = controls.switch("Map", [KINDS[kind] for kind in kinds], key="map")
        colour = controls.switch(
            "Colours of points",
            _COLOURS,
            key="points_by",
            help="class: ten of the known classes, the others grey. set: known samples and each "
            "OOD set.",
        )
    kind = next(each for each in kinds if KINDS[each] == words)
    sides = {at: _side(pair, at, series[at], kind, colour) for at in series}
    same = (pair.a.run, pair.a.layer) == (pair.b.run, pair.b.layer)
    state = f"{selection.current()} {selection.looked_at(pair.a.run)}"
    figures = draw_maps(list(sides.values()), kind=words, same_axes=same, state=state)
    for at, figure in zip(sides, figures, strict=True):
        own = series[at]
        drawn = Drawn(
            pair.views[at].run,
            tuple((name, own.positions[own.sets == n]) for n, name in enumerate(own.set_names)),
        )
        with columns[at]:
            components.chart(
                figure,
                key=f"compared_map_{SIDES[at]}",
                alt=f"{words} map of {pair.shown[at]}: {len(own.sets):,} samples",
                gestures=drawn.gestures(f"circled on the {words} map of {pair.shown[at]}"),
            )
    st.caption(
        "Circle points to select their samples: they light up on both sides. Click one to look at "
        f"it. {_about_axes(same, words)}"
    )


def _about_axes(same: bool, words: str) -> str:
    if same:
        return "Both sides have the same axes, in which a sample can be followed."
    return (
        f"Different networks or layers have {words} maps of their own: compare how samples "
        "cluster, not where."
    )


def _mapped(view: View) -> loaders.MapSeries | None:
    """The maps of a side's run; None, with what to do, where they do not show it."""
    if view.run.without_features:
        components.empty_state(plain(view.run.without_features))
        return None
    series = loaders.maps(view.run)
    if series is None or view.epoch not in series.epochs:
        components.empty_state(
            f"Epoch {view.epoch} of {plain(view.run.name)} has no maps that fit its features. Make "
            "those of all epochs with:",
            f"python scripts/embed.py {shlex.quote(view.run.name)}",
        )
        return None
    if view.layer not in series.layers:
        components.empty_state(
            f"There are maps of {plain(' and '.join(series.layers))}, and none of "
            f"{plain(view.layer)}. Choose one of these layers in the sidebar."
        )
        return None
    return series


def _side(pair: Pair, at: int, series: loaders.MapSeries, kind: str, colour: str) -> MappedSide:
    view = pair.views[at]
    epoch, layer = series.epochs.index(view.epoch), series.layers.index(view.layer)
    points = series.points[kind][epoch, layer]
    chosen = selection.current()
    palette, tints = _palette(len(view.run.classes))
    sets = []
    for number, name in enumerate(series.set_names):
        own = np.flatnonzero(series.sets == number)
        positions = series.positions[own]
        lit = np.flatnonzero(np.isin(positions, chosen.rows(view.run, name))) if chosen else None
        style = style_of(pair, list(view.run.ood_sets)[number - 1]) if number else ID_STYLE
        sets.append(
            PointSet(
                name if number else f"{name} (ID)",
                style,
                *points[own].T,
                index=loaders.sample_indices(view.run, name)[positions],
                tints=tints[series.labels[own]] if colour == "class" else None,
                palette=palette,
                lit=lit,
            )
        )
    return MappedSide(pair.shown[at], sets, _place(view, series, points))


def _palette(classes: int) -> tuple[list[str], np.ndarray]:
    """Colours of ten classes after grey, and (C + 1,) which of them a class has; -1: of none."""
    chosen = ten_of(classes)
    tints = np.zeros(classes + 1, dtype=np.int64)
    tints[chosen] = 1 + np.arange(len(chosen))
    found = class_colours(classes, chosen)
    return [GREY, *(found[number] for number in chosen)], tints


def _place(view: View, series: loaders.MapSeries, points: np.ndarray) -> np.ndarray | None:
    """Where the sample is that a reader looks at."""
    looked = selection.looked_at(view.run)
    if looked is None or looked[0] not in series.set_names:
        return None
    of_set = series.sets == series.set_names.index(looked[0])
    found = np.flatnonzero(of_set & (series.positions == looked[1]))
    return points[found[0]] if len(found) else None
