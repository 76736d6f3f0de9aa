"""Checks of exported arrays: each error names the file, the row and the column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ncviz.errors import InvalidArrayError, NcvizError

_LARGEST = float(np.finfo(np.float32).max)
_BLOCK_ROWS = 8192


@contextmanager
def named(origin: Path) -> Iterator[None]:
    """Put the file before the message of any error about its arrays."""
    try:
        yield
    except NcvizError as error:
        raise InvalidArrayError(f"{origin}: {error}") from error


def slices(count: int, size: int = _BLOCK_ROWS) -> Iterator[slice]:
    """Yield consecutive slices of `count` rows, small enough for copies in float64."""
    return (slice(start, start + size) for start in range(0, count, size))


def require_matrix(array: np.ndarray, name: str, rows: int | None = None) -> np.ndarray:
    """Return `array` if it is (N, D), `rows` of them if given, and finite in float32.

    Raises
    ------
    InvalidArrayError
        If it is not, with the row and column of the first bad value.
    """
    require_numbers(array, name)
    if array.ndim != 2 or not array.size or (rows is not None and len(array) != rows):
        expected = f"({'N' if rows is None else rows}, {'C' if name == 'logits' else 'D'})"
        raise InvalidArrayError(
            f"{name} have shape {array.shape}; expected {expected}, one row for each sample."
        )
    require_float32(array, name)
    return array


def require_numbers(array: np.ndarray, name: str) -> None:
    """Raise InvalidArrayError unless `array` holds integers or floating-point numbers."""
    if array.dtype.kind in "fiu":
        return
    kinds = {"U": "text", "S": "text", "b": "true and false"}
    found = kinds.get(array.dtype.kind, f"values of type {array.dtype}")
    raise InvalidArrayError(f"'{name}' holds {found}; expected plain numbers.")


def require_float32(array: np.ndarray, name: str) -> None:
    """Raise InvalidArrayError if a value of (N, ...) is NaN, infinite or too large for float32."""
    if array.dtype.kind != "f":
        return
    bad, first = 0, None
    for rows in slices(len(array)):
        block = np.asarray(array[rows])
        with np.errstate(invalid="ignore"):
            fits = np.abs(block) <= _LARGEST  # False for NaN
        if not fits.all():
            bad += int(np.count_nonzero(~fits))
            if first is None:
                at = np.argwhere(~fits)[0]
                first = (rows.start + int(at[0]), *map(int, at[1:])), float(block[tuple(at)])
    if first is None:
        return
    where, value = first
    place = f"row {where[0]:,}" + (f", column {where[1]:,}" if len(where) > 1 else "")
    if np.isfinite(value):
        what, hint = f"{value:.3g}, which float32 cannot hold", "Rescale the features"
    else:
        what, hint = f"{value}", "Every value must be finite. Check the network"
    more = f" {bad:,} values in all." if bad > 1 else ""
    raise InvalidArrayError(f"{name} hold {what}, in {place}.{more} {hint} and export again.")


def integer_labels(array: np.ndarray, rows: int) -> np.ndarray:
    """Return labels (N,) as int64; integers that are stored as floating point are accepted.

    Raises
    ------
    InvalidArrayError
        If the shape is wrong or a value is not an integer, with its row.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (rows,):
        raise InvalidArrayError(f"labels have shape {array.shape}; expected ({rows},).")
    require_numbers(array, "labels")
    if array.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            whole = (array == np.floor(array)) & (np.abs(array) < 2**53)
        if not whole.all():
            at = int(np.flatnonzero(~whole)[0])
            raise InvalidArrayError(
                f"labels hold {array[at]} in row {at:,}; expected integers, the index of each "
                "sample's class."
            )
    return array.astype(np.int64)


def named_labels(array: np.ndarray, rows: int, names: Sequence[str]) -> np.ndarray:
    """Return labels (N,) as int64 from labels that are names of classes.

    Raises
    ------
    InvalidArrayError
        If the shape is wrong or a label is not one of `names`, with its row.
    """
    if array.shape != (rows,):
        raise InvalidArrayError(f"labels have shape {array.shape}; expected ({rows},).")
    index = {name: at for at, name in enumerate(names)}
    labels = np.array([index.get(text, -1) for text in label_texts(array)], np.int64)
    unknown = np.flatnonzero(labels < 0)
    if len(unknown):
        raise InvalidArrayError(
            f"labels hold '{label_texts(array)[unknown[0]]:.60}' in row {unknown[0]:,}, which is "
            f"not among the {len(names)} class names."
        )
    return labels


def label_texts(array: np.ndarray) -> list[str]:
    """Return text labels (N,) without surrounding spaces."""
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    return [str(text).strip() for text in array]
