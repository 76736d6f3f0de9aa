"""Detectors by name: from features and logits to a score that is higher for in-distribution.

A module in this folder registers its detectors by being there; nothing else lists them.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Iterable, Mapping
from importlib import import_module

import numpy as np

from ncviz.arrays import FeatureSet
from ncviz.definitions import CODE
from ncviz.detectors._banked import Banked, score_together
from ncviz.detectors._resolution import MAX_NOISE, constant, rounding_noise
from ncviz.detectors.base import Detector, DetectorInfo, describe_fit, lookup, registered
from ncviz.xp import Array

for _module in pkgutil.iter_modules(__path__):
    if not _module.name.startswith("_"):
        import_module(f"{__name__}.{_module.name}")

__all__ = [
    "MAX_NOISE",
    "Detector",
    "DetectorInfo",
    "constant",
    "create",
    "describe_fit",
    "info",
    "marks",
    "names",
    "restore",
    "rounding_noise",
    "score_all",
]


def names() -> tuple[str, ...]:
    """Names of all detectors, family by family."""
    return registered()


def info(name: str) -> DetectorInfo:
    """What the detector `name` computes, needs and assumes, without making one."""
    return lookup(name).info()


def create(name: str, **parameters) -> Detector:
    """A detector yet to be fitted; `parameters` replace its published defaults.

    Raises
    ------
    UnknownNameError : no detector of this name
    InvalidOptionError : a parameter that it does not have, or a value outside its range
    """
    return lookup(name).create(**parameters)


def score_all(fitted: Mapping[str, Detector], samples: FeatureSet) -> dict[str, Array]:
    """Scores (N,) of samples by each of the fitted detectors, by name.

    Detectors that compare with the same training samples do so together: most of what each takes
    is the cosines, which are the same for all.
    """
    sharing: dict[int, list[str]] = {}
    for name, detector in fitted.items():
        if isinstance(detector, Banked) and detector.probes is None:
            sharing.setdefault(id(detector.bank_), []).append(name)
    scores = {}
    for together in sharing.values():
        found = score_together([fitted[name] for name in together], samples)
        scores |= dict(zip(together, found, strict=True))
    return {
        name: scores[name] if name in scores else detector.score(samples)
        for name, detector in fitted.items()
    }


def keeps_training_samples(name: str) -> bool:
    """Return whether a fitted detector holds the features of its training samples."""
    return issubclass(lookup(name), Banked)


def marks(chosen: Iterable[str]) -> dict[str, str]:
    """What to record beside scores by `chosen`: those of other parameters or versions are stale."""
    return {f"{CODE}detector:{name}": _mark(create(name)) for name in chosen}


def _mark(detector: Detector) -> str:
    return json.dumps({"version": detector.version, **detector.parameters()}, sort_keys=True)


def restore(name: str, state: Mapping[str, np.ndarray]) -> Detector:
    """The fitted detector that `Detector.state` described; its scores are equal to the bit.

    Raises
    ------
    UnknownNameError : no detector of this name
    InvalidArrayError : arrays are missing, or belong to another detector
    """
    return lookup(name).restore(state)
