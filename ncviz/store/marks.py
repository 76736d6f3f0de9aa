"""Versions and parameters of this code that results record, so that older results are stale."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ncviz import collapse, detectors, metrics, transfer
from ncviz.definitions import (
    CODE,
    MAPS_VERSION,
    TABLES_VERSION,
    TRANSFER_VERSION,
    MetricInfo,
)
from ncviz.errors import UnknownNameError
from ncviz.store import checksums

AXES = f"{CODE}axes"
_MAPS = f"{CODE}maps"
_DETECTOR = f"{CODE}detector:"


def of_results() -> dict[str, str]:
    """Marks of the tables of an evaluation: their version, and those of the metrics in them."""
    infos = (
        *(collapse.METRICS, metrics.DEFINITIONS, metrics.MISCLASSIFICATION_DEFINITIONS),
        metrics.CALIBRATION_DEFINITIONS,
    )
    versions = _versions(info for one in infos for info in one.values())
    return {f"{CODE}tables": TABLES_VERSION, f"{CODE}metrics": versions}


def _versions(infos: Iterable[MetricInfo]) -> str:
    """Return a digest of the versions of metrics, which changes with each of them."""
    return checksums.of_json({info.name: info.version for info in infos})


def of_transfer() -> dict[str, str]:
    """Marks of the transfer errors."""
    versions = _versions(transfer.DEFINITIONS.values())
    return {f"{CODE}transfer": TRANSFER_VERSION, f"{CODE}transfer metrics": versions}


def is_current_transfer(recorded: Mapping[str, str]) -> bool:
    """Whether transfer errors are measured in the same way now."""
    now = of_transfer()
    return {name: recorded.get(name) for name in now} == now


def names_of_detectors(recorded: Mapping[str, str]) -> tuple[str, ...]:
    """The detectors whose marks are among those `recorded`."""
    return tuple(name.removeprefix(_DETECTOR) for name in recorded if name.startswith(_DETECTOR))


def without_detectors(recorded: Mapping[str, str]) -> dict[str, str]:
    """What is `recorded` besides detectors."""
    return {name: mark for name, mark in recorded.items() if not name.startswith(_DETECTOR)}


def is_current(detector: str, recorded: Mapping[str, str]) -> bool:
    """Whether a detector has the parameters and version that are `recorded` of it."""
    try:
        return detectors.marks([detector]).items() <= recorded.items()
    except UnknownNameError:
        return False


def of_maps(settings: Mapping[str, Any], axes: str) -> dict[str, str]:
    """Marks of maps made by `settings`, on the axes of the epoch whose `axes_mark` is `axes`."""
    made_by = {**settings, "version": MAPS_VERSION}
    return {_MAPS: json.dumps(made_by, sort_keys=True), AXES: axes}


def are_current_maps(recorded: Mapping[str, str]) -> bool:
    """Whether maps are made in the same way now, whatever their settings were."""
    try:
        return json.loads(recorded[_MAPS])["version"] == MAPS_VERSION
    except (KeyError, TypeError, ValueError, RecursionError):
        return False
