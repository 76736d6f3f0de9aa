"""Which held-out ID samples a threshold or temperature is chosen on, and which it is judged on."""

from __future__ import annotations

import numpy as np


def calibration_half(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """(N,) bool, True for the half of the samples that serve calibration, the rest evaluation.

    Each class is cut in half, one sample more or less, and the whole set too; which samples of a
    class are taken is random and depends on `labels` and `seed` alone.

    Parameters
    ----------
    labels : (N,) class of each sample; all the same where there are no classes
    """
    labels = np.asarray(labels)
    order = np.random.default_rng(seed).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    half = np.zeros(len(labels), bool)
    # Every second of the samples laid class after class: odd classes take turns.
    half[by_class[::2]] = True
    return half
