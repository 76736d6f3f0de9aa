"""Where the scores of known and unknown samples lie, and where the threshold cuts them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import grid, theme
from ncviz.figures.chosen import SelectedScores, rug

MIN_BINS, MAX_BINS = 12, 60
_TAIL = 0.005
_BOX_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def score_distributions(
    id_scores: np.ndarray,
    ood_scores: Mapping[str, np.ndarray],
    *,
    id_name: str,
    styles: Mapping[str, theme.Style],
    threshold: float,
    detector: str,
    shown: theme.Shown,
    log: bool = False,
    selected: Mapping[str, SelectedScores] | None = None,
) -> go.Figure:
    """Densities of the ID test set and of OOD sets, box plots below, one line for the threshold.

    Parameters
    ----------
    id_scores : (N,) scores of all evaluated samples, higher = more in-distribution
    ood_scores : (M,) scores of each set
    styles : style of each OOD set
    threshold : samples at or above it are accepted as ID
    log : logarithmic density, for scores that pile up in one place
    selected : the selected samples of a set; each set that has some gets a row of marks below its
        box. Sets go by `id_name` and the names in `ood_scores`

    The axis covers all but the outermost 0.5% of every set at either end; densities count those
    beyond it, so they stay true. Whiskers of the boxes end at the 5th and 95th percentile.
    """
    sets = {id_name: (id_scores, theme.ID_STYLE)}
    sets |= {name: (scores, styles[name]) for name, scores in ood_scores.items()}
    rugs = _rugs(sets, selected or {})
    boxes = 26 * (len(sets) + len(rugs)) + 20
    lower, upper = grid.spans([boxes, 260], gap=0.04)
    traces = [
        _density(name, scores, style, filled=name == id_name)
        for name, (scores, style) in sets.items()
    ]
    for name, (scores, style) in reversed(sets.items()):  # rows go from the bottom to the top
        traces += [rugs[name]] if name in rugs else []
        traces.append(_box(name, scores, style))
    span = list(_span([scores for scores, _ in sets.values()], threshold))
    density = {"title": {"text": "Density"}}
    if log:
        heights = np.concatenate([trace.y for trace in traces[: len(sets)]])
        density = {"title": {"text": "Density (log scale)"}, **theme.log_axis(heights)}
    cut = np.isfinite(threshold)
    does = f"cut at {threshold:.4g}" if cut else "none of which is accepted"
    layout = theme.layout(
        f"{theme.text(detector)} scores, {does}",
        shown,
        height=400 + boxes,
        shapes=[grid.upright(threshold, at, width=2) for at in (0, 1) if cut],
        annotations=[
            _side(threshold, "right", "← rejected as OOD "),
            _side(threshold, "left", " accepted as ID →"),
        ]
        if cut
        else [],
        **grid.axes(
            0,
            {"matches": "x2", "range": span, "showticklabels": False},
            {**density, "domain": upper},
        ),
        **grid.axes(
            1,
            {"title": {"text": "Score (higher = more in-distribution)"}, "range": span},
            {
                "domain": lower,
                "tickfont": {"size": 12},
                "showgrid": False,
                **_row_names(sets, rugs, selected or {}),
            },
        ),
    )
    return go.Figure(traces, layout)


def _rugs(
    sets: Mapping[str, tuple[np.ndarray, theme.Style]], selected: Mapping[str, SelectedScores]
) -> dict[str, go.Scatter]:
    return {
        name: rug(f"{theme.text(name)}, selected", selected[name], number, style)
        for number, (name, (_, style)) in enumerate(sets.items())
        if len(selected.get(name, ()))
    }


def _row_names(
    sets: Iterable[str], rugs: Mapping[str, go.Scatter], selected: Mapping[str, SelectedScores]
) -> dict:
    """Ticks: a row of marks stands below its set's box and says how many there are."""
    if not rugs:
        return {}
    names = [theme.text(name) for name in sets]
    return {
        "tickvals": names + [row.name for row in rugs.values()],
        "ticktext": names + [f"{len(selected[name]):,} selected" for name in rugs],
    }


def _side(threshold: float, anchor: str, words: str) -> dict:
    where = {"x": threshold, "xanchor": anchor, "y": 1, "yref": "y domain", "yanchor": "bottom"}
    return {"text": words, "showarrow": False, **where}


def _span(scores: list[np.ndarray], threshold: float) -> tuple[float, float]:
    """Both ends of the axis: all but the tails of each set, and the threshold."""
    ends = [_core(each) for each in scores]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    if np.isfinite(threshold):
        low, high = min(low, threshold), max(high, threshold)
    air = 0.02 * (high - low)
    return low - air, high + air


def _core(scores: np.ndarray) -> tuple[float, float]:
    """Both ends of a set without its tails; never the same number."""
    low, high = (float(end) for end in np.quantile(scores, (_TAIL, 1 - _TAIL)))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _density(name: str, scores: np.ndarray, style: theme.Style, *, filled: bool) -> go.Scatter:
    # Few samples get wide bins: narrow ones would show noise.
    bins = int(np.clip(np.sqrt(len(scores)), MIN_BINS, MAX_BINS))
    edges = np.linspace(*_core(scores), bins + 1)
    width = edges[1] - edges[0]
    counts, _ = np.histogram(scores, bins=edges)
    # A line through the middle of each bin, down to zero at both ends: the steps of five dashed
    # outlines cannot be told apart.
    middles = np.r_[edges[0] - width / 2, (edges[:-1] + edges[1:]) / 2, edges[-1] + width / 2]
    return go.Scatter(
        x=theme.float32(middles),
        y=theme.float32(np.r_[0, counts, 0] / (len(scores) * width)),
        name=theme.text(name),
        legendgroup=name,
        mode="lines",
        line=style.line(),
        fill="tozeroy" if filled else None,
        fillcolor=style.faded(0.22) if filled else None,
        hovertemplate="score %{x:.4g}: density %{y:.3g}",
    )


def _box(name: str, scores: np.ndarray, style: theme.Style) -> go.Box:
    low, first, median, third, high = (
        theme.float32([value]) for value in np.quantile(scores, _BOX_QUANTILES)
    )
    return go.Box(
        y=[theme.text(name)],
        xaxis="x2",
        yaxis="y2",
        lowerfence=low,
        q1=first,
        median=median,
        q3=third,
        upperfence=high,
        name=theme.text(name),
        legendgroup=name,
        showlegend=False,
        orientation="h",
        line={"color": style.colour, "width": 1.5},
        fillcolor=style.faded(0.22),
    )
