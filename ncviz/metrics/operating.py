"""What one threshold does: the samples on either side of it, and the rates that follow."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from ncviz.errors import InvalidOptionError
from ncviz.metrics.ranking import DEFAULT_TPR, first_at_share, require_scores


@dataclass(frozen=True)
class OperatingPoint:
    """What one threshold does to each sample: counts, and the rates that follow from them."""

    threshold: float
    id_accepted: int
    id_rejected: int
    ood_accepted: int
    ood_rejected: int

    @property
    def tpr(self) -> float:
        """Share of ID accepted (true positive rate, recall)."""
        return self.id_accepted / (self.id_accepted + self.id_rejected)

    @property
    def fpr(self) -> float:
        """Share of OOD accepted (false positive rate)."""
        return self.ood_accepted / (self.ood_accepted + self.ood_rejected)

    @property
    def precision(self) -> float | None:
        """Share of ID among the accepted; None where nothing is accepted."""
        accepted = self.id_accepted + self.ood_accepted
        return self.id_accepted / accepted if accepted else None

    @property
    def accuracy(self) -> float:
        """Share of all samples on the right side; depends on how many of each there are."""
        right = self.id_accepted + self.ood_rejected
        return right / (right + self.id_rejected + self.ood_accepted)

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the share of ID accepted and the share of OOD rejected."""
        return (self.tpr + 1 - self.fpr) / 2

    def to_dict(self) -> dict[str, float | int | None]:
        """Threshold, counts and rates by name."""
        rates = ("tpr", "fpr", "precision", "accuracy", "balanced_accuracy")
        return asdict(self) | {rate: getattr(self, rate) for rate in rates}


def operating_point(
    id_scores: np.ndarray, ood_scores: np.ndarray, threshold: float
) -> OperatingPoint:
    """Counts and rates when samples with a score of at least `threshold` are accepted as ID."""
    ids, oods = require_scores(id_scores, "ID"), require_scores(ood_scores, "OOD")
    if np.isnan(threshold):
        raise InvalidOptionError("The threshold is NaN; it must be a number.")
    id_accepted = int(np.count_nonzero(ids >= threshold))
    ood_accepted = int(np.count_nonzero(oods >= threshold))
    return OperatingPoint(
        threshold=float(threshold),
        id_accepted=id_accepted,
        id_rejected=len(ids) - id_accepted,
        ood_accepted=ood_accepted,
        ood_rejected=len(oods) - ood_accepted,
    )


def threshold_at_tpr(id_scores: np.ndarray, tpr: float = DEFAULT_TPR) -> float:
    """The highest threshold that still accepts at least the share `tpr` of the ID samples."""
    if not 0 < tpr <= 1:
        raise InvalidOptionError(f"The share of ID to accept must lie in (0, 1]; got {tpr}.")
    ids = np.sort(require_scores(id_scores, "ID"))[::-1]
    return float(ids[first_at_share(np.arange(1, len(ids) + 1), tpr)])
