"""What NumPy arrays and torch tensors share: the array API standard, and what it leaves out.

Arrays in, arrays of the same library and on the same device out; nothing is copied between the two.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj, is_torch_array

from ncviz.errors import InvalidArrayError

Array = Any
"""A NumPy array or a torch tensor."""


def namespace(*arrays: Array) -> ModuleType:
    """The library of the arrays, with the names of the array API standard.

    Raises
    ------
    InvalidArrayError : they are no arrays, of two libraries or on two devices.
    """
    try:
        found = array_namespace(*arrays)
    except TypeError as error:
        kinds = ", ".join(sorted({type(array).__name__ for array in arrays}))
        raise InvalidArrayError(
            f"Arrays must all be NumPy arrays, or all torch tensors; got {kinds}."
        ) from error
    if len(arrays) > 1 and is_torch_array(arrays[0]):
        places = {str(array.device) for array in arrays}
        if len(places) > 1:
            raise InvalidArrayError(
                f"Tensors must lie on one device; got {' and '.join(sorted(places))}."
            )
    return found


def as_array(values: Any) -> Array:
    """An array as it is, and anything else, such as a list, as an array of NumPy."""
    return values if is_array_api_obj(values) else np.asarray(values)


def to_numpy(array: Array) -> np.ndarray:
    """The array as one of NumPy: itself, or a tensor's own memory where that is the CPU's."""
    return array.detach().cpu().numpy() if is_torch_array(array) else np.asarray(array)


def like(array: Array, example: Array) -> Array:
    """`array` in the library and on the device of `example`."""
    if not is_torch_array(example):
        return to_numpy(array)
    if isinstance(array, np.ndarray) and not array.flags.writeable:
        array = array.copy()  # torch has no tensors that must not be written to
    return array_namespace(example).asarray(array, device=device(example))


def float64(array: Array) -> Array:
    """A copy in float64, which may be changed in place."""
    return namespace(array).astype(array, namespace(array).float64, copy=True)


def row_numbers(array: Array) -> Array:
    """(N,) 0..N-1 for N rows, on the device of `array`."""
    return like(np.arange(len(array)), array)


def is_numpy(array: Array) -> bool:
    """Whether it is an array of NumPy."""
    return not is_torch_array(array)


def squares(rows: Array) -> Array:
    """(N,) squared Euclidean length of each row of (N, D)."""
    return namespace(rows).vecdot(rows, rows)


def norms(rows: Array) -> Array:
    """(N,) Euclidean length of each row of (N, D)."""
    return namespace(rows).linalg.vector_norm(rows, axis=1)


def ratio(part: Array, whole: Array) -> Array:
    """part / whole, and 0 where `whole` is not above 0."""
    xp = namespace(part, whole)
    above = whole > 0
    return xp.where(above, part / xp.where(above, whole, 1.0), 0.0)


def logsumexp(logits: Array, *, keepdims: bool = False) -> Array:
    """(N,) log of the sum of exp of each row of (N, C); a row of -inf gives -inf."""
    xp = namespace(logits)
    largest = xp.max(logits, axis=1, keepdims=True)
    shift = xp.where(xp.isfinite(largest), largest, 0.0)
    sums = xp.sum(xp.exp(logits - shift), axis=1, keepdims=True)
    if is_torch_array(sums):
        found = xp.log(sums) + shift
    else:
        with np.errstate(divide="ignore"):
            found = xp.log(sums) + shift
    return found if keepdims else found[:, 0]


def softmax(logits: Array) -> Array:
    """(N, C) exp of each row, over its sum."""
    xp = namespace(logits)
    powers = xp.exp(logits - xp.max(logits, axis=1, keepdims=True))
    powers /= xp.sum(powers, axis=1, keepdims=True)
    return powers


def log_softmax(logits: Array) -> Array:
    """(N, C) logarithm of the softmax, which does not underflow."""
    xp = namespace(logits)
    gaps = logits - xp.max(logits, axis=1, keepdims=True)
    return gaps - xp.log(xp.sum(xp.exp(gaps), axis=1, keepdims=True))


def sigmoid(values: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    xp = namespace(values)
    powers = xp.exp(-xp.abs(values))
    return xp.where(values < 0, powers, 1.0) / (1 + powers)


def class_sums(rows: Array, labels: Array, classes: int) -> Array:
    """(C, D) sum of the rows (N, D) of each class, in the rows' own type."""
    xp = namespace(rows, labels)
    if is_torch_array(rows):
        # A product, unlike index_add_ on a GPU, adds in the same order every time.
        own = xp.arange(classes, device=device(rows))[:, None] == labels
        return xp.astype(own, rows.dtype) @ rows
    from scipy.sparse import csr_array

    index = np.arange(len(labels) + 1)
    ones = np.ones(len(labels), rows.dtype)
    return csr_array((ones, labels, index), (len(labels), classes)).T @ rows


def counts(labels: Array, classes: int) -> Array:
    """(C,) int64, how often each label in 0..classes-1 occurs."""
    xp = namespace(labels)
    return xp.astype(xp.bincount(labels, minlength=classes), xp.int64)


def top(values: Array, count: int) -> tuple[Array, Array]:
    """The `count` largest of each row of (N, K), in no order, and their columns."""
    xp = namespace(values)
    if is_torch_array(values):
        return tuple(xp.topk(values, count, dim=1, sorted=False))
    columns = np.argpartition(values, values.shape[1] - count, axis=1)[:, -count:]
    return np.take_along_axis(values, columns, axis=1), columns


def border(values: Array, count: int) -> Array:
    """(N, 1) the smallest of the `count` largest of each row of (N, K)."""
    xp = namespace(values)
    if is_torch_array(values):
        return xp.min(xp.topk(values, count, dim=1, sorted=False)[0], axis=1, keepdims=True)
    return np.partition(values, -count, axis=1)[:, -count, None]


def triangle(rows: Array) -> Array:
    """(K, D) the triangular factor R of a QR decomposition of (N, D)."""
    if is_torch_array(rows):
        return namespace(rows).linalg.qr(rows, mode="r")[1]
    return np.linalg.qr(rows, mode="r")


def pair_distances(points: Array) -> Array:
    """(K (K-1) / 2,) Euclidean distances of points (K, D), pair by pair, by differences."""
    if is_torch_array(points):
        return namespace(points).pdist(points)
    from scipy.spatial.distance import pdist

    return pdist(points)


def pairs(count: int, example: Array) -> tuple[Array, Array]:
    """(K (K-1) / 2,) first and second of all pairs of 0..count-1, on the device of `example`."""
    first, second = np.triu_indices(count, k=1)
    return like(first, example), like(second, example)
