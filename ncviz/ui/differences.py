"""Tests of the difference in AUROC of two scores, with their verdict, for every page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ncviz import metrics
from ncviz.metrics import PairedTest
from ncviz.store import Run
from ncviz.ui import loaders, pairing
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
        """Return the increasing scores (N,) of all evaluated samples of a set."""
        return loaders.distribution(self.run, self.epoch, self.layer, self.detector, set_name)


@dataclass(frozen=True)
class AurocTest(PairedTest):
    """The difference in AUROC on one OOD set, and the samples that it was tested on.

    Attributes
    ----------
    paired : whether both scored the same samples
    samples : number of samples, for the table
    """

    paired: bool
    samples: str


def auroc_tests(one: Contender, two: Contender, sets: Iterable[str]) -> dict[str, AurocTest]:
    """Test the difference in AUROC on each set.

    DeLong's test is used where both scored the same ID samples and the same samples of the set,
    on those that both runs keep. Elsewhere the two AUROCs are independent, of all samples.
    """
    known = pairing.shared_samples(one.run, two.run, "test")
    tests = {}
    for name in sets:
        unknown = pairing.shared_samples(one.run, two.run, name)
        if known.suffice and unknown.suffice:
            test = metrics.delong(
                *(one.scores("test")[known.rows], one.scores(name)[unknown.rows]),
                *(two.scores("test")[known.others], two.scores(name)[unknown.others]),
            )
            samples = f"{len(known):,} + {len(unknown):,} paired"
        else:
            scores = [each.distribution(s) for each in (one, two) for s in ("test", name)]
            test = metrics.unpaired(*scores)
            first, second = (f"{len(scores[at]):,} + {len(scores[at + 1]):,}" for at in (0, 2))
            both = first if first == second else f"{first} and {second}"
            samples = f"{both} unpaired"
        paired = known.suffice and unknown.suffice
        tests[name] = AurocTest(**vars(test), paired=paired, samples=samples)
    return tests


def corrected(tests: Mapping[str, PairedTest]) -> dict[str, float]:
    """The p-value on each set after Holm's correction for their number."""
    values = metrics.holm([test.p_value for test in tests.values()])
    return dict(zip(tests, map(float, values), strict=True))


def verdict(first: str, second: str, tests: Mapping[str, PairedTest]) -> str:
    """Return on which sets the difference is significant after Holm's correction."""
    sure = {name: tests[name] for name, value in corrected(tests).items() if value < LEVEL}
    better = [plain(name) for name, test in sure.items() if test.difference > 0]
    worse = [plain(name) for name, test in sure.items() if test.difference < 0]
    if not sure:
        return (
            f"No significant difference between **{first}** and **{second}** on any set (corrected "
            f"p of {LEVEL} or more)."
        )
    parts = [f"better than **{second}** on {', '.join(better)}"] if better else []
    parts += [f"worse than **{second}** on {', '.join(worse)}"] if worse else []
    rest = [plain(name) for name in tests if name not in sure]
    end = f" No significant difference on {', '.join(rest)}." if rest else ""
    return f"**{first}** is significantly {' and '.join(parts)} (corrected p below {LEVEL}).{end}"


def about_kept(one: Contender, sets: Iterable[str]) -> str:
    """Return how many samples paired tests use where a run keeps fewer than were evaluated."""
    names = ("test", *sets)
    kept = [len(one.scores(name)) for name in names]
    evaluated = [len(one.distribution(name)) for name in names]
    if kept == evaluated:
        return ""
    return (
        f"Paired tests and their intervals use the samples that are kept: {kept[0]:,} of "
        f"{evaluated[0]:,} ID and {sum(kept[1:]):,} of {sum(evaluated[1:]):,} OOD samples. "
    )


def about_correction(sets: int) -> str:
    """What "p, corrected" means; empty for a single test."""
    if sets < 2:
        return ""
    return (
        f"{sets} sets are {sets} chances for a difference to look real by luck, so the last column "
        f"corrects for them (Holm: the smallest p times {sets}, the next times {sets - 1}, …). "
    )
