"""How well a score tells in-distribution (ID) from out-of-distribution (OOD) samples.

A sample is accepted as ID if its score is at least the threshold. ID is the positive class unless
a name says otherwise, and equal scores are always accepted or rejected together.
"""

from ncviz.metrics.best_group import (
    LEVEL,
    AurocComponents,
    BestComparison,
    compare_with_best,
)
from ncviz.metrics.calibration import (
    CALIBRATION_DEFINITIONS,
    Reliability,
    cross_fitted_temperatures,
    negative_log_likelihood,
    reliability,
)
from ncviz.metrics.comparison import (
    PairedTest,
    auroc_variance,
    delong,
    holm,
    mcnemar,
    ranks,
    unpaired,
)
from ncviz.metrics.confusion import confusion_matrix
from ncviz.metrics.curves import Curve, precision_recall_curve, roc_curve, thin
from ncviz.metrics.definitions import DEFINITIONS, SUMMARY_METRICS
from ncviz.metrics.detection import DetectionMetrics, detection_metrics
from ncviz.metrics.distribution import ScoreDistribution
from ncviz.metrics.estimates import CorrelatedEstimate, Interval, difference_estimate, mean_estimate
from ncviz.metrics.intervals import INTERVAL_METRICS, detection_estimates, detection_intervals
from ncviz.metrics.mean_comparison import delong_of_means
from ncviz.metrics.moves import Moves, moves
from ncviz.metrics.operating import OperatingPoint, operating_point, threshold_at_tpr
from ncviz.metrics.precision import reliability_note
from ncviz.metrics.rank_analysis import MIN_BLOCKS, MIN_DETECTORS, RankAnalysis, rank_analysis
from ncviz.metrics.ranking import DEFAULT_TPR, percentiles
from ncviz.metrics.risk import (
    MISCLASSIFICATION_DEFINITIONS,
    RISK_DEFINITIONS,
    augrc,
    aurc,
    ood_risks,
)
from ncviz.metrics.welch import welch

__all__ = [
    "CALIBRATION_DEFINITIONS",
    "DEFAULT_TPR",
    "DEFINITIONS",
    "INTERVAL_METRICS",
    "LEVEL",
    "MIN_BLOCKS",
    "MIN_DETECTORS",
    "MISCLASSIFICATION_DEFINITIONS",
    "RISK_DEFINITIONS",
    "SUMMARY_METRICS",
    "AurocComponents",
    "BestComparison",
    "CorrelatedEstimate",
    "Curve",
    "DetectionMetrics",
    "Interval",
    "Moves",
    "OperatingPoint",
    "PairedTest",
    "RankAnalysis",
    "Reliability",
    "ScoreDistribution",
    "augrc",
    "aurc",
    "auroc_variance",
    "compare_with_best",
    "confusion_matrix",
    "cross_fitted_temperatures",
    "delong",
    "delong_of_means",
    "detection_estimates",
    "detection_intervals",
    "detection_metrics",
    "difference_estimate",
    "holm",
    "mcnemar",
    "mean_estimate",
    "moves",
    "negative_log_likelihood",
    "ood_risks",
    "operating_point",
    "percentiles",
    "precision_recall_curve",
    "rank_analysis",
    "ranks",
    "reliability",
    "reliability_note",
    "roc_curve",
    "thin",
    "threshold_at_tpr",
    "unpaired",
    "welch",
]
