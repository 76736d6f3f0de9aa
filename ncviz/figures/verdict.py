"""One image among known and unknown samples: every detector's score, and how it changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import grid, theme
from ncviz.figures.chosen import line_at
from ncviz.figures.names import shortened

WORDS = {True: "known", False: "unknown"}
STYLES = {
    True: theme.Style(theme.BLUE, "solid", "circle"),
    False: theme.Style(theme.VERMILLION, "dash", "x"),
}
_QUANTILES = (0.05, 0.25, 0.75, 0.95)
_TICKS = (0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1)
_OFFSET = 0.17
_ROW = 27


@dataclass(frozen=True)
class Strip:
    """One detector's row: where the image, the ID and the OOD samples lie.

    All positions are percentiles among the ID test samples, in [0, 1].

    Attributes
    ----------
    image, threshold : places of the image's score and of the operating point
    unknown : (M,) places of the OOD samples; empty where there are none
    """

    detector: str
    image: float
    threshold: float
    unknown: np.ndarray
    known: bool


def score_strips(strips: Sequence[Strip], *, title: str, shown: theme.Shown) -> go.Figure:
    """The image's place among ID samples by every detector, and where OOD samples lie.

    Scores of different detectors share no scale; the share of ID samples below one does. On it the
    ID samples are spread evenly by definition. Thin lines reach from the 5th to the 95th percentile
    of a group, thick ones over its middle half. The axis shows square roots, which gives room to
    the low end, where verdicts change.
    """
    rows = np.arange(len(strips), dtype=np.float64)
    everyone = np.linspace(0, 1, 101)
    layout = theme.layout(
        theme.text(title),
        shown,
        height=150 + _ROW * len(strips),
        xaxis={
            "title": {"text": "Percentile among ID test samples (root scale)"},
            "range": [-0.02, 1.02],
            "tickvals": np.sqrt(_TICKS),
            "ticktext": [f"{tick:.0%}" for tick in _TICKS],
        },
        yaxis={
            "tickvals": rows,
            "ticktext": [theme.text(strip.detector) for strip in strips],
            "range": [len(strips) - 0.5, -0.5],
            "showgrid": False,
        },
    )
    return go.Figure(
        [
            *_band("ID test", [everyone] * len(strips), rows - _OFFSET, theme.ID_STYLE),
            *_band("OOD", [strip.unknown for strip in strips], rows + _OFFSET, theme.ood_style(0)),
            _thresholds(strips, rows),
            *(_images(strips, rows, known) for known in (True, False)),
        ],
        layout,
    )


def mark_image(figure: go.Figure, score: float, *, known: bool) -> go.Figure:
    """Mark the image's score in a figure of score distributions; changes and returns it."""
    line_at(figure, score, width=3, dash="dot", color=STYLES[known].colour)
    figure.add_scatter(
        x=theme.float32([score]),
        y=theme.float32([0]),
        name=f"this image ({WORDS[known]})",
        mode="markers",
        marker={**_marker(known), "size": 13},
        cliponaxis=False,
        hovertemplate="this image: %{x:.4g}",
    )
    return figure


@dataclass(frozen=True)
class Moment:
    """What was said of the image at one epoch."""

    epoch: int
    p_value: float
    known: bool
    predicted: str
    probability: float


def verdict_over_epochs(
    moments: Sequence[Moment], *, detector: str, shown: theme.Shown
) -> go.Figure:
    """The image's p-value and the probability of its predicted class over epochs."""
    epochs = theme.float32([moment.epoch for moment in moments])
    left, right = grid.spans([1, 1], gap=0.1)
    predicted = [theme.text(moment.predicted) for moment in moments]
    probabilities = go.Scatter(
        x=epochs,
        y=theme.float32([moment.probability for moment in moments]),
        xaxis="x2",
        yaxis="y2",
        mode="lines+markers+text",
        text=[theme.text(shortened(moment.predicted)) for moment in moments],
        customdata=predicted,
        textposition="top center",
        cliponaxis=False,
        showlegend=False,
        line=theme.TEST_STYLE.line(),
        marker={"symbol": theme.TEST_STYLE.symbol, "size": 9},
        hovertemplate="epoch %{x}: %{customdata}, %{y:.1%}",
    )
    line = go.Scatter(
        x=epochs,
        y=theme.float32([moment.p_value for moment in moments]),
        mode="lines",
        line={"color": theme.GREY, "width": 1.5},
        showlegend=False,
        hoverinfo="skip",
    )
    x = {"title": {"text": "Epoch"}, "rangemode": "tozero"}
    share = {"range": [-0.04, 1.12], "tickvals": [0, 0.25, 0.5, 0.75, 1], "tickformat": ".0%"}
    layout = theme.layout(
        f"This image through training, by {theme.text(detector)}",
        shown,
        height=340,
        above=20,
        shapes=[grid.upright(shown.epoch, at, **grid.MARK) for at in (0, 1)],
        annotations=[
            grid.heading("p-value: share of ID samples as unusual"),
            grid.heading("probability of the predicted class", 1),
        ],
        **grid.axes(0, {**x, "domain": left}, share),
        **grid.axes(1, {**x, "domain": right}, share),
    )
    return go.Figure(
        [line, *(_moments(moments, known) for known in (True, False)), probabilities], layout
    )


def _moments(moments: Sequence[Moment], known: bool) -> go.Scatter:
    chosen = [moment for moment in moments if moment.known == known]
    return go.Scatter(
        x=theme.float32([moment.epoch for moment in chosen]),
        y=theme.float32([moment.p_value for moment in chosen]),
        name=WORDS[known],
        mode="markers",
        marker=_marker(known),
        cliponaxis=False,
        hovertemplate="epoch %{x}: p = %{y:.3g}",
    )


def _band(
    name: str, groups: Sequence[np.ndarray], rows: np.ndarray, style: theme.Style
) -> list[go.Scatter]:
    """A thin line over most of each group and a thick one over its middle half."""
    drawn = [
        (row, np.quantile(group, _QUANTILES))
        for row, group in zip(rows, groups, strict=True)
        if len(group)
    ]
    lines = []
    for (first, last), width in (((0, 3), 2), ((1, 2), 7)):
        x = [value for _, ends in drawn for value in (ends[first], ends[last], np.nan)]
        y = [value for row, _ in drawn for value in (row, row, np.nan)]
        dash = style.dash if width == 2 else "solid"
        lines.append(
            go.Scatter(
                x=theme.float32(np.sqrt(x)),
                y=theme.float32(y),
                customdata=theme.float32(x),
                name=name,
                legendgroup=name,
                showlegend=width > 2,
                mode="lines",
                line={"color": style.colour, "dash": dash, "width": width},
                opacity=0.6,
                hovertemplate=f"{name}: %{{customdata:.1%}}",
            )
        )
    return lines


def _thresholds(strips: Sequence[Strip], rows: np.ndarray) -> go.Scatter:
    x = [value for strip in strips for value in (strip.threshold, strip.threshold, np.nan)]
    y = [value for row in rows for value in (row - 0.4, row + 0.4, np.nan)]
    return go.Scatter(
        x=theme.float32(np.sqrt(x)),
        y=theme.float32(y),
        customdata=theme.float32(x),
        name="operating point",
        mode="lines",
        line={"color": theme.GREY, "width": 2, "dash": "dot"},
        hovertemplate="operating point: %{customdata:.1%}",
    )


def _images(strips: Sequence[Strip], rows: np.ndarray, known: bool) -> go.Scatter:
    chosen = [at for at, strip in enumerate(strips) if strip.known == known]
    return go.Scatter(
        x=theme.float32(np.sqrt([strips[at].image for at in chosen])),
        y=theme.float32(rows[chosen]),
        customdata=theme.float32([strips[at].image for at in chosen]),
        text=[theme.text(strips[at].detector) for at in chosen],
        name=f"this image ({WORDS[known]})",
        mode="markers",
        marker=_marker(known),
        cliponaxis=False,
        hovertemplate="%{text}: %{customdata:.1%} of ID samples score lower",
    )


def _marker(known: bool) -> dict:
    style = STYLES[known]
    return {"symbol": style.symbol, "size": 11, "color": style.colour, "line": {"width": 1}}
