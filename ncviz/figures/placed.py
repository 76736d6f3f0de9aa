"""An image on the map of an epoch: between the samples that are nearest to it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import theme

_AXIS = {"showticklabels": False, "showgrid": False, "title": {"text": ""}}
_EDGE = 0.004


def placed_on_map(
    points: Mapping[str, np.ndarray],
    *,
    styles: Mapping[str, theme.Style],
    image: np.ndarray,
    neighbours: np.ndarray,
    kind: str,
    shown: theme.Shown,
) -> go.Figure:
    """The mapped samples of each set, the image's interpolated place and its neighbours.

    Parameters
    ----------
    points : (M, 2) of the samples of each set
    styles : of each set
    image : (2,) its place
    neighbours : (k, 2) the samples that it lies between
    kind : what the map is called
    """
    traces = [_set(name, each, styles[name]) for name, each in points.items()]
    low, high = _window(np.concatenate([*points.values()]), np.vstack([image, neighbours]))
    layout = theme.layout(
        f"Its place on the {theme.text(kind)} map, interpolated",
        shown,
        height=560,
        legend_rows=2,
        xaxis={**_AXIS, "range": [low[0], high[0]]},
        yaxis={**_AXIS, "range": [low[1], high[1]], "scaleanchor": "x"},
    )
    return go.Figure([*traces, *_image(image, neighbours)], layout)


def _set(name: str, points: np.ndarray, style: theme.Style) -> go.Scattergl:
    return go.Scattergl(
        x=theme.float32(points[:, 0]),
        y=theme.float32(points[:, 1]),
        name=theme.text(name),
        mode="markers",
        marker={"symbol": style.symbol, "size": 5, "color": style.colour, "opacity": 0.45},
        hoverinfo="name",
    )


def _image(image: np.ndarray, neighbours: np.ndarray) -> list[go.Scattergl]:
    # In WebGL as the samples: what is drawn in SVG lies below them.
    around = go.Scattergl(
        x=theme.float32(neighbours[:, 0]),
        y=theme.float32(neighbours[:, 1]),
        name="nearest in feature space",
        mode="markers",
        marker={"symbol": "circle-open", "size": 13, "color": theme.BROWN, "line": {"width": 2}},
        hoverinfo="name",
    )
    itself = go.Scattergl(
        x=theme.float32(image[:1]),
        y=theme.float32(image[1:]),
        name="this image",
        mode="markers",
        marker={
            "symbol": "star",
            "size": 20,
            # White in black stands out from every set's colour, on light and on dark.
            "color": "#FFFFFF",
            "line": {"width": 2, "color": "#000000"},
        },
        hoverinfo="name",
    )
    return [around, itself]


def _window(points: np.ndarray, always: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both corners of what is shown: nearly all samples, and `always`."""
    low, high = np.quantile(points, (_EDGE, 1 - _EDGE), axis=0)
    low, high = np.minimum(low, always.min(axis=0)), np.maximum(high, always.max(axis=0))
    air = 0.05 * np.maximum(high - low, 1e-6)
    return low - air, high + air
