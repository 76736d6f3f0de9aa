"""Detectors against OOD sets as a table of coloured cells with the value in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ncviz.figures import grid, theme
from ncviz.figures.names import two_lines
from ncviz.metrics import LEVEL
from ncviz.metrics.precision import MARK

ROW = 24
"""Height of a row in pixels."""
_LONGEST = 10
"""Letters in a line of a heading: as many as fit the columns of a narrow window."""
_GAP = 3
_LEAST_REACH = 0.05
"""Differences below this look alike."""


@dataclass(frozen=True)
class Column:
    """One column of a board: an OOD set, or a mean over several; `group` stands below its name."""

    title: str
    group: str
    mean: bool = False


@dataclass(frozen=True)
class Board:
    """A metric of K detectors on C columns.

    Attributes
    ----------
    metric, label : the metric as code writes it and as a page does
    detectors : (K,) as code writes them, in the order of the rows
    higher_is_better : which way the metric goes
    values : (K, C), NaN where it was not measured
    lows, highs : (K, C) ends of the 95% intervals, NaN where there are none
    aurocs : (K, C) the AUROC of the same cells
    ranks : (K,) mean rank over the sets, 1 being the best
    corrected : (K, C) p-values of the differences from the best of each column, corrected for the
        number of detectors; NaN where no test was made
    compared_with : (C,) label of the detector that those of a column are compared with; it may be
        one that is not shown
    notes : (K, C) why a cell is approximate, empty where it is not; by default none is
    """

    metric: str
    label: str
    higher_is_better: bool
    detectors: tuple[str, ...]
    columns: tuple[Column, ...]
    values: np.ndarray
    lows: np.ndarray
    highs: np.ndarray
    aurocs: np.ndarray
    ranks: np.ndarray
    corrected: np.ndarray
    compared_with: tuple[str, ...]
    notes: np.ndarray | None = None

    @property
    def approximate(self) -> np.ndarray:
        """(K, C) whether few samples decide a cell."""
        return np.zeros(self.values.shape, bool) if self.notes is None else self.notes != ""

    @property
    def tied(self) -> np.ndarray:
        """(K, C) whether a cell is tested and not significantly different from the best."""
        return self.corrected >= LEVEL

    @property
    def tested(self) -> bool:
        """Whether differences from the best were tested for this metric."""
        return bool(np.isfinite(self.corrected).any())

    @property
    def best(self) -> np.ndarray:
        """(K, C) whether a cell is the best of its column; several may be equal."""
        signed = self.values if self.higher_is_better else -self.values
        tops = np.max(signed, axis=0, where=~np.isnan(signed), initial=-np.inf)
        return signed == tops

    @property
    def wrong(self) -> np.ndarray:
        """(K, C) whether the score ranks OOD above ID more often than not."""
        return self.aurocs < 0.5

    @property
    def has_intervals(self) -> bool:
        return bool(np.isfinite(self.lows).any())

    def column(self, title: str) -> int | None:
        """Position of the column `title`, None where there is none."""
        titles = [column.title for column in self.columns]
        return titles.index(title) if title in titles else None


def leaderboard(
    board: Board, labels: Sequence[str], families: Sequence[str], *, shown: theme.Shown
) -> go.Figure:
    """Draw a row for each detector, the best on top.

    ★ marks the detectors that are not significantly different from the best of a column, bold the
    best value, ! an AUROC below chance and ≈ a value that few samples decide.

    Parameters
    ----------
    labels, families : (K,) of each detector, as a page writes them
    """
    rows, columns = list(range(len(labels))), list(range(len(board.columns)))
    cells = go.Heatmap(
        z=theme.float32(board.values),
        x=columns,
        y=rows,
        text=_cells(board),
        texttemplate="%{text}",
        textfont={"size": 12},
        hovertext=_hover(board, labels, families),
        hovertemplate="%{hovertext}<extra></extra>",
        coloraxis="coloraxis",
        xgap=_GAP,
        ygap=2,
    )
    sets = sum(not column.mean for column in board.columns)
    border = [grid.upright(sets - 0.5, width=1)] if sets < len(columns) else []
    neutral, reach = _scale(board)
    layout = theme.layout(
        f"{theme.text(board.label)} of {len(labels)} detectors",
        shown,
        height=80 + 44 + ROW * len(labels) + 12,
        legend_rows=0,
        shapes=border,
        coloraxis={
            "cmin": neutral - 2 * reach,
            "cmax": neutral + 2 * reach,
            # Blue is the better side. On the shades beyond `reach` no ink is easy to read.
            "reversescale": board.higher_is_better,
            "showscale": False,
        },
        xaxis={
            "side": "top",
            "tickmode": "array",
            "tickvals": columns,
            "ticktext": [_heading(column) for column in board.columns],
            "tickangle": 0,
            "ticks": "",
            "ticklabelstandoff": 4,
            "showgrid": False,
            "fixedrange": True,
        },
        yaxis={
            "autorange": "reversed",
            "tickmode": "array",
            "tickvals": rows,
            "ticktext": [theme.text(label) for label in labels],
            "ticks": "",
            "ticklabelstandoff": 6,
            "showgrid": False,
            "fixedrange": True,
        },
    )
    return go.Figure([cells], layout | {"margin": {"t": 124, "b": 12, "l": 60, "r": 8}})


def _scale(board: Board) -> tuple[float, float]:
    """The value in the neutral middle of the colours, and how far others are from it at most.

    Neutral is chance where an AUROC is below it, else the worst value shown: where all are good,
    colours still tell them apart.
    """
    shown = board.values[~np.isnan(board.values)]
    if not len(shown):
        return 0.0, _LEAST_REACH
    worst = float(shown.min() if board.higher_is_better else shown.max())
    neutral = max(worst, 0.5) if board.metric == "auroc" else worst
    return neutral, max(_LEAST_REACH, float(np.abs(shown - neutral).max()))


def _heading(column: Column) -> str:
    title = "<br>".join(map(theme.text, two_lines(column.title, _LONGEST)))
    return f"<b>{title}</b><br> " if column.mean else f"{title}<br><i>{column.group}</i>"


def _cells(board: Board) -> list[list[str]]:
    flags = np.stack([board.best, board.tied, board.wrong, board.approximate], axis=-1)
    return [
        [_cell(value, *flags[k, c]) for c, value in enumerate(row)]
        for k, row in enumerate(board.values)
    ]


def _cell(value: float, best: bool, tied: bool, wrong: bool, approximate: bool) -> str:
    if np.isnan(value):
        return ""
    marks = ("★\u2009" if tied else "") + ("!\u2009" if wrong else "")
    marks += MARK if approximate else ""
    words = f"{marks}{value:.3f}"
    return f"<b>{words}</b>" if best else words


def _hover(board: Board, labels: Sequence[str], families: Sequence[str]) -> list[list[str]]:
    return [
        [_words(board, k, c, labels[k], families[k]) for c in range(len(board.columns))]
        for k in range(len(labels))
    ]


def _words(board: Board, k: int, c: int, label: str, family: str) -> str:
    who = f"{theme.text(label)} (looks at {theme.text(family)})"
    value, low, high = (array[k, c] for array in (board.values, board.lows, board.highs))
    column = board.columns[c]
    where = theme.text(column.title) + ("" if column.mean else f" ({column.group})")
    if np.isnan(value):
        return f"{who}<br>{where}: not measured"
    interval = f" [{low:.3f}, {high:.3f}]" if np.isfinite(low) else ""
    words = f"{who}<br>{where}<br>{theme.text(board.label)} {value:.3f}{interval}"
    p_value, best = board.corrected[k, c], board.compared_with[c]
    if np.isfinite(p_value) and best != label:
        differs = "not significantly" if board.tied[k, c] else "significantly"
        p = "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"
        words += f"<br>{differs} different from {theme.text(best)} (corrected {p})"
    if board.wrong[k, c]:
        words += f"<br>AUROC {board.aurocs[k, c]:.3f}: worse than chance"
    if board.approximate[k, c]:
        words += f"<br>approximate, {board.notes[k, c]}"
    return words
