"""Where to cut a score: by a share kept or caught, by what mistakes cost, or by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ncviz import metrics, thresholds
from ncviz.thresholds import Costs
from ncviz.ui import controls

MODES = ("ID", "OOD", "accuracy", "cost", "score")
WRONG = "On the wrong side"


@dataclass(frozen=True)
class Samples:
    """Scores of a set and which of its samples a threshold may be chosen on.

    Attributes
    ----------
    scores : (N,) higher = more in-distribution
    calibration : (N,) bool; the others are those that the threshold is judged on
    """

    scores: np.ndarray
    calibration: np.ndarray

    @property
    def chosen_on(self) -> np.ndarray:
        """Scores of the calibration half."""
        return self.scores[self.calibration]

    @property
    def judged_on(self) -> np.ndarray:
        """Scores of the other half."""
        return self.scores[~self.calibration]

    def judges(self, *, by_hand: bool) -> np.ndarray:
        """(N,) bool, the samples that may judge a threshold: all of them one set `by_hand`."""
        return np.ones(len(self.scores), bool) if by_hand else ~self.calibration


@dataclass(frozen=True)
class Cut:
    """A threshold: samples at or above `value` are accepted as ID.

    `by_hand` says that it was not chosen on any sample, so that all may judge it.
    """

    value: float
    by_hand: bool


def choose_threshold(known: Samples, unknown: Mapping[str, Samples]) -> Cut:
    """The sidebar's threshold control."""
    mode = controls.switch(
        "Threshold set by",
        MODES,
        key="cut",
        wraps=True,
        help="ID: accept this share of the known samples. OOD: reject this share of the chosen OOD "
        "sets. accuracy: be right as often as possible on both. cost: cost as little as possible, "
        "for what each mistake costs. These look at one half of the samples and are judged on the "
        "other. score: cut where you like.",
    )
    if mode == "ID":
        share = controls.share("Share of ID accepted", key="accept")
        return Cut(metrics.threshold_at_tpr(known.chosen_on, share), by_hand=False)
    if mode == "score":
        return Cut(_by_hand(known, unknown), by_hand=True)
    pooled = np.concatenate([each.chosen_on for each in unknown.values()])
    if mode == "OOD":
        share = controls.share("Share of OOD rejected", key="reject")
        return Cut(thresholds.threshold_at_fpr(pooled, 1 - share), by_hand=False)
    costs = choose_costs() if mode == "cost" else Costs()
    return Cut(thresholds.choose(mode, known.chosen_on, pooled, costs=costs).value, by_hand=False)


def choose_costs() -> Costs:
    """What both mistakes cost, and how often OOD samples come."""
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


def _by_hand(known: Samples, unknown: Mapping[str, Samples]) -> float:
    everything = np.concatenate([each.scores for each in (known, *unknown.values())])
    low, high = (float(end) for end in np.quantile(everything, (0.001, 0.999)))
    if high <= low:
        low, high = low - 1, high + 1
    default = metrics.threshold_at_tpr(known.scores)
    return controls.number("Accept scores from", low, high, key="score", default=default)


def confusion(
    id_name: str,
    points: Mapping[str, metrics.OperatingPoint],
    groups: Mapping[str, str],
) -> pd.DataFrame:
    """Who lands on which side, as numbers: one row for the ID set, one for each OOD set."""
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
