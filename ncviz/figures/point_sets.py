"""Samples of several sets as points: some lit up, one ringed, all of them open to a lasso."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import theme

_SIZE, _LIT_SIZE = 6, 8
_OPACITY, _DIMMED = 0.6, 0.12


@dataclass(frozen=True)
class PointSet:
    """Samples of one set in a plane.

    Attributes
    ----------
    x, y : (N,) coordinates
    index : (N,) which sample of its set each is, for the reader
    tints : (N,) position of each point's colour in `palette`; None: all have that of the style
    palette : at least two colours
    lit : positions of the chosen ones; None: nothing is chosen, so that none is dimmed
    """

    name: str
    style: theme.Style
    x: np.ndarray
    y: np.ndarray
    index: np.ndarray
    tints: np.ndarray | None = None
    palette: Sequence[str] = ()
    lit: np.ndarray | None = None


def draw_points(sets: Sequence[PointSet], *, hover: str) -> list[go.Scattergl]:
    """One trace for each set, in its order; `hover` says what x and y of a point are."""
    return [
        go.Scattergl(
            x=theme.float32(each.x),
            y=theme.float32(each.y),
            name=theme.text(each.name),
            mode="markers",
            marker={
                "symbol": each.style.symbol,
                "size": _SIZE,
                "opacity": _OPACITY,
                **_colours(each),
            },
            selectedpoints=None if each.lit is None else np.asarray(each.lit, np.int32),
            selected={"marker": {"opacity": 1.0, "size": _LIT_SIZE}},
            unselected={"marker": {"opacity": _DIMMED}},
            customdata=np.asarray(each.index, np.int32),
            hovertemplate=f"sample %{{customdata}}<br>{hover}",
        )
        for each in sets
    ]


def _colours(points: PointSet) -> dict[str, Any]:
    if points.tints is None:
        return {"color": points.style.colour}
    # Numbers on a scale of steps: plotly checks thousands of colour names one by one.
    last = len(points.palette) - 1
    scale = [[at / last, colour] for at, colour in enumerate(points.palette)]
    return {"color": theme.float32(points.tints), "colorscale": scale, "cmin": 0, "cmax": last}


def ring(x: float, y: float) -> go.Scattergl:
    """A ring around the sample that is looked at."""
    return go.Scattergl(
        x=theme.float32([x]),
        y=theme.float32([y]),
        name="looked at",
        mode="markers",
        marker={
            "symbol": "circle-open",
            "size": 17,
            "color": theme.PURPLE,
            "line": {"width": 3},
        },
        hoverinfo="skip",
    )
