"""Order of the class folders of an image folder, which decides the label of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ncviz.data.natural import natural_key
from ncviz.errors import InvalidOptionError, MissingDataError

ClassOrder = str | tuple[str, ...]
"""``"text"``, ``"natural"``, or the names of all class folders in order"""
TEXT, NATURAL = RULES = ("text", "natural")
_LISTED = 5


@dataclass(frozen=True)
class ClassOptions:
    """How the class folders of the ID set are sorted."""

    class_order: Literal["text", "natural"] | None = None
    """order of the class folders: text (1, 10, 2, as torchvision sorts) or natural (1, 2, 10, as
    timm sorts); text if neither this nor --classes is given"""
    classes: Path | None = None
    """file with the order of the class folders: one folder name a line"""

    def order(self) -> ClassOrder | None:
        """Return the chosen order, or None if neither option is given.

        Raises
        ------
        InvalidOptionError : both options are given, or the file lists a folder twice.
        MissingDataError : the file cannot be read.
        """
        if self.classes is None:
            return self.class_order
        if self.class_order is not None:
            raise InvalidOptionError(
                "--class-order and --classes contradict each other: give one of them."
            )
        return read_class_list(self.classes)


def read_class_list(path: Path) -> tuple[str, ...]:
    """Read class folder names, one a line; empty lines and a byte-order mark are ignored.

    Raises
    ------
    InvalidOptionError : no name, a name listed twice, or no UTF-8 text.
    MissingDataError : the file cannot be read.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise MissingDataError(
            f"List of classes {path} cannot be read: {error.strerror or error}."
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidOptionError(f"List of classes {path} is not UTF-8 text.") from error
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise InvalidOptionError(f"List of classes {path} is empty; expected one name a line.")
    twice = _unique(name for name in names if names.count(name) > 1)
    if twice:
        raise InvalidOptionError(f"List of classes {path} has {_quoted(twice)} more than once.")
    return names


def sort_folders(folders: Sequence[str], order: ClassOrder, place: Path) -> list[str]:
    """Return the class folders of `place` in `order`.

    Raises
    ------
    InvalidOptionError : an unknown rule, or a list that does not match the folders exactly.
    """
    if isinstance(order, str):
        if order not in RULES:
            raise InvalidOptionError(f"Class order '{order}': expected {' or '.join(RULES)}.")
        return sorted(folders, key=natural_key if order == NATURAL else None)
    unknown = [name for name in order if name not in folders]
    missing = [name for name in sorted(folders) if name not in order]
    if unknown or missing:
        problems = [
            f"it lists {_quoted(unknown)}, which {place} does not have" if unknown else "",
            f"it lacks the folder {_quoted(missing)}" if missing else "",
        ]
        raise InvalidOptionError(
            f"The list of classes does not match the {len(folders)} class folders of {place}: "
            f"{' and '.join(filter(None, problems))}. List each folder name once, in the order of "
            "the network's outputs."
        )
    return list(order)


def ambiguity(folders: Sequence[str], order: ClassOrder) -> str:
    """Return a note if the class folders sort differently as text and naturally, or ``""``."""
    natural = sorted(folders, key=natural_key)
    if order != TEXT or natural == list(folders):
        return ""
    return (
        f"class folders are sorted as text ({', '.join(folders[:3])}, ...). If the network was "
        f"trained in natural order ({', '.join(natural[:3])}, ...; timm sorts so), its labels are "
        "permuted: repeat with --class-order natural"
    )


def _unique(names) -> list[str]:
    return list(dict.fromkeys(names))


def _quoted(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_LISTED])
    return f"{shown} and {len(names) - _LISTED} more" if len(names) > _LISTED else shown
