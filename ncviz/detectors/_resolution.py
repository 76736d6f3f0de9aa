"""Whether differences between scores are more than float32 rounding of the features and logits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ncviz import xp
from ncviz.arrays import FeatureSet
from ncviz.xp import Array

MAX_NOISE = 0.25
"""Largest share of the spread of scores that float32 rounding may account for. Measured over
detectors, layers and epochs, meaningful scores have at most .04 and rounding noise at least 3."""
_EPS = float(np.finfo(np.float32).eps)


def rounding_noise(score: Callable[[FeatureSet], Array], samples: FeatureSet) -> float:
    """Return how far float32 rounding of the inputs moves scores, as a share of their spread.

    The samples are scored as they are and with their features and logits moved by about one unit
    in the last place of float32: each entry by itself, and the features of a sample by a common
    shift, which is what subtracting a rounded mean leaves behind. The magnitude of the scores
    plays no part. Probabilities that all round to 1 in float32 can be well resolved, and scores of
    an ordinary magnitude can be rounding errors.

    Parameters
    ----------
    score : returns (N,) float64 scores of N samples
    samples : of all sets together, N >= 1

    Returns
    -------
    The root mean square change over the standard deviation of the scores, infinite where all
    scores are equal.
    """
    exact = FeatureSet(xp.float64(samples.features), xp.float64(samples.logits))
    scores = xp.to_numpy(score(exact))
    spread = float(np.std(scores))
    # Equal scores can have a standard deviation of rounding errors of their mean.
    if spread <= np.finfo(np.float64).eps * np.abs(scores).max():
        return np.inf
    moved = xp.to_numpy(score(_rounded_differently(exact)))
    return float(np.sqrt(np.mean((moved - scores) ** 2))) / spread


def constant(scores: np.ndarray) -> bool:
    """Return whether scores (N,) differ by no more than float32 rounding of themselves.

    For scores that cannot be computed again from features and logits.
    """
    return float(np.ptp(scores)) <= 4 * _EPS * float(np.abs(scores).max())


def _rounded_differently(samples: FeatureSet) -> FeatureSet:
    random = np.random.default_rng(0)
    library = xp.namespace(samples.features)

    def uniform(array: Array) -> Array:
        return xp.like(random.uniform(-_EPS, _EPS, array.shape), array)

    features, logits = samples.features, samples.logits
    sizes = library.mean(library.abs(features), axis=1, keepdims=True)
    shifts = xp.like(random.choice([-_EPS, _EPS], (len(features), 1)), features) * sizes
    return FeatureSet(features * (1 + uniform(features)) + shifts, logits * (1 + uniform(logits)))
