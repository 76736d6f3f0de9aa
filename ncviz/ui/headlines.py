"""Cards of the metrics that stand for the collapse properties."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ncviz.results.headlines import HEADLINES, mean_at, series_of
from ncviz.results.tables import sample_count
from ncviz.ui import components
from ncviz.ui.view import View


def cards(view: View, table: pd.DataFrame) -> Iterator[components.Card]:
    """One card for each collapse property at the chosen epoch."""
    before = view.previous_epoch
    for headline in HEADLINES:
        series = series_of(view.run, table, view.layer, headline.metric)
        counted = sample_count(table, view.epoch, view.layer, headline.metric)
        mean = f" Mean over {len(series)} OOD sets." if len(series) > 1 else ""
        yield components.Card(
            headline.label,
            mean_at(series, view.epoch, as_at=before),
            mean_at(series, before, as_at=view.epoch),
            help=headline.explanation + mean + (f" Computed from {counted}." if counted else ""),
            better=headline.info.direction,
        )
