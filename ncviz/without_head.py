"""Methods that are unavailable at a layer with logits but without a linear head."""

from __future__ import annotations

from ncviz import detectors
from ncviz.collapse import METRICS

_GROUPS = ("NC3", "NC4")


def unavailable_detectors() -> tuple[str, ...]:
    """Return the names of the detectors that need the weights of the head."""
    infos = map(detectors.info, detectors.names())
    return tuple(
        info.name
        for info in infos
        if info.scores_arrays and not info.suits(has_head=False, has_logits=True)
    )


def unavailable_methods() -> str:
    """Return all metrics and detectors that need the weights of the head, as a list in words."""
    groups = [group for group in _GROUPS if any(each.group == group for each in METRICS.values())]
    labels = [detectors.info(name).label for name in unavailable_detectors()]
    return f"{', '.join(groups)}, NC2 of class weights; detectors {', '.join(labels)}"
