"""Compare: two of anything (runs, epochs, layers) side by side, and what changed between them."""

from __future__ import annotations

import streamlit as st

from ncviz.results.words import left_out
from ncviz.ui import (
    compare_geometry,
    compare_maps,
    compare_moves,
    compare_numbers,
    compare_scores,
    compare_seeds,
    components,
    controls,
    loaders,
    pairing,
    samples,
    shell,
)
from ncviz.ui.compare_reading import each_side, results_of, results_of_both
from ncviz.ui.compare_sides import SIDES, Pair, choose_detector, choose_other
from ncviz.ui.components import plain
from ncviz.ui.view import View

CHARTS = {
    "Distributions": compare_scores.distributions,
    "ROC": compare_scores.rocs,
    "Gram": compare_geometry.gram,
    "Map": compare_maps.maps,
    "Collapse": compare_geometry.collapse_over_epochs,
}
OF_SCORES = ("Distributions", "ROC")


def body(view: View) -> None:
    """The page below its title."""
    with st.sidebar:
        other = choose_other(view)
    if other == view:
        _nothing_to_compare(view)
        return
    with st.sidebar:
        pair = Pair(view, other, choose_detector(view, other))
    components.provenance(
        *map(str, pair.shown),
        _samples(pair),
        *_computed_on(pair),
        *dict.fromkeys(phrase for each in pair.views for phrase in left_out(each.run)),
        view.without_head,
    )
    chosen = controls.switch("Chart", list(CHARTS), key="chart", bare=True, wraps=True)
    with shell.readable_errors():
        CHARTS[chosen](pair)
    scored = results_of_both(pair) is not None
    if scored:
        with shell.readable_errors():
            compare_numbers.detection(pair)
    elif chosen not in OF_SCORES:
        each_side(pair, lambda at: results_of(pair, pair.views[at]))  # says what is missing
    with shell.readable_errors():
        compare_numbers.network(pair)
    with shell.readable_errors():
        compare_seeds.show(pair)
    if scored:
        with shell.readable_errors():
            compare_moves.show(pair)
    samples.show(view, pair.detector)


def _samples(pair: Pair) -> str:
    """Return whether both sides scored the same samples, which decides on the tests."""
    if pair.a.run == pair.b.run:
        return "the same samples on both sides"
    if pair.a.run.id_set != pair.b.run.id_set:
        return "trained on different data"
    shared, sets = len(pair.paired), len(set(pair.a.run.ood_sets) & set(pair.b.run.ood_sets))
    if shared:
        return f"the same samples in the ID test set and {shared} of {sets} shared OOD sets"
    if pairing.have_identity(pair.a.run, pair.b.run):
        return "different samples: unpaired tests"
    return "samples without identity: unpaired tests"


def _computed_on(pair: Pair) -> list[str]:
    """Return the sample counts of both sides, once where they are the same."""
    counts = [loaders.computed_on(each.run) for each in pair.views]
    if counts[0] == counts[1]:
        return counts[:1]
    return [f"{side}: {count}" for side, count in zip(SIDES, counts, strict=True) if count]


def _nothing_to_compare(view: View) -> None:
    run = view.run
    if len(run.epochs) > 1 or len(loaders.listing().runs) > 1 or len(run.layers) > 1:
        components.empty_state(
            f"Both sides show {plain(view.shown)}. Choose another run, epoch or layer for B in the "
            "sidebar, or step A to another epoch."
        )
        return
    components.empty_state(
        f"There is nothing to compare yet: {plain(run.name)} has one saved epoch and one layer, "
        "and there is no other run. These commands make a second one:",
        "python scripts/train.py RECIPE --run another",
        *components.commands("another"),
    )
