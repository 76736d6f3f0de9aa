"""Room for float32 arrays: those that memory may not hold lie in a file without a name."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable

import numpy as np

from ncviz.errors import StorageError

IN_MEMORY = 2**28
"""numbers, 1 GB of them, up to which an array is held in memory"""
_AT_ONCE = 2**24


def filled(make: Callable[[slice], np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """An array of this shape and of what `make` returns for its rows, in float32.

    One that is held in memory is made at once. A larger one is made a block of rows at a time and
    mapped from a temporary file, which goes with the array.

    Raises
    ------
    StorageError : the folder of temporary files has no room for it.
    """
    if math.prod(shape) <= IN_MEMORY:
        return make(slice(None)).astype(np.float32)
    array = _in_a_file(shape)
    rows = max(1, _AT_ONCE // math.prod(shape[1:]))
    for start in range(0, len(array), rows):
        at = slice(start, start + rows)
        array[at] = make(at)
    return array


def _in_a_file(shape: tuple[int, ...]) -> np.memmap:
    size = 4 * math.prod(shape)
    try:
        with tempfile.TemporaryFile(prefix="ncviz-") as file:
            # Where the disk has no room for a page of a mapping, the process is killed.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, np.float32, "w+", shape=shape)
    except OSError as error:
        raise StorageError(
            f"{size / 1e9:.1f} GB of numbers do not fit into {tempfile.gettempdir()}: "
            f"{error.strerror}. Make room, or let TMPDIR name a folder that has it."
        ) from error
