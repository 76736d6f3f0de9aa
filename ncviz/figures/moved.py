"""Where the same samples stand among the known ones by two scores: off the diagonal they moved."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from ncviz.figures import theme
from ncviz.figures.point_sets import PointSet, draw_points, ring

_SIZE = 476


def moved(
    sets: Sequence[PointSet],
    *,
    detector: str,
    shown: Sequence[theme.Shown],
    looked_at: tuple[float, float] | None = None,
    state: str = "",
) -> go.Figure:
    """Percentile by A upwards over percentile by B, 0..1, the traces in the order of `sets`.

    `shown` are A and B, written below each other, since the chart takes half of the page.
    `looked_at` is the place of the ringed sample. A lasso that a reader drew is forgotten as soon
    as `state` changes.
    """
    hover = "B %{x:.1%}, A %{y:.1%}"
    traces = draw_points(sets, hover=hover)
    traces += [ring(*looked_at)] if looked_at else []
    unit = {"range": [-0.03, 1.03], "tickformat": ".0%", "dtick": 0.25}
    diagonal = {"type": "line", "x0": 0, "y0": 0, "x1": 1, "y1": 1, "layer": "below"}
    layout = theme.layout(
        f"{theme.text(detector)}: rank among known samples",
        "",
        height=_SIZE,
        legend_rows=1 + len(sets) // 4,
        above=32,
        selectionrevision=state,
        shapes=[{**diagonal, "line": {"dash": "dash", "width": 1, "color": theme.GREY}}],
        annotations=[
            _above("left of the line: more known to A", 0, "left"),
            _above("right: more known to B", 1, "right"),
        ],
        xaxis={"title": {"text": "B: share of known samples that score lower"}, **unit},
        yaxis={"title": {"text": "A: share that scores lower"}, **unit},
    )
    layout["title"]["subtitle"]["text"] = "<br>".join(map(theme.text, shown))
    return go.Figure(traces, layout)


def _above(words: str, x: float, anchor: str) -> dict:
    place = {"x": x, "xref": "x domain", "xanchor": anchor, "y": 1, "yref": "y domain"}
    return {"text": words, **place, "yanchor": "bottom", "showarrow": False, "font": {"size": 12}}
