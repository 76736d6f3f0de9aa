"""Slow, obvious detectors: functions `name(case, sample, logits)`, a module for each family."""

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules


def slow(name: str) -> Callable:
    """The slow implementation of the detector `name`."""
    for module in iter_modules(__path__):
        found = getattr(import_module(f"{__name__}.{module.name}"), name, None)
        if found is not None:
            return found
    raise LookupError(f"Detector '{name}' has no slow implementation in tests/detector_oracles.")
