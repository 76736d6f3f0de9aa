"""The one metric of each collapse property that stands for it in cards and first charts."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ncviz.collapse import METRICS
from ncviz.definitions import MetricInfo
from ncviz.figures import Panel, Series
from ncviz.figures.theme import ood_style
from ncviz.results import tables
from ncviz.store import Run

# A range this wide cannot be read on a linear axis.
_LOG_FROM = 20.0


PROPERTIES = {
    "NC1": "NC1: samples collapse onto their class mean",
    "NC2": "NC2: class means form a simplex ETF",
    "NC3": "NC3: the head aligns with the class means",
    "NC4": "NC4: the network picks the nearest class mean",
    "NC5": "NC5: OOD features become orthogonal to the class means",
    "spread": "How the features fill the space they have",
}


@dataclass(frozen=True)
class Headline:
    """A metric with words that need no paper to be understood."""

    metric: str
    words: str
    explanation: str

    @property
    def info(self) -> MetricInfo:
        return METRICS[self.metric]

    @property
    def label(self) -> str:
        return f"{self.info.group} {self.words}"


HEADLINES = (
    Headline(
        "nc1_pinv",
        "spread",
        "How far samples of one class scatter, in units of the distance between classes. Falls "
        "to 0 when every sample sits on its class mean.",
    ),
    Headline(
        "nc2_gram",
        "off the ETF",
        "How far the class means are from pointing away from each other equally (a simplex ETF). "
        "0 is a perfect ETF.",
    ),
    Headline(
        "nc3_duality",
        "off the head",
        "How far the classifier's rows differ from the class means. 0 when they are the same up "
        "to scale.",
    ),
    Headline(
        "nc4_agreement",
        "agreement",
        "Share of training samples for which the network predicts the class of the nearest class "
        "mean. Rises to 1.",
    ),
    Headline(
        "nc5_cosine",
        "overlap",
        "How much the mean of OOD features points along class means: their average |cosine|. "
        "Falls to 0 when OOD is orthogonal to every class.",
    ),
)


def series_of(run: Run, table: pd.DataFrame, layer: str, metric: str) -> tuple[Series, ...]:
    """A metric over epochs: one line, or one for each OOD set where it is about them."""
    measured = set(table.loc[table["metric"] == metric, "set"])
    if not measured - {""}:
        return (tables.metric_series(table, layer, metric),)
    return tuple(
        tables.metric_series(
            table, layer, metric, set_name=name, name=name, style=ood_style(position)
        )
        for position, name in enumerate(run.ood_sets)
        if name in measured
    )


def panel(run: Run, table: pd.DataFrame, layer: str, metric: str, title: str) -> Panel:
    """The small chart of a metric."""
    return panel_of(metric, title, series_of(run, table, layer, metric))


def panel_of(metric: str, title: str, series: tuple[Series, ...]) -> Panel:
    """The small chart of a metric's lines."""
    values = [value for each in series for value in each.values if value == value]
    wide = bool(values) and min(values) > 0 and max(values) > _LOG_FROM * min(values)
    return Panel(title, series, METRICS[metric].limit, log=wide)


def mean_at(
    series: tuple[Series, ...], epoch: int | None, *, as_at: int | None = None
) -> float | None:
    """Mean of several lines at an epoch, None where there is none.

    Parameters
    ----------
    as_at : another epoch that the mean is compared with; lines without a value there are left out
        if any line has one, so that both means are over the same OOD sets
    """
    here = {at: tables.at_epoch(line, epoch) for at, line in enumerate(series)}
    there = {at: tables.at_epoch(line, as_at) for at, line in enumerate(series)}
    compared = [at for at, value in there.items() if value is not None]
    values = [value for at, value in here.items() if value is not None and at in (compared or here)]
    return sum(values) / len(values) if values else None
