"""Where to cut a score, and how surprising a single score is: thresholds and p-values."""

from ncviz.thresholds.conformal import Guarantee, guarantee, p_values
from ncviz.thresholds.operating import RULES, Costs, Rule, Threshold, choose, threshold_at_fpr
from ncviz.thresholds.splits import calibration_half

__all__ = [
    "RULES",
    "Costs",
    "Guarantee",
    "Rule",
    "Threshold",
    "calibration_half",
    "choose",
    "guarantee",
    "p_values",
    "threshold_at_fpr",
]
