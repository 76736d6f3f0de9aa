"""What the Leaderboard page reads from runs: cached as in `ncviz.ui.loaders`."""

from __future__ import annotations

import pandas as pd

from ncviz.errors import MissingDataError
from ncviz.store import Run
from ncviz.ui.loaders import kept


@kept
def comparisons_table(run: Run) -> pd.DataFrame:
    """Return detectors compared with the best, of all epochs: epoch, layer, metric, set, ..."""
    return run.comparisons()


@kept
def misclassification_table(run: Run) -> pd.DataFrame:
    """Risks of misclassification of all epochs: epoch, layer, detector, ..."""
    return run.misclassification()


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
def sensitivity_table(run: Run, epoch: int) -> pd.DataFrame:
    """Return results with other parameters at an epoch; empty where there are none."""
    try:
        return run.epoch(epoch).sensitivity()
    except MissingDataError:
        return pd.DataFrame()


@kept
def has_head(run: Run, epoch: int, layer: str) -> bool:
    """Whether `layer` has a classifier of its own."""
    return run.epoch(epoch).has_head(layer)
