"""Operating points: the threshold that keeps enough ID, stops enough OOD, or costs least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ncviz.errors import InvalidArrayError, InvalidOptionError, UnknownNameError
from ncviz.metrics import DEFAULT_TPR, threshold_at_tpr
from ncviz.metrics.ranking import Ranking, require_scores


@dataclass(frozen=True)
class Costs:
    """What mistakes cost, and how often OOD samples come.

    Attributes
    ----------
    ratio : what letting an OOD sample in costs, in units of turning an ID sample away
    ood_share : expected share of OOD among the samples to come
    """

    ratio: float = 1.0
    ood_share: float = 0.5

    def __post_init__(self) -> None:
        if not (0 < self.ratio < np.inf and 0 < self.ood_share < 1):
            raise InvalidOptionError(
                "The cost ratio must be a number above 0 and the share of OOD between 0 and 1; "
                f"got {self.ratio} and {self.ood_share}."
            )

    def of(self, accepted_ood: np.ndarray, accepted_id: np.ndarray) -> np.ndarray:
        """Expected cost of a sample, from the shares of OOD and of ID that are accepted."""
        return self.ood_share * self.ratio * accepted_ood + (1 - self.ood_share) * (1 - accepted_id)


@dataclass(frozen=True)
class Rule:
    """A rule that chooses a threshold, with the texts of the pages.

    Attributes
    ----------
    name : as the URL and the command line write it
    label : as a page writes it; ``{share}`` stands for the share that the rule promises
    explanation : one sentence
    needs_ood : whether it needs OOD scores
    """

    name: str
    label: str
    explanation: str
    needs_ood: bool


RULES: tuple[Rule, ...] = (
    Rule(
        "ID",
        "{share} of ID accepted",
        "The highest threshold that accepts this share of the ID test samples. Needs no OOD "
        "samples.",
        False,
    ),
    Rule(
        "OOD",
        "{share} of OOD rejected",
        "The lowest threshold that rejects this share of the OOD samples it is chosen on.",
        True,
    ),
    Rule(
        "accuracy",
        "best balanced accuracy",
        "The threshold with the best mean of the share of ID accepted and of OOD rejected.",
        True,
    ),
    Rule(
        "cost",
        "lowest expected cost",
        "The threshold with the lowest cost, for given costs of both mistakes and share of OOD.",
        True,
    ),
)
"""All rules; the only one that needs no OOD samples comes first."""


@dataclass(frozen=True)
class Criterion:
    """A rule with its settings: everything that decides where a threshold lies.

    Attributes
    ----------
    rule : name of one of `RULES`
    share : share of ID accepted (rule ``"ID"``) or of OOD rejected (rule ``"OOD"``)
    costs : for the rule ``"cost"``

    Raises
    ------
    UnknownNameError
        If there is no such rule.
    InvalidOptionError
        If the share is not in (0, 1].

    Examples
    --------
    >>> str(Criterion("ID")), str(Criterion("OOD", share=0.995)), Criterion("cost").needs_ood
    ('95% of ID accepted', '99.5% of OOD rejected', True)
    """

    rule: str = RULES[0].name
    share: float = DEFAULT_TPR
    costs: Costs = Costs()

    def __post_init__(self) -> None:
        _rule(self.rule)
        if not 0 < self.share <= 1:
            raise InvalidOptionError(
                f"The share of ID accepted or of OOD rejected must be in (0, 1]; got {self.share}."
            )

    @property
    def needs_ood(self) -> bool:
        """Whether the rule needs OOD scores."""
        return _rule(self.rule).needs_ood

    def __str__(self) -> str:
        return _rule(self.rule).label.format(share=f"{100 * self.share:.4g}%")


def _rule(name: str) -> Rule:
    by_name = {each.name: each for each in RULES}
    if name not in by_name:
        raise UnknownNameError("threshold rule", name, by_name)
    return by_name[name]


ID_95 = Criterion()
"""The rule behind FPR95, and behind every side of a sample that is shown without another rule."""


@dataclass(frozen=True)
class Threshold:
    """A chosen cut: samples that score at least `value` are accepted as known.

    Attributes
    ----------
    value : infinite where the rule can only be kept by accepting nothing
    rule : name of the rule
    """

    value: float
    rule: str

    def accepts(self, scores: np.ndarray) -> np.ndarray:
        """Which of `scores` are accepted."""
        # As float32, scores would pull a threshold just above one of them down to it.
        return np.asarray(scores, np.float64) >= self.value


def choose(
    rule: str,
    id_scores: np.ndarray,
    ood_scores: np.ndarray | None = None,
    *,
    share: float = DEFAULT_TPR,
    costs: Costs = Costs(),
) -> Threshold:
    """Return the threshold that `rule` chooses on these scores, higher = more in-distribution.

    Rates on OOD samples that a threshold was chosen on are biased: evaluate it on others
    (`SetScores`).

    Parameters
    ----------
    rule : name of one of `RULES`
    id_scores : (N,) of ID samples
    ood_scores : (M,) of OOD samples, for the rules that need them
    share : of ID accepted (rule ``"ID"``) or of OOD rejected (rule ``"OOD"``)
    costs : for the rule ``"cost"``

    Raises
    ------
    UnknownNameError
        If there is no such rule.
    InvalidArrayError
        If OOD scores are missing, or scores are empty, NaN or infinite.
    InvalidOptionError
        If the share is not in (0, 1].
    """
    criterion = Criterion(rule, share, costs)
    if not criterion.needs_ood:
        return Threshold(threshold_at_tpr(id_scores, share), rule)
    if ood_scores is None:
        raise InvalidArrayError(
            f"The rule '{rule}' needs OOD scores, but there are none. Choose "
            f"'{RULES[0].name}', or give scores of an OOD set."
        )
    ids, oods = require_scores(id_scores, "ID"), require_scores(ood_scores, "OOD")
    if rule == "OOD":
        return Threshold(threshold_at_fpr(oods, 1 - share), rule)
    # With equal costs, and as many OOD as ID, the cost is one minus the mean share that is right.
    return Threshold(_least(ids, oods, costs if rule == "cost" else Costs()), rule)


def threshold_at_fpr(ood_scores: np.ndarray, fpr: float) -> float:
    """The lowest threshold that accepts at most the share `fpr` of the OOD samples.

    Just above the score of the best sample that has to stay outside, so that all of equal score
    stay there too.
    """
    if not 0 <= fpr < 1:
        raise InvalidOptionError(f"The share of OOD to accept must lie in [0, 1); got {fpr}.")
    oods = np.sort(require_scores(ood_scores, "OOD"))[::-1]
    # The first that may not come in; rounding must not turn one away: 0.05 * 20 is one.
    outside = int(np.floor(fpr * len(oods) + 1e-9))
    with np.errstate(over="ignore"):  # above the largest number there is infinity alone
        return float(np.nextafter(oods[outside], np.inf))


def _least(ids: np.ndarray, oods: np.ndarray, costs: Costs) -> float:
    """The threshold of least cost; of equal ones the lowest, at which most is accepted."""
    ranking = Ranking.of(ids, oods)
    thresholds = np.r_[np.inf, ranking.thresholds][::-1]
    found = costs.of(np.r_[0.0, ranking.fpr], np.r_[0.0, ranking.tpr])[::-1]
    # Rounding must not decide between equal costs.
    return float(thresholds[np.argmax(found <= found.min() + 1e-14 * found.max())])
