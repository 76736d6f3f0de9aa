"""Where the same samples stand among the known ones by two scores: off the diagonal they moved."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from ncviz.figures import theme
from ncviz.figures.point_sets import PointSet, draw_points, ring

_SIZE = 460


def moved(
    sets: Sequence[PointSet],
    *,
    detector: str,
    shown: theme.Shown | str,
    looked_at: tuple[float, float] | None = None,
    state: str = "",
) -> go.Figure:
    """Percentile by A upwards over percentile by B, 0..1, the traces in the order of `sets`.

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
        shown,
        height=_SIZE,
        legend_rows=1 + len(sets) // 4,
        selectionrevision=state,
        shapes=[{**diagonal, "line": {"dash": "dash", "width": 1, "color": theme.GREY}}],
        annotations=[
            _corner("more known to A", 0.01, 0.99, "left", "top"),
            _corner("more known to B", 0.99, 0.01, "right", "bottom"),
        ],
        xaxis={"title": {"text": "B: share of known samples that score lower"}, **unit},
        yaxis={"title": {"text": "A: share that scores lower"}, **unit},
    )
    return go.Figure(traces, layout)


def _corner(words: str, x: float, y: float, xanchor: str, yanchor: str) -> dict:
    where = {"x": x, "y": y, "xref": "x domain", "yref": "y domain"}
    return {
        "text": words,
        **where,
        "xanchor": xanchor,
        "yanchor": yanchor,
        "showarrow": False,
        "font": {"color": theme.GREY},
    }
