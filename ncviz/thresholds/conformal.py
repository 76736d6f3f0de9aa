"""How surprising a score is for an ID sample: p-values from held-out ID scores, and their promise.

Nothing is assumed about the distribution of the scores; only that the calibration samples and a new
ID sample could have come in any order (they are exchangeable).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from ncviz.errors import InvalidOptionError
from ncviz.metrics.ranking import first_at_share, require_scores


def p_values(calibration_scores: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(M,) conformal p-values: small where a score is lower than an ID sample's tends to be.

    (1 + number of calibration scores that are no higher) / (n + 1). A new ID sample gets a p-value
    of at most alpha with a probability of at most alpha (Vovk et al., 2005; Bates et al., Annals of
    Statistics 2023). The smallest possible value is 1 / (n + 1).

    Parameters
    ----------
    calibration_scores : (n,) of ID samples that neither the network nor the detector learned from,
        n >= 1, higher = more in-distribution
    scores : (M,) of new samples

    Raises
    ------
    InvalidArrayError : no calibration score, NaN or infinite
    """
    calibration = np.sort(require_scores(calibration_scores, "Calibration"))
    scores = np.asarray(scores, np.float64)
    if scores.size:
        require_scores(scores, "New")
    return (1 + np.searchsorted(calibration, scores, side="right")) / (len(calibration) + 1)


@dataclass(frozen=True)
class Guarantee:
    """What rejecting at p <= alpha promises about ID samples, with n calibration samples.

    Attributes
    ----------
    average : the share of ID samples rejected is at most this, on average over calibration sets;
        equal to it where no two scores tie
    low, high : for the calibration set at hand the share lies in between, with `confidence`
    confidence : of `low` and `high`
    """

    average: float
    low: float
    high: float
    confidence: float


def guarantee(n: int, alpha: float, confidence: float = 0.9) -> Guarantee:
    """What a test at level `alpha` with `n` calibration samples does to ID samples.

    With k = floor(alpha (n + 1)) the share of ID samples with p <= alpha follows, over calibration
    sets and for scores without ties, a Beta(k, n + 1 - k) distribution (Vovk, 2012).

    Raises
    ------
    InvalidOptionError : n below 1, or alpha or confidence not between 0 and 1
    """
    if n < 1 or not 0 < alpha < 1 or not 0 < confidence < 1:
        raise InvalidOptionError(
            f"A guarantee takes at least one calibration sample, and a level and a confidence "
            f"between 0 and 1; got {n}, {alpha} and {confidence}."
        )
    # Rounding must not cost a rank: 0.05 * 20 is one.
    rank = int(np.floor(alpha * (n + 1) + 1e-9))
    if not rank:
        return Guarantee(0.0, 0.0, 0.0, confidence)
    ends = betaincinv(rank, n + 1 - rank, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Guarantee(rank / (n + 1), float(ends[0]), float(ends[1]), confidence)


def rejected_share(n: int, share: float, confidence: float = 0.9) -> Guarantee:
    """Return the share of ID samples rejected when `share` of `n` ID samples are accepted.

    `metrics.threshold_at_tpr` cuts one order statistic above the test p <= 1 - share. The range
    covers both, so that one sentence is true of the threshold and of the p-value. With tied scores
    the true share may be lower.

    Parameters
    ----------
    n : number of ID samples that the threshold was chosen on
    share : share of them that it accepts, in (0, 1]
    confidence : of the range

    Raises
    ------
    InvalidOptionError
        If n is below 1, or the share or the confidence is not a share.

    Examples
    --------
    >>> promise = rejected_share(1500, 0.95)
    >>> f"{promise.average:.1%}, from {promise.low:.1%} to {promise.high:.1%}"
    '5.1%, from 4.1% to 6.0%'
    """
    if n < 1 or not 0 < share <= 1:
        raise InvalidOptionError(
            f"At least one sample and a share in (0, 1] are needed; got {n} and {share}."
        )
    accepted = first_at_share(np.arange(1, n + 1), share) + 1
    at_threshold = guarantee(n, (n - accepted + 1) / (n + 1), confidence)
    low = guarantee(n, 1 - share, confidence).low if share < 1 else 0.0
    return Guarantee(at_threshold.average, low, at_threshold.high, confidence)
