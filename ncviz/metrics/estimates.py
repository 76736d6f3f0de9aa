"""Estimates with intervals that combine: means over sets and differences of correlated estimates.

An estimate carries the influence of each sample on it. Estimates that share samples, such as
several OOD sets compared with one ID set, are correlated by the influences of those samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ncviz.errors import InvalidArrayError, InvalidOptionError


@dataclass(frozen=True)
class Interval:
    """Confidence interval, both ends included; NaN where no interval with nominal coverage exists.

    Attributes
    ----------
    low, high : ends, finite or both NaN
    """

    low: float
    high: float

    @property
    def exists(self) -> bool:
        """Whether the ends are numbers."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))


NO_INTERVAL = Interval(np.nan, np.nan)


@dataclass(frozen=True)
class CorrelatedEstimate:
    """A metric with its interval and the influence of every sample.

    Estimates that share samples are correlated. `ncviz.estimates.Estimate` is a number whose
    correlation with others is unknown or zero.

    Attributes
    ----------
    value : the metric
    low, high : ends of its interval, NaN where there is none
    influences : by the name of a sample set, (N,) derivative of the metric with respect to the
        weight of each sample. Sample sets of different estimates that have the same name hold the
        same samples in the same order.
    """

    value: float
    low: float
    high: float
    influences: Mapping[str, np.ndarray]

    @property
    def interval(self) -> Interval:
        """The interval alone."""
        return Interval(self.low, self.high)

    @property
    def variance(self) -> float:
        """First-order variance over samples drawn again."""
        return _covariance(self, self)

    def renamed(self, names: Mapping[str, str]) -> CorrelatedEstimate:
        """Return the estimate with its sample sets renamed, for sets with other samples."""
        influences = {names.get(key, key): value for key, value in self.influences.items()}
        return replace(self, influences=influences)


def correlation(first: CorrelatedEstimate, second: CorrelatedEstimate) -> float:
    """Return the correlation of two estimates, from the samples that they share.

    It is 0 without shared samples. It is NaN where one estimate does not vary with its samples at
    first order, such as the AUROC of scores that separate the sets perfectly.
    """
    if not first.influences.keys() & second.influences.keys():
        return 0.0
    spread = np.sqrt(first.variance * second.variance)
    if not spread > 0:
        return float("nan")
    return float(np.clip(_covariance(first, second) / spread, -1.0, 1.0))


def mean_estimate(estimates: Sequence[CorrelatedEstimate]) -> CorrelatedEstimate:
    """Return the mean of estimates, with an interval that respects the samples they share.

    The distances of the single intervals' ends combine like standard deviations, by the
    correlations of the estimates (MOVER). Where a correlation is unknown it is taken as 1, which
    makes the interval wider.

    Parameters
    ----------
    estimates : at least one; sample sets are shared by name

    Raises
    ------
    InvalidOptionError
        If there is no estimate.

    References
    ----------
    Zou and Donner, Statistics in Medicine 27 (2008); Zou, Huang and Zhang, Computational
    Statistics and Data Analysis 53 (2009).
    """
    if not estimates:
        raise InvalidOptionError("A mean over OOD sets needs at least one set; got none.")
    if len(estimates) == 1:
        return estimates[0]
    count = len(estimates)
    related = np.eye(count)
    for at in range(count):
        for other in range(at):
            found = correlation(estimates[at], estimates[other])
            related[at, other] = related[other, at] = 1.0 if np.isnan(found) else found
    value = float(np.mean([each.value for each in estimates]))
    below = np.array([each.value - each.low for each in estimates]) / count
    above = np.array([each.high - each.value for each in estimates]) / count
    shares: dict[str, np.ndarray] = {}
    for each in estimates:
        for name, influence in each.influences.items():
            shares[name] = shares.get(name, 0.0) + influence / count
    return CorrelatedEstimate(
        value, value - _combined(below, related), value + _combined(above, related), shares
    )


def difference_estimate(
    first: CorrelatedEstimate, second: CorrelatedEstimate
) -> CorrelatedEstimate:
    """Return first minus second, with an interval that respects the samples they share (MOVER).

    Where a correlation is unknown it is taken as 0, which makes the interval wider.

    Examples
    --------
    >>> import numpy as np
    >>> from ncviz.metrics import detection_estimates, difference_estimate
    >>> rng = np.random.default_rng(0)
    >>> ids, oods = rng.normal(1, 1, 500), rng.normal(0, 1, 400)
    >>> noisy = detection_estimates(ids + rng.normal(0, 1, 500), oods + rng.normal(0, 1, 400))
    >>> found = difference_estimate(detection_estimates(ids, oods)["auroc"], noisy["auroc"])
    >>> found.low > 0
    True
    """
    found = correlation(first, second)
    related = 0.0 if np.isnan(found) else found
    value = first.value - second.value
    cross = np.array([[1.0, -related], [-related, 1.0]])
    below = np.array([first.value - first.low, second.high - second.value])
    above = np.array([first.high - first.value, second.value - second.low])
    influences = dict(first.influences)
    for name, influence in second.influences.items():
        influences[name] = influences.get(name, 0.0) - influence
    return CorrelatedEstimate(
        value, value - _combined(below, cross), value + _combined(above, cross), influences
    )


def _combined(distances: np.ndarray, related: np.ndarray) -> float:
    return float(np.sqrt(np.maximum(distances @ related @ distances, 0.0)))


def _covariance(first: CorrelatedEstimate, second: CorrelatedEstimate) -> float:
    total = 0.0
    for name in first.influences.keys() & second.influences.keys():
        one, other = first.influences[name], second.influences[name]
        if one.shape != other.shape:
            raise InvalidArrayError(
                f"Estimates that share the samples '{name}' need the same samples; got "
                f"{len(one):,} and {len(other):,}."
            )
        if len(one) > 1:
            centred = one - one.mean()
            total += float(centred @ (other - other.mean())) / (len(one) - 1) / len(one)
    return total
