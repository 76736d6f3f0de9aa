"""An export of one epoch, read and checked: sets, head, classes and notes for the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ncviz.arrays import Head
from ncviz.errors import InvalidArrayError, InvalidOptionError, MissingDataError
from ncviz.importing import identity
from ncviz.importing.checks import (
    integer_labels,
    named,
    named_labels,
    require_float32,
    require_matrix,
    require_numbers,
    slices,
)
from ncviz.importing.classes import (
    ClassOrder,
    names_of_texts,
    read_class_names,
    require_count,
)
from ncviz.importing.columns import Contents, listed
from ncviz.importing.folder import files_of_epoch
from ncviz.importing.formats import read_contents
from ncviz.label_order import is_transposed
from ncviz.literal import distinct

TOLERANCE = 0.01
"""Largest difference between head and logits, as a share of the largest logit: half precision has
a smaller one."""

_COMPARED_ROWS = 2048


@dataclass(frozen=True)
class ReadOptions:
    """How the arrays of an export are named and its classes are ordered.

    Attributes
    ----------
    columns : name of the array of features, or prefix of its numbered columns; None for the usual
    classes : file of class names in the order of the logits; None for `classes.txt`
    class_order : how class names were sorted where labels are text and no file lists them
    """

    columns: str | None = None
    classes: Path | None = None
    class_order: ClassOrder | None = None


DEFAULTS = ReadOptions()


@dataclass(frozen=True)
class RawSet:
    """Outputs of a network for the samples of one set.

    Attributes
    ----------
    origin : the file, for messages
    features : (N, D) numbers, or None
    logits : (N, C) numbers, or None
    labels : (N,) int64, or None
    keys : identity of each sample; empty if unknown
    identity : ``"keys"``, ``"inputs"`` (hashes of the network's inputs) or ``""``
    """

    origin: Path
    features: np.ndarray | None
    logits: np.ndarray | None
    labels: np.ndarray | None
    keys: tuple[str, ...] = ()
    identity: str = ""

    def __len__(self) -> int:
        return len(self.logits if self.features is None else self.features)


@dataclass(frozen=True)
class Export:
    """One epoch of a network trained elsewhere, consistent in itself.

    Attributes
    ----------
    sets : ``"train"``, ``"test"`` and OOD sets by name, all with features of the same D or all
        without; where there is no head, with logits of the same C
    groups : ``"near"`` or ``"far"`` of each OOD set
    head : the network's own classifier, or None
    classes : names of the C classes
    notes : what was ignored or is missing, as sentences
    """

    sets: dict[str, RawSet]
    groups: dict[str, str]
    head: Head | None
    classes: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def has_features(self) -> bool:
        """Whether the sets have features and not only logits."""
        return self.sets["train"].features is not None


def read_export(
    folder: Path,
    source: Path | None = None,
    options: ReadOptions = DEFAULTS,
    progress: Callable[[str], None] = lambda step: None,
) -> Export:
    """Read and check the folder of one epoch.

    Parameters
    ----------
    folder : holds the sets
    source : holds `classes.txt`; `folder` if None
    progress : called with the name of each file before it is read

    Raises
    ------
    NcvizError
        If a set, array or class is missing, of a wrong shape or not finite, or does not fit the
        others; if a format is unknown or a file damaged.
    """
    files, groups = files_of_epoch(folder, options.columns)
    contents = {}
    for name in dict.fromkeys(("train", "test", *files)):
        paths = files[name]
        origin = _origin(paths)
        progress(origin.relative_to(folder).as_posix())
        contents[name] = origin, read_contents(paths, features=options.columns)
    head = contents.pop("head", None)
    names = read_class_names(source or folder, options.classes)
    if names is None:
        names = _names_of_texts(contents, options.class_order)
    elif options.class_order is not None:
        raise InvalidOptionError(
            "The class names are listed in a file already, in the order of the logits. Leave out "
            "--class-order."
        )
    notes = _unused(contents)
    sets = {}
    for name, (origin, found) in contents.items():
        sets[name] = _read_set(origin, found, names, notes, is_ood=name in groups)
    _require_same_arrays(sets, contents)
    has_features = sets["train"].features is not None
    if head is not None and not has_features:
        notes.append(f"{head[0].name} is not used: it takes features, and there are only logits.")
    read = _read_head(*head) if head is not None and has_features else None
    _require_width(sets, read)
    classes = _count_classes(sets, read)
    if names is None:
        names = tuple(map(str, range(classes)))
    else:
        require_count(names, classes, options.classes or (source or folder) / "classes")
    _require_known_labels(sets, classes)
    if read is not None:
        sets = {name: _without_redundant_logits(one, read) for name, one in sets.items()}
    return Export(sets, groups, read, names, tuple(notes))


def _origin(paths: Mapping[str, Path]) -> Path:
    return paths.get("") or paths.get("features") or next(iter(paths.values()))


def _names_of_texts(
    contents: Mapping[str, tuple[Path, Contents]], order: ClassOrder | None
) -> tuple[str, ...] | None:
    """Return the class names from text labels; None if the labels are numbers."""
    origin, train = contents["train"]
    labels = train.arrays.get("labels")
    if labels is not None and labels.dtype.kind in "US":
        return tuple(distinct(names_of_texts(labels, order, origin)))
    if order is not None:
        raise InvalidOptionError(
            f"--class-order sorts labels that are text, but those of {origin} are numbers: they "
            "state the order of the classes themselves. Leave the option out."
        )
    return None


def _unused(contents: Mapping[str, tuple[Path, Contents]]) -> list[str]:
    """Return a note for each group of files that have the same arrays or columns to spare."""
    files: dict[tuple[str, ...], list[str]] = {}
    for origin, found in contents.values():
        if found.unused:
            files.setdefault(found.unused, []).append(origin.name)
    return [f"{listed(names)}: not used, in {listed(where)}." for names, where in files.items()]


def _read_set(
    origin: Path,
    found: Contents,
    names: tuple[str, ...] | None,
    notes: list[str],
    *,
    is_ood: bool,
) -> RawSet:
    arrays = found.arrays
    present = listed(found.present)
    for name in ("features", "logits") + (() if is_ood else ("labels",)):
        if name in found.unreadable:
            raise InvalidArrayError(f"{origin}: '{name}' {found.unreadable[name]}.")
    if "features" not in arrays and "logits" not in arrays:
        raise _nothing_to_import(origin, found)
    with named(origin):
        features, logits = arrays.get("features"), arrays.get("logits")
        if features is not None:
            require_matrix(features, "features")
        rows = len(logits if features is None else features)
        if logits is not None:
            require_matrix(logits, "logits", rows)
        labels = _labels(origin, found, rows, names, notes, is_ood=is_ood)
        if labels is None and not is_ood:
            notes.append(
                f"{origin.name} has no labels (it has: {present}), so accuracy and calibration are "
                "left out."
            )
        keys, kind = _identity(found, rows)
    return RawSet(origin, features, logits, labels, keys, kind)


def _nothing_to_import(origin: Path, found: Contents) -> MissingDataError:
    present = listed(found.present)
    if "scores" in found.arrays:
        return MissingDataError(
            f"{origin} has scores but neither features nor logits (it has: {present}). Scores are "
            "computed here, from features or logits: export one of them. For metrics of the scores "
            "alone, call ncviz.metrics.detection_metrics(id_scores, ood_scores)."
        )
    return MissingDataError(
        f"{origin} has no array 'features' and no columns 'feature_0', 'feature_1', ... (it has: "
        f"{present}). Give the name of the array, or the prefix of its columns, with --columns."
    )


def _labels(
    origin: Path,
    found: Contents,
    rows: int,
    names: tuple[str, ...] | None,
    notes: list[str],
    *,
    is_ood: bool,
) -> np.ndarray | None:
    labels = found.arrays.get("labels")
    if is_ood:
        reason = found.unreadable.get("labels", "")
        if labels is not None:
            try:
                return integer_labels(labels, rows)
            except InvalidArrayError as error:
                reason = str(error)
        if reason:
            notes.append(
                f"Labels of {origin.name} are ignored, as those of an OOD set are optional "
                f"({reason.rstrip('.')})."
            )
        return None
    if labels is None:
        return None
    if labels.dtype.kind in "US" and names is not None:
        return named_labels(labels, rows, names)
    return integer_labels(labels, rows)


def _identity(found: Contents, rows: int) -> tuple[tuple[str, ...], str]:
    """Return the key of each sample and what the keys are."""
    for kind in ("keys", "inputs"):
        if kind in found.unreadable:
            raise InvalidArrayError(
                f"'{kind}' {found.unreadable[kind]}. Export text with dtype str or numbers."
            )
    if "keys" in found.arrays:
        return tuple(identity.keys_as_text(found.arrays["keys"], rows)), "keys"
    if "inputs" in found.arrays:
        return tuple(identity.input_hashes(found.arrays["inputs"], rows)), "inputs"
    return (), ""


def _require_same_arrays(
    sets: Mapping[str, RawSet], contents: Mapping[str, tuple[Path, Contents]]
) -> None:
    """Raise MissingDataError if some sets have features and others only logits."""
    if len({one.features is None for one in sets.values()}) == 1:
        return
    name, without = next((name, one) for name, one in sets.items() if one.features is None)
    raise MissingDataError(
        f"{without.origin} has no array 'features', but other sets do (it has: "
        f"{listed(contents[name][1].present)}). Give the name of the array, or the prefix of its "
        "columns, with --columns."
    )


def _read_head(origin: Path, found: Contents) -> Head:
    arrays = found.arrays
    missing = [name for name in ("weight", "bias") if name not in arrays]
    if missing:
        zeros = " A layer without one has a bias of zeros." if missing[0] == "bias" else ""
        raise MissingDataError(
            f"{origin} has no array '{missing[0]}' (it has: {listed(found.present)}).{zeros}"
        )
    with named(origin):
        for name in ("weight", "bias"):
            require_numbers(arrays[name], name)
            require_float32(np.atleast_1d(arrays[name]), name)
        return Head(*(np.asarray(arrays[name], np.float32) for name in ("weight", "bias")))


def _require_width(sets: Mapping[str, RawSet], head: Head | None) -> None:
    first = sets["train"]
    if first.features is None:
        return
    width = first.features.shape[1]
    for one in sets.values():
        if one.features.shape[1] != width:
            raise InvalidArrayError(
                f"{one.origin} has {one.features.shape[1]} features per sample, but {first.origin} "
                f"has {width}; expected the same layer of the same network."
            )
    if head is not None and head.dim != width:
        raise InvalidArrayError(
            f"The head takes {head.dim} features, but {first.origin} has {width}; expected the "
            "features that the head is applied to, and a weight of shape (C, D)."
        )


def _count_classes(sets: Mapping[str, RawSet], head: Head | None) -> int:
    """Return C, on which head and logits agree."""
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
        raise InvalidArrayError(f"{first.origin} has one class; a classifier has two or more.")
    return classes


def _require_known_labels(sets: Mapping[str, RawSet], classes: int) -> None:
    train = sets["train"]
    if train.labels is None:
        raise MissingDataError(
            f"{train.origin} has no array 'labels'; class means need the label of each training "
            "sample."
        )
    for one in (train, sets["test"]):
        if one.labels is None:
            continue
        outside = np.flatnonzero((one.labels < 0) | (one.labels >= classes))
        if len(outside):
            raise InvalidArrayError(
                f"{one.origin}: labels hold {one.labels[outside[0]]} in row {outside[0]:,}; with "
                f"{classes} classes they must be from 0 to {classes - 1}."
            )
    absent = np.setdiff1d(np.arange(classes), train.labels)
    if len(absent):
        raise InvalidArrayError(
            f"{train.origin} has no sample of {len(absent)} of the {classes} classes (the first: "
            f"label {absent[0]}); every class needs one."
        )


def _without_redundant_logits(one: RawSet, head: Head) -> RawSet:
    """Return the set without logits that follow from its head; raise an error if they do not."""
    if one.logits is None:
        return one
    furthest, largest = 0.0, 0.0
    for rows in slices(len(one)):
        logits = head.logits(one.features[rows].astype(np.float64))
        given = one.logits[rows].astype(np.float64)
        furthest = max(furthest, float(np.abs(logits - given).max()))
        largest = max(largest, float(np.abs(given).max()), float(np.abs(logits).max()))
    if furthest <= TOLERANCE * largest:
        return replace(one, logits=None)
    some = slice(0, _COMPARED_ROWS)
    features, given = one.features[some].astype(np.float64), one.logits[some]
    if is_transposed(features, head, logits=given.astype(np.float64)):
        raise InvalidArrayError(
            f"{one.origin}: logits are features @ weight + bias, so the weight of the head is "
            "transposed. Export it as (C, D), with a row for each class."
        )
    raise InvalidArrayError(
        f"{one.origin}: logits differ by up to {furthest:.3g} from features @ weight.T + bias "
        f"(the largest logit: {largest:.3g}). Export the features that the head itself takes, "
        "after pooling and activation, or leave the head out."
    )
