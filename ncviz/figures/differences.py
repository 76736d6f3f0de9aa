"""The difference of two scores on each OOD set, with its interval and a line at none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import grid, theme

_ROW = 34


def differences(
    names: Sequence[str],
    values: np.ndarray,
    lows: np.ndarray,
    highs: np.ndarray,
    *,
    title: str,
    axis: str,
    styles: Sequence[theme.Style],
    shown: theme.Shown | str,
) -> go.Figure:
    """One row for each of S sets, the first on top; `axis` says what the values (S,) are.

    `lows` and `highs` (S,) are the ends of the intervals.
    """
    traces = [
        go.Scatter(
            x=theme.float32(values[at : at + 1]),
            y=[at],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [float(highs[at] - values[at])],
                "arrayminus": [float(values[at] - lows[at])],
                "width": 5,
            },
            mode="markers",
            marker={"symbol": styles[at].symbol, "size": 10, "color": styles[at].colour},
            hovertemplate=f"{theme.text(name)}: {theme.signed(values[at])} "
            f"[{theme.signed(lows[at])}, {theme.signed(highs[at])}]<extra></extra>",
        )
        for at, name in enumerate(names)
    ]
    reach = 1.1 * float(np.max(np.abs(np.r_[lows, highs]), initial=0.01))
    layout = theme.layout(
        title,
        shown,
        height=80 + 52 + _ROW * len(names) + 10,
        legend_rows=0,
        shapes=[grid.upright(0.0, width=1)],
        xaxis={"title": {"text": axis}, "range": [-reach, reach]},
        yaxis={
            "tickmode": "array",
            "tickvals": list(range(len(names))),
            "ticktext": [theme.text(name) for name in names],
            "range": [len(names) - 0.5, -0.5],
            "showgrid": False,
        },
    )
    return go.Figure(traces, layout)
