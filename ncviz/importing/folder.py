"""Files of an export: folders of epochs, and the files of each set in one of them."""

from __future__ import annotations

import re
from pathlib import Path

from ncviz.errors import InvalidOptionError, MissingDataError, UnknownNameError
from ncviz.importing.columns import standard_names
from ncviz.importing.formats import FORMATS

GROUPS = ("near", "far")
LAYOUT = "train.EXT, test.EXT, near/NAME.EXT, far/NAME.EXT and head.EXT"

_EPOCH = re.compile(r"[0-9]{1,9}")


def epoch_folders(source: Path, epoch: int) -> dict[int, Path]:
    """Return the folder of each epoch: the numbered ones in `source`, or `source` as `epoch`.

    Raises
    ------
    MissingDataError
        If `source` is not a folder.
    InvalidOptionError
        If two folders have the same number, or `source` holds sets and numbered folders.
    """
    if not source.is_dir():
        raise MissingDataError(f"{source} is not a folder; expected one that holds {LAYOUT}.")
    numbered: dict[int, Path] = {}
    for path in sorted(source.iterdir()):
        if path.is_dir() and _EPOCH.fullmatch(path.name):
            other = numbered.setdefault(int(path.name), path)
            if other != path:
                raise InvalidOptionError(f"{other} and {path} are both epoch {int(path.name)}.")
    if numbered and files_of_sets(source):
        raise InvalidOptionError(
            f"{source} holds folders of epochs and also files of sets. Move these into the folder "
            "of their epoch."
        )
    if not numbered and epoch < 0:
        raise InvalidOptionError(f"Epoch is {epoch}; it must be at least 0.")
    return dict(sorted(numbered.items())) or {epoch: source}


def files_of_epoch(
    folder: Path, features: str | None = None
) -> tuple[dict[str, dict[str, Path]], dict[str, str]]:
    """Return the files of each set of an epoch and the group of each OOD set.

    Parameters
    ----------
    features : name that npy files of features have besides the usual ones

    Returns
    -------
    files : by set (``"train"``, ``"test"``, OOD sets) and ``"head"``; of each, one file under the
        name ``""``, or npy files by the standard name of their array
    groups : ``"near"`` or ``"far"`` by OOD set

    Raises
    ------
    NcvizError
        If train or test is missing, a name occurs twice, or a format is unknown.
    """
    found = files_of_sets(folder, features)
    _require_known_folders(folder)
    for name in ("train", "test"):
        if name not in found:
            there = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
            raise MissingDataError(
                f"{folder} has no {name}.EXT (EXT: {', '.join(FORMATS)}); it holds {there}. "
                f"Expected {LAYOUT}."
            )
    groups: dict[str, str] = {}
    for group in GROUPS:
        for name, paths in files_of_sets(folder / group, features).items():
            if name in found or name == "head":
                raise InvalidOptionError(
                    f"{folder / group} has a set '{name}', and there is another of that name. "
                    "Rename one."
                )
            found[name], groups[name] = paths, group
    return found, groups


def files_of_sets(folder: Path, features: str | None = None) -> dict[str, dict[str, Path]]:
    """Return the files of each set directly in `folder`, by array; ``""`` for all arrays."""
    if not folder.is_dir():
        return {}
    in_group = folder.name in GROUPS
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() or path.name.startswith("."):
            continue
        known = path.suffix[1:].lower() in FORMATS
        name, array = path.stem, ""
        if path.suffix.lower() == ".npy":
            name, array = _array_of(path, features)
        if not in_group and name not in ("train", "test", "head"):
            continue
        if not known:
            raise UnknownNameError("format", path.name, FORMATS, f"Found in {folder}.")
        arrays = found.setdefault(name, {})
        if array in arrays or "" in arrays or (arrays and not array):
            raise InvalidOptionError(f"{folder} holds '{name}' in two formats. Keep one of them.")
        arrays[array] = path
    return found


def _array_of(path: Path, features: str | None) -> tuple[str, str]:
    """Return the set and the standard name of the array that an npy file is named after."""
    name, _, array = path.stem.rpartition(".")
    standard = standard_names([array], features)
    if not name or not standard:
        raise InvalidOptionError(
            f"{path} does not say what it holds; expected a name such as "
            f"{path.stem}.features.npy, .logits.npy or .labels.npy."
        )
    return name, next(iter(standard))


def _require_known_folders(folder: Path) -> None:
    # A set in a folder of another name than near or far would be missed silently.
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or path.name.startswith(".") or path.name in GROUPS:
            continue
        lost = next((one for one in sorted(path.iterdir()) if one.suffix[1:] in FORMATS), None)
        if lost is not None:
            raise InvalidOptionError(
                f"{lost} is in a folder that says nothing about it; expected {LAYOUT}."
            )
