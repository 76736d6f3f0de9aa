"""Identities of imported samples: keys as given, or hashes of the network's inputs."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np

from ncviz.errors import InvalidArrayError
from ncviz.importing.checks import label_texts, require_numbers, slices


def keys_as_text(keys: np.ndarray, rows: int) -> list[str]:
    """Return the keys (N,) of samples, text or integers, as text.

    Raises
    ------
    InvalidArrayError
        If the shape is wrong, a key is empty or has a line break, or two samples share one.
    """
    if keys.shape != (rows,):
        raise InvalidArrayError(f"keys have shape {keys.shape}; expected ({rows},).")
    if keys.dtype.kind in "US":
        texts = label_texts(keys)
    elif keys.dtype.kind in "iu":
        texts = [str(int(key)) for key in keys]
    else:
        raise InvalidArrayError(f"keys are of type {keys.dtype}; expected text or integers.")
    first: dict[str, int] = {}
    for row, text in enumerate(texts):
        if not text or len(text.splitlines()) > 1:
            raise InvalidArrayError(f"the key in row {row:,} is empty or has a line break.")
        if text in first:
            raise InvalidArrayError(
                f"rows {first[text]:,} and {row:,} have the same key '{text:.60}'; expected a "
                "different key for each sample."
            )
        first[text] = row
    return texts


def input_hashes(inputs: np.ndarray, rows: int) -> list[str]:
    """Return a hash of each row of the network's inputs (N, ...), the same for equal values.

    Floating-point values are compared in float32. Repeated rows are numbered in order.

    Raises
    ------
    InvalidArrayError
        If there is not one row for each sample, or the values are not numbers.

    Examples
    --------
    >>> import numpy as np
    >>> first, second = input_hashes(np.array([[1.0, 2.0], [1.0, 2.0]]), 2)
    >>> second == f"{first}#2"
    True
    """
    require_numbers(inputs, "inputs")
    if inputs.ndim < 2 or len(inputs) != rows:
        raise InvalidArrayError(
            f"inputs have shape {inputs.shape}; expected ({rows}, ...), one row for each sample."
        )
    kind = "<f4" if inputs.dtype.kind == "f" else "<i8"
    seen: Counter[str] = Counter()
    hashes = []
    for each in slices(rows):
        block = np.ascontiguousarray(inputs[each], dtype=kind)
        for row in block:
            digest = hashlib.blake2b(row.tobytes(), digest_size=12).hexdigest()
            seen[digest] += 1
            hashes.append(digest if seen[digest] == 1 else f"{digest}#{seen[digest]}")
    return hashes
