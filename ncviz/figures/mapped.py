"""The same samples in the plane at several epochs, side by side: classes in colour, OOD in grey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import grid, theme
from ncviz.figures.maps import class_colours, ten_of

_AXIS = {"showticklabels": False, "showgrid": False, "title": {"text": ""}}
_EDGE = 0.004


@dataclass(frozen=True)
class MappedSets:
    """Which set and class each of N samples is of.

    Attributes
    ----------
    sets : (N,) position in `names`; the first is the ID test set
    names : of the sets
    styles : of each set
    labels : (N,) class, -1 where the sample belongs to none of `classes`
    classes : their names
    """

    sets: np.ndarray
    names: Sequence[str]
    styles: Sequence[theme.Style]
    labels: np.ndarray
    classes: Sequence[str]


def mapped_samples(
    panels: Sequence[tuple[str, np.ndarray]],
    samples: MappedSets,
    *,
    title: str,
    shown: theme.Shown | str,
) -> go.Figure:
    """Panels of the same samples; of more than ten classes ten have a colour of their own.

    Parameters
    ----------
    panels : title and places (N, 2) of each
    """
    chosen = ten_of(len(samples.classes))
    colours = np.array(
        [colour or theme.GREY for colour in class_colours(len(samples.classes), chosen)]
    )
    traces, axes = [], {}
    for at, domain in enumerate(grid.spans([1] * len(panels), gap=0.03)):
        points = panels[at][1]
        # Known samples come last, to lie on top.
        for which in reversed(range(len(samples.names))):
            mine = samples.sets == which
            if mine.any():
                traces.append(_points(points, samples, which, mine, colours, at))
        low, high = np.quantile(points, (_EDGE, 1 - _EDGE), axis=0).astype(float)
        air = 0.05 * np.maximum(high - low, 1e-6)
        x, y = ([float(a), float(b)] for a, b in zip(low - air, high + air, strict=True))
        axes |= grid.axes(
            at,
            {**_AXIS, "domain": domain, "range": x},
            {**_AXIS, "range": y},
        )
    layout = theme.layout(
        title,
        shown,
        height=520,
        above=20,
        legend_rows=2,
        annotations=[grid.heading(theme.text(name), at) for at, (name, _) in enumerate(panels)],
        **axes,
    )
    layout["legend"] |= {"itemsizing": "constant", "traceorder": "reversed"}
    return go.Figure(traces, layout)


def _points(
    points: np.ndarray,
    samples: MappedSets,
    which: int,
    mine: np.ndarray,
    colours: np.ndarray,
    at: int,
) -> go.Scatter:
    style, name = samples.styles[which], theme.text(samples.names[which])
    known = which == 0
    names = np.array([theme.text(each) for each in samples.classes])
    labels = samples.labels[mine]
    return go.Scatter(
        x=theme.float32(points[mine, 0]),
        y=theme.float32(points[mine, 1]),
        text=names[labels].tolist() if known else None,
        xaxis=f"x{grid.suffix(at)}",
        yaxis=f"y{grid.suffix(at)}",
        name=name,
        legendgroup=name,
        showlegend=at == 0,
        mode="markers",
        marker={
            "symbol": style.symbol if known else f"{style.symbol}-open",
            "size": 5,
            "color": colours[labels].tolist() if known else theme.GREY,
            "opacity": 0.75 if known else 0.45,
        },
        hovertemplate="%{text}<extra></extra>" if known else f"{name}<extra></extra>",
    )
