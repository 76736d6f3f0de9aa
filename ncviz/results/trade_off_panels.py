"""Panels of the trade-off chart, and the correlations over its points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ncviz.collapse import METRICS
from ncviz.correlation import MIN_PAIRS, Correlation, correlate
from ncviz.figures import Against, Shown, Track
from ncviz.figures.theme import ID_STYLE, Style, ood_style, signed
from ncviz.results.trade_off import DETECTION, ENDS, MEASURES, Basis
from ncviz.store import Run

STAGE = "stage"
"""Prefix of the names of layers inside the backbone."""


@dataclass(frozen=True)
class Course:
    """One line of the chart: points of one network.

    Attributes
    ----------
    table : what `averaged` returns, one row for each point
    words : name of each point
    bars : what the ends of the measures are
    """

    run: Run
    name: str
    table: pd.DataFrame
    words: tuple[str, ...]
    style: Style
    bars: str = "95% interval"

    def position(self, shown: Shown) -> int | None:
        """Return the row of the epoch and layer that the page shows, if it is here."""
        if self.run.name != shown.run:
            return None
        here = (self.table["epoch"] == shown.epoch) & (self.table["layer"] == shown.layer)
        found = np.flatnonzero(here)
        return int(found[0]) if len(found) else None

    def values(self, column: str) -> np.ndarray:
        """Return a column of the table (P,), NaN where it is missing."""
        if column not in self.table:
            return np.full(len(self.table), np.nan)
        return self.table[column].to_numpy(np.float64)

    def of_layers(self, layers: Sequence[str]) -> Course:
        """Return the same line with the points of some layers only."""
        kept = self.table["layer"].isin(layers)
        words = tuple(word for word, keep in zip(self.words, kept, strict=True) if keep)
        return Course(self.run, self.name, self.table[kept], words, self.style)


@dataclass(frozen=True)
class Scope:
    """Points that a correlation is computed over, with words for them."""

    words: str
    courses: tuple[Course, ...]


def through_epochs(run: Run, layer: str, table: pd.DataFrame, style: Style) -> Course:
    """Return a layer of a run over its epochs."""
    words = tuple(f"epoch {epoch}" for epoch in table["epoch"])
    return Course(run, f"{run.name} · {layer}", table, words, style)


def style_of(position: int) -> Style:
    """Return the style of the line at `position`."""
    return ood_style(position - 1) if position else ID_STYLE


def panels_against(
    courses: Sequence[Course], nc1: str, *, basis: Basis, shown: Shown, named: bool = False
) -> list[Against]:
    """Return NC1 against each measure that at least one point has.

    Parameters
    ----------
    nc1 : name of the definition of NC1
    shown : the point to mark
    named : whether to write the name of each point of the shown run beside it
    """
    panels = []
    for measure in MEASURES:
        if not any(np.isfinite(course.values(measure)).any() for course in courses):
            continue
        tracks = tuple(_track(course, nc1, measure, shown, named) for course in courses)
        finding = _finding(courses, nc1, measure)
        title = f"{METRICS[nc1].label} (log scale)"
        panels.append(Against(title, basis.title(measure), tracks, finding, log_x=True))
    return panels


def _track(course: Course, nc1: str, measure: str, shown: Shown, named: bool) -> Track:
    worse = course.table.get("worse", pd.Series(False, course.table.index))
    return Track(
        course.name,
        course.words,
        course.values(nc1),
        course.values(measure),
        course.style,
        chosen=course.position(shown),
        labelled=named and course.run.name == shown.run,
        ends=tuple(course.values(f"{measure}_{end}") for end in ENDS),
        crossed=worse.to_numpy(bool) if measure in DETECTION else None,
        bars=course.bars,
    )


def _correlate(
    courses: Sequence[Course], x: str, measure: str, *, log_x: bool
) -> Correlation | None:
    if not courses:
        return None
    networks = [course.run.name for course in courses for _ in range(len(course.table))]
    across = (np.concatenate([course.values(name) for course in courses]) for name in (x, measure))
    return correlate(*across, networks=networks, log_x=log_x)


def _finding(courses: Sequence[Course], nc1: str, measure: str) -> str:
    logged, plain = (_correlate(courses, nc1, measure, log_x=log) for log in (True, False))
    if logged is None or plain is None:
        return f"no r: it needs {MIN_PAIRS} points that differ"
    low, high = (signed(end, 2) for end in logged.leave_one_out)
    interval = (
        f"no interval ({logged.no_interval.partition(';')[0]})"
        if logged.no_interval
        else f"95% interval {signed(logged.low, 2)} to {signed(logged.high, 2)}"
    )
    return (
        f"r = {signed(logged.r, 2)} with log NC1, {signed(plain.r, 2)} with NC1\n"
        f"Spearman {signed(logged.spearman, 2)}\n"
        f"leave-one-out {low} to {high}\n"
        f"{logged.pairs} points, {interval}"
    )


def scopes(
    epochs: Sequence[Course], layers: Sequence[Course], networks: Sequence[Course]
) -> Iterator[Scope]:
    """Yield the sets of points to correlate: over layers, over epochs, across networks.

    A correlation over all points can have another sign than that within each part, so parts are
    listed beside the whole.

    Parameters
    ----------
    epochs, layers, networks : lines over epochs, over the layers of a network at its last epoch,
        and one point for each network
    """
    yield Scope("all layers, last epochs", tuple(layers))
    stages = {name for line in layers for name in line.table["layer"] if name.startswith(STAGE)}
    inside = tuple(course.of_layers(sorted(stages)) for course in layers)
    if any(len(course.table) for course in inside):
        yield Scope("backbone stages, last epochs", inside)
    if len(layers) > 1:
        yield from (Scope(f"layers of {course.name}", (course,)) for course in layers)
    yield Scope("all epochs", tuple(epochs))
    if len(epochs) > 1:
        yield from (Scope(f"epochs of {course.name}", (course,)) for course in epochs)
    if len(networks) > 1:
        yield Scope("one point for each network", tuple(networks))


def correlations(found: Sequence[Scope], nc1: str, basis: Basis) -> pd.DataFrame:
    """Correlate NC1 with each measure over each set of points.

    Returns
    -------
    DataFrame
        One row for each measure and scope: Against, Points, the correlations, numbers of points
        and networks, and the interval as text or why there is none. Scopes with fewer than four
        points that differ have no row.
    """
    rows = []
    for measure in MEASURES:
        for scope in found:
            logged, plain = (
                _correlate(scope.courses, nc1, measure, log_x=log) for log in (True, False)
            )
            if logged and plain:
                where = {"Against": basis.short(measure), "Points": scope.words}
                rows.append(where | _numbers(logged, plain))
    return pd.DataFrame(rows, columns=_COLUMNS)


_CORRELATIONS = ("r, log NC1", "r, NC1", "Spearman", "Leave-one-out from", "Leave-one-out to")
_COLUMNS = (
    *("Against", "Points", *_CORRELATIONS),
    *("Number", "Networks", "95% interval of r, log NC1"),
)


def _numbers(logged: Correlation, plain: Correlation) -> dict[str, object]:
    interval = f"{signed(logged.low, 2)} to {signed(logged.high, 2)}"
    values = (
        *(logged.r, plain.r, logged.spearman, *logged.leave_one_out),
        *(logged.pairs, logged.networks),
        f"none: {logged.no_interval}" if logged.no_interval else interval,
    )
    return dict(zip(_COLUMNS[2:], values, strict=True))


def changes_sign(table: pd.DataFrame) -> list[str]:
    """Return the measures whose correlation with NC1 has both signs in a table of `correlations`.

    The sign may depend on the points, on the logarithm, on ranks or on a single point.
    """
    found = []
    for measure, rows in table.groupby("Against", sort=False):
        values = rows[list(_CORRELATIONS)].to_numpy(np.float64)
        if (values > 0).any() and (values < 0).any():
            found.append(str(measure))
    return found
