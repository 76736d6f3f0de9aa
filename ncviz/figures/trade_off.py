"""One metric against another over epochs, layers and networks, with intervals and correlations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import grid, theme

PER_ROW = 2
WORSE = "worse than chance"
_ROW_HEIGHT = 330
_BETWEEN_ROWS = 0.29  # of the height: axis titles of one row and headings of the next


@dataclass(frozen=True)
class Track:
    """A line of P points: a layer over epochs, the layers of a network, or one network.

    Attributes
    ----------
    points : name of each point
    x, y : (P,), NaN where there is no value
    chosen : position of the point to mark, if the page shows it
    labelled : whether to write the name of each point beside it
    ends : (P,) and (P,) lower and upper end of the error bars of y, NaN for none
    crossed : (P,) bool, points that are worse than chance
    bars : what the error bars are, as text
    """

    name: str
    points: Sequence[str]
    x: np.ndarray
    y: np.ndarray
    style: theme.Style
    chosen: int | None = None
    labelled: bool = False
    ends: tuple[np.ndarray, np.ndarray] | None = None
    crossed: np.ndarray | None = None
    bars: str = "95% interval"


@dataclass(frozen=True)
class Against:
    """One panel: `tracks` share both axes; the lines of `finding` are written above them."""

    x_title: str
    y_title: str
    tracks: tuple[Track, ...]
    finding: str
    log_x: bool = False


def trade_off(panels: Sequence[Against], *, title: str, note: str) -> go.Figure:
    """Draw panels in rows of two.

    The customdata of a point are the position of its track and its position in the track.
    """
    rows = -(-len(panels) // PER_ROW)
    columns = grid.spans([1] * min(PER_ROW, len(panels)), gap=0.12)
    heights = grid.spans([1] * rows, gap=_BETWEEN_ROWS if rows > 1 else 0)[::-1]
    traces, axes = [], {}
    for at, panel in enumerate(panels):
        for place, track in enumerate(panel.tracks):
            traces.append(_points(track, place, at, legend=at == 0))
        traces += [_ring(track, at) for track in panel.tracks if track.chosen is not None]
        traces += _crosses(panel, at, legend=not any(trace.name == WORSE for trace in traces))
        x = {"title": {"text": theme.symbols(panel.x_title)}, "domain": columns[at % PER_ROW]}
        if panel.log_x:
            x |= theme.log_axis(np.concatenate([track.x for track in panel.tracks]))
        y = {"title": {"text": theme.symbols(panel.y_title)}, "nticks": 6}
        y["domain"] = heights[at // PER_ROW]
        if any(track.labelled for track in panel.tracks):
            x |= _room([track.x for track in panel.tracks], log=panel.log_x)
            y |= _room([each for track in panel.tracks for each in (track.y, *(track.ends or ()))])
        axes |= grid.axes(at, x, y)
    layout = theme.layout(
        title,
        note,
        height=120 + _ROW_HEIGHT * rows,
        legend_rows=1,
        above=66,
        annotations=[_heading(panel.finding, at) for at, panel in enumerate(panels)],
        clickmode="event+select",
        **axes,
    )
    return go.Figure(traces, layout)


def _heading(finding: str, at: int) -> dict:
    lines = "<br>".join(theme.text(line) for line in finding.split("\n"))
    return {**grid.heading(lines, at), "font": {"size": 11}}


def _room(values: Sequence[np.ndarray], *, log: bool = False) -> dict:
    """Return an axis range that leaves room for names at the outermost points."""
    found = np.concatenate(values)
    found = np.log10(found[found > 0]) if log else found
    found = found[np.isfinite(found)]
    if not len(found):
        return {}
    low, high = found.min(), found.max()
    room = 0.16 * (high - low) or 0.2 * abs(high) or 1.0
    return {"range": [low - room, high + room]}


def _axes(at: int) -> dict[str, str]:
    return {"xaxis": f"x{grid.suffix(at)}", "yaxis": f"y{grid.suffix(at)}"}


def _points(track: Track, place: int, at: int, *, legend: bool) -> go.Scatter:
    bars = {}
    if track.ends is not None and any(np.isfinite(end).any() for end in track.ends):
        low, high = track.ends
        bars["error_y"] = {
            "type": "data",
            "symmetric": False,
            "arrayminus": theme.float32(np.nan_to_num(track.y - low)),
            "array": theme.float32(np.nan_to_num(high - track.y)),
            "thickness": 1.2,
            "width": 3,
            "color": track.style.faded(0.6),
        }
    return go.Scatter(
        x=theme.float32(track.x),
        y=theme.float32(track.y),
        customdata=np.array([(place, at) for at in range(len(track.points))], dtype=np.int32),
        text=[theme.text(point) for point in track.points],
        hovertext=_hover(track),
        name=theme.text(track.name),
        legendgroup=track.name,
        showlegend=legend,
        mode="lines+markers+text" if track.labelled else "lines+markers",
        # Neighbours on the line are often neighbours in the panel: alternate above and below.
        textposition=[f"{('top', 'bottom')[at % 2]} center" for at in range(len(track.points))],
        textfont={"size": 11},
        line={**track.style.line(1), "color": track.style.faded(0.5)},
        marker={"symbol": track.style.symbol, "size": 9, "color": track.style.colour},
        hovertemplate="%{hovertext}",
        # A click chooses the point's epoch; dimming the others would hide them.
        unselected={"marker": {"opacity": 1}},
        **bars,
        **_axes(at),
    )


def _hover(track: Track) -> list[str]:
    lows, highs = track.ends or (np.full(len(track.points), np.nan),) * 2
    return [
        f"{theme.text(point)}: {x:.4g}, {y:.4g}"
        + (f" ({theme.text(track.bars)} {low:.3f} to {high:.3f})" if np.isfinite(low) else "")
        for point, x, y, low, high in zip(track.points, track.x, track.y, lows, highs, strict=True)
    ]


def _ring(track: Track, at: int) -> go.Scatter:
    here = slice(track.chosen, track.chosen + 1)
    return go.Scatter(
        x=theme.float32(track.x[here]),
        y=theme.float32(track.y[here]),
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
        **_axes(at),
    )


def _crosses(panel: Against, at: int, *, legend: bool) -> list[go.Scatter]:
    """A cross over each point that is worse than chance."""
    marked = [track for track in panel.tracks if track.crossed is not None and any(track.crossed)]
    if not marked:
        return []
    x, y = (
        np.concatenate([getattr(track, axis)[track.crossed] for track in marked]) for axis in "xy"
    )
    return [
        go.Scatter(
            x=theme.float32(x),
            y=theme.float32(y),
            name=WORSE,
            legendgroup=WORSE,
            showlegend=legend,
            mode="markers",
            marker={"symbol": "x-thin", "size": 13, "line": {"width": 2, "color": theme.GREY}},
            hoverinfo="skip",
            unselected={"marker": {"opacity": 1}},
            **_axes(at),
        )
    ]
