"""Tests across seeds on the Compare page: two seed groups, one observation for each seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import streamlit as st

from ncviz import metrics
from ncviz.collapse import METRICS
from ncviz.metrics import DEFINITIONS
from ncviz.results import seeds
from ncviz.results.headlines import HEADLINES
from ncviz.seed_groups import SeedSummary
from ncviz.ui import seed_loaders
from ncviz.ui.compare_sides import Pair
from ncviz.ui.compare_tables import Difference, as_frame, better_side, row_shades, show_table
from ncviz.ui.components import plain
from ncviz.ui.differences import LEVEL

_DETECTION = ("auroc", "fpr95")


def show(pair: Pair) -> None:
    """Compare the seed groups of both sides; say why there is no test otherwise."""
    st.subheader("What changed over seeds", anchor=False)
    found = [seed_loaders.summary_of(view.run, view.epoch) for view in pair.views]
    if reason := _why_no_test(pair, found):
        st.caption(reason)
        return
    shared = set(found[0].ood_sets) & set(found[1].ood_sets)
    one, two = (
        seed_loaders.summary(summary.group, summary.epoch, only_sets=shared) for summary in found
    )
    rows = _corrected(list(_rows(pair, one, two)))
    if not rows:
        st.caption("No result was measured in two or more seeds of both groups.")
        return
    show_table(
        as_frame(rows, of="Measure"),
        row_shades(rows, each_alone=True),
        name="compare-seeds",
        alt="Differences between two seed groups with Welch's t-test",
        formats={"A": "%.4g", "B": "%.4g", "A − B": "%+.3g"},
    )
    sets = ", ".join(name for name in one.ood_sets) or "none"
    st.caption(
        f"A: {plain(one.name)}, epoch {one.epoch}. B: {plain(two.name)}, epoch {two.epoch}. "
        "Welch's t-test on the results of single trainings, one observation for each seed, "
        "two-sided, with Holm's correction for the rows. n: seeds of A and B. With so few seeds "
        "only large differences are significant. Detection: mean over the OOD sets that all runs "
        f"share ({plain(sets)})."
    )


def _why_no_test(pair: Pair, found: list[SeedSummary | None]) -> str:
    """Return why seeds are not compared, with what is known of the variance over seeds."""
    first, second = found
    if first and second and pair.b.run not in first.group:
        return ""
    if first and second:
        what = (
            "Both sides are one run"
            if pair.a.run == pair.b.run
            else "A and B are seeds of one group, so their difference is variance over seeds"
        )
        return f"No test across seeds. {what}. {plain(seeds.known(first, pair.detector))}"
    parts = {
        f"{plain(view.run.name)}: {plain(seed_loaders.in_words(view.run, pair.detector))}"
        for view, summary in zip(pair.views, found, strict=True)
        if summary is None
    }
    return (
        "No test across seeds: it requires two or more seeds on both sides. "
        f"{' '.join(sorted(parts))}"
    )


def _rows(pair: Pair, one: SeedSummary, two: SeedSummary) -> Iterator[Difference]:
    layers = [view.layer for view in pair.views]
    which = [{"kind": "accuracy", "metric": "accuracy"}] * 2
    yield from _row("Test accuracy", "higher", one, two, which)
    for headline in HEADLINES:
        info = METRICS[headline.metric]
        which = [{"kind": "collapse", "metric": info.name, "layer": layer} for layer in layers]
        yield from _row(info.label, info.direction, one, two, which)
    for metric in _DETECTION if pair.detector else ():
        info = DEFINITIONS[metric]
        which = [
            {"kind": "detection", "metric": metric, "layer": layer, "group": "all"}
            | {"detector": pair.detector}
            for layer in layers
        ]
        yield from _row(f"Mean {info.label} by {pair.label}", info.direction, one, two, which)


def _row(
    name: str,
    direction: str,
    one: SeedSummary,
    two: SeedSummary,
    which: list[dict[str, str]],
) -> Iterator[Difference]:
    """Yield the test of one result; nothing where a group has it for fewer than two seeds."""
    a, b = (
        summary.select(**each)["value"].to_numpy(np.float64)
        for summary, each in zip((one, two), which, strict=True)
    )
    if min(len(a), len(b)) < 2:
        return
    test = metrics.welch(a, b)
    yield Difference(
        name,
        f"n = {len(a)} and {len(b)}",
        *(test.first, test.second, test.low, test.high, test.p_value),
        better=better_side(direction, test.first, test.second),
    )


def _corrected(rows: list[Difference]) -> list[Difference]:
    """Add Holm's correction over the rows that were tested."""
    raised = iter(metrics.holm([row.p for row in rows if np.isfinite(row.p)]))
    found = []
    for row in rows:
        if np.isfinite(row.p):
            corrected = float(next(raised))
            row = replace(row, corrected=corrected, sure=corrected < LEVEL)
        found.append(row)
    return found
