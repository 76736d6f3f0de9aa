"""Sidebar controls of the threshold, its guarantee, and the counts on both sides of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ncviz import metrics, thresholds
from ncviz.thresholds import RULES, Costs, Criterion, SetScores
from ncviz.ui import controls

BY_HAND = "score"
"""Name of the control's option that is no rule: the user sets the threshold."""
WRONG = "On the wrong side"


@dataclass(frozen=True)
class Cut:
    """A threshold: samples at or above `value` are accepted as ID.

    Attributes
    ----------
    criterion : None where the user set the value
    """

    value: float
    criterion: Criterion | None

    @property
    def halves(self) -> bool:
        """Whether it was chosen on one half of the kept samples, so that the other evaluates it."""
        return self.criterion is not None and self.criterion.needs_ood


def choose_cut(known: SetScores, unknown: Mapping[str, SetScores]) -> Cut:
    """The sidebar's threshold control, with the option to set the score by hand."""
    criterion = choose_criterion(has_ood=True, by_hand=True)
    if criterion is None:
        return Cut(_by_hand(known, unknown), None)
    found = thresholds.choose_threshold(criterion, known, unknown.values())
    return Cut(found.value, criterion)


def choose_criterion(*, has_ood: bool, by_hand: bool = False) -> Criterion | None:
    """Return the rule chosen in the sidebar, the same on all pages; None for "by hand".

    Parameters
    ----------
    has_ood : whether the run has OOD samples, which most rules need
    by_hand : whether the page offers to set the threshold by hand
    """
    rules = [rule for rule in RULES if has_ood or not rule.needs_ood]
    words = [f"{rule.name}: {rule.explanation}" for rule in rules]
    if by_hand:
        words.append(f"{BY_HAND}: set the threshold by hand.")
    name = controls.switch(
        "Threshold set by",
        [rule.name for rule in rules] + ([BY_HAND] if by_hand else []),
        key="cut",
        wraps=True,
        help=" ".join(words),
    )
    if name == BY_HAND:
        return None
    share, costs = metrics.DEFAULT_TPR, Costs()
    if name == "ID":
        share = controls.share("Share of ID accepted", key="accept")
    elif name == "OOD":
        share = controls.share("Share of OOD rejected", key="reject")
    elif name == "cost":
        costs = _choose_costs()
    return Criterion(name, share, costs)


def _choose_costs() -> Costs:
    ratio = controls.number(
        "Cost of letting OOD in",
        0.1,
        10.0,
        key="ratio",
        default=1.0,
        help="In units of what turning a known sample away costs.",
    )
    share = controls.number(
        "Expected share of OOD",
        0.01,
        0.99,
        key="expected",
        default=0.5,
        help="How many of the samples to come are OOD; in the test sets here it says nothing.",
    )
    return Costs(ratio, share)


def _by_hand(known: SetScores, unknown: Mapping[str, SetScores]) -> float:
    everything = np.concatenate([each.evaluated for each in (known, *unknown.values())])
    low, high = (float(end) for end in np.quantile(everything, (0.001, 0.999)))
    if high <= low:
        low, high = low - 1, high + 1
    default = metrics.threshold_at_tpr(known.evaluated)
    return controls.number("Accept scores from", low, high, key="score", default=default)


def confusion(
    id_name: str,
    points: Mapping[str, metrics.OperatingPoint],
    groups: Mapping[str, str],
) -> pd.DataFrame:
    """Return the counts on both sides: one row for the ID set, one for each OOD set."""
    first = next(iter(points.values()))
    rows = [
        _row(f"{id_name} (test)", "ID", first.id_accepted, first.id_rejected, wrong=1 - first.tpr)
    ]
    rows += [
        _row(name, f"{groups[name]} OOD", point.ood_accepted, point.ood_rejected, wrong=point.fpr)
        for name, point in points.items()
    ]
    return pd.DataFrame(rows)


def _row(name: str, kind: str, accepted: int, rejected: int, *, wrong: float) -> dict:
    return {
        "Set": name,
        "Kind": kind,
        "Samples": accepted + rejected,
        "Accepted as ID": accepted,
        "Rejected as OOD": rejected,
        WRONG: wrong,
    }
