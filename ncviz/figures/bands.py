"""A metric of many detectors over epochs: a few with their intervals, the others faint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import grid, theme

_FAINT = "rgba(122,127,135,0.28)"


@dataclass(frozen=True)
class Band:
    """One line: epochs (E,), values (E,) and the ends of their intervals (E,), NaN for none.

    A line without a style is one of the others, drawn faint.
    """

    name: str
    epochs: np.ndarray
    values: np.ndarray
    lows: np.ndarray
    highs: np.ndarray
    style: theme.Style | None = None


@dataclass(frozen=True)
class BandPanel:
    """One small chart of bands."""

    title: str
    bands: tuple[Band, ...]


def bands_over_epochs(
    panels: Sequence[BandPanel],
    *,
    title: str,
    value: str,
    shown: theme.Shown,
    chance: float | None = None,
) -> go.Figure:
    """Panels side by side on one scale, the epoch of `shown` marked in each.

    Parameters
    ----------
    value : what the vertical axis shows
    chance : the value that guessing reaches, as a dashed line; None where it depends on the sets
    """
    traces, shapes, axes = [], [], {}
    for at, domain in enumerate(grid.spans([1] * len(panels), gap=0.08)):
        panel = panels[at]
        others = [band for band in panel.bands if band.style is None]
        if others:
            traces.append(_faint(others, at))
        for band in panel.bands:
            if band.style is not None:
                traces += _emphasised(band, at)
        if chance is not None:
            shapes.append(grid.level(chance, at, dash="dash", width=1, color=theme.GREY))
        if shown.epoch is not None:
            shapes.append(grid.upright(shown.epoch, at, **grid.MARK))
        x = {"title": {"text": "Epoch"}, "rangemode": "tozero", "domain": domain}
        y = {"nticks": 6, "title": {"text": theme.text(value) if at == 0 else ""}}
        axes |= grid.axes(at, x, {**y, "matches": "y"} if at else y)
    layout = theme.layout(
        title,
        shown,
        height=420,
        above=20,
        shapes=shapes,
        annotations=[grid.heading(theme.text(panel.title), at) for at, panel in enumerate(panels)],
        **axes,
    )
    return go.Figure(traces, layout)


def _faint(bands: Sequence[Band], at: int) -> go.Scatter:
    """All of them in one trace, a gap between two."""
    gap = [np.nan]
    return go.Scatter(
        x=theme.float32(np.concatenate([[*band.epochs, *gap] for band in bands])),
        y=theme.float32(np.concatenate([[*band.values, *gap] for band in bands])),
        text=[theme.text(band.name) for band in bands for _ in range(len(band.epochs) + 1)],
        xaxis=f"x{grid.suffix(at)}",
        yaxis=f"y{grid.suffix(at)}",
        name="other detectors",
        legendgroup="other detectors",
        showlegend=at == 0,
        mode="lines",
        line={"color": _FAINT, "width": 1},
        hovertemplate="%{text}, epoch %{x}: %{y:.3f}<extra></extra>",
    )


def _emphasised(band: Band, at: int) -> list[go.Scatter]:
    place = {"xaxis": f"x{grid.suffix(at)}", "yaxis": f"y{grid.suffix(at)}"}
    name = theme.text(band.name)
    line = go.Scatter(
        x=theme.float32(band.epochs),
        y=theme.float32(band.values),
        name=name,
        legendgroup=band.name,
        showlegend=at == 0,
        mode="lines+markers",
        line=band.style.line(),
        marker={"symbol": band.style.symbol, "size": 7, "color": band.style.colour},
        text=[
            f" [{low:.3f}, {high:.3f}]" if np.isfinite(low) else ""
            for low, high in zip(band.lows, band.highs, strict=True)
        ],
        hovertemplate="epoch %{x}: %{y:.3f}%{text}",
        **place,
    )
    known = np.isfinite(band.lows)
    if not known.any():
        return [line]
    epochs = band.epochs[known]
    area = go.Scatter(
        x=theme.float32(np.r_[epochs, epochs[::-1]]),
        y=theme.float32(np.r_[band.highs[known], band.lows[known][::-1]]),
        legendgroup=band.name,
        showlegend=False,
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=band.style.faded(0.18),
        hoverinfo="skip",
        **place,
    )
    return [area, line]
