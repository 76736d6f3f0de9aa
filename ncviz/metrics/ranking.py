"""ID and OOD samples sorted by score, equal scores in one group: what every metric counts on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from ncviz.arrays import require_finite
from ncviz.errors import InvalidArrayError

DEFAULT_TPR = 0.95
"""Share of ID samples that a threshold accepts where no other share is asked for: FPR95, the sides
of samples, the operating point "keep 95% of ID"."""


@dataclass(frozen=True)
class Ranking:
    """Samples grouped by equal score, from the one most surely of the positive class downwards.

    Attributes
    ----------
    thresholds : (K,) the distinct scores
    positives, negatives : (K,) int64, how many of each class have that score
    """

    thresholds: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray

    @classmethod
    def of(cls, id_scores: np.ndarray, ood_scores: np.ndarray) -> Self:
        """ID as the positive class, highest score first."""
        ids, oods = require_scores(id_scores, "ID"), require_scores(ood_scores, "OOD")
        scores = np.concatenate([ids, oods])
        order = np.argsort(scores)[::-1]
        scores = scores[order]
        starts = np.flatnonzero(np.r_[True, scores[1:] != scores[:-1]])
        positives = np.add.reduceat((order < len(ids)).astype(np.int64), starts)
        sizes = np.diff(np.r_[starts, len(scores)])
        return cls(scores[starts], positives, sizes - positives)

    def flipped(self) -> Ranking:
        """OOD as the positive class, lowest score first."""
        return Ranking(self.thresholds[::-1], self.negatives[::-1], self.positives[::-1])

    @cached_property
    def true_positives(self) -> np.ndarray:
        return np.cumsum(self.positives)

    @cached_property
    def false_positives(self) -> np.ndarray:
        return np.cumsum(self.negatives)

    @property
    def tpr(self) -> np.ndarray:
        return self.true_positives / self.true_positives[-1]

    @property
    def fpr(self) -> np.ndarray:
        return self.false_positives / self.false_positives[-1]

    @property
    def precision(self) -> np.ndarray:
        return self.true_positives / (self.true_positives + self.false_positives)

    def auroc(self) -> float:
        # Twice the number of ordered pairs, ties counting one half: exact in integers.
        pairs = np.sum(self.negatives * (2 * self.true_positives - self.positives))
        return float(pairs / (2 * self.true_positives[-1] * self.false_positives[-1]))

    def average_precision(self) -> float:
        return float(self.positives @ self.precision / self.true_positives[-1])

    def first_at_tpr(self, share: float) -> int:
        return first_at_share(self.true_positives, share)


def first_at_share(counts: np.ndarray, share: float) -> int:
    """Index of the first of the increasing counts that is at least `share` of the last one."""
    # Dividing keeps 19 of 20 equal to 0.95; ceil(0.95 * 20) would depend on rounding.
    return int(np.searchsorted(counts / counts[-1], share))


def percentiles(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the percentile (N,) of each score among reference scores, as a fraction in [0, 1].

    The mid-rank share of the reference that scores lower: equal scores count one half. This is the
    only definition of a percentile of a score in ncviz. Over the reference itself its mean is 1/2,
    however many scores are tied.

    Parameters
    ----------
    scores : (N,) higher = more in-distribution
    reference : (M,) scores of the ID samples, M >= 1, in any order

    Raises
    ------
    InvalidArrayError
        If the reference is empty, or either contains NaN or infinity.

    Examples
    --------
    >>> percentiles(np.array([0.0, 2.0, 9.0]), np.array([1.0, 2.0, 2.0, 3.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    scores, ordered = np.asarray(scores), np.sort(require_scores(reference, "Reference"))
    require_finite(scores, "Scores")
    ends = (np.searchsorted(ordered, scores, side=side) for side in ("left", "right"))
    return sum(ends) / (2 * len(ordered))


def require_scores(scores: np.ndarray, which: str) -> np.ndarray:
    """`scores` as (N,) float64; InvalidArrayError unless they are finite and at least one.

    Parameters
    ----------
    which : names the scores in the message, such as ``"ID"``
    """
    scores = np.asarray(scores)
    if scores.ndim != 1 or not len(scores):
        raise InvalidArrayError(
            f"{which} scores have shape {scores.shape}; expected one score for each sample, (N,) "
            "with N of at least 1."
        )
    require_finite(scores, f"{which} scores")
    return scores.astype(np.float64)
