"""Overview: the runs, how collapse and detection moved in each, and where to look first."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from ncviz.duplicates import in_words
from ncviz.figures import RunTrend, Series, Shown, collapse_and_auroc, training_curves
from ncviz.results import tables
from ncviz.results.headlines import HEADLINES
from ncviz.store import Run
from ncviz.ui import (
    board_loaders,
    components,
    detector,
    headlines,
    loaders,
    report,
    shell,
    told,
    tour,
)
from ncviz.ui.components import number, percent, plain
from ncviz.ui.links import link
from ncviz.ui.navigation import NEURAL_COLLAPSE, OOD_SCORES, Page
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
    st.subheader("Runs", anchor=False)
    names = list(listing.runs)
    for start in range(0, len(names), CARDS_PER_ROW):
        row = st.columns(CARDS_PER_ROW)
        for column, name in zip(row, names[start : start + CARDS_PER_ROW], strict=False):
            with column.container(border=True, height="stretch"), shell.readable_errors():
                _run_card(listing.runs[name], view, shown_detector)
    shell.report_problems(listing)


def _trends(runs: Mapping[str, Run], view: View, score: str | None) -> None:
    trends = [trend for run in runs.values() if (trend := _trend(run, view, score))]
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
    st.caption(
        "NC1 falls when samples of one class pull together. AUROC is the chance that a known "
        "sample scores higher than an unknown one: 1 is perfect, 0.5 (dashed line) is guessing. "
        "The dotted line marks the chosen epoch; the arrow keys ← → step through the saved ones."
    )


def _trend(run: Run, view: View, score: str | None) -> RunTrend | None:
    """NC1 and AUROC of a run at the chosen layer; None where it has no results.

    Under the head means so in every run, whatever the layer is called there.
    """
    under_head = view.layer == view.run.layers[-1]
    layer = view.layer if view.layer in run.layers and not under_head else run.layers[-1]
    nc1 = tables.metric_series(loaders.collapse_table(run), layer, HEADLINES[0].metric)
    if not len(nc1.epochs):
        return None
    return RunTrend(run.name, layer, nc1, tuple(_aurocs(run, layer, score).values()))


def _is_scored(run: Run, trend: RunTrend) -> bool:
    return trend.layer in set(loaders.detection_table(run)["layer"])


def _aurocs(run: Run, layer: str, score: str | None) -> dict[str, Series]:
    """AUROC over epochs for each kind of OOD set that was scored."""
    return tables.auroc_by_group(loaders.detection_table(run), layer, score)


def _key_numbers(view: View, score: str | None) -> None:
    st.subheader(f"{plain(view.run.name)} at epoch {view.epoch}", anchor=False)
    before = view.previous_epoch
    shown = [
        components.Card(
            "Test accuracy",
            *(_accuracy(view.run, epoch) for epoch in (view.epoch, before)),
            share=True,
            help="Share of test samples classified correctly.",
            better="higher",
        )
    ]
    shown += [
        components.Card(
            f"AUROC {group}",
            *(tables.at_epoch(series, epoch) for epoch in (view.epoch, before)),
            help=f"Mean over {GROUPS[group]}, with {detector.label(score)}.",
            better="higher",
        )
        for group, series in _aurocs(view.run, view.layer, score).items()
    ]
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


def _run_card(run: Run, view: View, score: str | None) -> None:
    chosen = " :material/check_circle:" if run.name == view.run.name else ""
    st.markdown(f"#### {plain(run.name)}{chosen}")
    st.markdown(_description(run))
    if not run.epochs:
        st.caption("No epoch saved yet: the training is under way, or was interrupted.")
        return
    if trend := _trend(run, view, score):
        st.markdown(_story(trend, score))
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


def _story(trend: RunTrend, score: str | None) -> str:
    """What happened over the epochs, in one sentence."""
    epochs = trend.nc1.epochs
    lines = [("NC1", trend.nc1, number)]
    lines += [(series.name, series, lambda value: f"{value:.2f}") for series in trend.auroc]
    parts = [
        f"{name} {_movement(series.values[0], series.values[-1], words)}"
        for name, series, words in lines
    ]
    when = f"From epoch {epochs[0]} to {epochs[-1]}" if len(epochs) > 1 else f"At epoch {epochs[0]}"
    by = f" ({detector.label(score)})" if trend.auroc else ""
    return plain(f"{when}, {'; '.join(parts)}{by}.")


def _movement(first: float, last: float, words: Callable[[float], str]) -> str:
    if words(first) == words(last):
        return f"is {words(last)}"
    return f"{'fell' if last < first else 'rose'} from {words(first)} to {words(last)}"


def _link(target: Page, run: Run) -> None:
    def arrive() -> None:
        st.session_state["run"] = run.name

    key = f"_open_{target.title}_{run.name}"
    link(target, target.title, key=key, arrive=arrive, width="stretch")
