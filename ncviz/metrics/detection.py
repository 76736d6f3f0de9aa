"""Threshold-free metrics of how well a score tells in-distribution (ID) from OOD samples."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from ncviz.metrics.ranking import DEFAULT_TPR, Ranking


@dataclass(frozen=True)
class DetectionMetrics:
    """Threshold-free metrics of one score on one pair of sets; `DEFINITIONS` defines each field."""

    auroc: float
    aupr_in: float
    aupr_out: float
    fpr95: float
    fpr95_ood: float
    detection_accuracy: float
    threshold95: float

    @property
    def ranks_wrong_way(self) -> bool:
        """Whether the score is, on this set, higher for OOD than for ID more often than not."""
        return self.auroc < 0.5

    def to_dict(self) -> dict[str, float]:
        """The metrics by name, in the order of the fields."""
        return asdict(self)


def detection_metrics(id_scores: np.ndarray, ood_scores: np.ndarray) -> DetectionMetrics:
    """All detection metrics, from one sort of the scores.

    Parameters
    ----------
    id_scores, ood_scores : (N,), (M,) finite numbers, at least one of each, higher = more ID

    Raises
    ------
    InvalidArrayError : not one-dimensional, empty, NaN or infinite
    """
    ranking = Ranking.of(id_scores, ood_scores)
    flipped = ranking.flipped()
    return DetectionMetrics(
        auroc=ranking.auroc(),
        aupr_in=ranking.average_precision(),
        aupr_out=flipped.average_precision(),
        fpr95=float(ranking.fpr[ranking.first_at_tpr(DEFAULT_TPR)]),
        fpr95_ood=float(flipped.fpr[flipped.first_at_tpr(DEFAULT_TPR)]),
        # Rejecting everything is a threshold too, with a balanced accuracy of one half.
        detection_accuracy=max(0.5, float(np.max(ranking.tpr + 1 - ranking.fpr)) / 2),
        threshold95=float(ranking.thresholds[ranking.first_at_tpr(DEFAULT_TPR)]),
    )
