"""Each detector's mean on near OOD sets against its mean on far ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import theme

# How much of an axis a name covers.
_WIDE, _HIGH = 0.2, 0.1


@dataclass(frozen=True)
class Family:
    """Detectors that look at the same: names (K,), means on near and far sets (K,)."""

    name: str
    detectors: tuple[str, ...]
    near: np.ndarray
    far: np.ndarray
    style: theme.Style


def near_against_far(
    families: Sequence[Family], *, label: str, higher_is_better: bool, shown: theme.Shown
) -> go.Figure:
    """A point for each detector; those that no other beats on both kinds are larger, with names.

    `label` is the metric. Equal on both kinds is the dotted line. Names that would cover others are
    left out.
    """
    near = np.concatenate([family.near for family in families])
    far = np.concatenate([family.far for family in families])
    front = unbeaten(near, far, higher_is_better=higher_is_better)
    starts = np.cumsum([0, *(len(family.detectors) for family in families)])
    named = _with_room(near, far, front)
    traces = [
        _points(family, *(each[start : start + len(family.detectors)] for each in (front, named)))
        for family, start in zip(families, starts[:-1], strict=True)
    ]
    low, high = np.nanmin(np.r_[near, far]), np.nanmax(np.r_[near, far])
    equal = {"type": "line", "x0": low, "x1": high, "y0": low, "y1": high}
    room = {"range": _room(near)}, {"range": _room(far)}
    layout = theme.layout(
        f"{theme.text(label)} on near and on far OOD sets",
        shown,
        height=520,
        legend_rows=2,
        shapes=[{**equal, "line": {"dash": "dot", "width": 1, "color": theme.GREY}}],
        xaxis={"title": {"text": f"{theme.text(label)}, mean over near sets"}, **room[0]},
        yaxis={"title": {"text": f"{theme.text(label)}, mean over far sets"}, **room[1]},
    )
    layout["legend"]["itemsizing"] = "constant"
    return go.Figure(traces, layout)


def unbeaten(near: np.ndarray, far: np.ndarray, *, higher_is_better: bool) -> np.ndarray:
    """(K,) whether no other is at least as good on both kinds and better on one."""
    sign = 1 if higher_is_better else -1
    points = sign * np.column_stack([near, far])
    known = ~np.isnan(points).any(axis=1)
    as_good = (points[None] >= points[:, None]).all(axis=2)
    better = (points[None] > points[:, None]).any(axis=2)
    return known & ~(as_good & better).any(axis=1)


def _with_room(near: np.ndarray, far: np.ndarray, front: np.ndarray) -> np.ndarray:
    """(K,) which points of the front get their names, those at its ends first."""
    across, up = (np.ptp(values[~np.isnan(values)]) or 1.0 for values in (near, far))
    order = np.flatnonzero(front)[np.argsort(near[front], kind="stable")]
    named = np.zeros(len(near), bool)
    for at in (*order[:1], *order[-1:], *order[1:-1]):
        close = named & (np.abs(near - near[at]) < _WIDE * across)
        close &= np.abs(far - far[at]) < _HIGH * up
        named[at] = not close.any()
    return named


def _points(family: Family, front: np.ndarray, named: np.ndarray) -> go.Scatter:
    names = [theme.text(name) for name in family.detectors]
    return go.Scatter(
        x=theme.float32(family.near),
        y=theme.float32(family.far),
        text=[name if shown else "" for name, shown in zip(names, named, strict=True)],
        hovertext=names,
        name=theme.text(family.name),
        mode="markers+text",
        textposition="top center",
        marker={
            "symbol": family.style.symbol,
            "size": [13 if best else 8 for best in front],
            "color": family.style.colour,
            "line": {"width": 0},
            "opacity": 1,
        },
        hovertemplate="%{hovertext}: near %{x:.3f}, far %{y:.3f}",
    )


def _room(values: np.ndarray) -> list[float]:
    """The range of an axis with room for names beside its outermost points."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = 0.1 * (high - low) or 0.05
    return [low - room, high + room]
