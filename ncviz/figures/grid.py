"""Axes side by side, and lines and headings on them, as plain layout entries.

Plotly's own subplots change the figure step by step and check all of it at each: ten times slower.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MARK = {"dash": "dot", "width": 1.5}
"""The line at the chosen epoch."""


def spans(shares: Sequence[float], gap: float) -> list[list[float]]:
    """[start, end] in 0..1 of neighbours as wide as their `shares`, `gap` apart."""
    scale = (1 - gap * (len(shares) - 1)) / sum(shares)
    placed, start = [], 0.0
    for share in shares:
        placed.append([start, min(start + scale * share, 1.0)])
        start += scale * share + gap
    return placed


def suffix(at: int) -> str:
    """What plotly appends to `x`, `y`, `xaxis` and `yaxis` for the axes at position `at`."""
    return "" if at == 0 else str(at + 1)


def axes(at: int, x: dict[str, Any], y: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Layout entries of the pair of axes at position `at`; each holds its `domain`."""
    end = suffix(at)
    return {f"xaxis{end}": {"anchor": f"y{end}", **x}, f"yaxis{end}": {"anchor": f"x{end}", **y}}


def upright(x: float, at: int = 0, **line: Any) -> dict[str, Any]:
    """A vertical line through the axes at position `at`, over their whole height."""
    end = suffix(at)
    ends = {"x0": x, "x1": x, "xref": f"x{end}", "y0": 0, "y1": 1, "yref": f"y{end} domain"}
    return {"type": "line", **ends, "line": line}


def level(y: float, at: int = 0, **line: Any) -> dict[str, Any]:
    """A horizontal line through the axes at position `at`, over their whole width."""
    end = suffix(at)
    ends = {"x0": 0, "x1": 1, "xref": f"x{end} domain", "y0": y, "y1": y, "yref": f"y{end}"}
    return {"type": "line", **ends, "line": line}


def heading(text: str, at: int = 0) -> dict[str, Any]:
    """A title above the axes at position `at`."""
    end = suffix(at)
    where = {"x": 0.5, "xref": f"x{end} domain", "y": 1, "yref": f"y{end} domain"}
    return {"text": text, **where, "xanchor": "center", "yanchor": "bottom", "showarrow": False}
