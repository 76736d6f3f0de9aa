"""Score distributions of many samples, kept as a few order statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from ncviz.metrics.ranking import DEFAULT_TPR, first_at_share, require_scores

ORDER_STATISTICS = 385
"""Number of order statistics kept of many scores, enough to draw curves to about a pixel."""


@dataclass(frozen=True)
class ScoreDistribution:
    """Order statistics of the scores of one set, from which curves of all samples are drawn.

    Attributes
    ----------
    values : (K,) float, increasing order statistics, the smallest and the largest among them
    ranks : (K,) int, 0-based position of each value among the N sorted scores, increasing
    """

    values: np.ndarray
    ranks: np.ndarray

    @property
    def samples(self) -> int:
        """Number of scores N that the order statistics were taken from."""
        return int(self.ranks[-1]) + 1

    @classmethod
    def of(cls, scores: np.ndarray, size: int = ORDER_STATISTICS) -> Self:
        """Keep about `size` order statistics of `scores`, evenly spaced in rank.

        The score that 95% of the samples reach is always kept, so that the threshold of FPR95
        stays exact. Sets of at most 2 `size` scores are kept whole: leaving out every other one
        would move a curve by the share of a sample, which shows.

        Parameters
        ----------
        scores : (N,) finite numbers, N >= 1

        Raises
        ------
        InvalidArrayError
            If the scores are empty, not one-dimensional, NaN or infinite.

        Examples
        --------
        >>> import numpy as np
        >>> distribution = ScoreDistribution.of(np.arange(10_000.0))
        >>> distribution.samples, len(distribution.values)
        (10000, 386)
        >>> float(np.abs(distribution.expand() - np.arange(10_000.0)).max()) < 1e-9
        True
        """
        ordered = np.sort(require_scores(scores, "Scores to summarise:"))
        count = len(ordered)
        if count <= 2 * size:
            return cls(ordered, np.arange(count))
        even = np.linspace(0, count - 1, size).round().astype(np.int64)
        # The same rank as `threshold_at_tpr(scores)`.
        accepted = first_at_share(np.arange(1, count + 1), DEFAULT_TPR) + 1
        ranks = np.unique(np.r_[even, count - accepted])
        return cls(ordered[ranks], ranks)

    def expand(self) -> np.ndarray:
        """Return (N,) increasing scores, linear in rank between the order statistics."""
        return np.interp(np.arange(self.samples), self.ranks, self.values)
