"""Two classes over epochs: the cosine of their means, and what the network takes them for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import grid, theme
from ncviz.figures.names import shortened

_HEIGHT = 400
_CONTEXT = theme.Style(theme.GREY, "dot", "circle")
_ETF = {"color": theme.GREY, "dash": "dash", "width": 1.5}
_AS_FIRST = {"matches": "y", "showticklabels": False}
# The same class has the same look in both panels.
_TAKEN_FOR = (theme.ID_STYLE, theme.ood_style(0), theme.Style(theme.GREY, "dot", "cross"))


@dataclass(frozen=True)
class PairCosines:
    """The cosine of two class means over epochs, among those of all pairs of classes.

    Attributes
    ----------
    title : of the panel, such as the layer
    epochs : (E,)
    values : (E,) cosine of the pair
    low, median, high : (E,) 5th, 50th and 95th percentile over all pairs
    """

    title: str
    epochs: np.ndarray
    values: np.ndarray
    low: np.ndarray
    median: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class TakenFor:
    """What the test samples of one class are taken for, over epochs.

    Attributes
    ----------
    name : of the class
    epochs : (E,)
    counts : (E, 3) samples taken for the first class, for the second, for another
    """

    name: str
    epochs: np.ndarray
    counts: np.ndarray


def pair_cosines(
    panels: Sequence[PairCosines],
    names: tuple[str, str],
    *,
    classes: int,
    shown: theme.Shown | str,
    epoch: int,
) -> go.Figure:
    """The cosine of a pair over epochs against -1/(C-1) of the simplex ETF, one panel a layer.

    With three classes or more the median of all pairs and the range of nine in ten lie behind it.

    Parameters
    ----------
    names : of the two classes
    classes : C
    epoch : the one that is marked
    """
    ideal = -1.0 / (classes - 1)
    traces, shapes, axes = [], [], {}
    for at, domain in enumerate(_across(len(panels))):
        traces += _cosine_lines(panels[at], names, at, ideal=ideal, several=classes > 2)
        shapes.append(grid.upright(epoch, at, **grid.MARK))
        x = {"title": {"text": "Epoch"}, "rangemode": "tozero", "domain": domain}
        y = {"nticks": 6, "title": {"text": "Cosine of class means"}}
        axes |= grid.axes(at, x, _AS_FIRST if at else y)
    layout = theme.layout(
        "How close the two classes are",
        shown,
        height=_HEIGHT,
        legend_rows=2,
        above=20,
        shapes=shapes,
        annotations=[grid.heading(theme.text(panel.title), at) for at, panel in enumerate(panels)],
        **axes,
    )
    return go.Figure(traces, layout)


def _across(panels: int) -> list[list[float]]:
    return grid.spans([1] * panels, gap=0.06)


def _cosine_lines(
    panel: PairCosines, names: tuple[str, str], at: int, *, ideal: float, several: bool
) -> list[go.Scatter]:
    place = {"xaxis": f"x{grid.suffix(at)}", "yaxis": f"y{grid.suffix(at)}", "showlegend": at == 0}
    ends = panel.epochs[[0, -1]] if len(panel.epochs) else panel.epochs
    etf = go.Scatter(
        x=theme.float32(ends),
        y=theme.float32(np.full(len(ends), ideal)),
        name=f"simplex ETF: {theme.signed(ideal)}",
        legendgroup="etf",
        mode="lines",
        line=_ETF,
        hoverinfo="skip",
        **place,
    )
    pair = go.Scatter(
        x=theme.float32(panel.epochs),
        y=theme.float32(panel.values),
        name=" and ".join(theme.text(shortened(name)) for name in names),
        legendgroup="pair",
        mode="lines+markers",
        line=theme.ID_STYLE.line(),
        marker={"symbol": theme.ID_STYLE.symbol, "size": 7, "color": theme.ID_STYLE.colour},
        hovertemplate="epoch %{x}: %{y:.3f}<extra></extra>",
        **place,
    )
    return [*(_context(panel, place) if several else ()), etf, pair]


def _context(panel: PairCosines, place: dict) -> list[go.Scatter]:
    area = go.Scatter(
        x=theme.float32(np.r_[panel.epochs, panel.epochs[::-1]]),
        y=theme.float32(np.r_[panel.high, panel.low[::-1]]),
        name="9 in 10 of all pairs",
        legendgroup="range",
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=_CONTEXT.faded(0.2),
        hoverinfo="skip",
        **place,
    )
    median = go.Scatter(
        x=theme.float32(panel.epochs),
        y=theme.float32(panel.median),
        name="median of all pairs",
        legendgroup="median",
        mode="lines",
        line=_CONTEXT.line(1.5),
        hovertemplate="epoch %{x}: %{y:.3f}",
        **place,
    )
    return [area, median]


def pair_confusion(
    panels: tuple[TakenFor, TakenFor], *, classes: int, shown: theme.Shown | str, epoch: int
) -> go.Figure:
    """What the samples of two classes are taken for over epochs, in percent, one panel a class.

    Parameters
    ----------
    classes : C; of two there is no other one to be taken for
    epoch : the one that is marked
    """
    outcomes = [theme.text(shortened(panel.name)) for panel in panels]
    outcomes += ["another class"] if classes > 2 else []
    traces, shapes, axes = [], [], {}
    for at, domain in enumerate(_across(len(panels))):
        for outcome, name in enumerate(outcomes):
            traces.append(_taken_for(panels[at], at, outcome, name))
        shapes.append(grid.upright(epoch, at, **grid.MARK))
        x = {"title": {"text": "Epoch"}, "rangemode": "tozero", "domain": domain}
        y = {"range": [-4, 104], "ticksuffix": " %", "nticks": 6}
        axes |= grid.axes(
            at, x, _AS_FIRST if at else {**y, "title": {"text": "Share of the class"}}
        )
    layout = theme.layout(
        "What the network takes them for",
        shown,
        height=_HEIGHT,
        legend_rows=2,
        above=20,
        shapes=shapes,
        annotations=[
            grid.heading(f"samples of {theme.text(shortened(panel.name))}", at)
            for at, panel in enumerate(panels)
        ],
        **axes,
    )
    return go.Figure(traces, layout)


def _taken_for(panel: TakenFor, at: int, outcome: int, name: str) -> go.Scatter:
    style = _TAKEN_FOR[outcome]
    totals = panel.counts.sum(axis=1)
    return go.Scatter(
        x=theme.float32(panel.epochs),
        y=theme.float32(100 * panel.counts[:, outcome] / np.maximum(totals, 1)),
        text=[
            f"{count} of {total}"
            for count, total in zip(panel.counts[:, outcome], totals, strict=True)
        ],
        xaxis=f"x{grid.suffix(at)}",
        yaxis=f"y{grid.suffix(at)}",
        name=f"taken for {name}",
        legendgroup=str(outcome),
        showlegend=at == 0,
        mode="lines+markers",
        line=style.line(),
        marker={"symbol": style.symbol, "size": 7, "color": style.colour},
        hovertemplate="epoch %{x}: %{y:.1f} % (%{text})",
    )
