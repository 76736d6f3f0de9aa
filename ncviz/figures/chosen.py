"""The samples that a reader has chosen, lit up in figures of their scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import grid, theme

MOST_MARKS = 500
"""Marks in a row of a rug; more would hide each other."""
_ROOM = 0.22  # share of an axis that the name of a sample takes


@dataclass(frozen=True)
class Marks:
    """Where chosen samples lie on a curve.

    Attributes
    ----------
    x, y : (M,) coordinates
    style : of their set
    """

    x: np.ndarray
    y: np.ndarray
    style: theme.Style


@dataclass(frozen=True)
class SelectedScores:
    """Scores of the selected samples of a set.

    Attributes
    ----------
    rows : (M,) their positions among the kept samples, which a click returns
    scores : (M,) their scores
    """

    rows: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


def thinned(values: np.ndarray, most: int) -> np.ndarray:
    """Positions of at most `most` of the `values`, evenly spread over their order."""
    order = np.argsort(values, kind="stable")
    if len(order) <= most:
        return order
    return order[np.linspace(0, len(order) - 1, most).round().astype(np.int64)]


def rug(row: str, selected: SelectedScores, number: int, style: theme.Style) -> go.Scatter:
    """Return a mark for each selected sample, in the row called `row` of the second pair of axes.

    Parameters
    ----------
    number : of the set; goes with the sample's row into `customdata`, which a click returns
    """
    shown = thinned(selected.scores, MOST_MARKS)
    return go.Scatter(
        x=theme.float32(selected.scores[shown]),
        y=[row] * len(shown),
        customdata=theme.float32(
            np.column_stack([np.full(len(shown), number), selected.rows[shown]])
        ),
        xaxis="x2",
        yaxis="y2",
        name=row,
        showlegend=False,
        mode="markers",
        marker={
            "symbol": style.symbol,
            "color": style.colour,
            "size": 8,
            "opacity": 0.8,
            "line": {"width": 0},
        },
        hovertemplate="selected, score %{x:.4g}<extra></extra>",
    )


def on_curve(marks: Marks) -> go.Scatter:
    """Hollow marks on an ROC or precision-recall curve."""
    return go.Scatter(
        x=theme.float32(marks.x),
        y=theme.float32(marks.y),
        showlegend=False,
        mode="markers",
        marker={
            "symbol": f"{marks.style.symbol}-open",
            "color": marks.style.colour,
            "size": 7,
            "line": {"width": 1.5},
        },
        hovertemplate="cut at a selected sample: (%{x:.3f}, %{y:.3f})<extra></extra>",
    )


def legend_entry(words: str) -> go.Scatter:
    """What hollow marks of any colour and shape mean."""
    return go.Scatter(
        x=[None],
        y=[None],
        name=words,
        mode="markers",
        marker={"symbol": "circle-open", "color": theme.GREY, "size": 7, "line": {"width": 1.5}},
        hoverinfo="skip",
    )


def line_at(figure: go.Figure, score: float, **line) -> None:
    """A line through both pairs of axes of a figure of score distributions, which reach to it."""
    low, high = figure.layout.xaxis.range
    air = 0.04 * (high - low)
    span = [min(low, score - air), max(high, score + air)]
    figure.update_layout(xaxis_range=span, xaxis2_range=span)
    for at in (0, 1):
        figure.add_shape(grid.upright(score, at, **line))


def mark_sample(figure: go.Figure, score: float, words: str) -> go.Figure:
    """Name the score of one sample in a figure of score distributions; changes and returns it.

    The name stands beside its line: away from the threshold where there is room, else inwards.
    """
    cuts = [shape.x0 for shape in figure.layout.shapes]
    line_at(figure, score, width=2, dash="dot")
    low, high = figure.layout.xaxis.range
    place = (score - low) / (high - low)
    leftwards = place > 0.5
    if cuts and _ROOM < place < 1 - _ROOM:
        leftwards = score < cuts[0]
    figure.add_annotation(
        text=f" {theme.text(words)} ",
        showarrow=False,
        x=score,
        xanchor="right" if leftwards else "left",
        y=1,
        yref="y domain",
        yanchor="top",
    )
    return figure
