"""Choosing and explaining a detector; the choice is the same on all pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import streamlit as st

from ncviz.detectors import DetectorInfo, probe_energy
from ncviz.results.detectors import family as family
from ncviz.results.detectors import in_order, info, label, settings
from ncviz.store import Run
from ncviz.ui import components, controls, loaders
from ncviz.ui.components import plain

DEFAULT = "energy"


def choose(
    names: Sequence[str], *, help: str, key: str = "detector", default: str = DEFAULT
) -> str:
    """One of the detectors `names`; pages with another `key` have a choice of their own."""
    if default not in names:
        default = probe_energy.INFO.name
    return controls.choose("Detector", names, key=key, default=default, words=label, help=help)


def choose_among(runs: Iterable[Run], *, help: str) -> str | None:
    """One of the detectors that any of `runs` was scored by; None where there is none."""
    found = {name for run in runs for name in loaders.detection_table(run)["detector"]}
    if not found:
        return None
    with st.sidebar:
        return choose(in_order(found), help=help)


def choose_for_layers(runs: Iterable[Run], *, help: str) -> str | None:
    """The same for a comparison of layers: by default a score that each of them has."""
    tables = [loaders.detection_table(run) for run in runs]
    scored = [set(rows) for table in tables for _, rows in table.groupby("layer")["detector"]]
    if not scored:
        return None
    shared = set.intersection(*scored)
    default = DEFAULT if DEFAULT in shared else probe_energy.INFO.name
    with st.sidebar:
        return choose(
            in_order(set.union(*scored)), help=help, key="layer_detector", default=default
        )


def explain_left_out(run: Run, epoch: int, layer: str) -> None:
    """Name the detectors that were left out at a layer, with the reasons."""
    for sentence in loaders.detectors_left_out(run, epoch, layer):
        st.markdown(f":material/info: {plain(sentence)}")


def explain(name: str) -> None:
    """A button that opens formula, source and caveat of a detector that is known."""
    known = info(name)
    if known is None:
        return
    with st.popover(f"What is {known.label}?", icon=":material/help:"):
        define(known)


def define(info: DetectorInfo) -> None:
    """A detector in words: its formula, what it needs, its parameters, where it misleads."""
    st.markdown(f"**{plain(info.label)}** · `{info.name}`")
    components.formula(info.formula)
    st.caption(f"Higher = more in-distribution. Source: {plain(info.source)}.")
    needs = plain(", ".join(info.needs))
    parameters = settings(info)
    st.caption(f"Needs: {needs}." + (f" Parameters: {plain(parameters)}." if parameters else ""))
    st.caption(f":material/warning: {plain(info.caveat)}")
