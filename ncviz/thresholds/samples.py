"""Scores of a set: which of them a threshold is chosen on, and which it is evaluated on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ncviz.errors import InvalidArrayError
from ncviz.thresholds.operating import Criterion, Threshold, choose


@dataclass(frozen=True)
class SetScores:
    """Scores of one set: those of all evaluated samples, and those of the kept samples.

    Never index one by positions in the other: a packed run keeps fewer samples than it evaluated.

    Attributes
    ----------
    evaluated : (n,) increasing scores of all evaluated samples
    kept : (k,) scores of the kept samples, in the order of the samples
    calibration : (k,) bool, the half of the kept samples that rules which need OOD samples choose
        on; such a threshold is evaluated on the other half

    Raises
    ------
    InvalidArrayError
        If `kept` and `calibration` differ in length.
    """

    evaluated: np.ndarray
    kept: np.ndarray
    calibration: np.ndarray

    def __post_init__(self) -> None:
        if np.shape(self.kept) != np.shape(self.calibration):
            raise InvalidArrayError(
                f"{np.size(self.kept):,} kept samples have {np.size(self.calibration):,} marks of "
                "the calibration half; expected one for each sample."
            )

    @property
    def chosen_on(self) -> np.ndarray:
        """Scores of the calibration half."""
        return self.kept[self.calibration]

    def judged_on(self, *, halves: bool) -> np.ndarray:
        """Return the scores that a threshold is evaluated on.

        Parameters
        ----------
        halves : whether the threshold was chosen on the calibration half (`Criterion.needs_ood`);
            all evaluated samples count otherwise
        """
        return self.kept[~self.calibration] if halves else self.evaluated

    def listed(self, *, halves: bool) -> np.ndarray:
        """Return (k,) bool, the kept samples among those that `judged_on` returns."""
        return ~self.calibration if halves else np.ones(len(self.kept), bool)


def choose_threshold(
    criterion: Criterion, known: SetScores, unknown: Iterable[SetScores] = ()
) -> Threshold:
    """Return the threshold of a criterion: every page and command takes it from here.

    A rule that needs only ID scores uses all evaluated ID samples. The others use the calibration
    half of the kept samples of both kinds; OOD sets are pooled.

    Parameters
    ----------
    known : scores of the ID test set
    unknown : scores of each OOD set

    Raises
    ------
    InvalidArrayError
        If the rule needs OOD scores and there are none.
    """
    if not criterion.needs_ood:
        return choose(criterion.rule, known.evaluated, share=criterion.share)
    pools = [each.chosen_on for each in unknown]
    pooled = np.concatenate(pools) if pools else None
    return choose(
        criterion.rule, known.chosen_on, pooled, share=criterion.share, costs=criterion.costs
    )
