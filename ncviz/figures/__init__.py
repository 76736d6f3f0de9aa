"""Figures: arrays in, plotly figures out; one module for each."""

from ncviz.figures.curves import OperatingCurve, precision_recall, roc
from ncviz.figures.geometry import class_lengths, cosine_histogram
from ncviz.figures.gram import Order, gram_heatmaps
from ncviz.figures.placed import placed_on_map
from ncviz.figures.scores import score_distributions
from ncviz.figures.theme import Shown, themed
from ncviz.figures.trade_off import Against, Track, trade_off
from ncviz.figures.training import training_curves
from ncviz.figures.trends import Panel, RunTrend, Series, collapse_and_auroc, over_epochs
from ncviz.figures.verdict import Moment, Strip, mark_image, score_strips, verdict_over_epochs

__all__ = [
    "Against",
    "Moment",
    "OperatingCurve",
    "Order",
    "Panel",
    "RunTrend",
    "Series",
    "Shown",
    "Strip",
    "Track",
    "class_lengths",
    "collapse_and_auroc",
    "cosine_histogram",
    "gram_heatmaps",
    "mark_image",
    "over_epochs",
    "placed_on_map",
    "precision_recall",
    "roc",
    "score_distributions",
    "score_strips",
    "themed",
    "trade_off",
    "training_curves",
    "verdict_over_epochs",
]
