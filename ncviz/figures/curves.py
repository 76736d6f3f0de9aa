"""ROC and precision-recall curves with the point that the chosen threshold sits at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import theme
from ncviz.figures.chosen import Marks, legend_entry, on_curve

_SIZE = 370
# Characters of legend that fit side by side where two figures share 800 pixels.
_LEGEND_WIDTH = 72


@dataclass(frozen=True)
class OperatingCurve:
    """A curve of one detector on one OOD set.

    Attributes
    ----------
    name : what the legend says
    area : area under the curve, for the legend
    x, y : (K,) coordinates in 0..1
    point : (x, y) of the chosen threshold, or None where it has none (nothing accepted)
    style : of the OOD set
    chosen : where the samples that a reader has chosen lie on it, of each set
    """

    name: str
    area: float
    x: np.ndarray
    y: np.ndarray
    point: tuple[float, float] | None
    style: theme.Style
    chosen: tuple[Marks, ...] = ()


def roc(
    curves: Sequence[OperatingCurve], *, shown: theme.Shown, selected: str | None = None
) -> go.Figure:
    """ROC: share of ID accepted over share of OOD accepted; chance is the diagonal.

    `selected` is the legend's name for the chosen samples that lie on the curves.
    """
    chance = {"type": "line", "x0": 0, "y0": 0, "x1": 1, "y1": 1}
    layout = _layout(
        "ROC: what a threshold lets in",
        f"{shown} · AUROC in the legend",
        curves,
        selected,
        x="Share of OOD accepted (false positive rate)",
        y="Share of ID accepted (true positive rate)",
        shapes=[{**chance, "line": {"dash": "dash", "width": 1, "color": theme.GREY}}],
    )
    return go.Figure(_traces(curves, selected), layout)


def precision_recall(
    curves: Sequence[OperatingCurve],
    *,
    positive: str,
    shown: theme.Shown,
    selected: str | None = None,
) -> go.Figure:
    """Precision over recall, with `positive` ("ID" or "OOD") as the class to find.

    `selected` is the legend's name for the chosen samples that lie on the curves.
    """
    verb = "accepted" if positive == "ID" else "rejected"
    layout = _layout(
        f"Precision and recall of {positive}",
        f"{shown} · AUPR in the legend",
        curves,
        selected,
        x=f"Recall: share of {positive} {verb}",
        y=f"Precision: share of {positive} among the {verb}",
    )
    return go.Figure(_traces(curves, selected), layout)


def _traces(curves: Sequence[OperatingCurve], selected: str | None) -> list[go.Scatter]:
    """Lines first: the points of all curves lie on top, and thresholds over chosen samples."""
    lines = [
        go.Scatter(
            x=theme.float32(curve.x),
            y=theme.float32(curve.y),
            name=theme.text(_entry(curve)),
            legendgroup=curve.name,
            mode="lines",
            line=curve.style.line(),
            hovertemplate="(%{x:.3f}, %{y:.3f})",
        )
        for curve in curves
    ]
    points = [
        go.Scatter(
            x=theme.float32(curve.point[:1]),
            y=theme.float32(curve.point[1:]),
            name=f"threshold, {theme.text(curve.name)}",
            legendgroup=curve.name,
            showlegend=False,
            mode="markers",
            marker={
                "color": curve.style.colour,
                "symbol": curve.style.symbol,
                "size": 12,
                "line": {"width": 1.5, "color": "white"},
            },
            hovertemplate="threshold: (%{x:.3f}, %{y:.3f})",
        )
        for curve in curves
        if curve.point is not None
    ]
    chosen = [on_curve(marks) for curve in curves for marks in curve.chosen if len(marks.x)]
    if chosen and selected:
        chosen.append(legend_entry(selected))
    return lines + chosen + points


def _layout(
    title: str,
    subtitle: str,
    curves: Sequence[OperatingCurve],
    selected: str | None,
    *,
    x: str,
    y: str,
    **more,
) -> dict:
    """The legend wraps; each of its rows makes the figure taller, and the plot keeps its size."""
    entries = [_entry(curve) for curve in curves] + ([selected] if selected else [])
    longest = max(map(len, entries), default=0)
    rows = -(-len(entries) // max(1, _LEGEND_WIDTH // (longest + 6)))
    # The curve starts and ends on the frame: a little air keeps it and the marker whole.
    unit = {"range": [-0.02, 1.02], "dtick": 0.2}
    return theme.layout(
        title,
        subtitle,
        height=_SIZE + 24 * rows,
        legend_rows=rows,
        xaxis={"title": {"text": x}, **unit},
        yaxis={"title": {"text": y}, **unit},
        **more,
    )


def _entry(curve: OperatingCurve) -> str:
    return f"{curve.name} {curve.area:.3f}"
