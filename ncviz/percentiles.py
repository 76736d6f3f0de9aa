"""Percentiles of all entries of an array, also of one that no copy should be made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ncviz import threads, xp
from ncviz.xp import Array

# Entries that are copied to be sorted out, 256 MB in float32; more are counted instead.
_COPIED = 2**26
# Rows counted at once, and bits of a number that one pass looks at.
_ROWS, _BITS = 4096, 16


def percentiles(values: Array, shares: Sequence[float]) -> list[float]:
    """Percentiles of all entries of (N, D), by interpolation between the two that are nearest.

    Copies at most 256 MB of float32 or their own wider type.

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
    ranks = sorted({int(place) + step for place in places for step in (0, 1)} - {values.size})
    found = dict(zip(ranks, _by_rank(values, ranks), strict=True))
    return [_between(found[int(p)], found.get(int(p) + 1, 0.0), p - int(p)) for p in places]


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
