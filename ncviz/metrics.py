"""How well a score tells in-distribution (ID) from out-of-distribution (OOD) samples.

A sample is accepted as ID if its score is at least the threshold. ID is the positive class unless
a name says otherwise, and equal scores are always accepted or rejected together.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal, Self

import numpy as np

from ncviz.arrays import require_finite
from ncviz.definitions import MetricInfo, by_name
from ncviz.errors import InvalidArrayError, InvalidOptionError


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


def detection_metrics(id_scores: np.ndarray, ood_scores: np.ndarray) -> DetectionMetrics:
    """All detection metrics, from one sort of the scores.

    Parameters
    ----------
    id_scores, ood_scores : (N,), (M,) finite numbers, at least one of each, higher = more ID

    Raises
    ------
    InvalidArrayError : not one-dimensional, empty, NaN or infinite
    """
    ranking = _Ranking.of(id_scores, ood_scores)
    flipped = ranking.flipped()
    return DetectionMetrics(
        auroc=ranking.auroc(),
        aupr_in=ranking.average_precision(),
        aupr_out=flipped.average_precision(),
        fpr95=float(ranking.fpr[ranking.first_at_tpr(0.95)]),
        fpr95_ood=float(flipped.fpr[flipped.first_at_tpr(0.95)]),
        # Rejecting everything is a threshold too, with a balanced accuracy of one half.
        detection_accuracy=max(0.5, float(np.max(ranking.tpr + 1 - ranking.fpr)) / 2),
        threshold95=float(ranking.thresholds[ranking.first_at_tpr(0.95)]),
    )


def roc_curve(id_scores: np.ndarray, ood_scores: np.ndarray) -> Curve:
    """ROC: x = share of OOD accepted, y = share of ID accepted, from (0, 0) to (1, 1)."""
    ranking = _Ranking.of(id_scores, ood_scores)
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
    ranking = _Ranking.of(id_scores, ood_scores)
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


def operating_point(
    id_scores: np.ndarray, ood_scores: np.ndarray, threshold: float
) -> OperatingPoint:
    """Counts and rates when samples with a score of at least `threshold` are accepted as ID."""
    ids, oods = _scores(id_scores, "ID"), _scores(ood_scores, "OOD")
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


def threshold_at_tpr(id_scores: np.ndarray, tpr: float = 0.95) -> float:
    """The highest threshold that still accepts at least the share `tpr` of the ID samples."""
    if not 0 < tpr <= 1:
        raise InvalidOptionError(f"The share of ID to accept must lie in (0, 1]; got {tpr}.")
    ids = np.sort(_scores(id_scores, "ID"))[::-1]
    return float(ids[_first_at_share(np.arange(1, len(ids) + 1), tpr)])


@dataclass(frozen=True)
class _Ranking:
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
        ids, oods = _scores(id_scores, "ID"), _scores(ood_scores, "OOD")
        scores = np.concatenate([ids, oods])
        order = np.argsort(scores)[::-1]
        scores = scores[order]
        starts = np.flatnonzero(np.r_[True, scores[1:] != scores[:-1]])
        positives = np.add.reduceat((order < len(ids)).astype(np.int64), starts)
        sizes = np.diff(np.r_[starts, len(scores)])
        return cls(scores[starts], positives, sizes - positives)

    def flipped(self) -> _Ranking:
        """OOD as the positive class, lowest score first."""
        return _Ranking(self.thresholds[::-1], self.negatives[::-1], self.positives[::-1])

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
        return _first_at_share(self.true_positives, share)


def _first_at_share(counts: np.ndarray, share: float) -> int:
    """Index of the first of the increasing counts that is at least `share` of the last one."""
    # Dividing keeps 19 of 20 equal to 0.95; ceil(0.95 * 20) would depend on rounding.
    return int(np.searchsorted(counts / counts[-1], share))


def _scores(scores: np.ndarray, which: str) -> np.ndarray:
    scores = np.asarray(scores)
    if scores.ndim != 1 or not len(scores):
        raise InvalidArrayError(
            f"{which} scores have shape {scores.shape}; expected one score for each sample, (N,) "
            "with N of at least 1."
        )
    require_finite(scores, f"{which} scores")
    return scores.astype(np.float64)


DEFINITIONS: dict[str, MetricInfo] = by_name(
    (
        MetricInfo(
            "auroc",
            "AUROC",
            "detection",
            "Probability that a random ID sample scores higher than a random OOD sample, ties "
            "counting one half.",
            r"P(S_{ID} > S_{OOD}) + \tfrac12 P(S_{ID} = S_{OOD})",
            1.0,
            "1",
            "higher",
            "Hanley and McNeil, Radiology 1982; Hendrycks and Gimpel, ICLR 2017",
            "0.5 is chance; below it the score ranks the wrong way round on this set.",
        ),
        MetricInfo(
            "aupr_in",
            "AUPR-in",
            "detection",
            "Average precision with ID as the positive class.",
            r"\sum_k (R_k - R_{k-1})\,P_k",
            1.0,
            "1",
            "higher",
            "scikit-learn average_precision_score",
            "Chance is the share of ID samples, so it depends on the sizes of both sets. OpenOOD "
            "and pytorch-ood use the trapezoid rule, which differs in the fourth digit.",
        ),
        MetricInfo(
            "aupr_out",
            "AUPR-out",
            "detection",
            "Average precision with OOD as the positive class.",
            r"\sum_k (R_k - R_{k-1})\,P_k",
            1.0,
            "1",
            "higher",
            "scikit-learn average_precision_score",
            "Chance is the share of OOD samples, so it depends on the sizes of both sets. OpenOOD "
            "and pytorch-ood use the trapezoid rule, which differs in the fourth digit.",
        ),
        MetricInfo(
            "fpr95",
            "FPR95 (ID positive)",
            "detection",
            "Share of OOD samples accepted when the threshold accepts at least 95 % of ID.",
            r"P(S_{OOD} \ge t),\quad t=\max\{t : P(S_{ID}\ge t)\ge 0.95\}",
            0.0,
            "0",
            "lower",
            "Liang et al., ICLR 2018 (ODIN); ViM; NECO",
            "OpenOOD 1.5 and pytorch-ood mean the other one, with OOD positive, by FPR95.",
        ),
        MetricInfo(
            "fpr95_ood",
            "FPR95 (OOD positive)",
            "detection",
            "Share of ID samples rejected when the threshold rejects at least 95 % of OOD.",
            r"P(S_{ID} \le t),\quad t=\min\{t : P(S_{OOD}\le t)\ge 0.95\}",
            0.0,
            "0",
            "lower",
            "OpenOOD 1.5; pytorch-ood",
            "ODIN, ViM and NECO mean the other one, with ID positive, by FPR95.",
        ),
        MetricInfo(
            "detection_accuracy",
            "Detection accuracy",
            "detection",
            "Best balanced accuracy over all thresholds: the mean of the share of ID accepted and "
            "the share of OOD rejected.",
            r"\max_t\ \tfrac12\left(P(S_{ID}\ge t)+P(S_{OOD}<t)\right)",
            1.0,
            "1",
            "higher",
            "Liang et al., ICLR 2018 (one minus the detection error)",
            "The threshold is chosen on the very samples it is judged on; never below 0.5.",
        ),
        MetricInfo(
            "threshold95",
            "Threshold at 95 % ID",
            "detection",
            "The highest threshold that accepts at least 95 % of the ID samples.",
            r"\max\{t : P(S_{ID}\ge t)\ge 0.95\}",
            None,
            "",
            "none",
            "Standard",
            "In units of the score: only comparable for one detector on one network.",
        ),
    )
)
"""Every field of DetectionMetrics, by name."""
