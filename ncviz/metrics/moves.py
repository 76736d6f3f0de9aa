"""How far samples moved among the known ones between two scores: what a change of rank is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ncviz.errors import InvalidArrayError
from ncviz.metrics.ranking import percentiles, require_scores


@dataclass(frozen=True)
class Moves:
    """Where the same samples stand among ID by two scores.

    Attributes
    ----------
    first, second : (N,) share of the ID samples that score lower, ties counting one half, 0..1
    """

    first: np.ndarray
    second: np.ndarray

    @property
    def change(self) -> np.ndarray:
        """(N,) first minus second, -1..1: positive where the first takes it for more known."""
        return self.first - self.second

    def largest(self, count: int | None = None) -> np.ndarray:
        """Positions of the samples that moved farthest, in either direction; ties keep order."""
        return np.argsort(-np.abs(self.change), kind="stable")[:count]


def moves(
    first: np.ndarray, second: np.ndarray, first_known: np.ndarray, second_known: np.ndarray
) -> Moves:
    """Percentiles of N samples among the ID samples, by two scores.

    Percentiles compare scores of different size, such as those of two networks.

    Parameters
    ----------
    first, second : (N,) scores of the same samples, in the same order
    first_known, second_known : scores of the ID samples that each is held against; their numbers
        may differ

    Raises
    ------
    InvalidArrayError : not the same number of samples, no ID sample, NaN or infinite
    """
    if np.shape(first) != np.shape(second):
        raise InvalidArrayError(
            f"Moves are those of the same samples; got {np.size(first):,} and "
            f"{np.size(second):,} scores."
        )
    if not np.size(first):
        return Moves(np.zeros(0), np.zeros(0))
    pairs = ((first, first_known), (second, second_known))
    return Moves(
        *(
            percentiles(require_scores(scores, "The samples'"), require_scores(known, "ID"))
            for scores, known in pairs
        )
    )
