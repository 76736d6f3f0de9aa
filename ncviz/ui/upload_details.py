"""One uploaded image in detail: verdict, classes, scores, neighbours, place, and past."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from ncviz.embedding import place
from ncviz.errors import MissingDataError, UnknownNameError
from ncviz.figures import (
    Moment,
    Strip,
    mark_image,
    placed_on_map,
    score_distributions,
    score_strips,
    verdict_over_epochs,
)
from ncviz.figures.maps import KINDS, percentiles
from ncviz.figures.theme import ID_STYLE, ood_style
from ncviz.thresholds import Costs
from ncviz.ui import components, controls, detector, loaders, shell, upload_loaders
from ncviz.ui.components import percent, plain
from ncviz.ui.upload_results import Opened
from ncviz.ui.view import View

if TYPE_CHECKING:
    from ncviz.inference.neighbours import Gallery, Neighbour
    from ncviz.inference.scorer import Scorer, Sight
    from ncviz.inference.verdict import Verdict

_SIDE = 280
_NEIGHBOURS = 5
_SCATTERED = 0.5


@dataclass(frozen=True)
class Seen:
    """An image with everything that was found out about it; the first verdict is the main one."""

    view: View
    scorer: Scorer
    rule: str
    costs: Costs
    name: str
    opened: Opened
    sight: Sight
    verdicts: dict[str, Verdict]

    @property
    def main(self) -> Verdict:
        return next(iter(self.verdicts.values()))


def show(seen: Seen) -> None:
    """The details of one image."""
    st.subheader(plain(seen.name), anchor=False)
    _verdict(seen)
    for part in (_scores, _nearest, _place, _through_training):
        with shell.readable_errors():
            part(seen)


def _verdict(seen: Seen) -> None:
    original, network, words = st.columns([1, 1, 2], gap="medium")
    width, height = seen.opened.size
    original.image(
        seen.opened.preview, f"As uploaded, {width:,} x {height:,} pixels", alt="The upload"
    )
    network.image(
        _enlarged(seen.sight.pixels),
        f"As the network sees it, {len(seen.sight.pixels)} x {len(seen.sight.pixels)} pixels",
        alt="What the network sees of it",
    )
    with words:
        _say_verdict(seen)
        _top_classes(seen)


def _enlarged(pixels: np.ndarray) -> np.ndarray:
    """Each pixel as a square: what blurs when a browser enlarges it was never there."""
    factor = max(1, 2 * _SIDE // len(pixels))
    return np.kron(pixels, np.ones((factor, factor, 1), np.uint8))


def _say_verdict(seen: Seen) -> None:
    from ncviz.inference.verdict import agree

    main, agreement = seen.main, agree(list(seen.verdicts.values()))
    label = plain(detector.label(main.detector))
    icon, colour = ("check_circle", "blue") if main.known else ("help", "orange")
    side = "at or above" if main.known else "below"
    rejected = np.mean(seen.scorer.reference.known[main.detector] < main.threshold)
    st.markdown(
        f"### :{colour}[:material/{icon}: {main.word.capitalize()}]\n"
        f"{label} scores it {main.score:.4g}, {side} the operating point of {main.threshold:.4g} "
        f"({plain(seen.rule)}; it rejects {percent(rejected, 0)} of known samples).\n\n"
        f"**p-value {main.p_value:.3f}**: about {percent(main.p_value)} of known samples look as "
        f"unusual.\n\n"
        f"**{agreement}** detectors say unknown."
    )
    st.caption(
        "The p-value holds the image against the ID test samples and is meant for an image that is "
        "none of them. Agreement is a count and no probability: the detectors look at the same "
        "features of the same network, so they err together."
    )


def _top_classes(seen: Seen) -> None:
    top = seen.sight.top()
    table = pd.DataFrame(
        {
            "Class": [seen.view.run.classes[number] for number, _ in top],
            "Probability": [probability for _, probability in top],
        }
    )
    bar = st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)
    st.dataframe(
        table,
        hide_index=True,
        column_config={"Probability": bar},
        alt="The most probable classes",
    )


def _scores(seen: Seen) -> None:
    view, main = seen.view, seen.main
    reference = seen.scorer.reference
    unknown = reference.unknown[main.detector]
    styles = {name: _style(view, name) for name in unknown}
    figure = score_distributions(
        reference.known[main.detector],
        unknown,
        id_name=f"{view.run.id_set} test (ID)",
        styles=styles,
        threshold=main.threshold,
        detector=detector.label(main.detector),
        shown=view.shown,
    )
    mark_image(figure, main.score, known=main.known)
    components.chart(
        figure, key="upload_scores", alt="The image's score among those of ID and OOD samples"
    )
    strips = [_strip(seen, verdict) for verdict in seen.verdicts.values()]
    components.chart(
        score_strips(strips, title="What every detector says", shown=view.shown),
        key="upload_strips",
        alt="The image's place among ID samples by every detector",
    )
    with st.expander("Every detector in numbers"):
        _detectors_table(seen)


def _strip(seen: Seen, verdict: Verdict) -> Strip:
    reference = seen.scorer.reference
    known = reference.known[verdict.detector]
    unknown = [np.empty(0), *reference.unknown[verdict.detector].values()]
    image, threshold = percentiles(np.array([verdict.score, verdict.threshold]), known)
    return Strip(
        detector=detector.label(verdict.detector),
        image=float(image),
        threshold=float(threshold),
        unknown=percentiles(np.concatenate(unknown), known),
        known=verdict.known,
    )


def _detectors_table(seen: Seen) -> None:
    verdicts = list(seen.verdicts.values())
    table = pd.DataFrame(
        {
            "Detector": [detector.label(verdict.detector) for verdict in verdicts],
            "Verdict": [verdict.word for verdict in verdicts],
            "p-value": [verdict.p_value for verdict in verdicts],
            "Score": [verdict.score for verdict in verdicts],
            "Operating point": [verdict.threshold for verdict in verdicts],
        }
    )
    digits = st.column_config.NumberColumn(format="%.4g")
    config = {
        "p-value": st.column_config.NumberColumn(format="%.3f"),
        "Score": digits,
        "Operating point": digits,
    }
    st.dataframe(table, hide_index=True, column_config=config, alt="Every detector in numbers")


def _style(view: View, name: str):
    return ood_style(list(view.run.ood_sets).index(name))


def _nearest(seen: Seen) -> None:
    view = seen.view
    st.subheader("Nearest samples", anchor=False)
    st.caption(
        f"By Euclidean distance in the feature space of the {plain(view.layer)}, among the samples "
        "whose features are stored; the cosine is that of the angle between both features."
    )
    for words, training in (("Training", True), ("Test and OOD", False)):
        gallery = upload_loaders.gallery(view.run, view.epoch, view.layer, training=training)
        st.markdown(f"**{words}** ({len(gallery):,} samples)")
        _gallery_row(seen, gallery)


def _gallery_row(seen: Seen, gallery: Gallery) -> None:
    missing = ""
    neighbours = gallery.nearest(seen.sight.features, _NEIGHBOURS)
    for column, neighbour in zip(st.columns(_NEIGHBOURS), neighbours, strict=False):
        picture = upload_loaders.picture(neighbour.set_name, neighbour.key)
        if isinstance(picture, str):
            missing = missing or picture
        else:
            factor = max(1, 128 // max(picture.shape[:2]))
            large = np.kron(picture, np.ones((factor, factor, 1), np.uint8))
            column.image(large, alt=_what(seen.view, neighbour), width=128)
        column.markdown(f"**{plain(_what(seen.view, neighbour))}**")
        column.caption(
            f"{plain(_where(seen.view, neighbour))}  \ndistance {neighbour.distance:.3g}  \n"
            f"cosine {neighbour.cosine:.3f}"
        )
        if neighbour.same:
            column.caption(":material/join_inner: This very image is among the samples.")
    if missing:
        st.caption(f":material/hide_image: Not every picture is at hand. {plain(missing)}")


def _what(view: View, neighbour: Neighbour) -> str:
    """The class of a sample: the run's own, or what the path in a foreign set says."""
    name = neighbour.set_name.partition("/")[0]
    if name == view.run.id_set and 0 <= neighbour.label < len(view.run.classes):
        return view.run.classes[neighbour.label]
    folders = neighbour.key.split("/")[:-1]
    return folders[-1] if folders else name


def _where(view: View, neighbour: Neighbour) -> str:
    group = view.run.ood_sets.get(neighbour.set_name.partition("/")[0])
    return f"{neighbour.set_name} ({group} OOD)" if group else neighbour.set_name


def _place(seen: Seen) -> None:
    view = seen.view
    st.subheader("Its place on the map", anchor=False)
    series = loaders.maps(view.run)
    if series is None or view.epoch not in series.epochs or view.layer not in series.layers:
        components.empty_state(
            f"The {plain(view.layer)} has no map at epoch {view.epoch}. Maps are of the layers "
            "encoder and projector; make them with:",
            f"python scripts/embed.py {view.run.name}",
        )
        return
    kinds = {words: kind for kind, words in KINDS.items() if kind in series.points}
    kind = controls.switch("Map", list(kinds), key="map")
    at = series.epochs.index(view.epoch), series.layers.index(view.layer)
    points = series.points[kinds[kind]][at]
    mapped = _mapped_features(seen, series)
    found = place(seen.sight.features, mapped, points)
    sets = {name: points[series.sets == number] for number, name in enumerate(series.set_names)}
    styles = {
        name: _style(view, name.partition("/")[0]) if number else ID_STYLE
        for number, name in enumerate(series.set_names)
    }
    figure = placed_on_map(
        sets,
        styles=styles,
        image=found.point,
        neighbours=points[found.neighbours],
        kind=kind,
        shown=view.shown,
    )
    components.chart(figure, key="upload_place", alt="The image among the mapped samples")
    st.caption(_how_placed(found.spread, len(found.neighbours)))


def _mapped_features(seen: Seen, series: loaders.MapSeries) -> np.ndarray:
    """(N, D) features of the mapped samples, in the map's order."""
    view = seen.view
    gallery = upload_loaders.gallery(view.run, view.epoch, view.layer, training=False)
    starts = np.searchsorted(gallery.sets, np.arange(len(gallery.set_names)))
    first = dict(zip(gallery.set_names, starts, strict=True))
    return gallery.features[
        np.array([first[name] for name in series.set_names])[series.sets] + series.positions
    ]


def _how_placed(spread: float, count: int) -> str:
    where = (
        "they lie close together, so the place says where its neighbours are"
        if spread < _SCATTERED
        else ":material/warning: they are scattered over the map, so the place means little"
    )
    return (
        f"Interpolated, not computed anew: the mean of the map's points of its {count} nearest "
        f"mapped samples in feature space, nearer ones weighing more. Their spread is {spread:.2f} "
        f"of the whole map's: {where}."
    )


def _through_training(seen: Seen) -> None:
    view = seen.view
    weighted = view.run.weighted_epochs
    st.subheader("Through training", anchor=False)
    if len(weighted) < 2:
        st.caption(f"Only epoch {weighted[0]} has weights, so there is nothing to compare it with.")
        return
    wanted = st.toggle(
        f"Show it to the network of all {len(weighted)} epochs with weights",
        key="upload_training",
        help="Loads the weights of every such epoch, which takes a moment the first time.",
    )
    if not wanted:
        return
    moments = [moment for number in weighted if (moment := _moment(seen, number))]
    figure = verdict_over_epochs(
        moments, detector=detector.label(seen.main.detector), shown=view.shown
    )
    components.chart(figure, key="upload_training_chart", alt="p-value and class over epochs")
    st.caption(
        "Each epoch has its own operating point, set by the same rule on its own scores. Saved "
        "epochs without weights cannot be asked."
    )


def _moment(seen: Seen, number: int) -> Moment | None:
    """What the main detector says at another epoch; None where it has no scores there."""
    from ncviz.inference.verdict import judge

    view, name = seen.view, seen.main.detector
    try:
        scorer = upload_loaders.scorer(view.run, number, view.layer)
        cut = upload_loaders.thresholds(view.run, number, view.layer, seen.rule, seen.costs)[name]
    except (KeyError, MissingDataError, UnknownNameError):
        return None
    (sight,) = scorer.look(seen.sight.pixels[None])
    verdict = judge(sight.scores, scorer.reference, {name: cut})[name]
    predicted, probability = sight.top(1)[0]
    return Moment(number, verdict.p_value, verdict.known, view.run.classes[predicted], probability)
