"""Class names of an export and their order."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from ncviz.data.images import natural_key
from ncviz.errors import CorruptFileError, InvalidArrayError, InvalidOptionError, MissingDataError
from ncviz.importing.checks import label_texts
from ncviz.literal import distinct

CLASS_NAMES = "classes.txt"
ClassOrder = Literal["natural", "text"]


def read_class_names(source: Path, file: Path | None = None) -> tuple[str, ...] | None:
    """Return the lines of `file`, or of `classes.txt` in `source`; None if there is no file.

    Repeated names are numbered: ``crane``, ``crane (2)``.

    Raises
    ------
    MissingDataError
        If `file` does not exist.
    CorruptFileError
        If the file is not UTF-8 text.
    """
    path = file or source / CLASS_NAMES
    if not path.exists():
        if file is None:
            return None
        raise MissingDataError(f"{path} does not exist; expected one class name per line.")
    try:
        text = path.read_text(encoding="utf-8-sig")  # without the byte order mark
    except (OSError, ValueError) as error:
        raise CorruptFileError(f"{path} cannot be read as UTF-8 text: {error}.") from error
    return tuple(distinct(line.strip() for line in text.splitlines() if line.strip()))


def names_of_texts(labels: np.ndarray, order: ClassOrder | None, origin: Path) -> tuple[str, ...]:
    """Return the class names that text labels (N,) are, in the order of the logits.

    Raises
    ------
    InvalidOptionError
        If the order is not given: a wrong one would permute all classes.
    """
    if order is None:
        raise InvalidOptionError(
            f"{origin}: labels are text, so the order of the classes has to be given: list the "
            f"names in the order of the logits in {CLASS_NAMES} or a file for --classes FILE, or "
            "state how they were sorted with --class-order natural (2 before 10) or text."
        )
    names = set(label_texts(labels))
    return tuple(sorted(names, key=natural_key if order == "natural" else None))


def require_count(names: tuple[str, ...], count: int, origin: Path) -> None:
    """Raise InvalidArrayError unless there is a name for each of the `count` classes."""
    if len(names) != count:
        raise InvalidArrayError(
            f"{origin} names {len(names)} classes, but the network has {count}; expected one name "
            "per line, in the order of the logits."
        )
