"""Collapse against detection, transfer and entropy, as tables and as the panels of a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ncviz.collapse import METRICS
from ncviz.correlation import correlate
from ncviz.figures import Against, Shown, Track
from ncviz.figures.theme import ID_STYLE, Style, ood_style, signed
from ncviz.store import Run

DETECTION = "Mean FPR95 over OOD sets"
TRANSFER = "Mean transfer error"
ENTROPY = "Entropy, mean log ρ"


@dataclass(frozen=True)
class Course:
    """A line of the chart: a run's layer through its epochs, or a run's layers at its last epoch.

    Attributes
    ----------
    table : the metrics of its points, a row each, with the epoch and the layer
    words : what each point is
    """

    run: Run
    name: str
    table: pd.DataFrame
    words: tuple[str, ...]
    style: Style

    def position(self, shown: Shown) -> int | None:
        """Which of its points is looked at."""
        if self.run.name != shown.run:
            return None
        here = (self.table["epoch"] == shown.epoch) & (self.table["layer"] == shown.layer)
        found = np.flatnonzero(here)
        return int(found[0]) if len(found) else None


def layer_table(
    collapse: pd.DataFrame,
    detection: pd.DataFrame,
    transfer: pd.DataFrame,
    layer: str,
    detector: str | None,
) -> pd.DataFrame:
    """Metrics of a layer, one row for each evaluated epoch: epoch, layer, then values.

    The collapse metrics that are not about a set; `fpr95` and `transfer` (a linear probe's error),
    each the mean over sets, and for each set as `fpr95:SET` and `transfer:SET`, where measured.
    """
    of_layer = collapse[(collapse["layer"] == layer) & (collapse["set"] == "")]
    parts = [of_layer.pivot(index="epoch", columns="metric", values="value")]
    detection = detection[(detection["layer"] == layer) & (detection["detector"] == detector)]
    errors = transfer[transfer["layer"] == layer]
    for name, rows, value in (("fpr95", detection, "fpr95"), ("transfer", errors, "probe_error")):
        if len(rows):
            by_set = rows.pivot(index="epoch", columns="set", values=value)
            by_set = by_set[rows["set"].unique()]
            parts += [by_set.mean(axis=1).rename(name), by_set.add_prefix(f"{name}:")]
    table = pd.concat(parts, axis=1).loc[parts[0].index].reset_index()
    table.insert(1, "layer", layer)
    return table


def through_epochs(run: Run, layer: str, table: pd.DataFrame, style: Style) -> Course:
    """A layer of a run through its epochs."""
    words = tuple(f"epoch {epoch}" for epoch in table["epoch"])
    return Course(run, f"{run.name} · {layer}", table, words, style)


def style_of(position: int) -> Style:
    """Of the course at `position`."""
    return ood_style(position - 1) if position else ID_STYLE


def panels_against(
    courses: Sequence[Course], nc1: str, *, shown: Shown, named: bool = False
) -> list[Against]:
    """A definition of NC1 against FPR95, transfer error and entropy, as far as they were measured.

    What is `shown` is marked; `named`: the points of its run get their words beside them.
    """
    return [
        _panel(
            courses,
            x=nc1,
            x_title=f"{METRICS[nc1].label} (log scale)",
            y=y,
            y_title=title,
            shown=shown,
            named=named,
        )
        for y, title in (("fpr95", DETECTION), ("transfer", TRANSFER), ("entropy", ENTROPY))
        if any(y in course.table for course in courses)
    ]


def _panel(
    courses: Sequence[Course],
    *,
    x: str,
    x_title: str,
    y: str,
    y_title: str,
    shown: Shown,
    named: bool,
) -> Against:
    tracks = tuple(
        Track(
            course.name,
            course.words,
            course.table[x].to_numpy(np.float64),
            course.table[y].to_numpy(np.float64)
            if y in course.table
            else np.full(len(course.table), np.nan),
            course.style,
            course.position(shown),
            named and course.run.name == shown.run,
        )
        for course in courses
    )
    across = np.concatenate([track.x for track in tracks])
    found = correlate(across, np.concatenate([track.y for track in tracks]), log_x=True)
    finding = "too few points for r"
    if found:
        finding = f"r = {signed(found.r, 2)} [{signed(found.low, 2)}, {signed(found.high, 2)}]"
    return Against(x_title, y_title, tracks, finding, log_x=True)
