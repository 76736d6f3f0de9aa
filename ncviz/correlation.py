"""How closely two metrics move together: Pearson's r with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from ncviz.errors import InvalidArrayError

# The interval by Fisher's transformation has a standard error of 1 / sqrt(N - 3).
FEWEST = 4


@dataclass(frozen=True)
class Correlation:
    """Pearson's r of N pairs and its interval at `confidence`."""

    r: float
    low: float
    high: float
    pairs: int
    confidence: float


def correlate(
    x: np.ndarray, y: np.ndarray, *, log_x: bool = False, confidence: float = 0.95
) -> Correlation | None:
    """Pearson's r of x (N,) and y (N,), with the interval of Fisher's z-transformation.

    Pairs with a NaN are left out; with `log_x`, which takes the logarithm of x, those whose x is
    not positive too. The interval takes pairs to be independent, which epochs of one
    run are not: for them it is too narrow.

    Returns
    -------
    None with fewer than four pairs or where x or y is constant: r is not defined or says nothing.

    Raises
    ------
    InvalidArrayError : the shapes differ.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise InvalidArrayError(f"Cannot correlate shapes {x.shape} and {y.shape}; expected (N,).")
    if log_x:
        x = np.log(x, out=np.full(len(x), np.nan), where=x > 0)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    r = float(np.clip(_deviations(x) @ _deviations(y), -1, 1))
    spread = float(ndtri(0.5 + confidence / 2)) / math.sqrt(len(x) - 3)
    with np.errstate(divide="ignore"):  # the z of an exact line is infinite
        z = np.arctanh(r)
    low, high = (float(np.tanh(z + side)) for side in (-spread, spread))
    return Correlation(r, low, high, len(x), confidence)


def _deviations(values: np.ndarray) -> np.ndarray:
    """(N,) from the mean, of length one."""
    deviations = values - values.mean()
    deviations = deviations / np.abs(deviations).max()  # no square is too large or too small
    return deviations / np.linalg.norm(deviations)
