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
from ncviz.metrics.definitions import DEFINITIONS
from ncviz.metrics.detection import DetectionMetrics, detection_metrics
from ncviz.metrics.distribution import ScoreDistribution
from ncviz.metrics.intervals import INTERVAL_METRICS, Bootstrap, Interval, bootstrap
from ncviz.metrics.mean_comparison import delong_of_means
from ncviz.metrics.moves import Moves, moves
from ncviz.metrics.operating import OperatingPoint, operating_point, threshold_at_tpr
from ncviz.metrics.rank_analysis import MIN_BLOCKS, MIN_DETECTORS, RankAnalysis, rank_analysis
from ncviz.metrics.ranking import DEFAULT_TPR, percentiles

__all__ = [
    "CALIBRATION_DEFINITIONS",
    "DEFAULT_TPR",
    "DEFINITIONS",
    "INTERVAL_METRICS",
    "LEVEL",
    "MIN_BLOCKS",
    "MIN_DETECTORS",
    "AurocComponents",
    "BestComparison",
    "Bootstrap",
    "Curve",
    "DetectionMetrics",
    "Interval",
    "Moves",
    "OperatingPoint",
    "PairedTest",
    "RankAnalysis",
    "Reliability",
    "ScoreDistribution",
    "auroc_variance",
    "bootstrap",
    "compare_with_best",
    "confusion_matrix",
    "cross_fitted_temperatures",
    "delong",
    "delong_of_means",
    "detection_metrics",
    "holm",
    "mcnemar",
    "moves",
    "negative_log_likelihood",
    "operating_point",
    "percentiles",
    "precision_recall_curve",
    "rank_analysis",
    "ranks",
    "reliability",
    "roc_curve",
    "thin",
    "threshold_at_tpr",
    "unpaired",
]
