"""Range of AUROC and of rank over the values of a detector's parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import grid, theme

_ROW = 26


@dataclass(frozen=True)
class Dependence:
    """Results of one detector at V values of one parameter.

    Attributes
    ----------
    values : (V,) increasing
    aurocs, fpr95s, ranks : (V,) rank 1 is the best, all other detectors at their defaults
    default : position of the value that is used everywhere else
    """

    detector: str
    parameter: str
    values: np.ndarray
    aurocs: np.ndarray
    fpr95s: np.ndarray
    ranks: np.ndarray
    default: int

    @property
    def name(self) -> str:
        """Detector and parameter."""
        return f"{self.detector}, {self.parameter}"


def sensitivity(shown_rows: Sequence[Dependence], *, where: str, shown: theme.Shown) -> go.Figure:
    """Draw a row for each detector and parameter: its ranks on the left, its AUROCs on the right.

    A line spans the range over the values, small markers are single values, the large marker is
    the default.

    Parameters
    ----------
    where : the OOD set or the mean that results are of
    """
    left, right = grid.spans([1, 1], gap=0.06)
    rows = np.arange(len(shown_rows), dtype=np.float64)
    traces = []
    for axis, field, words in (("", "ranks", "rank %{x}"), ("2", "aurocs", "AUROC %{x:.3f}")):
        traces += _traces(shown_rows, field, words, axis, legend=not axis)
    layout = theme.layout(
        f"Dependence on a parameter, {theme.text(where)}",
        shown,
        height=150 + _ROW * len(rows),
        legend_rows=1,
        annotations=[grid.heading("rank by AUROC"), grid.heading("AUROC", 1)],
        **grid.axes(
            0,
            {"domain": left, "title": {"text": "Rank among all detectors (1 is the best)"}},
            {
                "tickvals": rows,
                "ticktext": [theme.text(row.name) for row in shown_rows],
                "range": [len(rows) - 0.5, -0.5],
                "showgrid": False,
            },
        ),
        **grid.axes(
            1,
            {"domain": right, "title": {"text": "AUROC"}},
            {"tickvals": rows, "showticklabels": False, "range": [len(rows) - 0.5, -0.5]},
        ),
    )
    return go.Figure(traces, layout)


def _traces(
    shown_rows: Sequence[Dependence], field: str, words: str, axis: str, *, legend: bool
) -> list[go.Scatter]:
    ends, heights = [], []
    for at, row in enumerate(shown_rows):
        found = getattr(row, field)
        ends += [found.min(), found.max(), np.nan]
        heights += [at, at, np.nan]
    axes = {"xaxis": f"x{axis}", "yaxis": f"y{axis}"}
    hover = f"%{{text}}: {words}<extra></extra>"

    def marks(default: bool, **marker) -> go.Scatter:
        chosen = [
            (at, row, position)
            for at, row in enumerate(shown_rows)
            for position in range(len(row.values))
            if (position == row.default) == default
        ]
        return go.Scatter(
            x=theme.float32([getattr(row, field)[position] for _, row, position in chosen]),
            y=theme.float32([at for at, _, _ in chosen]),
            text=[
                f"{theme.text(row.name)} = {row.values[position]:.4g}"
                for _, row, position in chosen
            ],
            mode="markers",
            name="default" if default else "other value",
            showlegend=legend,
            legendgroup=str(default),
            marker=marker,
            hovertemplate=hover,
            **axes,
        )

    line = go.Scatter(
        x=theme.float32(ends),
        y=theme.float32(heights),
        mode="lines",
        line={"width": 3, "color": theme.GREY},
        showlegend=False,
        hoverinfo="skip",
        **axes,
    )
    return [
        line,
        marks(False, size=8, color=theme.GREY, symbol="circle"),
        marks(True, size=12, color=theme.BLUE, symbol="diamond"),
    ]
