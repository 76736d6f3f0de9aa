"""Detection metrics of many resamples at once: the scores are sorted once, resamples are weights.

A resample with replacement takes each sample a whole number of times, its weight. The order of the
scores does not change, so every count that a metric needs is a running sum of weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from ncviz.metrics.ranking import first_at_share


@dataclass(frozen=True)
class Groups:
    """The distinct scores of one set, and which of them each sample has.

    Attributes
    ----------
    values : (K,) distinct scores, increasing
    group_of : (N,) index of a sample's score in `values`
    """

    values: np.ndarray
    group_of: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray) -> Self:
        """Groups of the scores (N,), which are finite."""
        return cls(*np.unique(scores, return_inverse=True))

    @property
    def samples(self) -> int:
        """How many samples there are, N."""
        return len(self.group_of)

    def weigh(self, draws: np.ndarray) -> Weights:
        """Weights of B resamples, each given as the indices (B, N) of the samples it drew."""
        rows, groups = len(draws), len(self.values)
        cells = self.group_of[draws] + groups * np.arange(rows)[:, None]
        counts = np.bincount(cells.ravel(), minlength=rows * groups)
        return Weights(counts.reshape(rows, groups))


@dataclass(frozen=True)
class Weights:
    """How often each of B resamples has each of K increasing scores.

    Attributes
    ----------
    counts : (B, K) integers; all rows have the same sum
    """

    counts: np.ndarray

    @cached_property
    def below(self) -> np.ndarray:
        """(B, K + 1) how many samples lie below each score; the last column counts them all."""
        below = np.zeros((len(self.counts), self.counts.shape[1] + 1), np.int64)
        np.cumsum(self.counts, axis=1, out=below[:, 1:])
        return below

    @cached_property
    def total(self) -> int:
        """How many samples a resample has."""
        return int(self.below[0, -1])

    @property
    def needed(self) -> int:
        """The smallest number of samples that is at least 95 % of a resample."""
        return first_at_share(np.arange(1, self.total + 1), 0.95) + 1


@dataclass(frozen=True)
class Contest:
    """Where the scores of the ID samples and of one OOD set stand among each other.

    Attributes
    ----------
    id_below_ood : (L,) for each distinct OOD score, how many distinct ID scores are lower
    id_up_to_ood : (L,) the same, counting an equal one
    ood_below_id : (K,) for each distinct ID score, how many distinct OOD scores are lower
    """

    id_below_ood: np.ndarray
    id_up_to_ood: np.ndarray
    ood_below_id: np.ndarray

    @classmethod
    def of(cls, ids: Groups, oods: Groups) -> Self:
        """Positions of the scores of the two sets."""
        return cls(
            id_below_ood=np.searchsorted(ids.values, oods.values, side="left"),
            id_up_to_ood=np.searchsorted(ids.values, oods.values, side="right"),
            ood_below_id=np.searchsorted(oods.values, ids.values, side="left"),
        )

    def metrics(self, ids: Weights, oods: Weights) -> dict[str, np.ndarray]:
        """Each metric (B,) of B resamples, as `detection_metrics` gives it for the samples drawn.

        Parameters
        ----------
        ids : weights of the K distinct ID scores
        oods : weights of the L distinct OOD scores
        """
        # At a threshold equal to an ID score: (B, K) of each kind that are accepted.
        id_accepted = ids.total - ids.below[:, :-1]
        ood_accepted = oods.total - np.take(oods.below, self.ood_below_id, axis=1)
        # Where nothing but the scores up to an OOD score is rejected: (B, L).
        id_up_to = np.take(ids.below, self.id_up_to_ood, axis=1)
        ood_up_to = oods.below[:, 1:]
        balanced = np.max(id_accepted / ids.total + 1 - ood_accepted / oods.total, axis=1) / 2
        return {
            "auroc": self._auroc(ids, oods, id_up_to),
            "aupr_in": _average_precision(ids, id_accepted, ood_accepted),
            "aupr_out": _average_precision(oods, ood_up_to, id_up_to),
            "fpr95": _at_column(ood_accepted, _id_threshold(ids)) / oods.total,
            "fpr95_ood": _at_column(id_up_to, _ood_threshold(oods)) / ids.total,
            # Rejecting everything is a threshold too, with a balanced accuracy of one half.
            "detection_accuracy": np.maximum(0.5, balanced),
        }

    def _auroc(self, ids: Weights, oods: Weights, id_up_to: np.ndarray) -> np.ndarray:
        # Twice the number of pairs in the wrong order, ties counting one half: exact in integers.
        wrong = np.take(ids.below, self.id_below_ood, axis=1) + id_up_to
        pairs = 2 * ids.total * oods.total
        return (pairs - np.einsum("bl,bl->b", oods.counts, wrong)) / pairs


def _average_precision(positives: Weights, found: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    # Nothing found means that the score's own weight is zero, so that its precision does not count.
    precision = found / np.maximum(found + wrong, 1)
    return np.einsum("bk,bk->b", positives.counts, precision) / positives.total


def _id_threshold(ids: Weights) -> np.ndarray:
    """(B,) the highest ID score with at least 95 % of ID not below it, by its column."""
    return np.count_nonzero(ids.below <= ids.total - ids.needed, axis=1) - 1


def _ood_threshold(oods: Weights) -> np.ndarray:
    """(B,) the lowest OOD score with at least 95 % of OOD not above it, by its column."""
    return np.count_nonzero(oods.below[:, 1:] < oods.needed, axis=1)


def _at_column(table: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return table[np.arange(len(table)), columns]
