"""Neural collapse in numbers: NC1 to NC5 by the names of their definitions, and the spread."""

from ncviz.collapse.geometry import (
    ClassPair,
    class_mean_norms,
    cluster_order,
    farthest_between,
    gram,
    ideal_gram,
    worst_pairs,
)
from ncviz.collapse.glossary import METRICS
from ncviz.collapse.samples import Agreement, Orthogonality, agreement, orthogonality
from ncviz.collapse.spread import Spread, spread
from ncviz.collapse.sums import CollapseMetrics, measure

__all__ = [
    "METRICS",
    "Agreement",
    "ClassPair",
    "CollapseMetrics",
    "Orthogonality",
    "Spread",
    "agreement",
    "class_mean_norms",
    "cluster_order",
    "farthest_between",
    "gram",
    "ideal_gram",
    "measure",
    "orthogonality",
    "spread",
    "worst_pairs",
]
