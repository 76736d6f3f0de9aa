"""The cosines between class means beside those of the simplex ETF, and their difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import grid, theme

_TITLES = ("Cosines of class means", "Ideal: simplex ETF", "Difference")
# Cells fill the width there is instead of staying square: readers have 800 to 1500 pixels.
_SIDE = 290


@dataclass(frozen=True)
class Order:
    """In which order classes are drawn.

    Attributes
    ----------
    rows : (C,) permutation of the classes
    groups : (C,) name of each class's group in the drawn order, or None; neighbours of one name
        are set apart by lines
    """

    rows: np.ndarray
    groups: tuple[str, ...] | None = None


def gram_heatmaps(
    gram: np.ndarray,
    ideal: np.ndarray,
    names: Sequence[str],
    *,
    order: Order,
    shown: theme.Shown | str,
    limit: float = 1.0,
    title: str = "Class means against the simplex ETF",
    headings: Sequence[str] = _TITLES,
) -> go.Figure:
    """Three heatmaps on one zero-centred diverging scale from -limit to +limit.

    Parameters
    ----------
    gram, ideal : (C, C) cosines, in the order of `names`; the third heatmap is their difference
    names : (C,) class names
    order : how rows and columns are drawn
    limit : end of the colour scale; values beyond it take the end's colour
    headings : of the three heatmaps
    """
    labels = _distinct([names[at] for at in order.rows])
    traces, axes = [], {}
    for at, domain in enumerate(grid.spans([1, 1, 1], gap=0.03)):
        matrix = (gram, ideal, gram - ideal)[at]
        trace = go.Heatmap(
            z=theme.float32(matrix[np.ix_(order.rows, order.rows)]),
            x=labels,
            y=labels,
            xaxis=f"x{grid.suffix(at)}",
            yaxis=f"y{grid.suffix(at)}",
            coloraxis="coloraxis",
            hovertemplate="%{y} and %{x}: %{z:.3f}<extra></extra>",
        )
        traces.append(trace)
        axes |= grid.axes(
            at,
            {"domain": domain, "showgrid": False, **_ticks(labels, order, slanted=True)},
            {
                "autorange": "reversed",
                "showticklabels": at == 0,
                "showgrid": False,
                **_ticks(labels, order),
            },
        )
    layout = theme.layout(
        title,
        shown,
        height=_SIDE + 136,
        legend_rows=0,
        shapes=_group_borders(order),
        annotations=[grid.heading(heading, at) for at, heading in enumerate(headings)],
        coloraxis={
            "cmin": -limit,
            "cmax": limit,
            "cmid": 0,
            "colorbar": {"title": {"text": "cosine"}},
        },
        **axes,
    )
    return go.Figure(traces, layout | {"margin": {"t": 100, "b": 36, "l": 60, "r": 16}})


def _distinct(names: list[str]) -> list[str]:
    """Names as literal text, with a number where one repeats: plotly would merge equal ones."""
    seen: dict[str, int] = {}
    distinct = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        distinct.append(theme.text(name) + (f" ({seen[name]})" if seen[name] > 1 else ""))
    return distinct


def _ticks(labels: list[str], order: Order, *, slanted: bool = False) -> dict:
    if len(labels) <= theme.MAX_NAMED_TICKS:
        at, shown = list(range(len(labels))), labels
    elif order.groups and not slanted:
        starts = _group_starts(order.groups)
        ends = [*starts[1:], len(labels)]
        at = [(start + end - 1) / 2 for start, end in zip(starts, ends, strict=True)]
        shown = [theme.text(order.groups[start]) for start in starts]
    else:
        at, shown = [], []
    angle = {"tickangle": -45} if slanted and any(len(label) > 2 for label in shown) else {}
    return {"tickmode": "array", "tickvals": at, "ticktext": shown, "ticks": "", **angle}


def _group_starts(groups: Sequence[str]) -> list[int]:
    return [at for at, name in enumerate(groups) if at == 0 or groups[at - 1] != name]


def _group_borders(order: Order) -> list[dict]:
    if not order.groups:
        return []
    thin = {"width": 0.5, "color": "rgba(122,127,135,0.4)"}
    return [
        line(start - 0.5, at, **thin)
        for start in _group_starts(order.groups)[1:]
        for at in range(len(_TITLES))
        for line in (grid.upright, grid.level)
    ]
