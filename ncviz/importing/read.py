"""A folder of exported features, read and checked: sets, head and class names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ncviz.arrays import Head, require_finite, require_labels
from ncviz.errors import (
    CorruptFileError,
    InvalidArrayError,
    InvalidOptionError,
    MissingDataError,
    NcvizError,
    UnknownNameError,
)
from ncviz.importing.formats import FORMATS, read_arrays

GROUPS = ("near", "far")
CLASS_NAMES = "classes.txt"
TOLERANCE = 0.01
"""how far head and logits may be apart, as a share of the largest logit: half precision is less"""

_EPOCH = re.compile(r"[0-9]{1,9}")
_ARRAYS = {"features", "logits", "labels", "weight", "bias"}
_LAYOUT = "train.EXT, test.EXT, near/NAME.EXT, far/NAME.EXT and head.EXT"


@dataclass(frozen=True)
class RawSet:
    """What a network saw of one set.

    Attributes
    ----------
    origin : the file, for messages
    features : (N, D) numbers
    logits : (N, C) numbers, or None
    labels : (N,) integers, or None
    """

    origin: Path
    features: np.ndarray
    logits: np.ndarray | None
    labels: np.ndarray | None


@dataclass(frozen=True)
class Export:
    """One epoch of a network trained elsewhere, consistent in itself.

    Attributes
    ----------
    sets : ``"train"``, ``"test"`` and OOD sets by name, all with the same D and, where the head
        is not given, logits with the same C
    groups : ``"near"`` or ``"far"`` of each OOD set
    head : the network's own classifier, or None
    classes : C
    """

    sets: dict[str, RawSet]
    groups: dict[str, str]
    head: Head | None
    classes: int


def epoch_folders(source: Path, epoch: int) -> dict[int, Path]:
    """The folder of each epoch: the numbered ones in `source`, or `source` itself as `epoch`.

    Raises
    ------
    MissingDataError : `source` is no folder.
    InvalidOptionError : two folders of the same number, or sets both in `source` and beside it.
    """
    if not source.is_dir():
        raise MissingDataError(f"{source} is no folder. Give one that holds {_LAYOUT}.")
    numbered: dict[int, Path] = {}
    for path in sorted(source.iterdir()):
        if path.is_dir() and _EPOCH.fullmatch(path.name):
            other = numbered.setdefault(int(path.name), path)
            if other != path:
                raise InvalidOptionError(f"{other} and {path} are both epoch {int(path.name)}.")
    if numbered and _files(source):
        raise InvalidOptionError(
            f"{source} holds folders of epochs and also files of sets. Move these into the folder "
            "of their epoch."
        )
    if not numbered and epoch < 0:
        raise InvalidOptionError(f"Epoch is {epoch}; it must be at least 0.")
    return dict(sorted(numbered.items())) or {epoch: source}


def read_classes(source: Path, count: int) -> tuple[str, ...]:
    """Names of the `count` classes: the lines of `classes.txt`, or else their numbers."""
    path = source / CLASS_NAMES
    if not path.exists():
        return tuple(map(str, range(count)))
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise CorruptFileError(f"{path} cannot be read as UTF-8 text: {error}.") from error
    names = tuple(line.strip() for line in lines if line.strip())
    if len(names) != count:
        raise InvalidArrayError(
            f"{path} names {len(names)} classes, but the network tells {count} apart; expected one "
            "name a line."
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidArrayError(f"{path} names '{twice}' twice; each class needs its own name.")
    return names


def read_export(folder: Path) -> Export:
    """Everything in the folder of one epoch, checked.

    Raises
    ------
    NcvizError : a set, array or class is missing, of a wrong shape, not finite, or does not fit the
        others; an unknown format, a damaged file.
    """
    found = _files(folder)
    _require_known_folders(folder)
    for name in ("train", "test"):
        if name not in found:
            there = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
            raise MissingDataError(
                f"{folder} has no {name}.EXT (EXT: {', '.join(FORMATS)}); it holds {there}. "
                f"Expected {_LAYOUT}."
            )
    head = _read_head(found.pop("head")) if "head" in found else None
    sets = {name: _read_set(found[name]) for name in ("train", "test")}
    groups = {}
    for group in GROUPS:
        for name, paths in _files(folder / group).items():
            if name in sets:
                raise InvalidOptionError(
                    f"{folder / group} has a set '{name}', and there is another of that name. "
                    "Rename one."
                )
            sets[name], groups[name] = _read_set(paths), group
    _require_width(sets, head)
    classes = _classes(sets, head)
    _require_known_labels(sets, classes)
    if head is not None:
        sets = {name: _agreed(one, head) for name, one in sets.items()}
    return Export(sets, groups, head, classes)


def _files(folder: Path) -> dict[str, dict[str, Path]]:
    """The files of each set in a folder, by what they hold: ``""`` for everything."""
    if not folder.is_dir():
        return {}
    in_group = folder.name in GROUPS
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() or path.name.startswith("."):
            continue
        known = path.suffix[1:].lower() in FORMATS
        name, part = path.stem, ""
        if path.suffix.lower() == ".npy":
            name, _, part = path.stem.rpartition(".")
            if not name or part not in _ARRAYS:
                raise InvalidOptionError(
                    f"{path} does not say what it holds; expected a name such as "
                    f"{path.stem}.features.npy, .logits.npy or .labels.npy."
                )
        if not in_group and name not in ("train", "test", "head"):
            continue
        if not known:
            raise UnknownNameError("format", path.name, FORMATS, f"Found in {folder}.")
        parts = found.setdefault(name, {})
        if part in parts or "" in parts or (parts and not part):
            raise InvalidOptionError(f"{folder} holds '{name}' in two formats. Keep one of them.")
        parts[part] = path
    return found


def _require_known_folders(folder: Path) -> None:
    """A set in a folder with another name than near or far would be missed without a word."""
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or path.name.startswith(".") or path.name in GROUPS:
            continue
        lost = next((one for one in sorted(path.iterdir()) if one.suffix[1:] in FORMATS), None)
        if lost is not None:
            raise InvalidOptionError(
                f"{lost} lies in a folder that says nothing about it; expected {_LAYOUT}."
            )


def _origin(paths: Mapping[str, Path]) -> Path:
    return paths.get("") or paths.get("features") or next(iter(paths.values()))


def _read_set(paths: dict[str, Path]) -> RawSet:
    origin, arrays = _origin(paths), read_arrays(paths)
    if "features" not in arrays:
        raise MissingDataError(
            f"{origin} has no array 'features' (it has: {', '.join(sorted(arrays)) or 'none'})."
        )
    one = RawSet(origin, arrays["features"], arrays.get("logits"), arrays.get("labels"))
    with _named(origin):
        for name, array in (("features", one.features), ("logits", one.logits)):
            if array is not None:
                _require_matrix(array, name, len(one.features))
        if one.labels is not None:
            require_labels(one.labels, len(one.features), None)
    return one


def _require_matrix(array: np.ndarray, name: str, rows: int) -> None:
    if array.ndim != 2 or len(array) != rows or not array.size:
        expected = "(N, D), one row for each of N samples" if name == "features" else f"({rows}, C)"
        raise InvalidArrayError(f"{name} have shape {array.shape}; expected {expected}.")
    require_finite(array, name.capitalize())


def _read_head(paths: dict[str, Path]) -> Head:
    origin, arrays = _origin(paths), read_arrays(paths)
    missing = [name for name in ("weight", "bias") if name not in arrays]
    if missing:
        zeros = " A layer without one has a bias of zeros." if missing[0] == "bias" else ""
        raise MissingDataError(
            f"{origin} has no array '{missing[0]}' (it has: {', '.join(sorted(arrays)) or 'none'})."
            + zeros
        )
    with _named(origin):
        return Head(*(np.asarray(arrays[name], np.float32) for name in ("weight", "bias")))


class _named:  # noqa: N801 - reads as a statement
    """Puts the file in front of what is wrong with its arrays."""

    def __init__(self, origin: Path):
        self.origin = origin

    def __enter__(self) -> None: ...

    def __exit__(self, kind, error, trace) -> None:
        if isinstance(error, NcvizError):
            raise InvalidArrayError(f"{self.origin}: {error}") from error


def _require_width(sets: Mapping[str, RawSet], head: Head | None) -> None:
    first = sets["train"]
    width = first.features.shape[1]
    for one in sets.values():
        if one.features.shape[1] != width:
            raise InvalidArrayError(
                f"{one.origin} has {one.features.shape[1]} features a sample, but {first.origin} "
                f"has {width}; expected the same layer of the same network."
            )
    if head is not None and head.dim != width:
        raise InvalidArrayError(
            f"The head takes {head.dim} features, but {first.origin} has {width}; expected the "
            "features that the head is applied to, and a weight of shape (C, D)."
        )


def _classes(sets: Mapping[str, RawSet], head: Head | None) -> int:
    """C, which head and logits agree on."""
    if head is None:
        without = [one for one in sets.values() if one.logits is None]
        if without:
            raise MissingDataError(
                f"{without[0].origin} has no logits, and there is no head to compute them with. "
                "Export the logits of every set, or the head (weight, bias)."
            )
    first = sets["train"]
    classes = head.classes if head is not None else first.logits.shape[1]
    for one in sets.values():
        if one.logits is not None and one.logits.shape[1] != classes:
            other = "the head" if head is not None else str(first.origin)
            raise InvalidArrayError(
                f"{one.origin} has logits of {one.logits.shape[1]} classes, but {other} has "
                f"{classes}."
            )
    if classes < 2:
        raise InvalidArrayError(f"{first.origin} knows one class; a classifier has two or more.")
    return classes


def _require_known_labels(sets: Mapping[str, RawSet], classes: int) -> None:
    train, test = sets["train"], sets["test"]
    if train.labels is None:
        raise MissingDataError(
            f"{train.origin} has no array 'labels'; class means need the label of each training "
            "sample."
        )
    for one in (train, test):
        if one.labels is not None:
            with _named(one.origin):
                require_labels(one.labels, len(one.features), classes)
    absent = np.setdiff1d(np.arange(classes), train.labels)
    if len(absent):
        raise InvalidArrayError(
            f"{train.origin} has no sample of {len(absent)} of the {classes} classes (the first: "
            f"label {absent[0]}); every class needs one."
        )


def _agreed(one: RawSet, head: Head) -> RawSet:
    """The set without the logits that follow from its head; an error if they do not."""
    if one.logits is None:
        return one
    furthest, largest = 0.0, 0.0
    for rows in slices(len(one.features)):
        logits = head.logits(one.features[rows].astype(np.float64))
        given = one.logits[rows].astype(np.float64)
        furthest = max(furthest, float(np.abs(logits - given).max()))
        largest = max(largest, float(np.abs(given).max()), float(np.abs(logits).max()))
    if furthest > TOLERANCE * largest:
        raise InvalidArrayError(
            f"{one.origin}: logits differ by up to {furthest:.3g} from features @ weight.T + bias "
            f"(the largest logit: {largest:.3g}). Export the features that the head itself takes, "
            "after pooling and activation, or leave the head out."
        )
    return replace(one, logits=None)


def slices(count: int, size: int = 8192) -> Iterable[slice]:
    """Consecutive pieces of `count` rows, small enough to be copied to float64."""
    return (slice(start, start + size) for start in range(0, count, size))
