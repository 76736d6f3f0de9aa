"""Choosing and explaining a detector; the choice is the same on all pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import streamlit as st

from ncviz import detectors
from ncviz.detectors import DetectorInfo, probe_energy
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


def in_order(found: Iterable[str]) -> list[str]:
    """Detectors as the registry lists them; those it does not know come last."""
    found = set(found)
    known = [name for name in detectors.names() if name in found]
    return known + sorted(found - set(known))


def label(name: str) -> str:
    """How a page writes the detector `name`."""
    info = _info(name)
    return info.label if info else name


def family(name: str) -> str:
    """What the detector `name` looks at, such as "logits"."""
    info = _info(name)
    return info.family if info else "unknown"


def explain(name: str) -> None:
    """A button that opens formula, source and caveat of a detector that is known."""
    info = _info(name)
    if info is None:
        return
    with st.popover(f"What is {info.label}?", icon=":material/help:"):
        define(info)


def define(info: DetectorInfo) -> None:
    """A detector in words: its formula, what it needs, its parameters, where it misleads."""
    st.markdown(f"**{plain(info.label)}** · `{info.name}`")
    components.formula(info.formula)
    st.caption(f"Higher = more in-distribution. Source: {plain(info.source)}.")
    needs = plain(", ".join(info.needs))
    parameters = ", ".join(
        f"{name} = {'chosen from the data' if value is None else value}"
        for name, value in info.defaults.items()
    )
    st.caption(f"Needs: {needs}." + (f" Parameters: {plain(parameters)}." if parameters else ""))
    st.caption(f":material/warning: {plain(info.caveat)}")


def _info(name: str) -> DetectorInfo | None:
    if name == probe_energy.INFO.name:
        return probe_energy.INFO
    return detectors.info(name) if name in detectors.names() else None
