"""Confidence against accuracy: how far what a network says of itself can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import theme

_SMALLEST, _LARGEST = 5, 16


@dataclass(frozen=True)
class Reliable:
    """Mean confidence (B,), accuracy (B,) and number of samples (B,) of each bin."""

    name: str
    confidence: np.ndarray
    accuracy: np.ndarray
    counts: np.ndarray
    style: theme.Style


def reliability_diagram(lines: Sequence[Reliable], *, shown: theme.Shown) -> go.Figure:
    """A point for each bin of confidence, larger the more samples it has.

    On the dotted line accuracy is what confidence promises; below it the network is too sure.
    """
    equal = {"type": "line", "x0": 0, "x1": 1, "y0": 0, "y1": 1}
    layout = theme.layout(
        "Confidence against accuracy",
        shown,
        height=420,
        shapes=[{**equal, "line": {"dash": "dot", "width": 1, "color": theme.GREY}}],
        xaxis={"title": {"text": "Confidence"}, "range": [-0.02, 1.03]},
        yaxis={"title": {"text": "Accuracy"}, "range": [-0.04, 1.06]},
    )
    return go.Figure([_line(line) for line in lines], layout)


def _line(line: Reliable) -> go.Scatter:
    shares = line.counts / max(line.counts.max(initial=0), 1)
    return go.Scatter(
        x=theme.float32(line.confidence),
        y=theme.float32(line.accuracy),
        name=theme.text(line.name),
        # No line: a bin of one sample is right or wrong, and would draw a zigzag.
        mode="markers",
        customdata=line.counts.astype(np.int32),
        marker={
            "symbol": line.style.symbol,
            "color": line.style.colour,
            "size": theme.float32(_SMALLEST + (_LARGEST - _SMALLEST) * np.sqrt(shares)),
            "opacity": 0.8,
        },
        hovertemplate="confidence %{x:.3f}, accuracy %{y:.3f}, %{customdata} samples",
    )
