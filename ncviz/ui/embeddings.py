"""Embeddings: the same samples at encoder and projector, moving from epoch to epoch."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from ncviz.embedding import QUALITY_NEIGHBOURS
from ncviz.figures.maps import (
    CORRECT_COLOURS,
    GROUP_COLOURS,
    GROUPS,
    KINDS,
    SCORE_COLOURS,
    class_colours,
    ten_of,
)
from ncviz.results.maps import quality_in_words
from ncviz.results.words import left_out, percent
from ncviz.ui import components, controls, detector, loaders, samples, selection
from ncviz.ui.components import plain
from ncviz.ui.scatter import Lasso, as_bits, scatter
from ncviz.ui.view import View

_TITLES = {"umap": "UMAP map", "pca": "PCA view", "etf": "Class-mean view"}
COLOURS = ("class", "ID/OOD", "correctness", "score")


@dataclass(frozen=True)
class Choice:
    """What the page alone needs from the sidebar.

    Attributes
    ----------
    kind : of map, a key of `KINDS`
    colour : what colours mean, one of `COLOURS`
    classes : which classes have a colour of their own; none: all
    detector : whose score is shown, at layer `scored_at`; None where none has scored this run
    """

    kind: str
    colour: str
    classes: tuple[int, ...]
    detector: str | None
    scored_at: str


def body(view: View) -> None:
    """The page below its title."""
    series = loaders.maps(view.run)
    if series is None or view.epoch not in series.epochs:
        _no_maps(view)
        return
    with st.sidebar:
        choice = _choose(view, series)
    packed = loaders.packed_maps(view.run, choice.kind, choice.detector, choice.scored_at)
    components.provenance(
        str(view.run.name),
        f"epoch {view.epoch}, {view.run.epochs.index(view.epoch) + 1} of "
        f"{len(view.run.epochs)} saved epochs",
        f"map of {series.known:,} ID test and {len(series.sets) - series.known:,} OOD samples",
        loaders.computed_on(view.run),
        *left_out(view.run),
        "maps written by scripts/embed.py",
    )
    if choice.colour == "score" and not packed.scored:
        components.empty_state("These samples have no scores. Make them with:", *_evaluation(view))
        return
    scatter(
        packed.data,
        _drawn(view, series, choice, packed.token),
        key="embeddings",
        on_lasso=lambda lasso: _select(view, series, choice, lasso),
        on_look=lambda sample: _look(view, series, sample),
    )
    st.caption(_reading(choice))
    st.caption(_quality(view, series, choice.kind))
    if len(series.layers) == 1 and not view.run.imported:
        _one_panel(view, series)
    samples.show(view, choice.detector)


def _no_maps(view: View) -> None:
    if view.run.without_features:
        components.empty_state(plain(view.run.without_features))
        return
    embed = f"python scripts/embed.py {shlex.quote(view.run.name)}"
    evaluated = len(loaders.collapse_table(view.run))
    components.empty_state(
        f"Epoch {view.epoch} of {plain(view.run.name)} has no maps that fit its features. Make "
        "those of all epochs with:",
        *(() if evaluated else _evaluation(view)),
        embed,
    )


def _evaluation(view: View) -> tuple[str, ...]:
    return components.commands(view.run.name, imported=view.run.imported)


def _one_panel(view: View, series: loaders.MapSeries) -> None:
    (layer,) = series.layers
    st.info(
        f"One panel, because {plain(view.run.name)} has no projector: its classifier sits right on "
        f"the {plain(layer)}. A network trained with `--projector etf-features` shows both "
        "layers side by side.",
        icon=":material/info:",
    )


def _choose(view: View, series: loaders.MapSeries) -> Choice:
    kinds = {words: kind for kind, words in KINDS.items() if kind in series.points}
    kind = controls.switch(
        "Map",
        list(kinds),
        key="map",
        help="UMAP keeps neighbours together; distances between far groups mean little. PCA: the "
        "two directions in which the last epoch varies most. Class means: the plane that lays the "
        "last epoch's class means out as evenly as it can; it takes three classes or more.",
    )
    colour = controls.choose(
        "Colour by",
        COLOURS,
        key="colour",
        help="class: true class of known samples. ID/OOD: known, near or far. correctness: "
        "whether known samples are classified correctly. score: the detector's, as a percentile "
        "among the known samples.",
    )
    classes = _choose_classes(view) if colour == "class" else ()
    table = loaders.detection_table(view.run)
    layers = [layer for layer in (view.layer, *series.layers[::-1]) if layer in set(table["layer"])]
    scored_at = layers[0] if layers else view.layer
    names = detector.in_order(table.loc[table["layer"] == scored_at, "detector"])
    score = None
    if names:
        help = f"Its score of a sample is shown under the pointer; taken at layer {scored_at}."
        score = detector.choose(names, help=help)
    return Choice(kinds[kind], colour, classes, score, scored_at)


def _choose_classes(view: View) -> tuple[int, ...]:
    names = view.run.classes
    chosen = controls.choose_several(
        "Classes in colour",
        names,
        key="classes",
        default=[names[at] for at in ten_of(len(names))],
        help="Known samples of other classes are grey. Clear the field to colour all classes.",
        placeholder="All classes",
    )
    return tuple(names.index(name) for name in chosen)


def _drawn(view: View, series: loaders.MapSeries, choice: Choice, token: str) -> dict[str, Any]:
    """What the browser has to know besides the points."""
    layers = " and ".join(series.layers)
    title = f"{_TITLES[choice.kind]} of {layers}"
    label = detector.label(choice.detector) if choice.detector else ""
    meaning = f"{label} score" if choice.colour == "score" else choice.colour
    return {
        "token": token,
        # Zoom and picked sample stay for as long as this does.
        "place": f"{view.run.path} {choice.kind}",
        "epoch": view.epoch,
        "run": view.run.name,
        "title": title,
        "layers": f"layer {layers}" if len(series.layers) == 1 else f"layers {layers}",
        "alt": f"{title}: {len(series.sets)} samples of {view.run.name} at epoch {view.epoch}, "
        f"coloured by {meaning}. {_nc1_in_words(view, series)}",
        "colour": choice.colour,
        "colours": _colours(view, choice),
        "detector": label,
        "legend": _legend(view, choice),
        "save_as": components.export_format(),
        "chosen": as_bits(_chosen(view, series)),
        "looked_at": _looked_at(view, series),
    }


def _chosen(view: View, series: loaders.MapSeries) -> np.ndarray:
    """(N,) which mapped samples are in the reader's selection."""
    chosen = np.zeros(len(series.sets), bool)
    current = selection.current()
    for at, name in enumerate(series.set_names):
        mine = series.sets == at
        chosen[mine] = np.isin(series.positions[mine], current.rows(view.run, name))
    return chosen


def _looked_at(view: View, series: loaders.MapSeries) -> int | None:
    """Number of the sample that the reader looks at; None where the map has it not."""
    found = selection.looked_at(view.run)
    if found is None or found[0] not in series.set_names:
        return None
    name, row = found
    mine = (series.sets == series.set_names.index(name)) & (series.positions == row)
    return int(mine.argmax()) if mine.any() else None


def _select(view: View, series: loaders.MapSeries, choice: Choice, lasso: Lasso) -> None:
    samples = lasso.samples[lasso.samples < len(series.sets)]
    if not len(samples) or not 0 <= lasso.layer < len(series.layers):
        return
    rows = {
        name: series.positions[samples[series.sets[samples] == at]]
        for at, name in enumerate(series.set_names)
    }
    layer = series.layers[lasso.layer]
    words = f"lasso on the {_TITLES[choice.kind]} of the {layer}, epoch {lasso.epoch}"
    selection.select(view.run, rows, words)


def _look(view: View, series: loaders.MapSeries, sample: int | None) -> None:
    if sample is None:
        selection.look_away()
    elif sample < len(series.sets):
        name = series.set_names[series.sets[sample]]
        selection.look_at(view.run, name, int(series.positions[sample]))


def _nc1_in_words(view: View, series: loaders.MapSeries) -> str:
    table = loaders.collapse_table(view.run)
    rows = table[(table["epoch"] == view.epoch) & (table["metric"] == "nc1_pinv")]
    found = dict(zip(rows["layer"], rows["value"], strict=True))
    parts = [
        f"NC1 of the {layer} is {components.number(found[layer])}"
        for layer in series.layers
        if layer in found
    ]
    return f"{'; '.join(parts)}." if parts else ""


def _colours(view: View, choice: Choice) -> list[str | None]:
    if choice.colour == "class":
        return class_colours(len(view.run.classes), choice.classes)
    return list(
        {"ID/OOD": GROUP_COLOURS, "correctness": CORRECT_COLOURS, "score": SCORE_COLOURS}[
            choice.colour
        ]
    )


def _legend(view: View, choice: Choice) -> list[dict[str, Any]]:
    """Entries of words, with the marker of a group (None: no marker) in a tint (None: grey)."""
    known = f"ID: {view.run.id_set}"
    if choice.colour == "correctness":
        entries = [
            {"text": f"{known}, correct", "group": 0, "tint": CORRECT_COLOURS[0]},
            {"text": "ID, wrong", "group": 0, "tint": CORRECT_COLOURS[1]},
        ]
    else:
        tint = GROUP_COLOURS[0] if choice.colour == "ID/OOD" else None
        entries = [{"text": known, "group": 0, "tint": tint}]
    for at, group in enumerate(GROUPS[1:], start=1):
        names = [name for name, kind in view.run.ood_sets.items() if kind == group]
        if names:
            tint = GROUP_COLOURS[at] if choice.colour == "ID/OOD" else None
            text = f"{group} OOD: {', '.join(names)}"
            entries.append({"text": text, "group": at, "tint": tint})
    if choice.colour == "score":
        score = f"{detector.label(choice.detector)} score at {choice.scored_at}: below all ID"
        entries.append({"text": score, "group": None, "tint": None})
    return entries


def _quality(view: View, series: loaders.MapSeries, kind: str) -> str:
    """Describe how faithful the map is at each layer of the shown epoch."""
    found = {
        layer: series.quality[place]
        for layer in series.layers
        if (place := (view.epoch, layer, kind)) in series.quality
    }
    if not found:
        return (
            f"The quality of this map is not measured: that requires more than "
            f"{2 * QUALITY_NEIGHBOURS} samples."
        )
    parts = [f"{plain(layer)}: {quality_in_words(one)}" for layer, one in found.items()]
    samples = next(iter(found.values())).samples
    shown = len(series.sets)
    of_them = "" if samples == shown else f", of which {shown:,} are shown"
    return (
        f"**Quality of this map** at epoch {view.epoch}, on {samples:,} samples{of_them}. "
        f"{'; '.join(parts)}. At random, trustworthiness is about 0.5 and "
        f"{percent(QUALITY_NEIGHBOURS / (samples - 1))} of neighbours are preserved."
    )


def _reading(choice: Choice) -> str:
    axes = {
        "umap": "Each epoch's map starts from the one before, so points move as the network "
        "learns; the axes have no unit.",
        "pca": "The axes are the last epoch's, at all epochs.",
        "etf": "The axes are the last epoch's, at all epochs: at full collapse each class sits on "
        "a corner of a regular figure.",
    }
    return (
        f"{axes[choice.kind]} The arrow keys ← → step through the epochs, P plays them. Turn the "
        "wheel or press + and - to zoom, drag to move, drag with Shift to draw around samples and "
        "choose them. Point at a sample to see what it is, click it to follow its way through "
        "the training."
    )
