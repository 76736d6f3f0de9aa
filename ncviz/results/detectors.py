"""How detectors are named, ordered and described where results are shown."""

from __future__ import annotations

from collections.abc import Iterable

from ncviz import detectors
from ncviz.detectors import DetectorInfo, probe_energy


def in_order(found: Iterable[str]) -> list[str]:
    """Detectors as the registry lists them; those it does not know come last."""
    found = set(found)
    known = [name for name in detectors.names() if name in found]
    return known + sorted(found - set(known))


def label(name: str) -> str:
    """How readers see the detector `name`."""
    found = info(name)
    return found.label if found else name


def family(name: str) -> str:
    """What the detector `name` looks at, such as "logits"."""
    found = info(name)
    return found.family if found else "unknown"


def info(name: str) -> DetectorInfo | None:
    """What is known of the detector `name`; None of one that is not registered."""
    if name == probe_energy.INFO.name:
        return probe_energy.INFO
    return detectors.info(name) if name in detectors.names() else None


def settings(info: DetectorInfo) -> str:
    """Its parameters and their values, as a list in words; empty where it has none."""
    return ", ".join(
        f"{name} = {'chosen from the data' if value is None else value}"
        for name, value in info.defaults.items()
    )
