"""Percentiles of all entries of an array, also of one that no copy should be made of."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ncviz import threads, xp
from ncviz.xp import Array

# Entries that are copied to be sorted out, 4 MB in float32; and those of a sample of more.
_COPIED, _SAMPLED = 2**20, 2**16
# Rows looked at at once, and bits of a number that one pass of counting looks at.
_ROWS, _BITS = 1024, 16


def percentiles(values: Array, shares: Sequence[float]) -> list[float]:
    """Percentiles of all entries of (N, D), by interpolation between the two that are nearest.

    All of them are copied and sorted out only where they are few.

    Parameters
    ----------
    shares : in per cent
    """
    if not xp.is_numpy(values):
        return _of_tensor(values, shares)
    if values.size <= _COPIED:
        copy = values.astype(np.result_type(values.dtype, np.float32)).ravel(order="K")
        return np.percentile(copy, shares, overwrite_input=True).tolist()
    places = [share / 100 * (values.size - 1) for share in shares]
    found = []
    for place in places:
        ranks = [int(place), min(int(place) + 1, values.size - 1)]
        low, high = _in_bracket(values, ranks) or _by_rank(values, ranks)
        found.append(_between(low, high, place - int(place)))
    return found


def _of_tensor(values: Array, shares: Sequence[float]) -> list[float]:
    library = xp.namespace(values)  # torch.quantile takes no more than 16 million
    flat = library.reshape(values, (-1,))
    if values.dtype == library.float16:
        flat = library.astype(flat, library.float32)
    ordered = library.sort(flat)
    last = len(ordered) - 1
    found = []
    for share in shares:
        place = share / 100 * last
        low, high = float(ordered[int(place)]), float(ordered[min(int(place) + 1, last)])
        found.append(_between(low, high, place - int(place)))
    return found


def _between(low: float, high: float, share: float) -> float:
    return low + (high - low) * share if share else low


def _in_bracket(values: np.ndarray, ranks: Sequence[int]) -> list[float] | None:
    """The entries that stand at `ranks`, next to each other, from a part of all that holds them.

    A sample tells between which two values they lie, with what is surely enough to spare. Those in
    between are sorted out; None where they are many, or where the sample was wrong.
    """
    rows = max(1, _SAMPLED // values.shape[1])
    sample = np.sort(values[:: max(1, len(values) // rows)], axis=None)
    share = ranks[0] / values.size
    spare = 8 * math.sqrt(share * (1 - share) / len(sample)) + 2 / len(sample)
    ends = (int(len(sample) * (share + sign * spare)) for sign in (-1, 1))
    low, high = (sample[min(max(end, 0), len(sample) - 1)] for end in ends)
    most = 4 * spare * values.size + 2 * len(sample)

    def look(block: np.ndarray) -> tuple[int, int, np.ndarray]:
        below, within = block < low, block <= high
        inside = within & ~below
        number = int(np.count_nonzero(inside))
        few = block[inside] if low != high and number <= most else block[:0, 0]
        return int(np.count_nonzero(below)), number, few

    blocks = [values[at : at + _ROWS] for at in range(0, len(values), _ROWS)]
    below, numbers, parts = zip(*threads.spread(look, blocks), strict=True)
    first, number = sum(below), sum(numbers)
    if not first <= ranks[0] <= ranks[1] < first + number:
        return None
    if low == high:
        return [float(low)] * 2
    between = np.concatenate(parts)
    if len(between) < number:
        return None
    return np.partition(between, [rank - first for rank in ranks])[
        [rank - first for rank in ranks]
    ].tolist()


def _by_rank(values: np.ndarray, ranks: Sequence[int]) -> list[float]:
    """The entries that stand at `ranks` (0 is the smallest), by counting from the first bits on.

    Every pass counts how many of the numbers that begin as one of those looked for go on in which
    way: a radix selection, which holds counters alone.
    """
    kind = np.result_type(values.dtype, np.float32)
    width = 8 * kind.itemsize
    blocks = [values[at : at + _ROWS] for at in range(0, len(values), _ROWS)]
    beginnings, within = [0] * len(ranks), list(ranks)
    for done in range(0, width, _BITS):
        wanted = sorted(set(beginnings))
        shift = width - done - _BITS

        def count(block: np.ndarray, wanted=wanted, shift=shift, done=done) -> np.ndarray:
            keys = _keys(block, kind)
            following = ((keys >> shift) & (2**_BITS - 1)).astype(np.int64)
            if not done:
                return np.bincount(following, minlength=2**_BITS)[None]
            begins = keys >> (shift + _BITS)
            own = [following[begins == one] for one in wanted]
            return np.stack([np.bincount(each, minlength=2**_BITS) for each in own])

        counts = sum(threads.spread(count, blocks))
        for at, rank in enumerate(within):
            up_to = np.cumsum(counts[wanted.index(beginnings[at])])
            digit = int(np.searchsorted(up_to, rank, side="right"))
            within[at] = rank - (int(up_to[digit - 1]) if digit else 0)
            beginnings[at] = (beginnings[at] << _BITS) | digit
    return [_number(key, kind) for key in beginnings]


def _keys(block: np.ndarray, kind: np.dtype) -> np.ndarray:
    """Unsigned integers in the order of the floating point numbers of a block."""
    unsigned = np.dtype(f"u{kind.itemsize}")
    bits = np.ascontiguousarray(block, kind).reshape(-1).view(unsigned)
    sign = unsigned.type(1 << (8 * kind.itemsize - 1))
    keys = np.where(bits & sign, ~bits, bits | sign)
    return keys


def _number(key: int, kind: np.dtype) -> float:
    """The floating point number of a key."""
    width = 8 * kind.itemsize
    sign = 1 << (width - 1)
    bits = key & ~sign if key & sign else ~key & (2**width - 1)
    return float(np.array(bits, f"u{kind.itemsize}").view(kind))
