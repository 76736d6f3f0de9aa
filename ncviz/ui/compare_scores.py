"""Charts of the Compare page about scores: distributions and ROC curves of both sides."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import streamlit as st

from ncviz import metrics
from ncviz.figures import OperatingCurve
from ncviz.figures.side_by_side import (
    PERCENTILE,
    SIDE_STYLES,
    RocPanel,
    ScoredSide,
    draw_distributions,
    draw_rocs,
)
from ncviz.ui import components, controls, detector, loaders
from ncviz.ui.compare_reading import each_side, results_of, style_of
from ncviz.ui.compare_sides import SIDES, Pair

_SCALES = ("score", "percentile")
_APART = 2.0  # scores whose spreads differ by more than this are not on one scale


def distributions(pair: Pair) -> None:
    """Known and unknown scores of each side."""
    scale = controls.switch(
        "Scale",
        _SCALES,
        key="scale",
        help="score: as the detector gives it; its size may differ from network to network. "
        "percentile: the share of known samples of the same side that score lower (ties count "
        "half), one scale for any two.",
    )
    columns = st.columns(2)
    sides = each_side(pair, lambda at: _scored_side(pair, at, scale), columns)
    if not sides:
        return
    axis = PERCENTILE if scale == "percentile" else None
    figures = draw_distributions(list(sides.values()), detector=pair.label, axis=axis)
    for at, figure in zip(sides, figures, strict=True):
        with columns[at]:
            components.chart(
                figure,
                key=f"compared_scores_{SIDES[at]}",
                alt=f"Densities of known and unknown scores of {pair.shown[at]}",
            )
    st.caption(
        "Both charts have the same axes. The upright line is each side's own threshold, the one "
        f"that accepts {metrics.DEFAULT_TPR:.0%} of its known samples: what of an OOD set lies to "
        f"its right is let in by mistake (FPR95). {'' if axis else _about_scales(sides)}"
    )
    detector.explain(pair.detector)


def _scored_side(pair: Pair, at: int, scale: str) -> ScoredSide | None:
    view = pair.views[at]
    results = results_of(pair, view)
    if results is None:
        return None
    sets = list(results.index)
    known, *unknown = (pair.contenders[at].distribution(name) for name in ("test", *sets))
    if scale == "percentile":
        unknown = [metrics.percentiles(each, known) for each in unknown]
        known = metrics.percentiles(known, known)
    return ScoredSide(
        shown=pair.shown[at],
        id_name=f"{view.run.id_set} test (ID)",
        id_scores=known,
        ood_scores=dict(zip(sets, unknown, strict=True)),
        styles={name: style_of(pair, name) for name in sets},
        threshold=metrics.threshold_at_tpr(known),
    )


def _about_scales(sides: Mapping[int, ScoredSide]) -> str:
    """Whether the scores of both sides may be compared in size."""
    if len(sides) < 2:
        return ""
    (low, high), (other_low, other_high) = ends = [
        np.quantile(side.id_scores, (0.05, 0.95)) for side in sides.values()
    ]
    spreads = high - low, other_high - other_low
    apart = max(low, other_low) >= min(high, other_high) or max(spreads) > _APART * min(spreads)
    if not apart:
        return "Two networks may score on different scales; percentile puts both on one."
    words = [f"{side} from {a:.3g} to {b:.3g}" for side, (a, b) in zip(SIDES, ends, strict=True)]
    return (
        "**The two score on different scales**: nine of ten known samples lie in "
        f"{words[0]} and in {words[1]}. Choose percentile to compare them."
    )


def rocs(pair: Pair) -> None:
    """The ROC curves of both sides, a panel for each OOD set."""
    found = each_side(pair, lambda at: _curves(pair, at))
    names = dict.fromkeys(name for curves in found.values() for name in curves)
    if not names:
        return
    panels = [
        RocPanel(name, {SIDES[at]: curves[name] for at, curves in found.items() if name in curves})
        for name in names
    ]
    panels.sort(key=lambda panel: -len(panel.curves))  # sets of one side alone come last
    figure = draw_rocs(panels, detector=pair.label, shown=pair.both)
    told = "; ".join(
        f"{panel.set_name}: "
        + ", ".join(f"{side} {curve.area:.3f}" for side, curve in panel.curves.items())
        for panel in panels
    )
    components.chart(figure, key="compared_roc", alt=f"ROC of both sides. AUROC on {told}")
    st.caption(
        "The higher a curve, the better; the dashed line is guessing. A curve rests on the order "
        "of one side's scores alone, so networks that score on different scales compare too."
    )


def _curves(pair: Pair, at: int) -> dict[str, OperatingCurve] | None:
    view = pair.views[at]
    results = results_of(pair, view)
    if results is None:
        return None
    curves = {}
    for name, area in results["auroc"].items():
        curve = loaders.roc_curve(view.run, view.epoch, view.layer, pair.detector, name)
        curves[name] = OperatingCurve(
            str(pair.shown[at]), float(area), curve.x, curve.y, None, SIDE_STYLES[at]
        )
    return curves
