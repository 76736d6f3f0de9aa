"""Welch's t-test: a difference of means of independent observations, such as seeds."""

from __future__ import annotations

import numpy as np

from ncviz.errors import InvalidArrayError
from ncviz.metrics.comparison import PairedTest


def welch(first: np.ndarray, second: np.ndarray) -> PairedTest:
    """Compare the means of two groups of independent observations with unequal variances.

    Parameters
    ----------
    first, second : ndarray of shape (N,) and (M,)
        At least two finite observations each.

    Returns
    -------
    PairedTest
        The means, their difference with its 95% interval, and the two-sided p-value. Where
        neither group varies there is no test: interval and p-value are NaN.

    Raises
    ------
    InvalidArrayError
        With fewer than two observations in a group, or values that are NaN or infinite.

    Notes
    -----
    B. L. Welch, Biometrika 34, 1947. The observations are assumed to be normally distributed.
    """
    from scipy.stats import ttest_ind  # only here: slow to import

    groups = []
    for name, values in (("first", first), ("second", second)):
        array = np.asarray(values, np.float64)
        if array.ndim != 1 or len(array) < 2 or not np.isfinite(array).all():
            raise InvalidArrayError(
                f"Welch's test requires two or more finite observations in each group; the {name} "
                f"has {array.size}."
            )
        groups.append(array)
    one, two = groups
    means = float(one.mean()), float(two.mean())
    if np.ptp(one) == np.ptp(two) == 0:
        return PairedTest(*means, means[0] - means[1], np.nan, np.nan, np.nan)
    found = ttest_ind(one, two, equal_var=False)
    low, high = found.confidence_interval(0.95)
    return PairedTest(*means, means[0] - means[1], float(low), float(high), float(found.pvalue))
