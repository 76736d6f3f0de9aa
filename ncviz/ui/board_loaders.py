"""What the Leaderboard page reads from runs: cached as in `ncviz.ui.loaders`."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ncviz.errors import MissingDataError, NcvizError
from ncviz.store import Run
from ncviz.ui.loaders import kept


@kept
def means_table(run: Run) -> pd.DataFrame:
    """Means over near, far and all sets, of all epochs: epoch, layer, detector, group, ..."""
    return run.detection_means()


@kept
def comparisons_table(run: Run) -> pd.DataFrame:
    """Return detectors compared with the best, of all epochs: epoch, layer, metric, set, ..."""
    return run.comparisons()


@kept
def calibration_table(run: Run) -> pd.DataFrame:
    """One row for each evaluated epoch: epoch, temperature, ece, ..."""
    return run.calibration()


@kept
def temperature_table(run: Run) -> pd.DataFrame:
    """Dependence on temperature of all epochs: epoch, detector, set, temperature, auroc, ..."""
    return run.temperature()


@kept
def reliability_table(run: Run, epoch: int) -> pd.DataFrame:
    """A row for each bin of confidence; empty where it was not measured."""
    try:
        return run.epoch(epoch).reliability()
    except MissingDataError:
        return pd.DataFrame()


@kept
def has_head(run: Run, epoch: int, layer: str) -> bool:
    """Whether `layer` has a classifier of its own."""
    return run.epoch(epoch).has_head(layer)


@kept
def sample_keys(run: Run) -> dict[str, np.ndarray]:
    """Which samples each set of features holds, by its full name; empty where no list was kept."""
    try:
        samples = run.samples
    except NcvizError:
        return {}
    return {
        name: rows["index"].astype(str).to_numpy(str) + "|" + rows["key"].to_numpy(str)
        for name, rows in samples.groupby("set")
    }


def same_samples(run: Run, other: Run) -> list[str]:
    """OOD sets of which both runs scored the same samples, as they did of the ID test set."""
    if not same_known(run, other):
        return []
    return [name for name in run.ood_sets if name in other.ood_sets and _same(run, other, name)]


def same_known(run: Run, other: Run) -> bool:
    """Whether both runs scored the same ID test samples."""
    return run.id_set == other.id_set and _same(run, other, run.id_set)


def _same(run: Run, other: Run, name: str) -> bool:
    mine, theirs = (sample_keys(each).get(f"{name}/test") for each in (run, other))
    return run == other or (
        mine is not None and theirs is not None and np.array_equal(mine, theirs)
    )
