"""Figures: arrays in, plotly figures out; one module for each."""

from ncviz.figures.bands import Band, BandPanel, bands_over_epochs
from ncviz.figures.chosen import Marks, SelectedScores, mark_sample
from ncviz.figures.critical_differences import critical_differences
from ncviz.figures.curves import OperatingCurve, precision_recall, roc
from ncviz.figures.differences import differences
from ncviz.figures.geometry import class_lengths, cosine_histogram
from ncviz.figures.gram import Order, gram_heatmaps
from ncviz.figures.leaderboard import Board, Column, leaderboard
from ncviz.figures.mapped import MappedSets, mapped_samples
from ncviz.figures.moved import moved
from ncviz.figures.near_far import Family, near_against_far
from ncviz.figures.pair import PairCosines, TakenFor, pair_confusion, pair_cosines
from ncviz.figures.placed import placed_on_map
from ncviz.figures.point_sets import PointSet
from ncviz.figures.reliability import Reliable, reliability_diagram
from ncviz.figures.scores import score_distributions
from ncviz.figures.temperature import against_temperature
from ncviz.figures.theme import Shown, themed
from ncviz.figures.through_training import ClassPath, class_paths, score_paths
from ncviz.figures.trade_off import Against, Track, trade_off
from ncviz.figures.training import training_curves
from ncviz.figures.trends import Panel, RunTrend, Series, collapse_and_auroc, over_epochs
from ncviz.figures.verdict import Moment, Strip, mark_image, score_strips, verdict_over_epochs

__all__ = [
    "Against",
    "Band",
    "BandPanel",
    "Board",
    "ClassPath",
    "Column",
    "Family",
    "MappedSets",
    "Marks",
    "Moment",
    "OperatingCurve",
    "Order",
    "PairCosines",
    "Panel",
    "PointSet",
    "Reliable",
    "RunTrend",
    "SelectedScores",
    "Series",
    "Shown",
    "Strip",
    "TakenFor",
    "Track",
    "against_temperature",
    "bands_over_epochs",
    "class_lengths",
    "class_paths",
    "collapse_and_auroc",
    "cosine_histogram",
    "critical_differences",
    "differences",
    "gram_heatmaps",
    "leaderboard",
    "mapped_samples",
    "mark_image",
    "mark_sample",
    "moved",
    "near_against_far",
    "over_epochs",
    "pair_confusion",
    "pair_cosines",
    "placed_on_map",
    "precision_recall",
    "reliability_diagram",
    "roc",
    "score_distributions",
    "score_paths",
    "score_strips",
    "themed",
    "trade_off",
    "training_curves",
    "verdict_over_epochs",
]
