"""Figures: arrays in, plotly figures out; one module for each."""

from ncviz.figures.curves import OperatingCurve, precision_recall, roc
from ncviz.figures.geometry import class_lengths, cosine_histogram
from ncviz.figures.gram import Order, gram_heatmaps
from ncviz.figures.scores import score_distributions
from ncviz.figures.theme import Shown, themed
from ncviz.figures.trade_off import Against, Track, trade_off
from ncviz.figures.training import training_curves
from ncviz.figures.trends import Panel, RunTrend, Series, collapse_and_auroc, over_epochs

__all__ = [
    "Against",
    "OperatingCurve",
    "Order",
    "Panel",
    "RunTrend",
    "Series",
    "Shown",
    "Track",
    "class_lengths",
    "collapse_and_auroc",
    "cosine_histogram",
    "gram_heatmaps",
    "over_epochs",
    "precision_recall",
    "roc",
    "score_distributions",
    "themed",
    "trade_off",
    "training_curves",
]
