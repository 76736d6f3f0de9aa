"""What each detection and calibration metric means, in words that a page can show."""

from __future__ import annotations

from ncviz.definitions import MetricInfo, by_name
from ncviz.metrics.risk import RISK_DEFINITIONS

_DETECTION: dict[str, MetricInfo] = by_name(
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
            "Share of OOD samples accepted when the threshold accepts at least 95% of ID.",
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
            "Share of ID samples rejected when the threshold rejects at least 95% of OOD.",
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
            "The threshold is chosen on the samples it is evaluated on, which biases the value "
            "upwards, so it has no interval. Never below 0.5.",
        ),
        MetricInfo(
            "threshold95",
            "Threshold at 95% ID",
            "detection",
            "The highest threshold that accepts at least 95% of the ID samples.",
            r"\max\{t : P(S_{ID}\ge t)\ge 0.95\}",
            None,
            "",
            "none",
            "Standard",
            "In units of the score: only comparable for one detector on one network.",
        ),
    ),
    needs="scores of ID and of OOD samples",
)
DEFINITIONS: dict[str, MetricInfo] = _DETECTION | RISK_DEFINITIONS
"""Every field of `DetectionMetrics` and every risk of `ood_risks`, by name."""

SUMMARY_METRICS = tuple(name for name in DEFINITIONS if name != "threshold95")
"""Metrics that are averaged over OOD sets and compared between detectors."""
