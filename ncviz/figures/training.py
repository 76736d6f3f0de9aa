"""Training curves: loss and accuracy for every epoch trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import grid, theme

_PANELS = (("loss", 1.0, ""), ("accuracy", 100.0, " %"))
_SPLITS = (("train", theme.TRAIN_STYLE), ("test", theme.TEST_STYLE))


def training_curves(
    history: Mapping[str, np.ndarray], *, shown: theme.Shown, saved: Sequence[int] = ()
) -> go.Figure:
    """Loss (logarithmic) and accuracy of the training and the test set over epochs.

    Parameters
    ----------
    history : columns (E,) epoch, and any of train_loss, test_loss, train_accuracy, test_accuracy
    shown : the run, and the epoch to mark
    saved : epochs that were kept; they get a marker
    """
    epochs = np.asarray(history["epoch"])
    sizes = np.where(np.isin(epochs, saved), 6, 0).astype(np.int32)
    traces = [
        go.Scatter(
            x=theme.float32(epochs),
            y=theme.float32(history[f"{split}_{quantity}"]) * scale,
            xaxis=f"x{grid.suffix(at)}",
            yaxis=f"y{grid.suffix(at)}",
            name={"train": "training set", "test": "test set"}[split],
            legendgroup=split,
            showlegend=at == 0,
            mode="lines+markers",
            line=style.line(),
            marker={"symbol": style.symbol, "size": sizes},
            hovertemplate=f"epoch %{{x}}: %{{y:.4g}}{unit}",
        )
        for at, (quantity, scale, unit) in enumerate(_PANELS)
        for split, style in _SPLITS
        if f"{split}_{quantity}" in history
    ]
    losses = np.concatenate([trace.y for trace in traces if trace.yaxis == "y"] or [[]])
    left, right = grid.spans([1, 1], gap=0.1)
    marks = [] if shown.epoch is None else [0, 1]
    layout = theme.layout(
        "Training curves (markers: saved epochs)",
        shown,
        height=340,
        shapes=[grid.upright(shown.epoch, at, **grid.MARK) for at in marks],
        **grid.axes(
            0,
            {"title": {"text": "Epoch"}, "domain": left},
            {"title": {"text": "Cross-entropy (log scale)"}, **theme.log_axis(losses)},
        ),
        **grid.axes(
            1,
            {"title": {"text": "Epoch"}, "domain": right},
            {"title": {"text": "Accuracy (%)"}},
        ),
    )
    return go.Figure(traces, layout)
