"""Verdicts on claims about differences: every page and document uses this one rule."""

from __future__ import annotations

import math
from enum import Enum
from typing import Literal

from ncviz.estimates import Estimate

Direction = Literal["above", "below"]


class Verdict(Enum):
    """Result of comparing a claim with an interval; the value is the text to show."""

    SUPPORTED = "as claimed"
    CONTRADICTED = "the other way round"
    UNDECIDED = "no clear difference"
    UNTESTED = "not tested"


def verdict(difference: Estimate, claimed: Direction) -> Verdict:
    """Return whether the interval of a difference supports the claim that it is above or below 0.

    Parameters
    ----------
    difference : first minus second, with its interval
    claimed : side of zero that the difference is claimed to be on

    Returns
    -------
    Verdict
        SUPPORTED only if the whole interval is on the claimed side of zero, CONTRADICTED only if
        it is on the other side. An interval that contains or touches zero is UNDECIDED. A
        difference without an interval is UNTESTED, however large it is.

    Examples
    --------
    >>> verdict(Estimate(0.10, 0.02, 0.18), "above").value
    'as claimed'
    >>> verdict(Estimate(0.10, -0.02, 0.22), "above").value
    'no clear difference'
    >>> verdict(Estimate(0.10), "above").value
    'not tested'
    """
    if not difference.has_interval or math.isnan(difference.value):
        return Verdict.UNTESTED
    above, below = difference.low > 0, difference.high < 0
    if not (above or below):
        return Verdict.UNDECIDED
    return Verdict.SUPPORTED if above == (claimed == "above") else Verdict.CONTRADICTED
