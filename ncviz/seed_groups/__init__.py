"""Seed groups: runs that differ only in the seed, and statistics of their results over seeds."""

from ncviz.seed_groups.groups import SeedGroup, group_of, group_runs
from ncviz.seed_groups.summary import SeedSummary, Spread, summarise
from ncviz.seed_groups.values import (
    Results,
    nearest_epoch,
    results_of,
    shared_ood_sets,
    shared_transfer_sets,
    values_of,
)

__all__ = [
    "Results",
    "SeedGroup",
    "SeedSummary",
    "Spread",
    "group_of",
    "group_runs",
    "nearest_epoch",
    "results_of",
    "shared_ood_sets",
    "shared_transfer_sets",
    "summarise",
    "values_of",
]
