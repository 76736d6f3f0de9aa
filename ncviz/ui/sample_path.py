"""A sample through training: percentiles by every detector, its class, its distances."""

from __future__ import annotations

import numpy as np
import streamlit as st

from ncviz import metrics
from ncviz.figures import ClassPath, class_paths, score_paths
from ncviz.ui import components, controls, detector, path_loaders
from ncviz.ui.components import plain
from ncviz.ui.path_loaders import Judged, Placed
from ncviz.ui.view import View

_LINES = ("msp", "mahalanobis", "knn")


def show(view: View, name: str, set_name: str, row: int) -> None:
    """Two figures over the saved epochs; `name` is the page's detector."""
    st.markdown("**Through training**")
    judged = path_loaders.judged(view.run, view.layer, set_name, row)
    placed = path_loaders.placed(view.run, view.layer, set_name, row)
    if judged is not None:
        _scores(view, judged, name)
    if placed is not None:
        _classes(view, placed)
    if judged is None and placed is None:
        st.caption(f"No saved epoch has this sample at layer {plain(view.layer)}.")


def _scores(view: View, judged: Judged, name: str) -> None:
    names = list(judged.detectors)
    default = [each for each in dict.fromkeys((name, *_LINES)) if each in names] or names[:1]
    lines = controls.choose_several(
        "Detectors as lines",
        names,
        key="paths",
        default=default,
        words=detector.label,
        placeholder="Choose detectors",
    )
    figure = score_paths(
        judged.epochs,
        {detector.label(each): judged.percentiles[:, at] for at, each in enumerate(names)},
        lines=[detector.label(each) for each in lines],
        cut=1 - metrics.DEFAULT_TPR,
        shown=view.shown,
    )
    now = judged.epochs.index(view.epoch) if view.epoch in judged.epochs else -1
    accepted, scored = judged.accepted[now], ~np.isnan(judged.scores[now])
    components.chart(
        figure,
        key="sample_scores",
        alt=f"Percentile of the sample's score over {len(judged.epochs)} epochs, by "
        f"{len(names)} detectors; at epoch {judged.epochs[now]}, {accepted[scored].sum()} of "
        f"{scored.sum()} accept it",
    )
    st.caption(
        "Below the dashed line, at 5%, a detector turns the sample away: its threshold keeps 95% "
        "of the ID test samples. The dotted lines mark the chosen epoch. Each epoch has a column "
        "of its own in the heatmap."
    )


def _classes(view: View, placed: Placed) -> None:
    names = view.run.classes
    many = placed.probabilities.shape[1]
    predicted = placed.probabilities.argmax(axis=1) if many else []
    known = placed.label >= 0
    path = ClassPath(
        epochs=placed.epochs,
        predicted=[names[at] for at in predicted],
        confidence=placed.probabilities.max(axis=1, initial=0),
        nearest=placed.nearest,
        nearest_class=[names[at] if at >= 0 else "" for at in placed.nearest_class],
        true_class=names[placed.label] if known else "",
        true_probability=placed.probabilities[:, placed.label] if known and many else None,
        own=placed.own if known else None,
    )
    turns = int(np.count_nonzero(np.diff(predicted)))
    components.chart(
        class_paths(path, shown=view.shown),
        key="sample_classes",
        alt=f"Probability of the predicted class over {len(placed.epochs)} epochs, in which it "
        f"changes {turns} times, and distances to class means",
    )
    own = "" if known else " It belongs to none of the known classes, so it has no own class mean."
    st.caption(
        "Distances are Euclidean, in units of the layer's spread within classes at that epoch: "
        "the root mean square distance of training samples to their own class mean. A typical "
        f"training sample is at 1, the dashed line.{own}"
    )
