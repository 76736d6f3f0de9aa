"""Confidence intervals of detection metrics with nominal coverage (docs/coverage.md)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy.special import bdtr, bdtrc, expit, logit, ndtri, stdtrit

from ncviz.errors import InvalidOptionError
from ncviz.metrics.estimates import NO_INTERVAL, CorrelatedEstimate, Interval
from ncviz.metrics.operating import threshold_at_tpr
from ncviz.metrics.ranking import DEFAULT_TPR, percentiles, require_scores

INTERVAL_METRICS = ("auroc", "aupr_in", "aupr_out", "fpr95", "fpr95_ood")
"""Detection metrics that have an interval, given enough samples."""
MIN_AUPR_SAMPLES = 200
"""Samples that each set needs for an interval of AUPR."""
MIN_AUPR_ERRORS = 10
"""Share of pairs in the wrong order, times the samples of the smaller set, that AUPR needs."""
_ID, _OOD = "id", "ood"


def detection_intervals(
    id_scores: np.ndarray, ood_scores: np.ndarray, level: float = 0.95
) -> dict[str, Interval]:
    """Return the interval of each detection metric that has one with nominal coverage.

    - AUROC: DeLong's variance on the logit scale with Student quantiles. The fewer samples decide
      about the order, the more of the variance of Hanley and McNeil enters as a lower bound, and
      the wider the interval: the variance is multiplied by 1 + 2 / (1 + e) for an effective number
      e of samples that are out of order (on the wrong side of the other set).
    - FPR95, with ID or OOD as the positive class: Wilson's interval of the share, combined with the
      interval of the threshold (MOVER). Absent where too few samples determine the threshold, below
      73 at a level of 0.95.
    - AUPR: first-order variance on the logit scale. Absent below `MIN_AUPR_SAMPLES` samples in a
      set, and where fewer than `MIN_AUPR_ERRORS` samples are out of order.
    - Detection accuracy: always absent, because the metric is a maximum over thresholds of the
      samples it is computed from and thus biased upwards.

    Parameters
    ----------
    id_scores, ood_scores : (N,), (M,) finite numbers, at least one of each, higher = more ID
    level : confidence level, between 0 and 1

    Returns
    -------
    dict of Interval
        By metric, without the metrics that have no interval. No interval has zero width.

    Raises
    ------
    InvalidArrayError
        If scores are not one-dimensional, empty, NaN or infinite.
    InvalidOptionError
        If the level is not between 0 and 1.

    References
    ----------
    DeLong et al., Biometrics 44 (1988); Hanley and McNeil, Radiology 143 (1982); Newcombe,
    Statistics in Medicine 17 (1998) and 25 (2006); Zou and Donner, Statistics in Medicine 27
    (2008). Coverage was measured by simulation: docs/coverage.md.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> found = detection_intervals(rng.normal(1, 1, 500), rng.normal(0, 1, 500))
    >>> f"{found['auroc'].low:.2f} to {found['auroc'].high:.2f}"
    '0.75 to 0.80'
    >>> sorted(detection_intervals(np.arange(10.0) + 10, np.arange(10.0)))
    ['auroc']
    """
    estimates = detection_estimates(id_scores, ood_scores, level)
    return {name: each.interval for name, each in estimates.items() if each.interval.exists}


def detection_estimates(
    id_scores: np.ndarray,
    ood_scores: np.ndarray,
    level: float = 0.95,
    *,
    metrics: Sequence[str] = INTERVAL_METRICS,
    ood_name: str = _OOD,
) -> dict[str, CorrelatedEstimate]:
    """Return each metric with its interval and influences, for means over sets and differences.

    Parameters
    ----------
    metrics : which of `INTERVAL_METRICS` to compute
    ood_name : name of the OOD samples in `CorrelatedEstimate.influences`; that of the ID samples
        is ``"id"``

    Raises
    ------
    InvalidArrayError, InvalidOptionError
        As for `detection_intervals`.
    """
    if not 0 < level < 1:
        raise InvalidOptionError(f"The level of an interval must be between 0 and 1; got {level}.")
    ids, oods = require_scores(id_scores, "ID"), require_scores(ood_scores, "OOD")
    names, swapped = (_ID, ood_name), (ood_name, _ID)
    computed = {
        "auroc": lambda: _auroc(ids, oods, level, names),
        "aupr_in": lambda: _average_precision(ids, oods, level, names),
        "aupr_out": lambda: _average_precision(-oods, -ids, level, swapped),
        "fpr95": lambda: _fpr95(ids, oods, level, names),
        "fpr95_ood": lambda: _fpr95(-oods, -ids, level, swapped),
    }
    return {name: computed[name]() for name in metrics}


def _auroc(
    ids: np.ndarray, oods: np.ndarray, level: float, names: tuple[str, str]
) -> CorrelatedEstimate:
    placements = percentiles(ids, oods), 1 - percentiles(oods, ids)
    value = float(placements[0].mean())
    parts = [_variance_of_mean(each) for each in placements]
    sizes, fewest = (len(ids), len(oods)), min(len(ids), len(oods))
    # Half a sample of the smaller set away from 0 and 1, so that the logit is finite.
    margin = 0.5 / fewest
    inside = float(np.clip(value, margin, 1 - margin))
    bound = (_hanley_mcneil(inside, *sizes) + _hanley_mcneil(inside, *sizes[::-1])) / 2
    bound = max(bound, sum(parts))
    errors = [1 - each if value > 0.5 else each for each in placements]
    effective = min(_effective_number(each) for each in errors)
    weight = 2 / (2 + effective)
    variance = ((1 - weight) * sum(parts) + weight * bound) * (1 + 2 / (1 + effective))
    # Constant scores: as much as the rule of three leaves open.
    variance = max(variance, 3.2 * inside * (1 - inside) / fewest**2)
    reach = _student(parts, sizes, level) * np.sqrt(variance) / (inside * (1 - inside))
    low, high = map(float, expit(logit(inside) + np.array([-reach, reach])))
    influences = dict(zip(names, placements, strict=True))
    # Beyond the margin the samples do not bound the value on that side.
    return CorrelatedEstimate(
        value, low if value >= margin else 0.0, high if value <= 1 - margin else 1.0, influences
    )


def _variance_of_mean(values: np.ndarray) -> float:
    return float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0


def _hanley_mcneil(auroc: float, positives: int, negatives: int) -> float:
    """Return the variance of an AUROC of exponential scores (Radiology 1982)."""
    both_above = auroc / (2 - auroc) - auroc**2
    both_below = 2 * auroc**2 / (1 + auroc) - auroc**2
    own = auroc * (1 - auroc)
    return (own + (positives - 1) * both_above + (negatives - 1) * both_below) / (
        positives * negatives
    )


def _effective_number(values: np.ndarray) -> float:
    """Return how many equal values would have the same sum and sum of squares."""
    squares = float(values @ values)
    return float(values.sum()) ** 2 / squares if squares > 0 else 0.0


def _student(parts: list[float], sizes: tuple[int, int], level: float) -> float:
    """Return the quantile of Student's t with the degrees of freedom of Satterthwaite."""
    total = sum(parts)
    pairs = zip(parts, sizes, strict=True)
    spread = sum(part**2 / (size - 1) for part, size in pairs if part > 0)
    freedom = total**2 / spread if spread > 0 else max(min(sizes) - 1, 1)
    return float(stdtrit(freedom, (1 + level) / 2))


def _average_precision(
    positives: np.ndarray, negatives: np.ndarray, level: float, names: tuple[str, str]
) -> CorrelatedEstimate:
    """Estimate average precision; higher scores are more positive."""
    sizes = len(positives), len(negatives)
    order, others = np.sort(positives), np.sort(negatives)
    found = sizes[0] - np.searchsorted(order, order, side="left")
    wrong = sizes[1] - np.searchsorted(others, order, side="left")
    precision = found / (found + wrong)
    value = float(precision.mean())
    # Derivatives of the precision at each positive score by the shares found and wrong.
    by_found = sizes[0] * wrong / (found + wrong) ** 2
    by_wrong = -sizes[1] * found / (found + wrong) ** 2
    sums = [np.r_[0.0, np.cumsum(each)] / sizes[0] for each in (by_found, by_wrong)]
    at = np.searchsorted(order, positives, side="right")
    of_positives = precision[np.searchsorted(order, positives, side="left")] + sums[0][at]
    of_negatives = sums[1][np.searchsorted(order, negatives, side="right")]
    influences = dict(zip(names, (of_positives, of_negatives), strict=True))
    effective = min(_effective_number(each.max() - each) for each in (of_positives, of_negatives))
    auroc = 1 - wrong.mean() / sizes[1]
    errors = min(auroc, 1 - auroc) * min(sizes)
    if min(sizes) < MIN_AUPR_SAMPLES or errors < MIN_AUPR_ERRORS or effective < 3:
        return CorrelatedEstimate(value, NO_INTERVAL.low, NO_INTERVAL.high, influences)
    parts = [_variance_of_mean(each) for each in (of_positives, of_negatives)]
    variance = sum(parts) * (1 + 3 / (1 + effective))
    reach = _student(parts, sizes, level) * np.sqrt(variance) / (value * (1 - value))
    low, high = expit(logit(value) + np.array([-reach, reach]))
    return CorrelatedEstimate(value, float(low), float(high), influences)


def _fpr95(
    positives: np.ndarray, negatives: np.ndarray, level: float, names: tuple[str, str]
) -> CorrelatedEstimate:
    """Estimate the share of negatives accepted when 95% of the positives are."""
    size = len(positives)
    order, others = np.sort(positives), np.sort(negatives)
    threshold = threshold_at_tpr(positives, DEFAULT_TPR)

    def accepted(at: np.ndarray) -> np.ndarray:
        return 1 - np.searchsorted(others, at, side="left") / len(others)

    value = float(accepted(threshold))
    of_negatives = (negatives >= threshold).astype(np.float64)
    below = (positives < threshold).astype(np.float64)
    ranks = _threshold_ranks(size, level)
    if ranks is None:
        influences = dict(zip(names, (below, of_negatives), strict=True))
        return CorrelatedEstimate(value, NO_INTERVAL.low, NO_INTERVAL.high, influences)
    first, last = ranks
    inner = np.arange(int(first), int(np.ceil(last)) + 1)
    span = order[inner]
    most, least = np.interp(ranks, inner, accepted(span))
    slope = (most - least) * size / (last - first)
    influences = dict(zip(names, (slope * below, of_negatives), strict=True))
    z = float(ndtri((1 + level) / 2))
    low, high = wilson(value, len(others), z)
    if 2 * len(np.unique(span)) > len(span):
        low = value - float(np.hypot(value - low, value - least))
        high = value + float(np.hypot(high - value, most - value))
    else:
        # Ties: the threshold moves by whole groups of equal scores, not gradually.
        most, least = accepted(span[[0, -1]])
        low, high = wilson(least, len(others), z)[0], wilson(most, len(others), z)[1]
    # Rounding must not exclude the estimate itself at 0 and 1.
    return CorrelatedEstimate(
        value, min(max(low, 0.0), value), max(min(high, 1.0), value), influences
    )


def wilson(share: float, samples: int, z: float) -> tuple[float, float]:
    """Return Wilson's interval of a share of `samples` (JASA 1927)."""
    scale = 1 + z**2 / samples
    middle = (share + z**2 / (2 * samples)) / scale
    reach = z / scale * np.sqrt(share * (1 - share) / samples + z**2 / (4 * samples**2))
    return float(middle - reach), float(middle + reach)


@cache
def _threshold_ranks(samples: int, level: float) -> tuple[float, float] | None:
    """Return the 0-based ranks whose order statistics enclose the 5% quantile, None for none.

    Between two order statistics the ranks are interpolated to the nominal level.

    References
    ----------
    David and Nagaraja, Order Statistics, section 7.1; Hettmansperger and Sheather, Statistics and
    Probability Letters 4 (1986).
    """
    tail, share = (1 - level) / 2, 1 - DEFAULT_TPR
    # The binomial distribution from scipy.special: pages load this module without scipy.stats.
    at_most = bdtr(np.arange(samples + 1), samples, share)
    first = int(np.searchsorted(at_most, tail)) - 1
    last = int(np.searchsorted(at_most, 1 - tail))
    if first < 0 or last >= samples:
        return None
    above = (tail - at_most[first]) / (at_most[first + 1] - at_most[first])
    below = (tail - bdtrc(last, samples, share)) / (at_most[last] - at_most[last - 1])
    return first + float(above), last - float(below)
