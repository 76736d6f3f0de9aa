"""Which of the kept samples of a set thresholds are chosen on."""

from __future__ import annotations

import numpy as np

from ncviz.store.epoch import Epoch
from ncviz.thresholds import calibration_half


def read_calibration_half(epoch: Epoch, set_name: str) -> np.ndarray:
    """Return (k,) bool, the half of a set's kept samples that thresholds are chosen on.

    Raises
    ------
    UnknownNameError, MissingDataError
        If the set was not extracted.
    """
    samples = epoch.features(set_name, epoch.run.layers[-1])
    labels = np.zeros(len(samples), int) if samples.labels is None else samples.labels
    return calibration_half(labels)
