"""What the OOD scores page asks in the sidebar: which score, which sets, where to cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from ncviz.thresholds import SetScores
from ncviz.ui import controls, detector, loaders, threshold
from ncviz.ui.view import View


@dataclass(frozen=True)
class Choice:
    """What the page alone needs from the sidebar.

    Attributes
    ----------
    known : scores of the ID test set by `detector`
    unknown : scores of each chosen OOD set
    compared : further detectors
    """

    detector: str
    known: SetScores
    unknown: Mapping[str, SetScores]
    cut: threshold.Cut
    compared: tuple[str, ...]
    positive: str
    log: bool

    @property
    def sets(self) -> list[str]:
        return list(self.unknown)


def choose(view: View, table: pd.DataFrame) -> Choice | None:
    """The controls in their order; None where no OOD set is chosen.

    `table` are the detection metrics of the epoch and layer.
    """
    names = detector.in_order(table["detector"])
    sets = [name for name in view.run.ood_sets if name in set(table["set"])]
    score = detector.choose(
        names,
        help="The score that is drawn and cut: a number for each sample, higher = more "
        "in-distribution.",
    )
    chosen = controls.choose_several(
        "OOD sets",
        sets,
        key="sets",
        default=sets,
        placeholder="Choose OOD sets",
    )
    if not chosen:
        return None
    known, *others = (
        loaders.set_scores(view.run, view.epoch, view.layer, score, name)
        for name in ("test", *chosen)
    )
    unknown = dict(zip(chosen, others, strict=True))
    cut = threshold.choose_cut(known, unknown)
    compared = controls.choose_several(
        "Compare with",
        [name for name in names if name != score],
        key="compare",
        words=detector.label,
        help="Further detectors for the curves and the table.",
        placeholder="Choose detectors",
    )
    positive = controls.switch("Precision and recall of", ["ID", "OOD"], key="positive")
    density = controls.switch(
        "Density axis",
        ["linear", "log"],
        key="density",
        help="log shows the tails of scores that pile up in one place, such as MSP's at 1.",
    )
    return Choice(
        detector=score,
        known=known,
        unknown=unknown,
        cut=cut,
        compared=tuple(compared),
        positive=positive,
        log=density == "log",
    )
