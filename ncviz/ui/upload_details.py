"""One uploaded image in detail: verdict, classes, scores, neighbours, place, and past."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from ncviz import metrics
from ncviz.errors import MissingDataError, UnknownNameError
from ncviz.figures import (
    Moment,
    Strip,
    mark_image,
    score_distributions,
    score_strips,
    verdict_over_epochs,
)
from ncviz.figures.theme import ood_style
from ncviz.results.fitted import FITTED_ON
from ncviz.thresholds import Criterion
from ncviz.ui import (
    components,
    detector,
    inline,
    shell,
    told,
    upload_loaders,
    upload_surroundings,
)
from ncviz.ui.components import percent, plain
from ncviz.ui.upload_results import Opened
from ncviz.ui.view import View

if TYPE_CHECKING:
    from ncviz.inference.scorer import Scorer, Sight
    from ncviz.inference.verdict import Verdict

_SIDE = 280


@dataclass(frozen=True)
class Seen:
    """An image with everything that was found out about it; the first verdict is the main one."""

    view: View
    scorer: Scorer
    criterion: Criterion
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
    around = (upload_surroundings.nearest, upload_surroundings.place_on_map)
    for part in (_scores, *around, _through_training):
        with shell.readable_errors():
            part(seen)


def _verdict(seen: Seen) -> None:
    original, network, words = st.columns([1, 1, 2], gap="medium")
    width, height = seen.opened.size
    original.image(
        inline.address(seen.opened.preview, "jpeg"),
        f"As uploaded, {width:,} x {height:,} pixels",
        alt=f"The image {seen.name} as it was uploaded",
    )
    network.image(
        inline.pixels(seen.sight.pixels, 2 * _SIDE),
        f"As the network sees it, {len(seen.sight.pixels)} x {len(seen.sight.pixels)} pixels",
        alt=f"{seen.name} scaled and cut to what the network sees",
    )
    with words:
        if seen.opened.note:
            st.warning(f"The file has {plain(seen.opened.note)}.", icon=":material/contrast:")
        _say_verdict(seen)
        _top_classes(seen)


def _say_verdict(seen: Seen) -> None:
    from ncviz.inference.verdict import agree

    main, agreement = seen.main, agree(list(seen.verdicts.values()))
    label = plain(detector.label(main.detector))
    icon, colour = ("check_circle", "blue") if main.known else ("help", "orange")
    side = "at or above" if main.known else "below"
    reference = seen.scorer.reference
    rejected = np.mean(reference.known[main.detector] < main.threshold)
    st.markdown(
        f"### :{colour}[:material/{icon}: {main.word.capitalize()}]\n"
        f"{label} scores it {main.score:.4g}, {side} the threshold of {main.threshold:.4g} "
        f"({seen.criterion}; it rejects {percent(rejected)} of the ID test samples).\n\n"
        f"**p-value {main.p_value:.3f}**: about {percent(main.p_value)} of known samples look as "
        f"unusual.\n\n"
        f"**{agreement}** detectors say unknown."
    )
    about = reference.about_threshold(main.detector, seen.criterion)
    st.caption(
        f"{plain(about)} The p-value compares the image with the ID test samples; it is valid only "
        "for images outside that set. Agreement is a count and no probability: the detectors use "
        "the same features of the same network, so they err together."
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
    components.table(
        table,
        name="upload-classes",
        shown=seen.view.shown,
        config={"Probability": bar},
        alt="The most probable classes and their probabilities",
    )


def _scores(seen: Seen) -> None:
    view, main = seen.view, seen.main
    reference = seen.scorer.reference
    unknown = reference.unknown[main.detector]
    styles = {name: ood_style(list(view.run.ood_sets).index(name)) for name in unknown}
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
    known = {f"{view.run.id_set} test (ID)": reference.known[main.detector]}
    words = told.distributions(detector.label(main.detector), known | unknown, main.threshold, {})
    components.chart(figure, key="upload_scores", alt=f"{words} The image scores {main.score:.4g}.")
    strips = [_strip(seen, verdict) for verdict in seen.verdicts.values()]
    components.chart(
        score_strips(strips, title="What every detector says", shown=view.shown),
        key="upload_strips",
        alt=told.strips(strips),
    )
    with st.expander("Every detector in numbers"):
        _detectors_table(seen)


def _strip(seen: Seen, verdict: Verdict) -> Strip:
    reference = seen.scorer.reference
    known = reference.known[verdict.detector]
    unknown = [np.empty(0), *reference.unknown[verdict.detector].values()]
    image, threshold = metrics.percentiles(np.array([verdict.score, verdict.threshold]), known)
    return Strip(
        detector=detector.label(verdict.detector),
        image=float(image),
        threshold=float(threshold),
        unknown=metrics.percentiles(np.concatenate(unknown), known),
        known=verdict.known,
    )


def _detectors_table(seen: Seen) -> None:
    verdicts, fitted = list(seen.verdicts.values()), seen.scorer.reference.fitted_on
    table = pd.DataFrame(
        {
            "Detector": [detector.label(verdict.detector) for verdict in verdicts],
            "Verdict": [verdict.word for verdict in verdicts],
            "p-value": [verdict.p_value for verdict in verdicts],
            "Score": [verdict.score for verdict in verdicts],
            "Threshold": [verdict.threshold for verdict in verdicts],
            FITTED_ON: [fitted.get(verdict.detector, "") for verdict in verdicts],
        }
    )
    digits = st.column_config.NumberColumn(format="%.4g")
    config = {
        "p-value": st.column_config.NumberColumn(format="%.3f"),
        "Score": digits,
        "Threshold": digits,
    }
    components.table(
        table,
        name="upload-detectors",
        shown=seen.view.shown,
        config=config,
        alt="Verdict, p-value, score, threshold and training samples of every detector",
    )
    detector.explain_left_out(seen.view.run, seen.view.epoch, seen.view.layer)


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
    components.chart(figure, key="upload_training_chart", alt=told.moments(moments))
    st.caption(
        "Each epoch has its own threshold, set by the same rule on its own scores. Saved epochs "
        "without weights cannot score an image."
    )


def _moment(seen: Seen, number: int) -> Moment | None:
    """What the main detector says at another epoch; None where it has no scores there."""
    from ncviz.inference.verdict import judge

    view, name = seen.view, seen.main.detector
    try:
        scorer = upload_loaders.scorer(view.run, number, view.layer)
        cut = upload_loaders.thresholds(view.run, number, view.layer, seen.criterion)[name]
    except (KeyError, MissingDataError, UnknownNameError):
        return None
    (sight,) = scorer.look(seen.sight.pixels[None])
    verdict = judge(sight.scores, scorer.reference, {name: cut})[name]
    predicted, probability = sight.top(1)[0]
    return Moment(number, verdict.p_value, verdict.known, view.run.classes[predicted], probability)
