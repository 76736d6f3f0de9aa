"""Critical-difference diagram: mean ranks on an axis, bars over groups that do not differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import theme

# Heights in pixels; the vertical axis counts pixels from the rank axis downwards.
_ROW, _BAR, _GAP = 20, 9, 14
_ABOVE, _BELOW = 46, 16
_OVERHANG = 0.006
"""How far a bar extends beyond its outermost ranks, as a share of the axis."""


def critical_differences(
    ranks: np.ndarray,
    labels: Sequence[str],
    cliques: Iterable[Sequence[int]],
    *,
    shown: theme.Shown | str,
) -> go.Figure:
    """Draw mean ranks from the best on the left to the worst on the right.

    Detectors joined by a bar do not differ significantly. The bar of the best detector's group is
    blue and thick, its members are filled.

    Parameters
    ----------
    ranks : (K,) mean ranks, 1 being the best
    labels : (K,)
    cliques : maximal groups of positions without a significant pair, as
        `ncviz.metrics.RankAnalysis` has them; those of a single detector have no bar
    """
    cliques = [sorted(group, key=lambda at: ranks[at]) for group in cliques]
    order = np.argsort(ranks, kind="stable")
    top = next(set(group) for group in cliques if order[0] in group)
    bars = [group for group in cliques if len(group) > 1]
    half = (len(order) + 1) // 2
    first_row = _GAP + _BAR * len(bars) + _GAP
    rows = {at: first_row + _ROW * row for row, at in enumerate(order[:half])}
    rows |= {at: first_row + _ROW * row for row, at in enumerate(order[half:][::-1])}
    left, right = _range(ranks)
    ends = dict.fromkeys(order[:half], left) | dict.fromkeys(order[half:], right)
    bottom = first_row + _ROW * (half - 1) + _BELOW
    names = [theme.text(label) for label in labels]
    traces = [
        _leaders(ranks, rows, ends),
        *_bars(ranks, names, bars, top, reach=_OVERHANG * (right - left)),
        _points(ranks, names, order[:half], top, axis="y"),
        _points(ranks, names, order[half:], top, axis="y2"),
    ]
    layout = theme.layout(
        f"Mean ranks of {len(labels)} detectors",
        shown,
        height=80 + _ABOVE + bottom + 12,
        legend_rows=0,
        above=_ABOVE,
        xaxis={
            "side": "top",
            "range": [left, right],
            "nticks": 8,
            "tickangle": 0,
            "title": {"text": "mean rank (1 is the best)"},
            "showgrid": False,
            "showline": True,
            "ticks": "inside",
            "fixedrange": True,
        },
        yaxis=_names_axis(ranks, names, order[:half], rows, bottom),
        yaxis2={
            **_names_axis(ranks, names, order[half:], rows, bottom),
            "overlaying": "y",
            "side": "right",
        },
    )
    layout["margin"] |= {"b": 12, "l": 8, "r": 8}
    return go.Figure(traces, layout)


def _range(ranks: np.ndarray) -> tuple[float, float]:
    low, high = np.floor(np.min(ranks)), np.ceil(np.max(ranks))
    room = 0.04 * max(high - low, 1.0)
    return float(low - room), float(high + room)


def _names_axis(
    ranks: np.ndarray, names: list[str], own: np.ndarray, rows: dict[int, int], bottom: int
) -> dict:
    return {
        "range": [bottom, 0],
        "tickmode": "array",
        "tickvals": [rows[at] for at in own],
        "ticktext": [f"{names[at]} <b>{ranks[at]:.1f}</b>" for at in own],
        "ticks": "",
        "ticklabelstandoff": 4,
        "showgrid": False,
        "showline": False,
        "fixedrange": True,
    }


def _leaders(ranks: np.ndarray, rows: dict[int, int], ends: dict[int, float]) -> go.Scatter:
    """Lines from the axis down to a detector's row and out to its name."""
    x = [part for at in rows for part in (ranks[at], ranks[at], ends[at], np.nan)]
    y = [part for at in rows for part in (0, rows[at], rows[at], np.nan)]
    return go.Scatter(
        x=theme.float32(x),
        y=theme.float32(y),
        mode="lines",
        line={"color": theme.GREY, "width": 1},
        hoverinfo="skip",
    )


def _bars(
    ranks: np.ndarray, names: list[str], bars: list[list[int]], top: set[int], *, reach: float
) -> list[go.Scatter]:
    traces = []
    for row, group in enumerate(bars):
        best = set(group) == top
        members = ", ".join(names[at] for at in group)
        traces.append(
            go.Scatter(
                x=theme.float32([ranks[group[0]] - reach, ranks[group[-1]] + reach]),
                y=theme.float32([_GAP + _BAR * row] * 2),
                mode="lines",
                line={"color": theme.BLUE if best else theme.GREY, "width": 6 if best else 4},
                hovertemplate=f"no significant difference:<br>{members}<extra></extra>",
            )
        )
    return traces


def _points(
    ranks: np.ndarray, names: list[str], own: np.ndarray, top: set[int], *, axis: str
) -> go.Scatter:
    """Draw a point of each detector on the rank axis, filled in the group of the best."""
    return go.Scatter(
        x=theme.float32(ranks[own]),
        y=np.zeros(len(own), np.float32),
        yaxis=axis,
        mode="markers",
        cliponaxis=False,
        marker={
            "symbol": ["circle" if at in top else "circle-open" for at in own],
            "color": [theme.BLUE if at in top else theme.GREY for at in own],
            "size": 8,
        },
        hovertext=[names[at] for at in own],
        hovertemplate="%{hovertext}: mean rank %{x:.2f}<extra></extra>",
    )
