"""Detectors that were left out, in words, and how far ranks depend on a parameter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from ncviz.figures.sensitivity import Dependence
from ncviz.results import detectors

FITTED_ON = "Fitted on"
"""Title of the column that states samples and parameters of each detector."""


def left_out_sentences(reasons: Mapping[str, str]) -> list[str]:
    """Return a sentence for each detector that was left out, from the reasons by name."""
    return [f"{detectors.label(name)} is left out. {reason}" for name, reason in reasons.items()]


def dependences(table: pd.DataFrame, names: Iterable[str], set_name: str) -> list[Dependence]:
    """Return how each detector depends on a parameter, the largest range of rank first.

    Parameters
    ----------
    table : `Epoch.sensitivity` of one layer
    names : the detectors to show
    set_name : an OOD set, or empty for the mean over all sets
    """
    group = "all" if not set_name else None
    own = table[(table["set"] == set_name) & table["detector"].isin(list(names))]
    if group:
        own = own[own["group"] == group]
    found = [
        Dependence(
            detectors.label(detector),
            parameter,
            *(rows[column].to_numpy() for column in ("value", "auroc", "fpr95", "rank")),
            int(rows["is_default"].to_numpy().argmax()),
        )
        for (detector, parameter), rows in own.groupby(["detector", "parameter"], sort=False)
    ]
    return sorted(found, key=lambda one: one.ranks.min() - one.ranks.max())
