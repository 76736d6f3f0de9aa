"""What `run.json` must hold before a run is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ncviz.errors import CorruptFileError
from ncviz.store import checksums, files, layout, sample_sets

FORMAT = 2
SEAL = "seal"
SEALED = (
    *(
        "recipe",
        "id_set",
        "classes",
        "class_order",
        "superclasses",
        "layers",
        "transform",
        "ood_sets",
        "data",
    ),
    *("train_samples", "test_samples", "sets", "packed", "imported", "accuracy"),
)
"""fields that numbers depend on; the others are notes, which anybody may edit"""
_MEND = "Train or import the run again."


def read_description(folder: Path) -> dict[str, Any]:
    """The description of the run in `folder`.

    Raises
    ------
    MissingDataError : there is none.
    CorruptFileError : it is damaged, lacks a field, or was written in another format.
    """
    path = folder / layout.DESCRIPTION
    description = files.read_json(path, mend=_MEND)
    _require_format(path, description.get("format"))
    for name, (expected, fits) in _FIELDS.items():
        if not fits(description.get(name)):
            stated = "is not" if name in description else "is missing; it must be"
            raise CorruptFileError(f"{path} is damaged: '{name}' {stated} {expected}. {_MEND}")
    superclasses = description.get("superclasses")
    if superclasses is not None and len(superclasses) != len(description["classes"]):
        raise CorruptFileError(
            f"{path} is damaged: it has {len(superclasses)} superclasses for "
            f"{len(description['classes'])} classes. {_MEND}"
        )
    _require_sealed(path, description)
    return description


def _require_format(path: Path, found: Any) -> None:
    # True is an integer to Python, and equals 1.
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise CorruptFileError(f"{path} is damaged: its format is no number. {_MEND}")
    if found > FORMAT:
        raise CorruptFileError(
            f"{path} has format {found}, of a newer ncviz than this one, which reads format "
            f"{FORMAT}. Update ncviz."
        )
    if found < FORMAT:
        raise CorruptFileError(
            f"{path} has format {found}, of an older ncviz; this one reads format {FORMAT} and "
            f"can make no other into it. {_MEND}"
        )


def sealed(description: Mapping[str, Any]) -> dict[str, Any]:
    """`description` with digests of those of its fields that numbers depend on."""
    digests = {name: checksums.of_json(description.get(name)) for name in SEALED}
    return {**description, SEAL: digests}


def _require_sealed(path: Path, description: Mapping[str, Any]) -> None:
    seals = description.get(SEAL, {})
    if not _are_notes(seals):
        raise CorruptFileError(f"{path} is damaged: '{SEAL}' is not an object of digests. {_MEND}")
    for name, digest in seals.items():
        if digest != checksums.of_json(description.get(name)):
            raise CorruptFileError(
                f"{path} was changed in '{name}' since it was written, and numbers of the run "
                f"depend on that. Undo the change; or, if it is meant, remove '{name}' from "
                f"'{SEAL}' in that file and make what was computed with it again."
            )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_groups(value: Any) -> bool:
    return isinstance(value, dict) and all(
        layout.is_plain(name) and group in ("near", "far") for name, group in value.items()
    )


def _are_notes(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


def _are_duplicates(value: Any) -> bool:
    counts = ("samples", "duplicates", "identical")
    return (
        isinstance(value, dict)
        and all(type(value.get(name)) is int and value[name] >= 0 for name in counts)
        and isinstance(value.get("keys"), list)
        and all(_are_texts(pair) and len(pair) == 2 for pair in value["keys"])
        and _is_text(value.get("of"))
    )


def _or_absent(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


# Names of data sets and layers become parts of paths and keys: they must lead nowhere else.
_FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "recipe": ("an object with a name", lambda v: isinstance(v, dict) and _is_text(v.get("name"))),
    "classes": ("a list of two or more names", lambda v: _are_texts(v) and len(v) > 1),
    "class_order": (
        "'text', 'natural', a list of folders, or null",
        lambda v: v in (None, "text", "natural") or (_are_texts(v) and len(v) > 1),
    ),
    "transform": ("an object", lambda v: isinstance(v, dict)),
    "id_set": ("the name of a data set", layout.is_plain),
    "layers": (
        "a list of names",
        lambda v: _are_texts(v) and len(v) > 0 and all(map(layout.is_plain, v)),
    ),
    "ood_sets": ("an object of data sets, each near or far", _or_absent(_are_groups)),
    "left_out": (
        "an object of classes by OOD set",
        _or_absent(lambda v: isinstance(v, dict) and all(map(_are_notes, v.values()))),
    ),
    "image_duplicates": (
        "an object of counts and keys by set",
        _or_absent(lambda v: isinstance(v, dict) and all(map(_are_duplicates, v.values()))),
    ),
    "without_transfer": ("an object of reasons", _or_absent(_are_notes)),
    "superclasses": ("a list of names, or null", _or_absent(_are_texts)),
    "data": ("an object of fingerprints", _or_absent(_are_notes)),
    "without_head": ("a text", _or_absent(_is_text)),
    "findings": ("an object of sentences", _or_absent(_are_notes)),
    "sets": ("an object of sample counts and digests", _or_absent(sample_sets.is_description)),
    "packed": ("true or false", _or_absent(lambda v: isinstance(v, bool))),
}
