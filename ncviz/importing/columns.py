"""Names of exported arrays and of table columns, and the arrays that columns form."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ncviz.errors import InvalidArrayError

ALIASES = {
    "features": ("features", "feature", "embeddings", "embedding", "feats", "feat"),
    "logits": ("logits", "logit"),
    "labels": ("labels", "label", "targets", "target", "y"),
    "keys": ("keys", "key"),
    "inputs": ("inputs", "input"),
    "scores": ("scores", "score"),
    "weight": ("weight", "weights"),
    "bias": ("bias",),
}
"""Usual names of each array, the preferred one first."""
TEXT_COLUMNS = ("keys", "key")
"""Columns that are read as text even where they hold digits."""

_MATRICES = ("features", "logits", "inputs", "weight")
_SHOWN = 8


@dataclass(frozen=True)
class Contents:
    """Arrays of one set or head as a file holds them.

    Attributes
    ----------
    arrays : numbers or text by standard name
    unreadable : reason by standard name, of arrays that are never loaded
    present : names in the file, for messages
    unused : names that stand for nothing here
    """

    arrays: dict[str, np.ndarray]
    unreadable: dict[str, str] = field(default_factory=dict)
    present: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    def merged(self, other: Contents) -> Contents:
        """Return the arrays of two files of the same set."""
        return Contents(
            self.arrays | other.arrays,
            self.unreadable | other.unreadable,
            self.present + other.present,
            self.unused + other.unused,
        )


def listed(names: Iterable[str]) -> str:
    """Return `names` for a message, the first few of a long list."""
    names = list(names)
    more = f", ... ({len(names):,} in all)" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "nothing") + more


def standard_names(names: Iterable[str], features: str | None) -> dict[str, str]:
    """Map each standard array name to the name in `names` that stands for it.

    Parameters
    ----------
    features : name of the features in the file; None for the usual ones
    """
    by_lower: dict[str, str] = {}
    for name in names:
        by_lower.setdefault(name.strip().lower(), name)
    found = {}
    for standard, aliases in _aliases(features).items():
        name = next((by_lower[each] for each in aliases if each in by_lower), None)
        if name is not None:
            found[standard] = name
    return found


def _aliases(features: str | None) -> dict[str, tuple[str, ...]]:
    if features is None:
        return ALIASES
    return ALIASES | {"features": (features.lower(),)}


def select_columns(names: Iterable[str], prefix: str | None) -> dict[str, list[str]]:
    """Return the columns of each array of a table by standard name, in order.

    A matrix has one column of lists, or numbered columns such as ``feature_0`` or ``logit-007``.
    Columns whose names are plain numbers are features where no others are.

    Parameters
    ----------
    prefix : of the columns of features; None for the usual names

    Raises
    ------
    InvalidArrayError
        If numbers are missing or occur twice.
    """
    names = list(names)
    chosen = {kind: [name] for kind, name in standard_names(names, prefix).items()}
    for kind in _MATRICES:
        numbered = _numbered(names, _aliases(prefix)[kind])
        if not numbered and kind == "features" and prefix is None:
            numbered = _numbered(names, ("",))
        if numbered and kind not in chosen:
            chosen[kind] = _in_order(kind, numbered)
    return chosen


def _numbered(names: list[str], stems: Iterable[str]) -> list[tuple[int, str]]:
    """Return number and name of the columns of the first of `stems` that there are any of."""
    for stem in stems:
        pattern = re.compile(rf"{re.escape(stem)}[_.\- ]?([0-9]{{1,7}})", re.IGNORECASE)
        matches = ((pattern.fullmatch(name.strip()), name) for name in names)
        found = [(int(match[1]), name) for match, name in matches if match]
        if found:
            return sorted(found)
    return []


def _in_order(kind: str, numbered: list[tuple[int, str]]) -> list[str]:
    first = min(numbered[0][0], 1)
    for at, (number, name) in enumerate(numbered):
        if at and number == numbered[at - 1][0]:
            raise InvalidArrayError(
                f"columns '{numbered[at - 1][1]}' and '{name}' of {kind} have the same number; "
                "expected each number once."
            )
        if number != first + at:
            raise InvalidArrayError(
                f"the {len(numbered):,} columns of {kind} have none of number {first + at} (next: "
                f"'{name}'); expected numbers from 0 or 1 without gaps."
            )
    return [name for _, name in numbered]


def table_contents(path: Path, table: pa.Table, prefix: str | None) -> Contents:
    """Return the arrays that the columns of a table form.

    Raises
    ------
    InvalidArrayError
        If a column is empty in places, holds text where numbers are expected, or lists of
        different lengths.
    """
    chosen = _chosen(path, table.column_names, prefix)
    arrays = {}
    for kind, names in chosen.items():
        if len(names) == 1 and _is_list(table.schema.field(names[0]).type):
            arrays[kind] = _matrix_of_lists(path, names[0], table.column(names[0]))
        elif kind in ("keys", "labels"):
            arrays[kind] = _column(path, kind, names[0], table.column(names[0]))
        else:
            columns = [_numbers(path, name, table.column(name)) for name in names]
            numbered = len(names) > 1 or kind in _MATRICES
            arrays[kind] = np.stack(columns, axis=1) if numbered else columns[0]
    used = {name for names in chosen.values() for name in names}
    unused = tuple(name for name in table.column_names if name not in used)
    return Contents(arrays, present=tuple(table.column_names), unused=unused)


def _chosen(path: Path, names: list[str], prefix: str | None) -> dict[str, list[str]]:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidArrayError(f"{path} has two columns '{twice}'; expected each name once.")
    try:
        return select_columns(names, prefix)
    except InvalidArrayError as error:
        raise InvalidArrayError(f"{path}: {error}") from error


def _is_list(kind: pa.DataType) -> bool:
    return (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _matrix_of_lists(path: Path, name: str, column: pa.ChunkedArray) -> np.ndarray:
    if column.null_count:
        raise _empty_cells(path, name, column.null_count)
    lengths = pc.list_value_length(column).to_numpy()
    if not len(lengths):
        return np.zeros((0, 0))
    other = np.flatnonzero(lengths != lengths[0])
    if len(other):
        raise InvalidArrayError(
            f"{path}: column '{name}' holds {lengths[other[0]]:,} values in row {other[0]:,}, but "
            f"{lengths[0]:,} in row 0; expected the same number in each row."
        )
    values = pa.chunked_array([pc.list_flatten(chunk) for chunk in column.chunks])
    return _numbers(path, name, values).reshape(len(lengths), -1)


def _column(path: Path, kind: str, name: str, column: pa.ChunkedArray) -> np.ndarray:
    """Return keys or labels: numbers, or text."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        if column.null_count:
            raise _empty_cells(path, name, column.null_count)
        return np.array(column.to_pylist(), dtype=str)
    if kind == "labels" and not _is_numeric(column.type):
        return np.array([str(each) for each in column.to_pylist()], dtype=str)
    return _numbers(path, name, column)


def _numbers(path: Path, name: str, column: pa.ChunkedArray) -> np.ndarray:
    if not _is_numeric(column.type):
        shown = repr(column[0].as_py()) if len(column) else "nothing"
        raise InvalidArrayError(
            f"{path}: column '{name}' holds {shown:.40}; expected a number in each row."
        )
    if column.null_count:
        raise _empty_cells(path, name, column.null_count)
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    return column.to_numpy()


def _is_numeric(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _empty_cells(path: Path, name: str, count: int) -> InvalidArrayError:
    return InvalidArrayError(
        f"{path}: column '{name}' has {count:,} empty cells; expected a value in each row."
    )
