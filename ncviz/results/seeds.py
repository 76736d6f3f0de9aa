"""Statements on the variance over seeds, read from the seed groups that are there."""

from __future__ import annotations

from collections.abc import Iterable

from ncviz.metrics import DEFINITIONS
from ncviz.results import detectors
from ncviz.seed_groups import SeedSummary, Spread

MEAN_STD = (
    "Mean ± standard deviation over seeds (ddof = 1): the spread of single trainings, not an "
    "interval of the mean."
)


def unknown(summaries: Iterable[SeedSummary], detector: str | None, metric: str = "fpr95") -> str:
    """Say that the variance over seeds of a run is unknown, and how large it is in a group.

    Parameters
    ----------
    summaries : of the seed groups that are there; the one with the most seeds is quoted
    detector : whose mean over the OOD sets is quoted
    metric : detection metric
    """
    sentence = "Variance over seeds is unknown: one seed."
    found = []
    for summary in summaries:
        spread = _of_mean(summary, detector, metric)
        if spread and spread.n > 1:
            found.append((spread.n, summary, spread))
    if not found:
        return sentence
    _, summary, spread = max(found, key=lambda each: each[0])
    return (
        f"{sentence} In the group {summary.name} the standard deviation of mean "
        f"{DEFINITIONS[metric].label} by {detectors.label(detector)} is {spread.std:.3f}."
    )


def known(summary: SeedSummary, detector: str | None, metric: str = "fpr95") -> str:
    """Say how much the results of a group differ between its seeds."""
    spread = _of_mean(summary, detector, metric)
    if not spread or spread.n < 2:
        return f"One of the seeds of the group {summary.name}."
    return (
        f"In the group {summary.name} at epoch {summary.epoch}, mean {DEFINITIONS[metric].label} "
        f"by {detectors.label(detector)} is {spread.words()} (n = {spread.n})."
    )


def sets_in_words(summary: SeedSummary) -> str:
    """Name the OOD sets that all seeds share."""
    return ", ".join(summary.ood_sets) or "none"


def _of_mean(summary: SeedSummary, detector: str | None, metric: str) -> Spread | None:
    """Return the spread of the mean over the OOD sets at the last layer; None without a result."""
    if detector is None:
        return None
    layer = summary.members[0].layers[-1]
    return summary.spread("detection", metric, layer=layer, detector=detector, group="all")
