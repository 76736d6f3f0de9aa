"""Evaluation: collapse metrics and detection results for every epoch, layer, detector and set."""

from ncviz.evaluation.grid import evaluate
from ncviz.evaluation.seed_summary import over_seeds
from ncviz.evaluation.summary import as_json, as_text, side_by_side

__all__ = ["as_json", "as_text", "evaluate", "over_seeds", "side_by_side"]
