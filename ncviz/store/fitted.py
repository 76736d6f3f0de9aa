"""Fitted detectors of an epoch on disk: what they learned from samples, each array once.

Detectors that learn from nothing but a head and class statistics are fitted again on reading: both
are in the run already, and the spectra that they come down to would be the larger part of the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ncviz import detectors
from ncviz.arrays import FeatureSet, Head
from ncviz.detectors import Detector, probe_energy
from ncviz.errors import (
    CorruptFileError,
    InvalidArrayError,
    InvalidOptionError,
    MissingDataError,
    NcvizError,
)
from ncviz.store import checksums, files, layout

if TYPE_CHECKING:
    from ncviz.store.epoch import Epoch

_SAME, _NARROWED, _LEFT_OUT = "same", "narrowed", "left_out"


def write(
    epoch: Epoch,
    fitted: Mapping[str, Mapping[str, Detector]],
    chosen: Sequence[str],
    left_out: Mapping[str, str],
) -> None:
    """Write what the detectors of each layer learned from samples, by layer and name.

    `chosen` are all that were asked for: some may not have been fitted at a layer. `left_out` are
    the reasons why others are not stored.
    """
    stored: dict[str, np.ndarray] = {}
    first: dict[str, str] = {}
    same: dict[str, str] = {}
    narrowed: list[str] = []
    for layer, by_name in fitted.items():
        for detector, one in by_name.items():
            if not one.info().learns_from_samples:
                continue
            for attribute, array in one.state().items():
                name = f"{layer}/{detector}/{attribute}"
                # Detectors that compare with the same training samples hold the same arrays.
                origin = first.setdefault(checksums.of_arrays({"": array}), name)
                if origin != name:
                    same[name] = origin
                    continue
                stored[name] = _narrow(array)
                if stored[name].dtype != array.dtype:
                    narrowed.append(name)
    extra = {
        _SAME: json.dumps(same, sort_keys=True),
        _NARROWED: json.dumps(narrowed),
        _LEFT_OUT: json.dumps(dict(left_out), sort_keys=True),
    }
    made_from = sources(epoch, chosen)
    files.write_arrays(epoch.path / layout.DETECTORS, stored, sources=made_from, extra=extra)


def sources(epoch: Epoch, chosen: Sequence[str]) -> dict[str, str]:
    """What fitted detectors come from: files of the ID set alone, versions and parameters."""
    foreign = tuple(f"{layout.FEATURES}/{name}." for name in epoch.sets if not _is_id(epoch, name))
    inputs = {name: mark for name, mark in epoch.inputs().items() if not name.startswith(foreign)}
    return inputs | detectors.marks(chosen)


def names(epoch: Epoch, layer: str) -> tuple[str, ...]:
    """Detectors that can be had at `layer`, in the registry's order."""
    if not (epoch.has_head(layer) or epoch.has_probe(layer)):
        return ()
    path = epoch.path / layout.DETECTORS
    stored = {name.split("/")[1] for name in _names(epoch) if name.startswith(f"{layer}/")}
    recorded = files.sources_of(path, mend=_mend(epoch))
    own = {"has_head": epoch.has_head(layer), "has_logits": layer == epoch.run.layers[-1]}
    found = []
    for name in detectors.names():
        info = detectors.info(name)
        if not info.suits(**own):
            continue
        if info.learns_from_samples and (name not in stored or _stale(epoch, name, recorded)):
            continue
        found.append(name)
    return tuple(found)


def ready(epoch: Epoch, layer: str) -> tuple[str, ...]:
    """The same, with those that take the network at its last layer, and the linear probe's energy.

    In the registry's order; the probe's energy is not in it and comes last.
    """
    found = {*names(epoch, layer)}
    if layer == epoch.run.layers[-1]:
        found |= {name for name in detectors.names() if not detectors.info(name).scores_arrays}
    probed = (probe_energy.INFO.name,) if epoch.has_probe(layer) else ()
    return (*(name for name in detectors.names() if name in found), *probed)


def read(epoch: Epoch, name: str, layer: str) -> Detector:
    """The detector `name` as it was fitted at `layer`."""
    info = detectors.info(name)
    if not info.scores_arrays:
        raise InvalidOptionError(
            f"Detector '{name}' takes the network itself, not its features: there is nothing "
            "fitted to read. Score images with scripts/score.py."
        )
    if not info.learns_from_samples:
        return _fit_to_sums(epoch, name, layer)
    where = f"at the {layer} of epoch {epoch.number} of {epoch.run.name}"
    path = epoch.path / layout.DETECTORS
    prefix = f"{layer}/{name}/"
    attributes = [each for each in _names(epoch) if each.startswith(prefix)]
    if not attributes:
        reason = _reasons(epoch).get(f"{layer}/{name}")
        if reason:
            raise MissingDataError(f"Detector '{name}' cannot score new samples {where}: {reason}.")
        raise MissingDataError(f"Detector '{name}' was not fitted {where}. {_mend(epoch)}")
    if _stale(epoch, name, files.sources_of(path, mend=_mend(epoch))):
        raise MissingDataError(
            f"Detector '{name}' was fitted to other features or parameters {where} than there are "
            f"now. {_mend(epoch)}"
        )
    same, narrowed = _extra(epoch)
    stored = {each: same.get(each, each) for each in attributes}
    arrays = files.read_arrays(path, sorted(set(stored.values())), mend=_mend(epoch))
    wide = {
        each: array.astype(np.float32) if each in narrowed else array
        for each, array in arrays.items()
    }
    state = {each.removeprefix(prefix): wide[origin] for each, origin in stored.items()}
    try:
        detector = detectors.restore(name, state)
        _try_out(detector, state, _head(epoch, layer))
    except NcvizError as error:
        raise CorruptFileError(f"{path} is damaged: {error} Delete it. {_mend(epoch)}") from error
    except Exception as error:  # whatever NumPy makes of arrays that do not fit each other
        raise CorruptFileError(
            f"{path} is damaged: the arrays of detector '{name}' at the {layer} do not fit each "
            f"other. Delete it. {_mend(epoch)}"
        ) from error
    return detector


def _try_out(detector: Detector, state: Mapping[str, np.ndarray], head: Head) -> None:
    """Raise whatever a state that somebody else has written would raise at the first image."""
    for attribute, array in state.items():
        if array.dtype.kind not in "biuf" or np.isnan(array).any():
            raise InvalidArrayError(f"'{attribute}' holds values that are no numbers.")
    # One sample of the first class and one of the last: what is kept for each class is too short
    # for the last.
    ends = [0, head.classes - 1]
    logits = np.eye(head.classes, dtype=np.float32)[ends]
    samples = FeatureSet(np.asarray(head.weight, np.float32)[ends], logits)
    with np.errstate(all="ignore"):
        scores = detector.score(samples)
    if scores.shape != (2,):
        raise InvalidArrayError(f"Detector '{detector.name}' has no single score for a sample.")


def _fit_to_sums(epoch: Epoch, name: str, layer: str) -> Detector:
    head = _head(epoch, layer)
    nothing = FeatureSet(np.empty((0, head.dim)), np.empty((0, head.classes)))
    return detectors.create(name).fit(nothing, head, epoch.statistics(layer))


def _head(epoch: Epoch, layer: str) -> Head:
    return epoch.head(layer) if epoch.has_head(layer) else epoch.probe(layer)


def _stale(epoch: Epoch, name: str, recorded: Mapping[str, str]) -> bool:
    # Features may be missing here: scoring does without them.
    now = sources(epoch, (name,))
    return any(recorded.get(each) != mark for each, mark in now.items())


def _is_id(epoch: Epoch, set_name: str) -> bool:
    return set_name.split("/")[0] == epoch.run.id_set


def _names(epoch: Epoch) -> list[str]:
    """Names of all arrays, those that are stored under another name among them."""
    path = epoch.path / layout.DETECTORS
    if not path.exists():
        return []
    same, _ = _extra(epoch)
    return sorted({*files.array_names(path, mend=_mend(epoch)), *same})


def _extra(epoch: Epoch) -> tuple[dict[str, str], set[str]]:
    path = epoch.path / layout.DETECTORS
    header = files.read_header(path, mend=_mend(epoch))
    try:
        same, narrowed = dict(json.loads(header[_SAME])), set(json.loads(header[_NARROWED]))
        if not all(isinstance(each, str) for each in (*same.values(), *narrowed)):
            raise TypeError("names must be texts")
        return same, narrowed
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CorruptFileError(
            f"{path} holds no fitted detectors of ncviz. Delete it. {_mend(epoch)}"
        ) from error


def _reasons(epoch: Epoch) -> dict[str, str]:
    """Return why states were left out, by layer and name."""
    path = epoch.path / layout.DETECTORS
    if not path.exists():
        return {}
    try:
        return dict(json.loads(files.read_header(path, mend=_mend(epoch))[_LEFT_OUT]))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CorruptFileError(
            f"{path} holds no fitted detectors of ncviz. Delete it. {_mend(epoch)}"
        ) from error


def _mend(epoch: Epoch) -> str:
    return (
        f"Fitting takes features: python scripts/extract.py {epoch.run.name}, then "
        f"python scripts/evaluate.py {epoch.run.name}"
    )


def _narrow(array: np.ndarray) -> np.ndarray:
    """Features read from float16 are float32 that lose nothing on their way back."""
    if array.dtype != np.float32 or not array.ndim:
        return array
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), array) else array
