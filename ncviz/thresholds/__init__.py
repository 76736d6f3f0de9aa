"""Where to cut a score, and how surprising a single score is: thresholds and p-values."""

from ncviz.thresholds.conformal import Guarantee, guarantee, p_values, rejected_share
from ncviz.thresholds.operating import (
    ID_95,
    RULES,
    Costs,
    Criterion,
    Rule,
    Threshold,
    choose,
    threshold_at_fpr,
)
from ncviz.thresholds.promise import promise
from ncviz.thresholds.samples import SetScores, choose_threshold
from ncviz.thresholds.splits import calibration_half

__all__ = [
    "ID_95",
    "RULES",
    "Costs",
    "Criterion",
    "Guarantee",
    "Rule",
    "SetScores",
    "Threshold",
    "calibration_half",
    "choose",
    "choose_threshold",
    "guarantee",
    "p_values",
    "promise",
    "rejected_share",
    "threshold_at_fpr",
]
