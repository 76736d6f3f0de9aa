"""One metric against another over epochs, layers and runs, with how closely they correlate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import grid, theme


@dataclass(frozen=True)
class Track:
    """A line of P points: a run's layer through its epochs, or a run's layers at one epoch.

    Attributes
    ----------
    points : what each point is, in words
    x, y : (P,), NaN where there is none
    chosen : position of the point to mark, if it is what the page looks at
    labelled : whether its words stand beside each point
    """

    name: str
    points: Sequence[str]
    x: np.ndarray
    y: np.ndarray
    style: theme.Style
    chosen: int | None = None
    labelled: bool = False


@dataclass(frozen=True)
class Against:
    """One panel: `tracks` share both axes; `finding` stands above them."""

    x_title: str
    y_title: str
    tracks: tuple[Track, ...]
    finding: str
    log_x: bool = False


def trade_off(panels: Sequence[Against], *, title: str, note: str) -> go.Figure:
    """Panels side by side. A point's customdata are the places of its track and in its track."""
    traces, axes = [], {}
    for at, domain in enumerate(grid.spans([1] * len(panels), gap=0.24 / len(panels))):
        panel = panels[at]
        for place, track in enumerate(panel.tracks):
            traces.append(_points(track, place, at, legend=at == 0))
            if track.chosen is not None:
                traces.append(_ring(track, at))
        x = {"title": {"text": theme.symbols(panel.x_title)}, "domain": domain}
        if panel.log_x:
            x |= theme.log_axis(np.concatenate([track.x for track in panel.tracks]))
        y = {"title": {"text": theme.symbols(panel.y_title)}, "nticks": 6}
        if any(track.labelled for track in panel.tracks):
            x |= _room([track.x for track in panel.tracks], log=panel.log_x)
            y |= _room([track.y for track in panel.tracks])
        axes |= grid.axes(at, x, y)
    layout = theme.layout(
        title,
        note,
        height=430,
        legend_rows=1,
        above=20,
        annotations=[
            grid.heading(theme.text(panel.finding), at) for at, panel in enumerate(panels)
        ],
        clickmode="event+select",
        **axes,
    )
    return go.Figure(traces, layout)


def _room(values: Sequence[np.ndarray], *, log: bool = False) -> dict:
    """The range of an axis that leaves room for words at its outermost points."""
    found = np.concatenate(values)
    found = np.log10(found[found > 0]) if log else found
    found = found[np.isfinite(found)]
    if not len(found):
        return {}
    low, high = found.min(), found.max()
    room = 0.16 * (high - low) or 0.2 * abs(high) or 1.0
    return {"range": [low - room, high + room]}


def _points(track: Track, place: int, at: int, *, legend: bool) -> go.Scatter:
    return go.Scatter(
        x=theme.float32(track.x),
        y=theme.float32(track.y),
        customdata=np.array([(place, at) for at in range(len(track.points))], dtype=np.int32),
        text=[theme.text(point) for point in track.points],
        xaxis=f"x{grid.suffix(at)}",
        yaxis=f"y{grid.suffix(at)}",
        name=theme.text(track.name),
        legendgroup=track.name,
        showlegend=legend,
        mode="lines+markers+text" if track.labelled else "lines+markers",
        # Neighbours on the line are often neighbours in the panel: their words part ways.
        textposition=[f"{('top', 'bottom')[at % 2]} center" for at in range(len(track.points))],
        textfont={"size": 11},
        line={**track.style.line(1), "color": track.style.faded(0.5)},
        marker={"symbol": track.style.symbol, "size": 9, "color": track.style.colour},
        hovertemplate="%{text}: %{x:.4g}, %{y:.4g}",
        # A click marks the point by leading to its epoch; dimming the others would hide them.
        unselected={"marker": {"opacity": 1}},
    )


def _ring(track: Track, at: int) -> go.Scatter:
    here = slice(track.chosen, track.chosen + 1)
    return go.Scatter(
        x=theme.float32(track.x[here]),
        y=theme.float32(track.y[here]),
        xaxis=f"x{grid.suffix(at)}",
        yaxis=f"y{grid.suffix(at)}",
        showlegend=False,
        mode="markers",
        marker={
            "symbol": "circle-open",
            "size": 18,
            "color": track.style.colour,
            "line": {"width": 2},
        },
        hoverinfo="skip",
        unselected={"marker": {"opacity": 1}},
    )
