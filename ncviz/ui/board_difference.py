"""A tab of the Leaderboard: whether one score tells ID from OOD better than another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st

from ncviz.figures import Board
from ncviz.figures import differences as draw_differences
from ncviz.figures.theme import ood_style
from ncviz.store import Run
from ncviz.ui import components, controls, detector, loaders, pairing, told
from ncviz.ui.components import plain
from ncviz.ui.differences import (
    AurocTest,
    Contender,
    about_correction,
    about_kept,
    auroc_tests,
    corrected,
    verdict,
)
from ncviz.ui.view import View

FIRST, SECOND = "AUROC, first", "AUROC, second"


def show(view: View, board: Board, sets: Mapping[str, str]) -> None:
    """The tab: two scores, and the difference of their AUROCs on each set."""
    left, right, place = st.columns(3)
    names = detector.in_order(board.detectors)
    with place:
        other = _choose_run(view)
    with left:
        first = controls.choose(
            "First score", names, key="first", default="energy", words=detector.label
        )
    epoch, layer = _place(view, other)
    theirs = _scored(other, epoch, layer)
    if not theirs:
        components.empty_state(
            f"{plain(other.name)} has no detection results at epoch {epoch}, layer {plain(layer)}. "
            "Make them with:",
            *components.commands(other.name, imported=other.imported),
        )
        return
    with right:
        default = "msp" if "msp" in theirs else next((n for n in theirs if n != first), theirs[0])
        second = controls.choose(
            "Second score", theirs, key="second", default=default, words=detector.label
        )
    one = Contender(view.run, view.epoch, view.layer, first)
    two = Contender(other, epoch, layer, second)
    if one == two:
        components.empty_state("Choose two different scores, or the same of another run.")
        return
    shared = [name for name in sets if name in other.ood_sets]
    if not shared:
        components.empty_state("The two runs share none of the OOD sets shown.")
        return
    _compare(view, one, two, {name: sets[name] for name in shared})


def _choose_run(view: View) -> Run:
    """Return the run of the second score: this, or one with the same ID data set."""
    runs = {view.run.name: view.run}
    for name, run in loaders.listing().runs.items():
        if run.epochs and run.id_set == view.run.id_set and loaders.is_sound(run):
            runs.setdefault(name, run)
    return runs[
        controls.choose(
            "Second score's run",
            list(runs),
            key="against",
            help="Runs with the same ID data set. Where both scored the same samples, the test is "
            "paired.",
        )
    ]


def _place(view: View, other: Run) -> tuple[int, str]:
    """The epoch and layer of the other run that are closest to what the page shows."""
    if other == view.run:
        return view.epoch, view.layer
    epoch = view.epoch if view.epoch in other.epochs else other.epochs[-1]
    return epoch, view.layer if view.layer in other.layers else other.layers[-1]


def _scored(run: Run, epoch: int, layer: str) -> list[str]:
    table = loaders.detection_table(run)
    here = table[(table["epoch"] == epoch) & (table["layer"] == layer)]
    return detector.in_order(here["detector"])


def _compare(view: View, one: Contender, two: Contender, sets: Mapping[str, str]) -> None:
    tests = auroc_tests(one, two, sets)
    labels = _names(one, two)
    st.markdown(verdict(*(plain(label) for label in labels), tests))
    found = tests.values()
    order = list(view.run.ood_sets)
    figure = draw_differences(
        list(tests),
        *(np.array([getattr(t, part) for t in found]) for part in ("difference", "low", "high")),
        title="Difference in AUROC",
        axis="first better to the right of 0, second to the left",
        styles=[ood_style(order.index(name)) for name in tests],
        shown=f"{labels[0]} minus {labels[1]} · {view.shown}",
    )
    ends = {name: (test.difference, test.low, test.high) for name, test in tests.items()}
    components.chart(figure, key="board_difference", alt=told.differences(*labels, ends))
    components.table(
        _frame(tests, sets),
        name="differences",
        shown=view.shown,
        config=_config(),
        alt="Difference in AUROC on each OOD set, with its interval and p-value",
    )
    st.caption(_about_test(one, two.run, tests))


def _about_test(one: Contender, other: Run, tests: Mapping[str, AurocTest]) -> str:
    paired = [plain(name) for name, test in tests.items() if test.paired]
    kept = about_kept(one, [name for name, test in tests.items() if test.paired])
    if kept:
        kept += "All columns are of these; the board is of all samples. "
    if len(paired) == len(tests):
        how = "DeLong's test on the same samples, two-sided."
    elif paired:
        how = (
            f"DeLong's test, two-sided; paired on {', '.join(paired)}, where both runs scored the "
            "same samples, elsewhere unpaired."
        )
    else:
        how = f"{pairing.why_unpaired(one.run, other)} DeLong's variances, two-sided."
    return (
        f"{how} {kept}p: how often a difference at least this "
        f"large would come up if there were none. {about_correction(len(tests))}Choosing the pair "
        "after a look at the board adds more such chances, which nothing here corrects for. The "
        "test speaks about other test samples for these trained networks, not about training again."
    )


def _names(one: Contender, two: Contender) -> tuple[str, str]:
    names = detector.label(one.detector), detector.label(two.detector)
    if one.run == two.run:
        return names
    return (
        f"{names[0]} of {one.run.name}",
        f"{names[1]} of {two.run.name} (epoch {two.epoch}, {two.layer})",
    )


def _frame(tests: Mapping[str, AurocTest], sets: Mapping[str, str]) -> pd.DataFrame:
    raised = corrected(tests)
    return pd.DataFrame(
        {
            "OOD set": name,
            "Kind": sets[name],
            FIRST: test.first,
            SECOND: test.second,
            "Difference": test.difference,
            "Low": test.low,
            "High": test.high,
            "p": test.p_value,
            "p, corrected": raised[name],
            "Samples": test.samples,
        }
        for name, test in tests.items()
    )


def _config() -> dict:
    config = {
        name: st.column_config.NumberColumn(format="%.3f") for name in (FIRST, SECOND, "Difference")
    }
    config |= {
        name: st.column_config.NumberColumn(
            format="%.3f", help="End of the 95% interval of the difference."
        )
        for name in ("Low", "High")
    }
    # Tiny p-values would all be written as 0.
    return config | {
        name: st.column_config.NumberColumn(format="%.2g", width=width)
        for name, width in (("p", 85), ("p, corrected", None))
    }
