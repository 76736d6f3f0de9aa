"""Known or unknown: an image's scores against an operating point, with a p-value beside each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ncviz.inference.reference import Reference
from ncviz.thresholds import p_values

WORDS = {True: "known", False: "unknown"}


@dataclass(frozen=True)
class Verdict:
    """What one detector says of one image.

    Attributes
    ----------
    score, threshold : the image counts as known if its score is at least the threshold
    p_value : conformal, (1 + number of ID test samples that score as low or lower) / (1 + number of
        ID test samples): small where hardly any known sample is as unusual. If the image comes
        from where the ID test set does, it is at most a with a probability of at most a.
    """

    detector: str
    score: float
    threshold: float
    p_value: float

    @property
    def known(self) -> bool:
        return self.score >= self.threshold

    @property
    def word(self) -> str:
        return WORDS[self.known]


@dataclass(frozen=True)
class Agreement:
    """How many detectors say unknown. A count, no probability: they look at the same features."""

    unknown: int
    detectors: int

    def __str__(self) -> str:
        return f"{self.unknown} of {self.detectors}"


def judge(
    scores: Mapping[str, float], reference: Reference, thresholds: Mapping[str, float]
) -> dict[str, Verdict]:
    """The verdict of each detector that has a threshold, in the order of the thresholds."""
    return {
        name: Verdict(
            detector=name,
            score=scores[name],
            threshold=threshold,
            p_value=float(p_values(reference.known[name], np.array([scores[name]]))[0]),
        )
        for name, threshold in thresholds.items()
    }


def agree(verdicts: Sequence[Verdict]) -> Agreement:
    """How many of the verdicts are unknown."""
    return Agreement(sum(not verdict.known for verdict in verdicts), len(verdicts))
