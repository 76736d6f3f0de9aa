"""Whether a difference is luck: the tests of DeLong and McNemar, Holm's correction, mean ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr, ndtr, ndtri

from ncviz.errors import InvalidArrayError
from ncviz.metrics.estimates import CorrelatedEstimate, difference_estimate
from ncviz.metrics.intervals import detection_estimates
from ncviz.metrics.precision import reliability_note
from ncviz.metrics.ranking import percentiles, require_scores

# Placements of equal scores differ by rounding alone.
ROUNDING = 1e-30


@dataclass(frozen=True)
class PairedTest:
    """Two AUROCs, or two accuracies, and their difference.

    Attributes
    ----------
    first, second : of each score, or of each network
    difference : first minus second
    low, high : the 95% interval of the difference
    p_value : how often a difference at least as large would come up if there were none; two-sided
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float


def delong(
    first_id: np.ndarray, first_ood: np.ndarray, second_id: np.ndarray, second_ood: np.ndarray
) -> PairedTest:
    """The difference in AUROC of two scores of the SAME samples (DeLong et al., Biometrics 1988).

    By the midranks of Sun and Xu (IEEE Signal Processing Letters 2014), in O(n log n). The p-value
    rests on a normal distribution: with fewer than about thirty samples of a kind, or an AUROC
    near 1, it is approximate. The interval is that of the same variance, so it excludes zero where
    the p-value is below 0.05. Where few samples decide an AUROC (`reliability_note`), or the
    variance vanishes, it combines those of both AUROCs by their correlation
    (`difference_estimate`), which is wider.

    Parameters
    ----------
    first_id, second_id : (N,) scores of the ID samples by both, in the same order
    first_ood, second_ood : (M,) of the OOD samples

    Raises
    ------
    InvalidArrayError : not the same number of samples, fewer than two of a kind, NaN or infinite
    """
    if np.shape(first_id) != np.shape(second_id) or np.shape(first_ood) != np.shape(second_ood):
        raise InvalidArrayError(
            f"A paired test takes two scores of the same samples; got {np.size(first_id):,} "
            f"and {np.size(second_id):,} ID, {np.size(first_ood):,} and {np.size(second_ood):,} "
            "OOD scores."
        )
    first, second = placements(first_id, first_ood), placements(second_id, second_ood)
    gaps = [one - other for one, other in zip(first, second, strict=True)]
    estimates = (_estimate(first_id, first_ood), _estimate(second_id, second_ood))
    few = few_decide(first) or few_decide(second)
    return _compare(first, second, _variance(gaps), estimates, few=few)


def unpaired(
    first_id: np.ndarray, first_ood: np.ndarray, second_id: np.ndarray, second_ood: np.ndarray
) -> PairedTest:
    """The same for scores of different samples: the variances of both AUROCs add up."""
    first, second = placements(first_id, first_ood), placements(second_id, second_ood)
    other = _estimate(second_id, second_ood).renamed({"id": "other id", "ood": "other ood"})
    estimates = (_estimate(first_id, first_ood), other)
    few = few_decide(first) or few_decide(second)
    return _compare(first, second, _variance(first) + _variance(second), estimates, few=few)


def mcnemar(first_right: np.ndarray, second_right: np.ndarray) -> PairedTest:
    """The difference in accuracy of two networks on the SAME samples (McNemar, Psychometrika 1947).

    The p-value is exact: of the samples that one network alone gets right, either is as likely to
    be the one. The interval is that of Agresti and Min (Statistics in Medicine 2005), which adds
    half a sample to each of the four cells, so that it does not vanish where networks agree.

    Parameters
    ----------
    first_right, second_right : (N,) bool, which samples each gets right, in the same order

    Raises
    ------
    InvalidArrayError : not two one-dimensional arrays of bool of the same length, or no sample
    """
    first, second = np.asarray(first_right), np.asarray(second_right)
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise InvalidArrayError(
            "McNemar's test takes which of the same samples two networks get right, one number "
            f"for each sample; got {first.shape} and {second.shape}."
        )
    if first.dtype != bool or second.dtype != bool:
        raise InvalidArrayError(
            f"McNemar's test takes true or false for each sample; got {first.dtype} and "
            f"{second.dtype}."
        )
    first_alone, second_alone = int((first & ~second).sum()), int((second & ~first).sum())
    split = first_alone + second_alone
    p_value = min(1.0, 2 * float(bdtr(min(first_alone, second_alone), split, 0.5)))
    samples = len(first) + 2
    middle = (first_alone - second_alone) / samples
    reach = ndtri(0.975) * np.sqrt((split + 1) / samples - middle**2) / np.sqrt(samples)
    return PairedTest(
        float(first.mean()),
        float(second.mean()),
        (first_alone - second_alone) / len(first),
        max(float(middle - reach), -1.0),
        min(float(middle + reach), 1.0),
        p_value,
    )


def holm(p_values: Sequence[float]) -> np.ndarray:
    """(T,) p-values corrected for the number of tests (Holm, Scandinavian J. of Statistics 1979).

    Below 0.05, the chance that any of the T differences found is luck stays below 0.05, whatever
    the tests have to do with one another. The smallest is multiplied by T, the next by T - 1, ...

    Raises
    ------
    InvalidArrayError : a value is not a number from 0 to 1, or they are not one-dimensional
    """
    values = np.asarray(p_values, np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise InvalidArrayError(f"p-values are numbers from 0 to 1 in a row; got {p_values}.")
    order = np.argsort(values, kind="stable")
    raised = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(np.maximum.accumulate(raised), 1.0)
    return corrected


def auroc_variance(id_scores: np.ndarray, ood_scores: np.ndarray) -> float:
    """The variance of an AUROC over samples drawn anew, as DeLong et al. estimate it."""
    return _variance(placements(id_scores, ood_scores))


def ranks(values: np.ndarray, *, higher_is_better: bool) -> np.ndarray:
    """(K,) mean rank of K scores over S sets, 1 being the best; ties share the mean of theirs.

    Parameters
    ----------
    values : (K, S) a metric of each score on each set; NaN where it was not measured, which counts
        for no rank there
    """
    values = np.asarray(values, np.float64)
    signed = -values if higher_is_better else values
    measured = ~np.isnan(values)
    by_set = np.zeros(values.shape)
    for column, rows in enumerate(measured.T):
        by_set[rows, column] = _midranks(signed[rows, column])
    counts = measured.sum(axis=1)
    return np.divide(by_set.sum(axis=1), counts, out=np.full(len(values), np.nan), where=counts > 0)


def placements(id_scores: np.ndarray, ood_scores: np.ndarray) -> Sequence[np.ndarray]:
    """For each ID sample the share of OOD below it (N,), for each OOD that of ID above it (M,)."""
    ids, oods = require_scores(id_scores, "ID"), require_scores(ood_scores, "OOD")
    if min(len(ids), len(oods)) < 2:
        raise InvalidArrayError(
            f"The variance of an AUROC takes two samples of each kind; got {len(ids)} ID and "
            f"{len(oods)} OOD."
        )
    return percentiles(ids, oods), 1 - percentiles(oods, ids)


def few_decide(placed: Sequence[np.ndarray]) -> bool:
    """Return whether few samples decide the AUROC of these placements of ID and OOD samples."""
    known, unknown = placed
    return bool(reliability_note(float(known.mean()), len(known), len(unknown)))


def _midranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 upwards; equal values share the mean of theirs."""
    return len(values) * percentiles(values, values) + 0.5 if len(values) else np.zeros(0)


def _variance(placements: Sequence[np.ndarray]) -> float:
    return float(sum(np.var(each, ddof=1) / len(each) for each in placements))


def _estimate(id_scores: np.ndarray, ood_scores: np.ndarray) -> CorrelatedEstimate:
    return detection_estimates(id_scores, ood_scores, metrics=("auroc",))["auroc"]


def _compare(
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
    spread: float,
    estimates: tuple[CorrelatedEstimate, CorrelatedEstimate],
    *,
    few: bool,
) -> PairedTest:
    one, other = float(first[0].mean()), float(second[0].mean())
    deviation = np.sqrt(spread) if spread > ROUNDING else 0.0
    difference = one - other
    if deviation:
        p_value = float(2 * ndtr(-abs(difference) / deviation))
    else:
        p_value = 1.0 if abs(difference) < np.sqrt(ROUNDING) else 0.0
    if few or not deviation:
        found = difference_estimate(*estimates)
        low, high = found.low, found.high
    else:
        reach = ndtri(0.975) * deviation
        low, high = difference - reach, difference + reach
    return PairedTest(one, other, difference, max(low, -1.0), min(high, 1.0), p_value)
