"""Whether two scores tell ID from OOD differently by more than luck: for every page that asks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ncviz import metrics
from ncviz.metrics import PairedTest
from ncviz.store import Run
from ncviz.ui import loaders
from ncviz.ui.components import plain

LEVEL = 0.05


@dataclass(frozen=True)
class Contender:
    """A detector at one epoch and layer of a run."""

    run: Run
    epoch: int
    layer: str
    detector: str

    def scores(self, set_name: str) -> np.ndarray:
        """Return the scores (k,) of the kept samples of a set, for paired comparisons."""
        return loaders.scores(self.run, self.epoch, self.layer, self.detector, set_name)

    def distribution(self, set_name: str) -> np.ndarray:
        """Return the increasing scores (n,) of all evaluated samples of a set."""
        return loaders.distribution(self.run, self.epoch, self.layer, self.detector, set_name)


def auroc_tests(
    one: Contender, two: Contender, sets: Iterable[str], *, paired: Collection[str]
) -> dict[str, PairedTest]:
    """The difference in AUROC on each set: DeLong's test where its samples are the same for both.

    `paired` are the sets of which both scored the same samples, and the same ID samples beside
    them; on others the two AUROCs count as independent. Paired tests use the kept samples, the
    others all evaluated samples.
    """
    tests = {}
    for name in sets:
        if name in paired:
            pairs = (each.scores(s) for each in (one, two) for s in ("test", name))
            tests[name] = metrics.delong(*pairs)
        else:
            pairs = (each.distribution(s) for each in (one, two) for s in ("test", name))
            tests[name] = metrics.unpaired(*pairs)
    return tests


def corrected(tests: Mapping[str, PairedTest]) -> dict[str, float]:
    """The p-value on each set after Holm's correction for their number."""
    values = metrics.holm([test.p_value for test in tests.values()])
    return dict(zip(tests, map(float, values), strict=True))


def verdict(first: str, second: str, tests: Mapping[str, PairedTest]) -> str:
    """In one sentence, on which sets the difference is more than luck."""
    sure = {name: tests[name] for name, value in corrected(tests).items() if value < LEVEL}
    better = [plain(name) for name, test in sure.items() if test.difference > 0]
    worse = [plain(name) for name, test in sure.items() if test.difference < 0]
    if not sure:
        return (
            f"These samples cannot tell **{first}** and **{second}** apart on any set: every "
            f"difference could be luck (corrected p of {LEVEL} or more)."
        )
    parts = [f"better than **{second}** on {', '.join(better)}"] if better else []
    parts += [f"worse than **{second}** on {', '.join(worse)}"] if worse else []
    rest = len(tests) - len(sure)
    end = f"; on the other {rest} the difference could be luck" if rest else ""
    return (
        f"**{first}** is {' and '.join(parts)} by more than luck explains "
        f"(corrected p below {LEVEL}){end}."
    )


def about_correction(sets: int) -> str:
    """What "p, corrected" means; empty for a single test."""
    if sets < 2:
        return ""
    return (
        f"{sets} sets are {sets} chances for a difference to look real by luck, so the last column "
        f"corrects for them (Holm: the smallest p times {sets}, the next times {sets - 1}, …). "
    )
