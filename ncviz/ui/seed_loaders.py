"""Seed groups of the listed runs and their statistics: cached as in `ncviz.ui.loaders`."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pandas as pd
import streamlit as st

from ncviz import seed_groups
from ncviz.errors import NcvizError
from ncviz.results import seeds
from ncviz.seed_groups import Results, SeedGroup, SeedSummary
from ncviz.store import Run
from ncviz.ui import board_loaders, loaders


def groups(runs: Iterable[Run] | None = None) -> tuple[SeedGroup, ...]:
    """Return the seed groups among runs, all listed ones if None."""
    runs = loaders.listing().runs.values() if runs is None else runs
    return seed_groups.group_runs(run for run in runs if run.epochs)


def group_of(run: Run) -> SeedGroup | None:
    """Return the seed group of a run; None if there is one seed only."""
    return seed_groups.group_of(run, groups())


def summary(
    group: SeedGroup, epoch: int | None = None, *, only_sets: Collection[str] | None = None
) -> SeedSummary | None:
    """Summarise a group; None where fewer than two seeds have results at an epoch."""
    states = tuple((str(run.path), loaders.state(run)) for run in (*group.runs, *group.repeated))
    return _summary(group, states, epoch, None if only_sets is None else tuple(sorted(only_sets)))


@st.cache_resource(max_entries=64, show_spinner=False)
def _summary(
    _group: SeedGroup,
    states: tuple[tuple[str, str], ...],
    epoch: int | None,
    only_sets: tuple[str, ...] | None,
) -> SeedSummary | None:
    return seed_groups.summarise(_group, epoch, read=_read, only_sets=only_sets)


def summary_of(run: Run, epoch: int | None = None) -> SeedSummary | None:
    """Summarise the group of a run."""
    group = group_of(run)
    return summary(group, epoch) if group else None


def summaries() -> list[SeedSummary]:
    """Summarise all groups at their last shared epoch."""
    return [found for group in groups() if (found := summary(group))]


def in_words(run: Run, detector: str | None, epoch: int | None = None) -> str:
    """Say how much results differ between seeds, or that it is unknown for this run."""
    found = summary_of(run, epoch)
    return seeds.known(found, detector) if found else seeds.unknown(summaries(), detector)


def _read(run: Run) -> Results:
    """Read the tables of a run; damaged ones count as no results."""
    try:
        return Results.of(
            run,
            loaders.collapse_table(run),
            loaders.detection_table(run),
            loaders.transfer_table(run),
            loaders.history(run),
            board_loaders.calibration_table(run),
        )
    except NcvizError:  # reported by what shows the run
        return Results(run, *(pd.DataFrame({"epoch": []}) for _ in range(4)))
