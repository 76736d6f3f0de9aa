"""One sample closely: large picture, its scores by every detector, its nearest neighbours."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from ncviz.errors import MissingDataError
from ncviz.neighbours import Neighbour
from ncviz.ui import (
    components,
    detector,
    inline,
    path_loaders,
    pictures,
    sample_grid,
    sample_loaders,
    sample_table,
    selection,
)
from ncviz.ui.components import percent, plain
from ncviz.ui.gallery import Tile, gallery
from ncviz.ui.sample_table import Judge
from ncviz.ui.view import View

_SIDE = 288  # pixels of the picture's longer side
_NEIGHBOURS = 6
SIDES = {True: "known", False: "turned away"}


def show(
    view: View,
    by: Judge,
    among: pd.DataFrame,
    told: set[pictures.Missing],
    set_name: str,
    row: int,
) -> None:
    """Who the sample is, what every detector says of it, and what is near it.

    Parameters
    ----------
    among : the selected samples in their order, for the buttons that go on to the next
    told : the reasons for missing pictures that the page has given; new ones are added
    """
    st.subheader("One sample", anchor=False)
    _buttons(view, among, set_name, row)
    sample = sample_table.describe(view, set_name, row, by)
    left, right = st.columns([2, 3], gap="medium")
    with left:
        found = [_picture(sample)]
        _who(view, sample)
    with right:
        _scores(view, set_name, row)
    st.markdown("**Nearest samples**")
    st.caption(
        "By Euclidean distance in the layer's own feature space, not on the map; the cosine is "
        "that of the angle between both features, from the origin. Press one to look at it."
    )
    places = [(layer, training) for layer in view.run.layers for training in (True, False)]
    # A column for each layer; with a single one, for training samples and for the others.
    columns = st.columns(max(2, len(view.run.layers)))
    for at, (layer, training) in enumerate(places):
        with columns[at if len(view.run.layers) == 1 else at // 2]:
            found += _neighbours(view, layer, set_name, row, training=training)
    sample_grid.explain_missing(found, told)


def _buttons(view: View, among: pd.DataFrame, set_name: str, row: int) -> None:
    order = list(zip(among["set"], map(int, among["row"]), strict=True)) if len(among) else []
    at = order.index((set_name, row)) if (set_name, row) in order else None
    with st.container(horizontal=True, vertical_alignment="center"):
        for words, by in (("Previous sample", -1), ("Next sample", 1)):
            to = None if at is None else at + by
            there = to is not None and 0 <= to < len(order)
            st.button(
                words,
                key=f"{words.split()[0].lower()}_sample",
                on_click=selection.look_at,
                args=(view.run, *order[to]) if there else (),
                disabled=not there,
            )
        st.button("Close", key="sample_close", on_click=selection.look_away)
        if at is not None:
            st.caption(f"{at + 1:,} of {len(order):,} selected samples")


def _picture(sample: pd.Series) -> np.ndarray | pictures.Missing:
    found = pictures.picture(sample["set"], sample["key"])
    if isinstance(found, pictures.Missing):
        with st.container(border=True, height=_SIDE // 2):
            st.markdown(":material/hide_image: No picture")
        return found
    width = max(1, round(_SIDE * found.shape[1] / max(found.shape[:2])))
    alt = f"{sample['truth']}, {sample['set']} {sample['index']}"
    st.image(inline.pixels(found, _SIDE), width=width, alt=alt)
    return found


def _who(view: View, sample: pd.Series) -> None:
    group = view.run.ood_sets.get(sample["set"].partition("/")[0])
    kind = f"{group} OOD" if group else "known (ID)"
    file = "" if not sample["key"] or sample["key"].startswith("index:") else f" · {sample['key']}"
    st.markdown(f"**{plain(sample['truth'])}**")
    st.caption(f"{plain(sample['set'])} {sample['index']}{plain(file)} · {kind}")
    predicted = sample_table.predicted_name(view, sample["predicted"])
    if not predicted:
        st.caption("The run has no predictions for this sample at this epoch.")
        return
    sure = percent(float(sample["confidence"]))
    verdict = ""
    if sample["known"]:
        verdict = " :material/close: wrong" if sample["wrong"] else " :material/check: right"
    st.markdown(
        f"Taken for **{plain(predicted)}** at epoch {view.epoch}, with a probability of {sure}"
        f"{verdict}"
    )


def _scores(view: View, set_name: str, row: int) -> None:
    judged = path_loaders.judged(view.run, view.layer, set_name, row)
    if judged is None or view.epoch not in judged.epochs:
        train = set_name == f"{view.run.id_set}/train"
        components.empty_state(
            "Training samples have no scores: the detectors were fitted to them."
            if train
            else f"This sample has no scores at layer {plain(view.layer)} of epoch {view.epoch}. "
            "Make them with:",
            *(() if train else components.commands(view.run.name, imported=view.run.imported)),
        )
        return
    at = judged.epochs.index(view.epoch)
    scores = judged.scores[at]
    there = ~np.isnan(scores)
    table = pd.DataFrame(
        {
            "Detector": [detector.label(name) for name in judged.detectors],
            "Percentile": 100 * judged.percentiles[at],
            "Side": [SIDES[bool(side)] for side in judged.accepted[at]],
            "Score": scores,
            "Threshold": judged.thresholds[at],
        }
    )[there]
    st.markdown(f"**Its scores at layer {plain(view.layer)}**")
    components.table(
        table,
        name="scores-of-a-sample",
        shown=view.shown,
        height=400,
        config={
            "Detector": st.column_config.Column(width=150),
            "Percentile": st.column_config.ProgressColumn(
                help="Share of the ID test samples that score lower than this sample; ties count "
                "half.",
                format="%.1f%%",
                min_value=0,
                max_value=100,
            ),
            "Side": st.column_config.Column(
                help="known: at or above the threshold that keeps 95% of the ID test samples.",
            ),
            "Score": st.column_config.NumberColumn(format="%.4g", help="Higher = more known."),
            "Threshold": st.column_config.NumberColumn(format="%.4g"),
        },
        alt="The sample's score by every detector, with its percentile and side",
    )
    accepted = int(judged.accepted[at][there].sum())
    st.caption(
        f"{accepted} of {int(there.sum())} detectors accept it at the threshold that keeps 95% of "
        "the ID test samples."
    )


def _neighbours(view: View, layer: str, set_name: str, row: int, *, training: bool) -> list:
    """Draw the nearest samples; returns their pictures."""
    words = "Training" if training else "Test and OOD"
    try:
        features = sample_loaders.feature(view.run, view.epoch, layer, set_name, row)
        samples = sample_loaders.gallery(view.run, view.epoch, layer, training=training)
    except MissingDataError as error:
        st.caption(f":material/info: {plain(error)}")
        return []
    st.markdown(f"{plain(layer)} · {words} ({len(samples):,} samples)")
    near = samples.nearest(features, _NEIGHBOURS, but=(set_name, row))
    found = [pictures.thumbnail(each.set_name, each.key) for each in near]
    gallery(
        [_tile(view, each, there) for each, there in zip(near, found, strict=True)],
        label=f"{words} samples nearest at {layer}",
        key=f"near_{layer}_{'train' if training else 'test'}",
        opens=sample_grid.ONE_SAMPLE,
        on_look=lambda at: selection.look_at(view.run, near[at].set_name, near[at].position),
    )
    return found


def _tile(view: View, near: Neighbour, found: bytes | pictures.Missing) -> Tile:
    name = sample_loaders.class_name(view.run, near.set_name, near.label, near.key)
    where = f"{near.set_name} · distance {near.distance:.3g} · cosine {near.cosine:.3f}"
    return Tile(
        title=name,
        lines=(near.set_name, f"distance {near.distance:.3g}", f"cosine {near.cosine:.3f}"),
        alt=f"{name}, {where}",
        picture=found if isinstance(found, bytes) else None,
    )
