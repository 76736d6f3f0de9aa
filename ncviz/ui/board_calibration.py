"""A tab of the Leaderboard: how far confidence can be believed, and what temperature does."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import streamlit as st

from ncviz.figures import Shown, against_temperature, over_epochs, reliability_diagram
from ncviz.metrics import CALIBRATION_DEFINITIONS, MISCLASSIFICATION_DEFINITIONS
from ncviz.results.calibration import calibration_panels, reliable_lines, temperature_lines
from ncviz.ui import board_loaders, components, detector, told
from ncviz.ui.components import plain
from ncviz.ui.view import View


def show(view: View, sets: Iterable[str]) -> None:
    """The tab: reliability and its history, and detectors of the logits against temperature."""
    calibration = board_loaders.calibration_table(view.run)
    temperature = board_loaders.temperature_table(view.run)
    if calibration.empty and temperature.empty:
        components.empty_state(
            f"Calibration is not measured yet for {plain(view.run.name)}. Measure it with:",
            components.commands(view.run.name)[-1],
        )
        return
    _misclassification(view)
    last = view.run.layers[-1]
    st.caption(
        f"Of the network's own head, which sits on {plain(last)}, whatever layer is chosen. "
        "Temperature scaling divides the logits by one number, so that confidence fits accuracy; "
        "predictions stay the same."
    )
    shown = Shown(view.run.name, view.epoch, last)
    left, right = st.columns(2)
    with left:
        _reliability(view, shown)
    with right:
        _against_temperature(temperature, calibration, shown, list(sets))
    if len(calibration):
        _over_epochs(calibration, shown)
        with st.popover("What do these numbers mean?", icon=":material/help:", width="content"):
            for info in CALIBRATION_DEFINITIONS.values():
                components.define(info)


def _misclassification(view: View) -> None:
    """How well each detector finds errors of the network on ID samples."""
    table = board_loaders.misclassification_table(view.run)
    rows = table[(table["epoch"] == view.epoch) & (table["layer"] == view.layer)]
    if rows.empty:
        return
    rows = rows.sort_values("misclassification_augrc", kind="stable")
    st.subheader("Finding errors of the network", anchor=False)
    names = {name: info.label for name, info in MISCLASSIFICATION_DEFINITIONS.items()}
    frame = rows[["detector", *names]].rename(columns={"detector": "Detector", **names})
    frame["Detector"] = frame["Detector"].map(detector.label)
    config = {
        info.label: st.column_config.NumberColumn(help=info.definition, format="%.4f")
        for info in MISCLASSIFICATION_DEFINITIONS.values()
    }
    components.table(
        frame,
        name=f"misclassification-{view.layer}",
        shown=view.shown,
        config=config,
        alt="Risks of selective classification of each detector",
    )
    st.caption(
        f"{rows['errors'].iloc[0]:,} of {rows['samples'].iloc[0]:,} ID test samples are "
        "misclassified. Lower is better: errors get lower scores than correct predictions."
    )


def _reliability(view: View, shown: Shown) -> None:
    bins = board_loaders.reliability_table(view.run, view.epoch)
    if bins.empty:
        components.empty_state(
            f"Epoch {view.epoch} has no reliability diagram. Make it with:",
            components.commands(view.run.name)[-1],
        )
        return
    lines = reliable_lines(bins)
    components.chart(
        reliability_diagram(lines, shown=shown),
        key="reliability",
        alt=told.reliability(lines),
    )
    st.caption(
        "A point is a bin of ID test samples, larger the more there are. Below the dotted line the "
        "network is surer than it is right."
    )


def _against_temperature(
    table: pd.DataFrame, calibration: pd.DataFrame, shown: Shown, sets: list[str]
) -> None:
    rows = table[(table["epoch"] == shown.epoch) & table["set"].isin(sets)]
    if rows.empty:
        components.empty_state(f"Epoch {shown.epoch} has no detectors at other temperatures.")
        return
    fitted = calibration.loc[calibration["epoch"] == shown.epoch, "temperature"]
    value = "AUROC" + (f", mean over {len(sets)} sets" if len(sets) > 1 else f" on {sets[0]}")
    lines = temperature_lines(rows)
    figure = against_temperature(
        lines,
        value=value,
        fitted=float(fitted.iloc[0]) if len(fitted) else None,
        shown=shown,
    )
    components.chart(figure, key="temperature", alt=told.temperature(lines, value))
    marked = f"; dotted: {fitted.iloc[0]:.3g}, which fits the labels best" if len(fitted) else ""
    st.caption(f"Dashed: 1, the logits as they are{marked}. MaxLogit does not depend on it.")


def _over_epochs(calibration: pd.DataFrame, shown: Shown) -> None:
    panels = calibration_panels(calibration)
    components.chart(
        over_epochs(panels, title="Calibration over epochs", shown=shown),
        key="calibration",
        alt=told.over_epochs("Calibration over epochs", panels, shown.epoch),
    )
