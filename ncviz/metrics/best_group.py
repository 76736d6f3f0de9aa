"""Detectors whose AUROC does not differ significantly from the best: DeLong's tests with Holm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from ncviz.errors import InvalidArrayError
from ncviz.metrics.comparison import ROUNDING, holm, placements

LEVEL = 0.05
"""Corrected p-values below this count as significant."""


@dataclass(frozen=True)
class AurocComponents:
    """DeLong's structural components of the AUROCs of K scores on one OOD set.

    Attributes
    ----------
    id_part : (K, N)
        Share of the OOD samples below each ID sample, ties counting one half.
    ood_part : (K, M)
        Share of the ID samples above each OOD sample, ties counting one half.
    """

    id_part: np.ndarray
    ood_part: np.ndarray

    @classmethod
    def of(cls, id_scores: np.ndarray, ood_scores: np.ndarray) -> AurocComponents:
        """Compute the components of K scores of the same samples.

        Parameters
        ----------
        id_scores : (K, N)
        ood_scores : (K, M)

        Raises
        ------
        InvalidArrayError
            If shapes do not fit, fewer than two samples of a kind, or scores are not finite.
        """
        if np.ndim(id_scores) != 2 or np.ndim(ood_scores) != 2 or len(id_scores) != len(ood_scores):
            raise InvalidArrayError(
                f"Scores have shapes {np.shape(id_scores)} and {np.shape(ood_scores)}; expected "
                "(K, N) of ID and (K, M) of OOD samples, one row for each detector."
            )
        if not len(id_scores):
            raise InvalidArrayError("A comparison with the best requires at least one detector.")
        parts = [placements(*pair) for pair in zip(id_scores, ood_scores, strict=True)]
        return cls(*(np.array(part) for part in zip(*parts, strict=True)))


@dataclass(frozen=True)
class BestComparison:
    """Mean AUROC of K detectors, each compared with the highest.

    Attributes
    ----------
    auroc : (K,)
        Mean over the OOD sets.
    best : int
        Position of the highest; the first of equal ones.
    difference : (K,)
        Mean AUROC minus that of the best, at most 0.
    low, high : (K,)
        95% interval of the difference, of each detector by itself.
    p_value, p_corrected : (K,)
        Two-sided p-value of each difference, and corrected by Holm for K - 1 detectors.
    """

    auroc: np.ndarray
    best: int
    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_value: np.ndarray
    p_corrected: np.ndarray

    @property
    def tied(self) -> np.ndarray:
        """(K,) bool, whether a detector is not significantly different from the best."""
        return self.p_corrected >= LEVEL


def compare_with_best(sets: Sequence[AurocComponents]) -> BestComparison:
    """Compare the mean AUROC over OOD sets of each detector with the highest of them.

    The mean over S sets that share their ID samples is a sum of one term for each ID sample, the
    mean of its S components, and one for each OOD sample, so DeLong's covariance (Biometrics 1988)
    applies to it unchanged: terms of the same sample are paired, OOD sets are independent of each
    other. With one set this is DeLong's paired test.

    A detector that is truly as good as any other is marked as different with a probability of at
    most 5%. Among many equally good ones, the probability that none is marked is lower than 95%.

    Parameters
    ----------
    sets : components of the same detectors on each OOD set, with the same ID samples

    Raises
    ------
    InvalidArrayError
        If no set is given, or their detectors or ID samples differ in number.

    Examples
    --------
    >>> ids = np.array([[3.0, 4.0, 5.0, 6.0], [3.0, 1.0, 5.0, 2.0]])
    >>> oods = np.array([[0.0, 1.0, 2.0], [0.0, 4.0, 2.0]])
    >>> found = compare_with_best([AurocComponents.of(ids, oods)])
    >>> found.best, found.auroc.round(3).tolist()
    (0, [1.0, 0.625])
    """
    shapes = {each.id_part.shape for each in sets}
    if len(shapes) != 1:
        raise InvalidArrayError(
            "A mean over OOD sets requires at least one set, and the same detectors and ID samples "
            f"in all; got ID components of shapes {sorted(shapes) or 'none'}."
        )
    id_part = np.mean([each.id_part for each in sets], axis=0)
    auroc = id_part.mean(axis=1)
    best = int(auroc.argmax())
    variance = _variance(id_part - id_part[best])
    for each in sets:
        variance += _variance(each.ood_part - each.ood_part[best]) / len(sets) ** 2
    difference = auroc - auroc[best]
    deviation = np.sqrt(np.where(variance > ROUNDING, variance, 0.0))
    # Equal components differ by rounding alone; a difference without variance is certain.
    certain = np.where(np.abs(difference) < np.sqrt(ROUNDING), 1.0, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        p_value = np.where(deviation > 0, 2 * ndtr(-np.abs(difference) / deviation), certain)
    others = np.arange(len(auroc)) != best
    p_corrected = np.ones(len(auroc))
    p_corrected[others] = holm(p_value[others])
    reach = ndtri(0.975) * deviation
    return BestComparison(
        auroc=auroc,
        best=best,
        difference=difference,
        low=np.maximum(difference - reach, -1.0),
        high=np.minimum(difference + reach, 1.0),
        p_value=p_value,
        p_corrected=p_corrected,
    )


def _variance(part: np.ndarray) -> np.ndarray:
    """(K,) variance of the mean of each row."""
    return np.var(part, axis=1, ddof=1) / part.shape[1]
