"""ncviz: watch neural collapse build up, and out-of-distribution detection change with it."""

from ncviz import collapse, detectors, metrics
from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.store import Epoch, Run, open_run, open_runs

__all__ = [
    "ClassStatistics",
    "Epoch",
    "FeatureSet",
    "Head",
    "Run",
    "collapse",
    "detectors",
    "metrics",
    "open_run",
    "open_runs",
]
