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
    """Return the softmax (N, C) of logits (N, C), in float64.

    Every probability that a page, a table or a detector reports comes from this function or from
    `largest_probability` and `log_softmax`, which agree with it.
    """
    xp = namespace(logits)
    powers = xp.exp(_below_largest(logits))
    powers /= xp.sum(powers, axis=1, keepdims=True)
    return powers


def largest_probability(logits: Array) -> Array:
    """Return the largest softmax (N,) of each row of logits (N, C), in float64.

    The value is 1 / sum_c exp(z_c - max z), which rounding cannot move outside [1/C, 1].
    """
    xp = namespace(logits)
    return 1 / xp.sum(xp.exp(_below_largest(logits)), axis=1)


def log_softmax(logits: Array) -> Array:
    """Return the logarithm of the softmax (N, C) of logits (N, C), in float64."""
    return _log_terms(logits)[0]


def log_softmax_and_complement(logits: Array) -> tuple[Array, Array]:
    """Return log p and log(1 - p), both (N, C), of the softmax p of logits (N, C), in float64.

    The complement of the largest probability is the sum of the others. 1 - p would lose it where p
    rounds to 1, which is where the samples of a confident network are.
    """
    log_p, others, log_others, log_sum, largest = _log_terms(logits)
    xp = namespace(log_p)
    log_rest = xp.log1p(-xp.exp(others - log_sum))  # p <= 1/2 for all but the largest
    log_rest[largest] = (log_others - log_sum)[:, 0]
    return log_p, log_rest


def _below_largest(logits: Array) -> Array:
    """Return z - max z of each row, a new array in float64."""
    xp = namespace(logits)
    wide = xp.astype(logits, xp.float64, copy=False)
    return wide - xp.max(wide, axis=1, keepdims=True)


def _log_terms(logits: Array) -> tuple[Array, Array, Array, Array, tuple]:
    """Return log p, and what log(1 - p) is computed from."""
    xp = namespace(logits)
    gaps = _below_largest(logits)
    largest = row_numbers(gaps), xp.argmax(gaps, axis=1)
    others = xp.astype(gaps, xp.float64, copy=True)
    others[largest] = -xp.inf
    log_others = logsumexp(others, keepdims=True)
    log_sum = xp.log1p(xp.exp(log_others))
    return gaps - log_sum, others, log_others, log_sum, largest


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
