"""The pair of classes a reader has picked: chosen, told in words, over epochs, as samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from ncviz.errors import MissingDataError, NcvizError
from ncviz.figures import Shown, TakenFor, pair_confusion, pair_cosines
from ncviz.figures.theme import signed
from ncviz.literal import distinct
from ncviz.store import Run
from ncviz.ui import components, controls, gram_loaders, loaders, selection, shell
from ncviz.ui.components import plain
from ncviz.ui.view import View

CLASS_A, CLASS_B = "class_a", "class_b"
# What a cosine of this size changes cannot be seen in three digits.
_NOTHING = 0.0005


@dataclass(frozen=True)
class Pair:
    """A pair of different classes with their names, which no other class has."""

    first: int
    second: int
    names: tuple[str, str]


def pick(run: Run, first: int, second: int) -> None:
    """Choose a pair of classes; belongs into callbacks."""
    names = distinct(run.classes)
    st.session_state[CLASS_A], st.session_state[CLASS_B] = names[first], names[second]


def choose(run: Run) -> Pair | None:
    """Two lists of the classes; None while both are at the same one."""
    names = distinct(run.classes)
    default = [names[label] for label in _default(run)]
    if any(st.session_state.get(key, names[0]) not in names for key in (CLASS_A, CLASS_B)):
        # Of another run's pair both go, or what is left could meet itself.
        st.session_state[CLASS_A], st.session_state[CLASS_B] = default
    left, right = st.columns(2)
    with left:
        first = controls.choose("Class A", names, key=CLASS_A, default=default[0])
    with right:
        other = default[0] if first == default[1] else default[1]
        second = controls.choose("Class B", names, key=CLASS_B, default=other)
    if first == second:
        st.info(
            "Class A and class B are the same. Choose two different ones, or click a cell.",
            icon=":material/info:",
        )
        return None
    return Pair(names.index(first), names.index(second), (first, second))


def _default(run: Run) -> tuple[int, int]:
    try:
        pair = gram_loaders.farthest_pair(run)
    except MissingDataError:  # of the layer under the head, while another has statistics
        return 0, 1
    return pair.first, pair.second


def show(view: View, pair: Pair) -> None:
    """The pair in words, over epochs, and its samples."""
    with shell.readable_errors():
        st.markdown(cosine_in_words(view, pair))
    found = gram_loaders.predictions_over_epochs(view.run)
    if view.epoch in found:
        st.markdown(confusion_in_words(found[view.epoch], pair))
    else:
        _explain_no_predictions(view)
    left, right = st.columns(2, gap="medium")
    with left, shell.readable_errors():
        _cosines(view, pair)
    if found:
        with right, shell.readable_errors():
            _confusion(view, pair, found)
    if view.epoch in found:
        _offer_samples(view, pair, found[view.epoch])


def cosine_in_words(view: View, pair: Pair) -> str:
    """How far the pair is from the simplex ETF, and how many pairs are farther."""
    gram = loaders.geometry(view.run, view.epoch, view.layer).gram
    ideal = -1 / (len(gram) - 1)
    cosine = float(gram[pair.first, pair.second])
    excess = cosine - ideal
    first, second = (f"**{plain(name)}**" for name in pair.names)
    told = (
        f"{first} and {second} have a cosine of {signed(cosine)} at epoch {view.epoch}, "
        f"layer {plain(view.layer)}"
    )
    if abs(excess) < _NOTHING:
        return f"{told}: as far apart as a simplex ETF would have them."
    way = "closer together" if excess > 0 else "farther apart"
    told += f": {abs(excess):.3f} {way} than the {signed(ideal)} of a simplex ETF."
    between = gram[np.triu_indices(len(gram), k=1)]
    farther = int((np.abs(between - ideal) > abs(excess) + 1e-12).sum())
    if len(between) == 1:
        return told
    of = f"of the {len(between):,} pairs"
    return f"{told} {f'{farther:,} {of} are' if farther else f'None {of} is'} farther from it."


def confusion_in_words(found: gram_loaders.Predictions, pair: Pair) -> str:
    """What the test samples of either class are taken for, in one sentence each."""
    sentences = []
    for label, name in zip((pair.first, pair.second), pair.names, strict=True):
        counts = found.outcomes(label, pair.first, pair.second)
        total = int(counts.sum())
        if not total:
            sentences.append(f"No test sample of **{plain(name)}** is cached.")
            continue
        parts = [
            f"{count} for {plain(other)}" for count, other in zip(counts, pair.names, strict=False)
        ]
        if len(found.confusion) > 2:
            parts.append(f"{counts[2]} for another class")
        listed = ", ".join(parts[:-1]) + f" and {parts[-1]}"
        samples = "the one cached test sample" if total == 1 else f"{total:,} cached test samples"
        sentences.append(f"Of {samples} of **{plain(name)}** the network takes {listed}.")
    return " ".join(sentences)


def _layers(view: View) -> list[str]:
    """The chosen layer and one more, if there is one; those farther from the head first."""
    layers = view.run.layers
    chosen = list(dict.fromkeys((view.layer, layers[-1], *layers)))[:2]
    return sorted(chosen, key=lambda layer: layers.index(layer) if layer in layers else -1)


def _cosines(view: View, pair: Pair) -> None:
    classes = len(view.run.classes)
    panels = []
    for layer in _layers(view):
        try:
            course = gram_loaders.cosines(view.run, layer)
        except MissingDataError:
            continue
        panels.append(course.of(pair.first, pair.second, classes, layer))
    of = " and ".join(panel.title for panel in panels)
    figure = pair_cosines(
        panels,
        pair.names,
        classes=classes,
        shown=f"{Shown(view.run.name, view.epoch)} · layer{'s' * (len(panels) > 1)} {of}",
        epoch=view.epoch,
    )
    components.chart(
        figure,
        key="pair_cosines",
        alt=f"Cosine of {pair.names[0]} and {pair.names[1]} over epochs against the simplex ETF",
    )


def _confusion(view: View, pair: Pair, found: dict[int, gram_loaders.Predictions]) -> None:
    panels = [
        TakenFor(
            name,
            np.array(list(found)),
            np.array([each.outcomes(label, pair.first, pair.second) for each in found.values()]),
        )
        for label, name in zip((pair.first, pair.second), pair.names, strict=True)
    ]
    of_both = sum(int(panel.counts[-1].sum()) for panel in panels)
    figure = pair_confusion(
        (panels[0], panels[1]),
        classes=len(view.run.classes),
        shown=f"{Shown(view.run.name, view.epoch)} · {of_both:,} cached test samples",
        epoch=view.epoch,
    )
    components.chart(
        figure,
        key="pair_confusion",
        alt=f"What samples of {pair.names[0]} and {pair.names[1]} are taken for, over epochs",
    )


def _explain_no_predictions(view: View) -> None:
    try:
        gram_loaders.predictions(view.run, view.epoch)
    except NcvizError as error:
        components.empty_state(
            "What the network takes the two classes for at this epoch needs its predictions on "
            f"test samples. {plain(error)}"
        )


def _offer_samples(view: View, pair: Pair, found: gram_loaders.Predictions) -> None:
    first, second = pair.names
    offers = (
        ("a", first, found.rows(pair.first)),
        ("b", second, found.rows(pair.second)),
        ("a_for_b", f"{first} taken for {second}", found.rows(pair.first, pair.second)),
        ("b_for_a", f"{second} taken for {first}", found.rows(pair.second, pair.first)),
    )
    st.markdown("**Select test samples** of the two, to see them here and on every other page:")
    for column, (key, words, rows) in zip(st.columns(len(offers)), offers, strict=True):
        column.button(
            f"{plain(words)} ({len(rows):,})",
            key=f"_select_{key}",
            on_click=_select,
            args=(view, rows, words),
            disabled=not len(rows),
            width="stretch",
        )
    of_both, cached = len(offers[0][2]) + len(offers[1][2]), len(found.labels)
    st.caption(
        f"The run has cached {cached:,} test samples, the same at every epoch, {of_both:,} of them "
        "of these two classes. With few samples of a class one more mistake moves its line by a "
        "step. Predictions are the network's, whichever layer is shown."
    )


def _select(view: View, rows: np.ndarray, words: str) -> None:
    name = f"{view.run.id_set}/test"
    selection.select(view.run, {name: rows}, f"{words}, epoch {view.epoch} of {view.run.name}")
