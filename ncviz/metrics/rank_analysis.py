"""Ranks of detectors over many data sets: Friedman's test, Conover's comparisons, cliques."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from ncviz.errors import InvalidArrayError
from ncviz.metrics.best_group import LEVEL
from ncviz.metrics.comparison import holm

MIN_BLOCKS = 3
MIN_DETECTORS = 3


@dataclass(frozen=True)
class RankAnalysis:
    """Mean ranks of K detectors over B blocks, and which of them differ significantly.

    Attributes
    ----------
    ranks : (K,)
        Mean rank over the blocks, 1 being the best.
    blocks : int
        Number of blocks, B.
    statistic, p_value : float
        Friedman's test that all detectors rank alike.
    p_corrected : (K, K)
        Conover's p-value of each pair, corrected by Holm for all K (K - 1) / 2 pairs; 1 on the
        diagonal.
    """

    ranks: np.ndarray
    blocks: int
    statistic: float
    p_value: float
    p_corrected: np.ndarray

    @property
    def significant(self) -> bool:
        """Whether Friedman's test finds that the detectors do not all rank alike."""
        return self.p_value < LEVEL

    @property
    def different(self) -> np.ndarray:
        """(K, K) bool, which pairs differ significantly; none unless Friedman's test does."""
        return (self.p_corrected < LEVEL) & self.significant

    @property
    def cliques(self) -> tuple[tuple[int, ...], ...]:
        """Maximal groups of detectors without a significant pair, best mean rank first.

        A pair's p-value depends on the difference of the mean ranks alone, so each group is a run
        of neighbours in rank. A group may consist of a single detector.
        """
        order = np.argsort(self.ranks, kind="stable")
        apart = self.different[np.ix_(order, order)]
        found: list[tuple[int, ...]] = []
        reached = 0
        for start in range(len(order)):
            beyond = np.flatnonzero(apart[start, start:])
            end = start + int(beyond[0]) if len(beyond) else len(order)
            if end > reached:
                found.append(tuple(order[start:end].tolist()))
                reached = end
        return tuple(found)


def rank_analysis(values: np.ndarray, *, higher_is_better: bool) -> RankAnalysis:
    """Rank detectors within each block and test whether their mean ranks differ.

    Friedman's test (JASA 1937), then Conover's comparison of all pairs (Practical Nonparametric
    Statistics, 3rd edition, 5.8), corrected by Holm. Both take ties into account by mid-ranks.
    They assume independent blocks.

    Parameters
    ----------
    values : (K, B)
        A metric of each detector in each block, such as a pair of a run and an OOD set.

    Raises
    ------
    InvalidArrayError
        If there are fewer than three detectors or blocks, or values are missing.

    Examples
    --------
    >>> auroc = np.array([[0.9, 0.8, 0.95, 0.7], [0.8, 0.7, 0.9, 0.6], [0.5, 0.6, 0.5, 0.5]])
    >>> found = rank_analysis(auroc, higher_is_better=True)
    >>> found.ranks.tolist(), round(found.p_value, 3)
    ([1.0, 2.0, 3.0], 0.018)
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or np.isnan(values).any():
        raise InvalidArrayError(
            f"Values have shape {values.shape}; expected (K, B), a number for each detector in "
            "each block."
        )
    detectors, blocks = values.shape
    if detectors < MIN_DETECTORS or blocks < MIN_BLOCKS:
        raise InvalidArrayError(
            f"A rank analysis requires at least {MIN_DETECTORS} detectors and {MIN_BLOCKS} blocks; "
            f"got {detectors} and {blocks}."
        )
    from scipy.stats import rankdata  # only here: slow to import

    by_block = rankdata(-values if higher_is_better else values, axis=0)
    statistic, p_value = _friedman(by_block)
    return RankAnalysis(
        ranks=by_block.mean(axis=1),
        blocks=blocks,
        statistic=statistic,
        p_value=p_value,
        p_corrected=_conover_holm(by_block),
    )


def _friedman(by_block: np.ndarray) -> tuple[float, float]:
    from scipy.stats import friedmanchisquare  # only here: slow to import

    if (by_block == by_block[0]).all():
        return 0.0, 1.0  # every block is tied throughout, which leaves nothing to divide by
    found = friedmanchisquare(*by_block)
    return float(found.statistic), float(found.pvalue)


def _conover_holm(by_block: np.ndarray) -> np.ndarray:
    """(K, K) corrected p-values of all pairs, from ranks (K, B)."""
    detectors, blocks = by_block.shape
    sums = by_block.sum(axis=1)
    # Ranks are multiples of one half, so this is exact, and 0 where all blocks rank alike.
    residual = blocks * np.square(by_block).sum() - np.square(sums).sum()
    freedom = (blocks - 1) * (detectors - 1)
    first, second = np.triu_indices(detectors, 1)
    gaps = np.abs(sums[first] - sums[second])
    if residual > 0:
        p_values = 2 * stdtr(freedom, -gaps / np.sqrt(2 * residual / freedom))
    else:
        p_values = np.where(gaps > 0, 0.0, 1.0)
    corrected = np.ones((detectors, detectors))
    corrected[first, second] = corrected[second, first] = holm(np.minimum(p_values, 1.0))
    return corrected
