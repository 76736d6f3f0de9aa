"""What the Compare page reads from runs: cached as in `ncviz.ui.loaders`."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ncviz import metrics
from ncviz.errors import MissingDataError, UnknownNameError
from ncviz.metrics import CorrelatedEstimate
from ncviz.store import Run
from ncviz.ui import loaders
from ncviz.ui.loaders import kept


@kept
def results(run: Run, epoch: int, layer: str, detector: str | None) -> pd.DataFrame:
    """Detection metrics by OOD set, in the run's order; empty where the detector scored nothing."""
    table = loaders.detection_table(run)
    here = (table["epoch"] == epoch) & (table["layer"] == layer) & (table["detector"] == detector)
    own = table[here].set_index("set")
    return own.loc[[name for name in run.ood_sets if name in own.index]]


@kept
def predictions(run: Run, epoch: int, set_name: str) -> np.ndarray:
    """(N,) class that the network gives to each sample of a set; ``"test"`` is the ID test set."""
    return run.epoch(epoch).features(set_name, run.layers[-1]).logits.argmax(axis=1)


@kept
def labels(run: Run, epoch: int, set_name: str) -> np.ndarray | None:
    """(N,) what the samples of a set are, where the run says."""
    return run.epoch(epoch).features(set_name, run.layers[-1]).labels


@kept
def right(run: Run, epoch: int) -> np.ndarray | None:
    """(N,) bool, which ID test samples the network gets right; None without samples or labels."""
    try:
        true = labels(run, epoch, "test")
    except (MissingDataError, UnknownNameError):
        return None  # not extracted
    return None if true is None else predictions(run, epoch, "test") == true


@kept
def estimates(
    run: Run, epoch: int, layer: str, detector: str, set_name: str, paired: bool
) -> dict[str, CorrelatedEstimate]:
    """Return detection metrics on one OOD set with their intervals and influences, by metric.

    With `paired` they are of the kept samples, in their order; without it of all evaluated samples.
    """
    read = loaders.scores if paired else loaders.distribution
    known, unknown = (read(run, epoch, layer, detector, name) for name in ("test", set_name))
    return metrics.detection_estimates(known, unknown, ood_name=set_name)
