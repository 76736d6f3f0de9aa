"""The same chart of two sides, A and B, on the same axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import grid, theme
from ncviz.figures.curves import OperatingCurve
from ncviz.figures.point_sets import PointSet, draw_points, ring
from ncviz.figures.scores import score_distributions
from ncviz.figures.trends import Panel, over_epochs

SIDE_STYLES = (theme.ID_STYLE, theme.ood_style(0))
"""How A and B are drawn where they share a chart."""
PERCENTILE = "Share of known samples that score lower"
_ROCS_PER_ROW = 3
_PLACELESS = {"showticklabels": False, "showgrid": False, "title": {"text": ""}}
_EDGE = 0.004


@dataclass(frozen=True)
class ScoredSide:
    """Scores of one side, as `score_distributions` takes them."""

    shown: theme.Shown
    id_name: str
    id_scores: np.ndarray
    ood_scores: Mapping[str, np.ndarray]
    styles: Mapping[str, theme.Style]
    threshold: float


@dataclass(frozen=True)
class RocPanel:
    """The ROC curves of the sides against one OOD set."""

    set_name: str
    curves: Mapping[str, OperatingCurve]


@dataclass(frozen=True)
class MappedSide:
    """One side's map.

    Attributes
    ----------
    looked_at : (2,) place of the ringed sample, or None
    """

    shown: theme.Shown
    sets: Sequence[PointSet]
    looked_at: np.ndarray | None = None


def draw_distributions(
    sides: Sequence[ScoredSide], *, detector: str, axis: str | None = None
) -> list[go.Figure]:
    """The distributions of each side, all with the same ranges of scores and of densities.

    `axis` is what the scores are, where they are percentiles and not the detector's own. Then
    densities are logarithmic, since unknown samples pile up near 0.
    """
    figures = [
        score_distributions(
            side.id_scores,
            side.ood_scores,
            id_name=side.id_name,
            styles=side.styles,
            threshold=side.threshold,
            detector=detector,
            shown=side.shown,
            log=axis is not None,
        )
        for side in sides
    ]
    spans = np.array([figure.layout.xaxis2.range for figure in figures], dtype=float)
    span = [spans[:, 0].min(), spans[:, 1].max()]
    # The densities come first, those of the ID test set and of each OOD set.
    heights = [
        trace.y
        for figure, side in zip(figures, sides, strict=True)
        for trace in figure.data[: 1 + len(side.ood_scores)]
    ]
    heights = np.concatenate(heights)
    top = 1.06 * float(heights.max())
    span_of_densities = [0, top]
    if axis:
        span_of_densities = np.log10([float(heights[heights > 0].min()) / 1.5, top]).tolist()
    # The legend of one side may wrap where that of the other does not.
    height = max(figure.layout.height for figure in figures)
    for figure in figures:
        layout = figure.layout
        layout.xaxis.range = layout.xaxis2.range = span
        layout.yaxis.range = span_of_densities
        layout.height = height
        if axis:
            layout.xaxis2.title.text = axis
            layout.yaxis.update(theme.log_axis(heights))
    return figures


def draw_rocs(panels: Sequence[RocPanel], *, detector: str, shown: str) -> go.Figure:
    """One panel for each OOD set, the curves of all sides in it, their areas in its heading."""
    columns = min(len(panels), _ROCS_PER_ROW)
    rows = -(-len(panels) // columns)
    across = grid.spans([1] * columns, gap=0.06)
    down = grid.spans([1] * rows, gap=0.3 / rows)[::-1]
    unit = {"range": [-0.02, 1.02], "dtick": 0.5}
    traces, axes, shapes = [], {}, []
    for at, panel in enumerate(panels):
        row, column = divmod(at, columns)
        end = grid.suffix(at)
        traces += [
            go.Scatter(
                x=theme.float32(curve.x),
                y=theme.float32(curve.y),
                xaxis=f"x{end}",
                yaxis=f"y{end}",
                name=theme.text(curve.name),
                legendgroup=side,
                showlegend=at == 0,
                mode="lines",
                line=curve.style.line(),
                hovertemplate="(%{x:.3f}, %{y:.3f})",
            )
            for side, curve in panel.curves.items()
        ]
        lowest = row == rows - 1 or at + columns >= len(panels)
        x_title = "Share of OOD accepted" if lowest else ""
        y_title = "Share of ID accepted" if column == 0 else ""
        axes |= grid.axes(
            at,
            {"domain": across[column], "title": {"text": x_title}, **unit},
            {"domain": down[row], "title": {"text": y_title}, **unit},
        )
        chance = {"type": "line", "x0": 0, "y0": 0, "x1": 1, "y1": 1}
        line = {"dash": "dash", "width": 1, "color": theme.GREY}
        shapes.append({**chance, "xref": f"x{end}", "yref": f"y{end}", "line": line})
    layout = theme.layout(
        f"ROC of {theme.text(detector)} on each OOD set",
        shown,
        height=150 + 290 * rows,
        above=34,
        shapes=shapes,
        annotations=[grid.heading(_areas(panel), at) for at, panel in enumerate(panels)],
        **axes,
    )
    return go.Figure(traces, layout)


def _areas(panel: RocPanel) -> str:
    areas = [f"{side} {curve.area:.3f}" for side, curve in panel.curves.items()]
    return f"<b>{theme.text(panel.set_name)}</b><br>AUROC {' · '.join(areas)}"


def draw_collapse(
    panels: Sequence[Panel], *, marked: Mapping[str, theme.Shown], shown: str
) -> go.Figure:
    """Collapse over epochs, lines of both sides in each panel and an epoch marked for each."""
    first, *others = marked.values()
    figure = over_epochs(panels, title="Collapse over epochs", shown=first)
    figure.layout.title.subtitle.text = theme.text(shown)
    dashed = {"dash": "dash", "width": 1.5, "color": SIDE_STYLES[1].colour}
    figure.layout.shapes += tuple(
        grid.upright(each.epoch, at, **dashed)
        for each in others
        for at in range(len(panels))
        if each.epoch != first.epoch
    )
    return figure


def draw_maps(
    sides: Sequence[MappedSide], *, kind: str, same_axes: bool, state: str = ""
) -> list[go.Figure]:
    """The map of each side; `same_axes` where a place means the same on both.

    Traces come in the order of each side's sets. A lasso that a reader drew is forgotten as soon
    as `state` changes.
    """
    windows = [_window(side.sets) for side in sides]
    if same_axes:
        lows, highs = zip(*windows, strict=True)
        windows = [(np.min(lows, axis=0), np.max(highs, axis=0))] * len(sides)
    return [
        go.Figure(
            draw_points(side.sets, hover=theme.text(kind))
            + ([ring(*side.looked_at)] if side.looked_at is not None else []),
            theme.layout(
                f"{theme.text(kind)} map",
                side.shown,
                height=520,
                legend_rows=1 + len(side.sets) // 4,
                selectionrevision=state,
                xaxis={**_PLACELESS, "range": [low[0], high[0]]},
                yaxis={**_PLACELESS, "range": [low[1], high[1]], "scaleanchor": "x"},
            ),
        )
        for side, (low, high) in zip(sides, windows, strict=True)
    ]


def _window(sets: Sequence[PointSet]) -> tuple[np.ndarray, np.ndarray]:
    """Both corners of what holds nearly all points."""
    points = np.concatenate([np.column_stack([each.x, each.y]) for each in sets])
    low, high = np.quantile(points, (_EDGE, 1 - _EDGE), axis=0)
    air = 0.05 * np.maximum(high - low, 1e-6)
    return low - air, high + air
