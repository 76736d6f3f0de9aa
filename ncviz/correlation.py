"""Correlation of two metrics over networks, epochs or layers, and how far it can be trusted."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from ncviz.errors import InvalidArrayError
from ncviz.metrics import percentiles

MIN_PAIRS = 4
"""Fewer pairs have no correlation here: leaving one out would leave two, whose r is 1 or -1."""
MIN_NETWORKS = 10
"""Fewer independent networks have no interval."""


@dataclass(frozen=True)
class Correlation:
    """Correlation of N pairs.

    Attributes
    ----------
    r : Pearson's correlation
    spearman : Spearman's rank correlation
    leave_one_out : smallest and largest r with one pair left out
    pairs, networks : number of pairs, and of networks that they come from
    low, high : 95% interval of r, NaN where there is none
    no_interval : why there is no interval, ``""`` if there is one
    """

    r: float
    spearman: float
    leave_one_out: tuple[float, float]
    pairs: int
    networks: int
    low: float
    high: float
    no_interval: str


def correlate(
    x: np.ndarray, y: np.ndarray, *, networks: Sequence[Hashable], log_x: bool = False
) -> Correlation | None:
    """Correlate x (N,) with y (N,), pair by pair.

    A network is one independent observation. Epochs and layers of one network depend on each
    other, so a correlation that contains a network more than once is descriptive and gets no
    interval. Otherwise the interval is that of Fisher's z-transformation, from ten networks on.

    Parameters
    ----------
    networks : (N,) the network that each pair comes from
    log_x : whether to use the logarithm of x; pairs whose x is not positive are left out

    Returns
    -------
    Correlation or None
        None with fewer than four pairs of finite numbers, or where x or y is constant.

    Raises
    ------
    InvalidArrayError
        If x, y and `networks` differ in length or are not one-dimensional.

    Notes
    -----
    R. A. Fisher, Metron 1, 1921.

    Examples
    --------
    >>> import numpy as np
    >>> found = correlate(np.arange(5.0), np.array([0.0, 1, 2, 3, 9]), networks=["a"] * 5)
    >>> round(found.r, 3), round(found.spearman, 3), found.no_interval
    (0.894, 1.0, '1 network; an interval needs 10')
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.shape != y.shape or x.ndim != 1 or len(networks) != len(x):
        raise InvalidArrayError(
            f"Cannot correlate shapes {x.shape} and {y.shape} of {len(networks)} networks; "
            "expected (N,) three times."
        )
    if log_x:
        x = np.log(x, out=np.full(len(x), np.nan), where=x > 0)
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    own = [network for network, kept in zip(networks, finite, strict=True) if kept]
    if len(x) < MIN_PAIRS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    r = _pearson(x, y)
    count, reason = len(set(own)), ""
    if count < MIN_NETWORKS:
        plural = "s" * (count > 1)
        reason = f"{count} network{plural}; an interval needs {MIN_NETWORKS}"
    elif count < len(own):
        reason = "several points of one network are not independent"
    low, high = (math.nan, math.nan) if reason else _fisher(r, len(x))
    spearman = _pearson(percentiles(x, x), percentiles(y, y))
    return Correlation(r, spearman, _leave_one_out(x, y), len(x), count, low, high, reason)


def _fisher(r: float, pairs: int) -> tuple[float, float]:
    reach = float(ndtri(0.975)) / math.sqrt(pairs - 3)
    with np.errstate(divide="ignore"):  # the z of an exact line is infinite
        z = np.arctanh(r)
    return float(np.tanh(z - reach)), float(np.tanh(z + reach))


def _leave_one_out(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Smallest and largest r of N - 1 pairs; those where x or y is constant have none."""
    found = []
    for left_out in range(len(x)):
        rest = np.arange(len(x)) != left_out
        if np.ptp(x[rest]) > 0 and np.ptp(y[rest]) > 0:
            found.append(_pearson(x[rest], y[rest]))
    return min(found), max(found)


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.clip(_deviations(x) @ _deviations(y), -1, 1))


def _deviations(values: np.ndarray) -> np.ndarray:
    """(N,) deviations from the mean, scaled to length one."""
    deviations = values - values.mean()
    deviations = deviations / np.abs(deviations).max()  # no square overflows or vanishes
    return deviations / np.linalg.norm(deviations)
