"""The temperature that makes softmax probabilities match labels best, by likelihood."""

from __future__ import annotations

import numpy as np

from ncviz import xp
from ncviz.arrays import require_labels, require_matrix
from ncviz.errors import InvalidArrayError

LOWEST, HIGHEST = 0.05, 100.0
"""Range of a fitted temperature. The likelihood has no optimum where all samples are classified
right (every lower T is better) or no better than by chance (every higher T is)."""


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The T that minimises the mean of -log softmax(z / T)_y (Guo et al., ICML 2017).

    The loss is convex in 1/T, so T is the root of its derivative, mean of E_p[z] - z_y.

    Parameters
    ----------
    logits : (N, C) of samples that the network was not trained on, N >= 1
    labels : (N,) integers in 0..C-1

    Returns
    -------
    T in `LOWEST`..`HIGHEST`; a bound where the optimum lies beyond it or does not exist, 1 where
    no temperature changes anything

    Raises
    ------
    InvalidArrayError : shapes that do not fit, no sample, labels out of range, NaN or infinity
    """
    logits = np.asarray(logits, np.float64)
    labels = np.asarray(labels)
    require_matrix(logits, "Logits")
    require_labels(labels, len(logits), logits.shape[1])
    if not len(logits):
        raise InvalidArrayError(
            "A temperature is fitted to labelled samples, but the set is empty."
        )
    # Softmax does not see a shift of all logits; taking out the true one spares a subtraction.
    gaps = logits - np.take_along_axis(logits, labels[:, None], axis=1)

    def slope(log_temperature: float) -> float:
        """Derivative of the loss in 1/T; falls as T grows."""
        expected = xp.softmax(gaps * np.exp(-log_temperature))
        expected *= gaps
        return expected.sum(axis=1).mean()

    if not gaps.any():  # all logits of a sample are equal: temperature changes nothing
        return 1.0
    # Pages import this module and fit nothing.
    from scipy.optimize import brentq

    low, high = np.log(LOWEST), np.log(HIGHEST)
    if slope(low) <= 0:
        return LOWEST
    if slope(high) >= 0:
        return HIGHEST
    return float(np.exp(brentq(slope, low, high, xtol=1e-12)))
