"""Numbers with intervals: shares, means over sets and differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import ndtri

from ncviz.errors import InvalidArrayError


@dataclass(frozen=True)
class Estimate:
    """A number and its interval; the ends are NaN where there is none."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def has_interval(self) -> bool:
        """Whether both ends are known."""
        return math.isfinite(self.low) and math.isfinite(self.high)


def wilson(share: float, samples: int, *, level: float = 0.95) -> Estimate:
    """Return a share of independent samples with Wilson's score interval.

    Parameters
    ----------
    share : number from 0 to 1, such as a test error
    samples : number of samples that it was counted on, at least 1
    level : confidence level of the interval

    Raises
    ------
    InvalidArrayError
        If the share is not a number from 0 to 1 or there is no sample.

    Notes
    -----
    E. B. Wilson, Journal of the American Statistical Association 22, 1927. The interval has a
    positive width even where no sample or every sample counts.

    Examples
    --------
    >>> estimate = wilson(0.0, 100)
    >>> round(estimate.low, 4), round(estimate.high, 4)
    (0.0, 0.037)
    """
    if samples < 1 or not 0 <= share <= 1:
        raise InvalidArrayError(
            f"Wilson's interval requires a share from 0 to 1 of at least one sample; got {share} "
            f"of {samples}."
        )
    z = float(ndtri(0.5 + level / 2))
    shrink = 1 + z**2 / samples
    middle = (share + z**2 / (2 * samples)) / shrink
    reach = z * math.sqrt(share * (1 - share) / samples + (z / (2 * samples)) ** 2) / shrink
    # Rounding must not move an end past the share itself.
    return Estimate(
        share, max(0.0, min(middle - reach, share)), min(1.0, max(middle + reach, share))
    )


def mean_of_independent(parts: Sequence[Estimate]) -> Estimate:
    """Return the mean of independent estimates, their intervals combined by MOVER.

    Errors on different test sets are independent. The mean has no interval where one of its parts
    has none.

    Raises
    ------
    InvalidArrayError
        If there is no estimate.

    Notes
    -----
    MOVER: G. Y. Zou and A. Donner, Statistics in Medicine 27, 2008.
    """
    value = _mean(parts)
    below = math.sqrt(sum((part.value - part.low) ** 2 for part in parts)) / len(parts)
    above = math.sqrt(sum((part.high - part.value) ** 2 for part in parts)) / len(parts)
    return Estimate(value, value - below, value + above)


def mean_of_dependent(parts: Sequence[Estimate]) -> Estimate:
    """Return the mean of estimates whose dependence is unknown, with a conservative interval.

    The standard deviation of a mean is at most the mean of the standard deviations, whatever the
    correlation. Averaging the ends therefore never gives too short an interval. Detection metrics
    on several OOD sets share the ID test set and are correlated.

    Raises
    ------
    InvalidArrayError
        If there is no estimate.
    """
    value = _mean(parts)
    low, high = (sum(getattr(part, end) for part in parts) / len(parts) for end in ("low", "high"))
    return Estimate(value, low, high)


def difference_of_independent(first: Estimate, second: Estimate) -> Estimate:
    """Return first minus second, both independent, their intervals combined by MOVER.

    For two shares with Wilson's intervals this is the interval of Newcombe (method 10).

    Notes
    -----
    R. G. Newcombe, Statistics in Medicine 17, 1998.

    Examples
    --------
    >>> found = difference_of_independent(wilson(56 / 70, 70), wilson(48 / 80, 80))
    >>> round(found.low, 4), round(found.high, 4)
    (0.0524, 0.3339)
    """
    value = first.value - second.value
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    return Estimate(value, value - below, value + above)


def _mean(parts: Sequence[Estimate]) -> float:
    if not parts:
        raise InvalidArrayError("A mean requires at least one estimate; got none.")
    return sum(part.value for part in parts) / len(parts)
