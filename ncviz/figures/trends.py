"""Numbers over epochs as small multiples, with the chosen epoch marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import grid, theme
from ncviz.figures.names import two_lines

RUNS_PER_ROW = 3
_LIMIT = {"dash": "dash", "width": 1, "color": theme.GREY}
_HEADING_LETTERS = 18
_EPOCH = {"title": {"text": "Epoch"}, "rangemode": "tozero"}


@dataclass(frozen=True)
class Series:
    """One line: epochs (E,) and values (E,), NaN where there is none."""

    name: str
    epochs: np.ndarray
    values: np.ndarray
    style: theme.Style = theme.ID_STYLE


@dataclass(frozen=True)
class Panel:
    """One small chart: lines that share a unit, and the value they approach."""

    title: str
    series: tuple[Series, ...]
    limit: float | None = None
    log: bool = False


@dataclass(frozen=True)
class RunTrend:
    """What the first chart shows of a run: NC1 and AUROC of a layer over its epochs."""

    run: str
    layer: str
    nc1: Series
    auroc: tuple[Series, ...]


def over_epochs(
    panels: Sequence[Panel], *, title: str, shown: theme.Shown, height: int = 320
) -> go.Figure:
    """Panels side by side, each over epochs, the epoch of `shown` marked in all of them.

    The limit is a dashed line where the axis can show it: zero has no place on a log axis.
    """
    several = len(panels) > 1
    traces, shapes, axes = [], [], {}
    for at, domain in enumerate(grid.spans([1] * len(panels), gap=0.22 / len(panels))):
        panel = panels[at]
        traces += [_line(series, at, legend=len(panel.series) > 1) for series in panel.series]
        if panel.limit is not None and not (panel.log and panel.limit <= 0):
            shapes.append(grid.level(panel.limit, at, **_LIMIT))
        if shown.epoch is not None:
            shapes.append(grid.upright(shown.epoch, at, **grid.MARK))
        axes |= grid.axes(at, {**_EPOCH, "domain": domain}, _y_axis(panel))
    layout = theme.layout(
        theme.symbols(title),
        shown,
        height=height,
        legend_rows=int(_name_once(traces)),
        above=20 if several else 0,
        shapes=shapes,
        annotations=[
            grid.heading(theme.symbols(panel.title), at) for at, panel in enumerate(panels)
        ]
        if several
        else [],
        **axes,
    )
    return go.Figure(traces, layout)


def collapse_and_auroc(
    trends: Sequence[RunTrend], *, detector: str, chosen: theme.Shown
) -> go.Figure:
    """NC1 (logarithmic) above AUROC over epochs, one column for each run.

    The chosen run's epoch is marked. Axes are shared between runs, so that heights compare.
    """
    columns = min(len(trends), RUNS_PER_ROW)
    blocks = -(-len(trends) // columns)
    across = grid.spans([1] * columns, gap=0.05)
    # From the bottom up: AUROC, NC1, and room for the next run's name.
    down = grid.spans([1, 1, 0.35] * (blocks - 1) + [1, 1], gap=0.08 / blocks)[::-1]
    log = theme.log_axis(np.concatenate([trend.nc1.values for trend in trends]))
    traces, shapes, axes = [], [], {}
    for number, trend in enumerate(trends):
        block, column = divmod(number, columns)
        upper, lower = 2 * number, 2 * number + 1
        traces.append(_line(trend.nc1, upper, legend=False))
        traces += [_line(series, lower, legend=True) for series in trend.auroc]
        shapes.append(grid.level(0.5, lower, **_LIMIT))
        if trend.run == chosen.run and chosen.epoch is not None:
            shapes += [grid.upright(chosen.epoch, at, **grid.MARK) for at in (upper, lower)]
        # Titles stand at the left alone, as the axes are those of the first run.
        titles = [{"text": text if column == 0 else ""} for text in ("NC1 (log scale)", "AUROC")]
        shared = [{"matches": name} if number else {} for name in ("y", "y2")]
        x = {**_EPOCH, "domain": across[column]}
        axes |= grid.axes(
            upper,
            {**x, "title": {"text": ""}, "showticklabels": False},
            {**log, **shared[0], "title": titles[0], "domain": down[3 * block]},
        )
        axes |= grid.axes(
            lower, x, {**shared[1], "title": titles[1], "domain": down[3 * block + 1]}
        )
    layout = theme.layout(
        "Collapse and OOD detection over epochs",
        f"AUROC of {detector}, mean over the OOD sets of a kind",
        height=188 + 320 * blocks,
        legend_rows=int(_name_once(traces)),
        above=48,
        shapes=shapes,
        annotations=[
            grid.heading(_run_heading(trend), 2 * number) for number, trend in enumerate(trends)
        ],
        **axes,
    )
    return go.Figure(traces, layout)


def _run_heading(trend: RunTrend) -> str:
    """Return run and layer below each other, since columns are narrow in narrow windows."""
    run = "<br>".join(map(theme.text, two_lines(trend.run, _HEADING_LETTERS)))
    return f"<b>{run}</b><br>{theme.text(trend.layer)}"


def _line(series: Series, at: int, *, legend: bool) -> go.Scatter:
    return go.Scatter(
        x=theme.float32(series.epochs),
        y=theme.float32(series.values),
        xaxis=f"x{grid.suffix(at)}",
        yaxis=f"y{grid.suffix(at)}",
        name=theme.text(series.name),
        legendgroup=series.name,
        showlegend=legend,
        mode="lines+markers",
        line=series.style.line(),
        marker={"symbol": series.style.symbol, "size": 6, "color": series.style.colour},
        hovertemplate="epoch %{x}: %{y:.4g}",
    )


def _name_once(traces: Sequence[go.Scatter]) -> bool:
    """Keep one legend entry for each name; says whether there is any."""
    named: set[str] = set()
    for trace in traces:
        if trace.showlegend:
            trace.showlegend = trace.name not in named
            named.add(trace.name)
    return bool(named)


def _y_axis(panel: Panel) -> dict:
    values = np.concatenate([series.values for series in panel.series])
    if panel.log:
        return {"title": {"text": "log scale"}, **theme.log_axis(values)}
    ends = [value for value in (*values, panel.limit) if value is not None and np.isfinite(value)]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    # Plotly would centre a flat line in a range of its own making.
    air = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
    return {"nticks": 6, "range": [low - air, high + air]}
