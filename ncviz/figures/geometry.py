"""The shape of the class means in two distributions: cosines of pairs, and lengths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import grid, theme
from ncviz.figures.names import shortened

COSINE_BIN = 0.02
# Equal bins on a fixed range: the axis must not move while the reader steps through epochs.
_EDGES = np.linspace(-1.0, 1.0, round(2 / COSINE_BIN) + 1)


def cosine_histogram(gram: np.ndarray, *, shown: theme.Shown) -> go.Figure:
    """How many pairs of classes have which cosine, against -1/(C-1) of the simplex ETF.

    Parameters
    ----------
    gram : (C, C) cosines between centred class means
    """
    classes = len(gram)
    cosines = gram[np.triu_indices(classes, k=1)]  # (C (C-1) / 2,)
    counts, _ = np.histogram(cosines, bins=_EDGES)
    ideal = -1.0 / (classes - 1)
    bars = go.Bar(
        x=theme.float32((_EDGES[:-1] + _EDGES[1:]) / 2),
        y=counts.astype(np.int32),
        width=COSINE_BIN,
        marker={"color": theme.ID_STYLE.colour, "line": {"width": 0}},
        hovertemplate=f"cosine %{{x:.2f}} ± {COSINE_BIN / 2}: %{{y}} pairs<extra></extra>",
    )
    label = {
        "text": f"simplex ETF: −1/(C−1) = {theme.signed(ideal)}",
        "x": ideal,
        # Beside the line, on the side with room.
        "xanchor": "right" if ideal > -0.4 else "left",
        "y": 1,
        "yref": "y domain",
        "yanchor": "bottom",
        "showarrow": False,
    }
    layout = theme.layout(
        "Cosine of the one class pair"
        if classes == 2
        else f"Cosines of {len(cosines):,} class pairs",
        shown,
        height=340,
        legend_rows=0,
        shapes=[grid.upright(ideal, dash="dash", width=1.5)],
        annotations=[label],
        xaxis={"title": {"text": "Cosine between two centred class means"}, "range": [-1, 1]},
        yaxis={"title": {"text": "Pairs of classes"}},
    )
    return go.Figure(bars, layout)


def class_lengths(
    means: np.ndarray,
    names: Sequence[str],
    *,
    order: np.ndarray,
    shown: theme.Shown,
    weights: np.ndarray | None = None,
) -> go.Figure:
    """Length of each centred class mean, and of each row of the head, relative to their average.

    Parameters
    ----------
    means : (C,) ||mu_c - mu_G||
    names : (C,) class names
    order : (C,) permutation: the classes from left to right
    weights : (C,) ||w_c||, where the layer has a head
    """
    labels = [theme.text(names[at]) for at in order]
    kinds = [("class mean ‖μ<sub>c</sub> − μ<sub>G</sub>‖", means, theme.ID_STYLE, "circle")]
    if weights is not None:
        kinds.append(("row of the head ‖w<sub>c</sub>‖", weights, theme.TEST_STYLE, "diamond-open"))
    traces = [
        go.Scatter(
            x=np.arange(len(order), dtype=np.int32),
            y=theme.float32(lengths[order] / (lengths.mean() or 1)),
            text=labels,
            name=name,
            mode="markers",
            marker={"color": style.colour, "symbol": symbol, "size": 7},
            hovertemplate="%{text}: %{y:.3f}",
        )
        for name, lengths, style, symbol in kinds
    ]
    named = len(labels) <= theme.MAX_NAMED_TICKS
    layout = theme.layout(
        "Lengths of class means",
        shown,
        height=340,
        shapes=[grid.level(1, dash="dash", width=1, color=theme.GREY)],
        xaxis={
            "title": {"text": "Class" if named else "Class (hover for its name)"},
            "tickmode": "array",
            "tickvals": list(range(len(labels))) if named else [],
            "ticktext": [theme.text(shortened(names[at])) for at in order] if named else [],
            "showgrid": False,
        },
        yaxis={"title": {"text": "Length / average length"}, "rangemode": "tozero"},
    )
    return go.Figure(traces, layout)
