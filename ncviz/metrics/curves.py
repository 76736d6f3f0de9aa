"""ROC and precision-recall curves through all thresholds, and fewer points of them to draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ncviz.errors import InvalidOptionError
from ncviz.metrics.ranking import Ranking


@dataclass(frozen=True)
class Curve:
    """A curve through all thresholds.

    Attributes
    ----------
    x, y : (K,) coordinates; x never decreases
    thresholds : (K,) a sample is accepted as ID at a point if its score is at least this. The value
        at which nothing is accepted is infinite.
    """

    x: np.ndarray
    y: np.ndarray
    thresholds: np.ndarray


def roc_curve(id_scores: np.ndarray, ood_scores: np.ndarray) -> Curve:
    """ROC: x = share of OOD accepted, y = share of ID accepted, from (0, 0) to (1, 1)."""
    ranking = Ranking.of(id_scores, ood_scores)
    return Curve(
        x=np.r_[0.0, ranking.fpr],
        y=np.r_[0.0, ranking.tpr],
        thresholds=np.r_[np.inf, ranking.thresholds],
    )


def precision_recall_curve(
    id_scores: np.ndarray, ood_scores: np.ndarray, *, positive: Literal["id", "ood"] = "id"
) -> Curve:
    """Precision-recall: x = recall, y = precision of the positive class.

    Starts at recall 0 with precision 1, as scikit-learn has it. With `positive="ood"` a sample
    counts as found if it is rejected; thresholds still say what is accepted.
    """
    if positive not in ("id", "ood"):
        raise InvalidOptionError(f"The positive class is 'id' or 'ood'; got '{positive}'.")
    ranking = Ranking.of(id_scores, ood_scores)
    thresholds = np.r_[np.inf, ranking.thresholds]
    if positive == "ood":
        ranking, thresholds = ranking.flipped(), thresholds[::-1]
    return Curve(x=np.r_[0.0, ranking.tpr], y=np.r_[1.0, ranking.precision], thresholds=thresholds)


def thin(curve: Curve, points: int = 500) -> Curve:
    """At most `points` points of a curve that look the same when drawn; end points stay.

    They are spread evenly along the curve's length, so steep parts keep as many as flat ones.
    """
    if points < 2:
        raise InvalidOptionError(f"A curve needs at least 2 points; got {points}.")
    if len(curve.x) <= points:
        return curve
    steps = np.abs(np.diff(curve.x)) + np.abs(np.diff(curve.y))
    length = np.r_[0.0, np.cumsum(steps)]
    keep = np.searchsorted(length, np.linspace(0.0, length[-1], points))
    keep[-1] = len(length) - 1
    keep = np.unique(keep)
    return Curve(curve.x[keep], curve.y[keep], curve.thresholds[keep])
