"""How a metric of detectors depends on the temperature that logits are divided by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import grid, theme
from ncviz.figures.trends import Series


def against_temperature(
    lines: Sequence[Series],
    *,
    value: str,
    fitted: float | None,
    shown: theme.Shown,
) -> go.Figure:
    """One line for each detector on a log axis of temperatures.

    Parameters
    ----------
    lines : `epochs` holds the temperatures
    value : what the vertical axis shows
    fitted : the temperature that fits the labels best, marked; None where it is not known
    """
    temperatures = np.concatenate([line.epochs for line in lines])
    marks = [grid.upright(1.0, dash="dash", width=1, color=theme.GREY)]
    if fitted is not None:
        marks.append(grid.upright(fitted, **grid.MARK))
    layout = theme.layout(
        "Detectors of the logits against temperature",
        shown,
        height=420,
        shapes=marks,
        xaxis={
            "title": {"text": "Temperature (log scale)"},
            **theme.log_axis(temperatures),
        },
        yaxis={"title": {"text": theme.text(value)}, "nticks": 6},
    )
    traces = [
        go.Scatter(
            x=theme.float32(line.epochs),
            y=theme.float32(line.values),
            name=theme.text(line.name),
            mode="lines+markers",
            line=line.style.line(),
            marker={"symbol": line.style.symbol, "size": 6, "color": line.style.colour},
            hovertemplate="temperature %{x:.3g}: %{y:.3f}",
        )
        for line in lines
    ]
    return go.Figure(traces, layout)
