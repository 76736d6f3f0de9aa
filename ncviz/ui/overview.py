"""Overview: the runs, how collapse and detection moved in each, and where to look first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import streamlit as st

from ncviz.claims import Verdict, verdict
from ncviz.duplicates import in_words
from ncviz.estimates import Estimate, difference_of_independent
from ncviz.figures import RunTrend, Shown, collapse_and_auroc, training_curves
from ncviz.results import tables
from ncviz.results.headlines import HEADLINES
from ncviz.results.words import left_out
from ncviz.store import Run
from ncviz.ui import (
    board_loaders,
    components,
    detector,
    headlines,
    loaders,
    narrow,
    overview_seeds,
    overview_sets,
    report,
    shell,
    told,
    tour,
)
from ncviz.ui.components import number, percent, plain
from ncviz.ui.links import link
from ncviz.ui.navigation import NEURAL_COLLAPSE, OOD_SCORES, Page
from ncviz.ui.overview_sets import SharedSets
from ncviz.ui.view import View
from ncviz.without_head import unavailable_methods

MAX_PANELS = 9
GROUPS = {
    "near": "OOD sets that resemble the training data",
    "far": "OOD sets that look nothing like the training data",
}
CARDS_PER_ROW = 3


def body(view: View) -> None:
    """The page below its title."""
    listing = loaders.listing()
    # A run whose results are damaged says so on its card, and leaves the others to be seen.
    runs = {name: run for name, run in listing.runs.items() if run.epochs and loaders.is_sound(run)}
    shown_detector = detector.choose_among(runs.values(), help="The score whose AUROC is shown.")
    components.provenance(
        f"{len(listing.runs)} runs" if len(listing.runs) > 1 else "1 run",
        f"chosen: {view.shown}",
        loaders.computed_on(view.run),
        *left_out(view.run),
        f"epoch {view.run.epochs.index(view.epoch) + 1} of {len(view.run.epochs)} saved",
        "results written by scripts/evaluate.py",
    )
    with shell.readable_errors():
        _trends(runs, view, shown_detector)
    with shell.readable_errors():
        tour.show(runs)
    with shell.readable_errors():
        _key_numbers(view, shown_detector)
        report.offer(view, shown_detector)
    with shell.readable_errors():
        _training(view)
    with shell.readable_errors():
        overview_seeds.show(view, shown_detector)
    st.subheader("Runs", anchor=False)
    names = list(listing.runs)
    sets = overview_sets.shared_sets(runs, view, shown_detector)
    for start in range(0, len(names), CARDS_PER_ROW):
        row = st.container(key=f"{narrow.CARDS}_runs_{start}").columns(CARDS_PER_ROW)
        for column, name in zip(row, names[start : start + CARDS_PER_ROW], strict=False):
            with column.container(border=True, height="stretch"), shell.readable_errors():
                _run_card(listing.runs[name], view, shown_detector, sets)
    shell.report_problems(listing)


def _trends(runs: Mapping[str, Run], view: View, score: str | None) -> None:
    found = overview_sets.shared_sets(runs, view, score)
    trends = [trend for run in runs.values() if (trend := _trend(run, view, score, found))]
    if not trends:
        components.empty_state(
            "No run has results yet. Extraction writes what the network sees at each epoch, "
            "evaluation turns it into numbers:",
            *components.commands(view.run.name, imported=view.run.imported),
        )
        return
    if len(trends) > MAX_PANELS:
        trends.sort(key=lambda trend: trend.run != view.run.name)
    figure = collapse_and_auroc(
        trends[:MAX_PANELS],
        detector=detector.label(score) if score else "no detector",
        chosen=view.shown,
    )
    components.chart(figure, key="trends", alt=told.trends(trends[:MAX_PANELS]))
    unscored = [trend for trend in trends if not trend.auroc and _is_scored(runs[trend.run], trend)]
    if unscored:
        st.caption(
            f"No {plain(detector.label(score))} of: "
            + ", ".join(f"{plain(trend.run)} ({plain(trend.layer)})" for trend in unscored)
            + ". A layer without a head of its own has the detectors that look at features alone, "
            "and the energy of a linear probe: choose one of these, or the layer under the head."
        )
    if len(trends) > MAX_PANELS:
        st.caption(f"The chosen run and {MAX_PANELS - 1} of the {len(trends) - 1} others.")
    overview_sets.say(found)
    st.caption(
        "NC1 falls when samples of one class pull together. AUROC is the chance that a known "
        "sample scores higher than an unknown one: 1 is perfect, 0.5 (dashed line) is guessing. "
        "The dotted line marks the chosen epoch; the arrow keys ← → step through the saved ones."
    )


def _trend(run: Run, view: View, score: str | None, sets: SharedSets) -> RunTrend | None:
    """NC1 and AUROC of a run at the chosen layer; None where it has no results."""
    layer = overview_sets.layer_of(run, view)
    nc1 = tables.metric_series(loaders.collapse_table(run), layer, HEADLINES[0].metric)
    if not len(nc1.epochs):
        return None
    detection = loaders.detection_table(run)
    aurocs = tables.auroc_by_group(detection, layer, score, sets.of(run))
    return RunTrend(run.name, layer, nc1, tuple(aurocs.values()))


def _is_scored(run: Run, trend: RunTrend) -> bool:
    return trend.layer in set(loaders.detection_table(run)["layer"])


def _key_numbers(view: View, score: str | None) -> None:
    st.subheader(f"{plain(view.run.name)} at epoch {view.epoch}", anchor=False)
    before = view.previous_epoch
    epochs = (view.epoch, before)
    shown = [
        _card(
            "Test accuracy",
            [overview_sets.accuracy(view.run, epoch) for epoch in epochs],
            share=True,
            help="Share of test samples classified correctly.",
        )
    ]
    sets = tables.sets_by_kind(loaders.detection_table(view.run), view.layer, score)
    for kind, names in sets.items():
        if names:
            found = [
                overview_sets.auroc(view.run, n, view.layer, score, kind, names) for n in epochs
            ]
            listed = ", ".join(map(plain, names))
            words = f"Mean over {GROUPS[kind]} ({listed}), with {plain(detector.label(score))}."
            shown.append(_card(f"AUROC {kind}", found, help=words))
    table = loaders.collapse_table(view.run)
    if len(table):
        shown += list(headlines.cards(view, table))[:2]
    components.cards(shown, before)
    if view.run.without_features:
        st.caption(plain(view.run.without_features))
    elif view.without_head:
        st.caption(
            f"This run was {plain(view.without_head)} ({plain(unavailable_methods())}). Accuracy, "
            "confidence and scores come from the logits of the network itself."
        )
    for sentence in view.run.findings.values():
        st.warning(plain(sentence), icon=":material/warning:")
    shared = loaders.duplicates_table(view.run)
    if words := in_words(shared[shared["epoch"] == view.epoch].to_dict("records")):
        st.warning(plain(words), icon=":material/content_copy:")


def _card(
    label: str, found: Sequence[Estimate], *, help: str, share: bool = False
) -> components.Card:
    """A number that is better the higher it is, and whether its change is clear."""
    now, before = found
    change = difference_of_independent(now, before)
    return components.Card(
        label,
        *(None if np.isnan(each.value) else each.value for each in found),
        share=share,
        help=help,
        better="higher",
        clear=verdict(change, "above") in (Verdict.SUPPORTED, Verdict.CONTRADICTED),
    )


def _accuracy(run: Run, epoch: int | None) -> float | None:
    return tables.accuracy(loaders.history(run), board_loaders.calibration_table(run), epoch)


def _training(view: View) -> None:
    history = loaders.history(view.run)
    if history.empty:
        components.empty_state("This run was trained elsewhere: there is no history to draw.")
        return
    shown = Shown(view.run.name, view.epoch)
    figure = training_curves(history, shown=shown, saved=view.run.epochs)
    components.chart(figure, key="training", alt=told.training(history, view.run.name))


def _run_card(run: Run, view: View, score: str | None, sets: SharedSets) -> None:
    chosen = " :material/check_circle:" if run.name == view.run.name else ""
    st.markdown(f"#### {plain(run.name)}{chosen}")
    st.markdown(_description(run))
    if not run.epochs:
        st.caption("No epoch saved yet: the training is under way, or was interrupted.")
        return
    if story := _story(run, view, score, sets):
        st.markdown(story)
    else:
        st.caption("Not evaluated yet:")
        components.command_lines(*components.commands(run.name, imported=run.imported))
    with st.container(horizontal=True):
        for target in (NEURAL_COLLAPSE, OOD_SCORES):
            _link(target, run)


def _description(run: Run) -> str:
    model = run.recipe.get("model") or {}
    unknown = "trained elsewhere" if run.imported else "unknown"
    network = f"{model.get('backbone') or model.get('architecture', unknown)}"
    network += f", width {model['width']}" if "width" in model else ""
    history = loaders.history(run)
    saved = f"{len(run.epochs)} saved"
    lines = {
        "Data": f"{run.id_set}, {len(run.classes)} classes",
        "Network": network,
        "Epochs": f"{len(history)} trained, {saved}" if len(history) else saved,
        "Test accuracy": percent(_accuracy(run, max(run.epochs, default=None))),
        "OOD sets": ", ".join(f"{name} ({group})" for name, group in run.ood_sets.items())
        or "none",
    }
    return "  \n".join(f"**{name}** {plain(value)}" for name, value in lines.items())


def _story(run: Run, view: View, score: str | None, sets: SharedSets) -> str:
    """What happened over the epochs, in one sentence; empty without results."""
    trend = _trend(run, view, score, sets)
    if trend is None:
        return ""
    epochs = trend.nc1.epochs
    ends = (int(epochs[0]), int(epochs[-1]))
    values = tuple(map(number, (trend.nc1.values[0], trend.nc1.values[-1])))
    parts = [f"NC1 {_from_to(*values)}"]
    for kind, names in sets.of(run).items() if trend.auroc else ():
        found = [overview_sets.auroc(run, n, trend.layer, score, kind, names) for n in ends]
        if not any(np.isnan(each.value) for each in found):
            parts.append(f"AUROC on {kind} OOD {_movement(*found)}")
    when = f"From epoch {ends[0]} to {ends[1]}" if len(epochs) > 1 else f"At epoch {ends[0]}"
    by = f" ({detector.label(score)})" if trend.auroc else ""
    return plain(f"{when}, {'; '.join(parts)}{by}.")


def _from_to(first: str, last: str) -> str:
    return f"is {last}" if first == last else f"from {first} to {last}"


def _movement(first: Estimate, last: Estimate) -> str:
    """How a number moved, where the interval of the change excludes zero."""
    words = _from_to(f"{first.value:.2f}", f"{last.value:.2f}")
    result = verdict(difference_of_independent(last, first), "above")
    verb = {Verdict.SUPPORTED: "rose ", Verdict.CONTRADICTED: "fell "}.get(result, "")
    return verb + words if verb or words.startswith("is") else f"{words} ({result.value})"


def _link(target: Page, run: Run) -> None:
    def arrive() -> None:
        st.session_state["run"] = run.name

    key = f"_open_{target.title}_{run.name}"
    link(target, target.title, key=key, arrive=arrive, width="stretch")
