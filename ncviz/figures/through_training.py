"""One sample through training: its percentile by every detector, its class, its distances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import grid, theme
from ncviz.figures.maps import SCORE_COLOURS
from ncviz.figures.names import shortened

_EPOCH = {"title": {"text": "Epoch"}}
_CUT = {"dash": "dash", "width": 1.2, "color": theme.GREY}
_PROBABILITY = "epoch %{x}: %{y:.1%}"
_ROW = 17  # pixels of a detector's row


@dataclass(frozen=True)
class ClassPath:
    """What the network makes of a sample at E epochs.

    Attributes
    ----------
    predicted : (E,) names of the predicted classes; empty where nothing is predicted
    confidence : (E,) probability of the predicted class
    true_class : name, or empty where the sample belongs to no class of the run
    true_probability, own : (E,) probability of the true class and distance to its mean, or None
    nearest : (E,) distance to the nearest class mean
    nearest_class : (E,) its name
    """

    epochs: Sequence[int]
    predicted: Sequence[str]
    confidence: np.ndarray
    nearest: np.ndarray
    nearest_class: Sequence[str]
    true_class: str = ""
    true_probability: np.ndarray | None = None
    own: np.ndarray | None = None


def score_paths(
    epochs: Sequence[int],
    percentiles: Mapping[str, np.ndarray],
    *,
    lines: Sequence[str],
    cut: float,
    shown: theme.Shown,
) -> go.Figure:
    """Percentiles of one sample over E epochs: some detectors as lines, all of them as a heatmap.

    Parameters
    ----------
    percentiles : by detector, in the order of the rows: (E,) in [0, 1], NaN where there is
        none
    lines : the detectors that are drawn as lines
    cut : percentile of the threshold; below it a sample is turned away
    """
    left, right = grid.spans([1, 1], gap=0.2)
    traces = [
        _line(name, epochs, percentiles[name], _style(at), "epoch %{x}: %{y:.1%} of ID")
        for at, name in enumerate(lines)
    ]
    names = [theme.text(name) for name in percentiles]
    # Epochs are saved at uneven distances; a column each keeps the early ones legible.
    columns = np.arange(len(epochs))
    traces.append(
        go.Heatmap(
            z=theme.float32(np.stack(list(percentiles.values()))),
            x=theme.float32(columns),
            y=names,
            xaxis="x2",
            yaxis="y2",
            zmin=0,
            zmax=1,
            colorscale=[[i / 4, colour] for i, colour in enumerate(SCORE_COLOURS)],
            colorbar={
                "title": {"text": "of ID", "side": "top", "font": {"size": 12}},
                "tickformat": ".0%",
                "tickfont": {"size": 12},
                "thickness": 12,
                "outlinewidth": 0,
            },
            text=[[str(epoch) for epoch in epochs]] * len(names),
            hovertemplate="%{y}, epoch %{text}: %{z:.1%}<extra></extra>",
        )
    )
    shapes = [grid.level(cut, **_CUT)]
    if shown.epoch in epochs:
        at = list(epochs).index(shown.epoch)
        shapes += [grid.upright(shown.epoch, **grid.MARK)]
        shapes += [grid.upright(at + side, 1, **grid.MARK) for side in (-0.5, 0.5)]
    every = -(-len(epochs) // 12)
    ticks = {"tickvals": columns[::every].tolist(), "ticktext": [str(e) for e in epochs[::every]]}
    layout = theme.layout(
        "Where its score lies among those of the ID test samples",
        shown,
        height=max(380, 170 + _ROW * len(names)),
        legend_rows=1,
        above=20,
        shapes=shapes,
        annotations=[
            grid.heading("percentile among ID test samples"),
            grid.heading("the same by every detector", 1),
        ],
        **grid.axes(0, {**_EPOCH, "domain": left}, _share_axis()),
        **grid.axes(
            1,
            {**_EPOCH, "domain": right, "showgrid": False, **ticks},
            {"autorange": "reversed", "showgrid": False, "tickfont": {"size": 11}},
        ),
    )
    return go.Figure(traces, layout)


def class_paths(path: ClassPath, *, shown: theme.Shown) -> go.Figure:
    """Probabilities of the predicted and the true class, and distances to class means."""
    left, right = grid.spans([1, 1], gap=0.14)
    hover = "epoch %{x}: %{y:.3g} units"
    traces = []
    # What belongs to the true class lies underneath, broad: often the other line is the same.
    if path.true_probability is not None:
        name = f"true class: {shortened(path.true_class)}"
        values = path.true_probability
        traces.append(_broad(_line(name, path.epochs, values, theme.TEST_STYLE, _PROBABILITY)))
    if len(path.predicted):
        traces.append(_predictions(path))
    if path.own is not None:
        own = _line("own class mean", path.epochs, path.own, theme.TEST_STYLE, hover, at=1)
        traces.append(_broad(own))
    nearest = _line(
        "nearest class mean", path.epochs, path.nearest, theme.ood_style(0), hover, at=1
    )
    nearest.update(
        text=[theme.text(name) for name in path.nearest_class],
        hovertemplate=f"{hover}, %{{text}}",
    )
    traces.append(nearest)
    shapes = [grid.level(1, 1, **_CUT)]
    if shown.epoch is not None:
        shapes += [grid.upright(shown.epoch, at, **grid.MARK) for at in (0, 1)]
    layout = theme.layout(
        "Which class it is taken for, and how far it is from class means",
        shown,
        height=400,
        legend_rows=2,
        above=20,
        shapes=shapes,
        annotations=[
            grid.heading("probability"),
            grid.heading("distance, in units of the spread within classes", 1),
        ],
        **grid.axes(0, {**_EPOCH, "domain": left}, _share_axis()),
        **grid.axes(1, {**_EPOCH, "domain": right}, {"rangemode": "tozero", "nticks": 6}),
    )
    return go.Figure(traces, layout)


def _predictions(path: ClassPath) -> go.Scatter:
    """The predicted class is written where it differs from the one at the epoch before."""
    names = list(path.predicted)
    new = [at == 0 or names[at] != names[at - 1] for at in range(len(names))]
    trace = _line(
        "predicted class", path.epochs, path.confidence, theme.ID_STYLE, "epoch %{x}: %{customdata}"
    )
    pairs = zip(names, path.confidence, strict=True)
    shares = [f"{theme.text(name)}, {share:.1%}" for name, share in pairs]
    trace.update(
        mode="lines+markers+text",
        text=[
            theme.text(shortened(name)) if first else ""
            for name, first in zip(names, new, strict=True)
        ],
        textposition="top center",
        customdata=shares,
        cliponaxis=False,
    )
    return trace


def _line(
    name: str,
    epochs: Sequence[int],
    values: np.ndarray,
    style: theme.Style,
    hover: str,
    *,
    at: int = 0,
) -> go.Scatter:
    return go.Scatter(
        x=theme.float32(epochs),
        y=theme.float32(values),
        xaxis=f"x{grid.suffix(at)}",
        yaxis=f"y{grid.suffix(at)}",
        name=theme.text(name),
        mode="lines+markers",
        line=style.line(),
        marker={"symbol": style.symbol, "size": 7, "color": style.colour},
        hovertemplate=hover,
    )


def _broad(trace: go.Scatter) -> go.Scatter:
    trace.update(line={"width": 7, "dash": "solid"}, opacity=0.45)
    return trace


def _style(at: int) -> theme.Style:
    return theme.ID_STYLE if at == 0 else theme.ood_style(at - 1)


def _share_axis() -> dict:
    return {"range": [-0.04, 1.12], "tickvals": [0, 0.25, 0.5, 0.75, 1], "tickformat": ".0%"}
