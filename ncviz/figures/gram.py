"""The cosines between class means beside those of the simplex ETF, and their difference."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import grid, theme
from ncviz.figures.names import categories, shortened
from ncviz.literal import distinct

MOST_CELLS = 200
"""Cells along a side; more classes are drawn as blocks of neighbours, or the page grows heavy."""
MARK_COLOUR = theme.GREEN

_TITLES = ("Cosines of class means", "Ideal: simplex ETF", "Difference")
# Cells fill the width there is instead of staying square: readers have 800 to 1500 pixels.
_SIDE = 290
# An outline around a cell of three pixels would hide it: this share of the side at least.
_OUTLINE = 0.028
_MARK = 0.028


@dataclass(frozen=True)
class Order:
    """In which order classes are drawn.

    Attributes
    ----------
    rows : (C,) permutation of the classes
    groups : (C,) name of each class's group in the drawn order, or None; neighbours of one name
        are set apart by lines
    """

    rows: np.ndarray
    groups: tuple[str, ...] | None = None

    @property
    def per_cell(self) -> int:
        """Classes along the side of one cell: 1 as long as they are few."""
        return -(-len(self.rows) // MOST_CELLS)

    @property
    def cells(self) -> int:
        """Cells along the side of a heatmap."""
        return -(-len(self.rows) // self.per_cell)

    def classes(self, cell: int) -> np.ndarray:
        """The classes of the row, or column, at position `cell`."""
        return self.rows[cell * self.per_cell : (cell + 1) * self.per_cell]

    def cell_of(self, label: int) -> int:
        """The row, or column, that a class is in."""
        return int(np.flatnonzero(self.rows == label)[0]) // self.per_cell

    def averaged(self, matrix: np.ndarray) -> np.ndarray:
        """(C, C) `matrix` of the classes as (cells, cells): the mean over each cell's classes."""
        drawn = matrix[np.ix_(self.rows, self.rows)]
        if self.per_cell == 1:
            return drawn
        starts = np.arange(0, len(drawn), self.per_cell)
        sums = np.add.reduceat(np.add.reduceat(drawn, starts, axis=0), starts, axis=1)
        sizes = np.diff([*starts, len(drawn)])
        return sums / np.outer(sizes, sizes)

    def position(self, place: float) -> float:
        """Where on the axis the class at `place` of the order is; halves lie between classes."""
        return (place + 0.5) / self.per_cell - 0.5


def gram_heatmaps(
    gram: np.ndarray,
    ideal: np.ndarray,
    names: Sequence[str],
    *,
    order: Order,
    shown: theme.Shown | str,
    limit: float = 1.0,
    superclasses: Sequence[str] | None = None,
    pair: tuple[int, int] | None = None,
    marked: Collection[int] = (),
    title: str = "Class means against the simplex ETF",
    headings: Sequence[str] = _TITLES,
) -> go.Figure:
    """Three heatmaps on one zero-centred diverging scale from -limit to +limit.

    Parameters
    ----------
    gram, ideal : (C, C) cosines, in the order of `names`; the third heatmap is their difference
    names : (C,) class names
    order : how rows and columns are drawn
    limit : end of the colour scale; values beyond it take the end's colour
    superclasses : (C,) told beside a class's name when a reader points at a cell
    pair : two classes whose cells are outlined
    marked : classes whose rows have a mark at their right end
    headings : of the three heatmaps
    """
    labels = categories(_labels(distinct(names), order))
    ticks = [
        theme.text(name) for name in _labels([shortened(each) for each in distinct(names)], order)
    ]
    told = labels
    if superclasses is not None and order.per_cell == 1:
        told = [
            f"{label} ({theme.text(superclasses[at])})"
            for label, at in zip(labels, order.rows, strict=True)
        ]
    traces, axes = [], {}
    for at, domain in enumerate(grid.spans([1, 1, 1], gap=0.03)):
        matrix = (gram, ideal, gram - ideal)[at]
        trace = go.Heatmap(
            z=theme.float32(order.averaged(matrix)),
            x=told,
            y=told,
            xaxis=f"x{grid.suffix(at)}",
            yaxis=f"y{grid.suffix(at)}",
            coloraxis="coloraxis",
            hovertemplate="%{y} and %{x}: %{z:.3f}<extra></extra>",
        )
        traces.append(trace)
        shared = {"type": "category", "showgrid": False}
        axes |= grid.axes(
            at,
            {**shared, "domain": domain, **_ticks(ticks, order, slanted=True)},
            {
                **shared,
                "autorange": "reversed",
                "showticklabels": at == 0,
                **_ticks(ticks, order),
            },
        )
    layout = theme.layout(
        title,
        shown,
        height=_SIDE + 136,
        legend_rows=0,
        shapes=[*_group_borders(order), *_outlines(pair, order), *_marks(marked, order)],
        annotations=[grid.heading(heading, at) for at, heading in enumerate(headings)],
        coloraxis={
            "cmin": -limit,
            "cmax": limit,
            "cmid": 0,
            "colorbar": {"title": {"text": "cosine"}},
        },
        **axes,
    )
    return go.Figure(traces, layout | {"margin": {"t": 100, "b": 36, "l": 60, "r": 16}})


def _labels(names: Sequence[str], order: Order) -> list[str]:
    """What each row is called: its class, or the first and last of its classes."""
    found = []
    for cell in range(order.cells):
        classes = order.classes(cell)
        ends = [names[classes[0]], names[classes[-1]]] if len(classes) > 1 else [names[classes[0]]]
        found.append(" … ".join(ends))
    return found


def _ticks(labels: list[str], order: Order, *, slanted: bool = False) -> dict:
    if len(labels) <= theme.MAX_NAMED_TICKS:
        at, shown = list(range(len(labels))), labels
    elif order.groups and not slanted:
        starts = _group_starts(order.groups)
        ends = [*starts[1:], len(order.rows)]
        at = [
            order.position((start + end - 1) / 2) for start, end in zip(starts, ends, strict=True)
        ]
        shown = [theme.text(shortened(order.groups[start])) for start in starts]
    else:
        at, shown = [], []
    angle = {"tickangle": -45} if slanted and any(len(label) > 2 for label in shown) else {}
    return {"tickmode": "array", "tickvals": at, "ticktext": shown, "ticks": "", **angle}


def _group_starts(groups: Sequence[str]) -> list[int]:
    return [at for at, name in enumerate(groups) if at == 0 or groups[at - 1] != name]


def _group_borders(order: Order) -> list[dict]:
    """All lines of a heatmap as one path: a hundred shapes would be felt at every step."""
    if not order.groups:
        return []
    ends = (-0.5, order.cells - 0.5)
    at = [order.position(start - 0.5) for start in _group_starts(order.groups)[1:]]
    lines = [f"M{place},{ends[0]}L{place},{ends[1]}" for place in at]
    lines += [f"M{ends[0]},{place}L{ends[1]},{place}" for place in at]
    line = {"width": 0.5, "color": "rgba(122,127,135,0.55)"}
    return [_path("".join(lines), panel, line=line) for panel in range(len(_TITLES)) if lines]


def _outlines(pair: tuple[int, int] | None, order: Order) -> list[dict]:
    """A frame around the cell of (first, second), and of (second, first), in each heatmap."""
    if pair is None:
        return []
    first, second = map(order.cell_of, pair)
    half = max(0.5, _OUTLINE / 2 * order.cells)
    cells = {(first, second), (second, first)}
    return [
        {
            "type": "rect",
            "xref": f"x{grid.suffix(at)}",
            "yref": f"y{grid.suffix(at)}",
            "x0": column - half,
            "x1": column + half,
            "y0": row - half,
            "y1": row + half,
            "line": {"width": 2},
        }
        for at in range(len(_TITLES))
        for row, column in sorted(cells)
    ]


def _marks(marked: Collection[int], order: Order) -> list[dict]:
    """A small triangle at the right end of each marked row, in the gap between the heatmaps."""
    cells = sorted({order.cell_of(label) for label in marked})
    half = _MARK / 2 * order.cells
    path = "".join(f"M1.01,{cell}L1.045,{cell - half}L1.045,{cell + half}Z" for cell in cells)
    # Where neighbours overlap, plotly would leave a hole.
    look = {"fillcolor": MARK_COLOUR, "fillrule": "nonzero", "line": {"width": 0}}
    return [
        _path(path, at, **look) | {"xref": f"x{grid.suffix(at)} domain"}
        for at in range(len(_TITLES))
        if cells
    ]


def _path(path: str, at: int, **more) -> dict:
    end = grid.suffix(at)
    return {"type": "path", "path": path, "xref": f"x{end}", "yref": f"y{end}", **more}
