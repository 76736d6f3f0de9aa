"""Evaluation: collapse metrics and detection results for every epoch, layer, detector and set."""

from ncviz.evaluation.grid import evaluate, evaluate_epoch
from ncviz.evaluation.summary import as_json, as_text

__all__ = ["as_json", "as_text", "evaluate", "evaluate_epoch"]
