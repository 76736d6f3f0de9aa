"""Heads and class statistics as the arrays of a file, and back: checked on reading."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ncviz.arrays import ClassStatistics, Head, require_finite
from ncviz.embedding import MapQuality
from ncviz.errors import CorruptFileError, InvalidArrayError
from ncviz.metrics import ScoreDistribution
from ncviz.store import files, layout

_QUALITY = "quality:"
"""Prefix of the arrays that hold the quality of maps; no layer's name may have a colon."""
_ROUNDING, _MOST_SAMPLES = 1e-6, 2**53
_STATISTICS = ("counts", "means", "scatter", "squares")


def head_arrays(heads: Mapping[str, Head]) -> dict[str, np.ndarray]:
    """Weight and bias of the head of each layer, by name."""
    arrays = {}
    for layer, head in heads.items():
        arrays |= {f"{layer}.weight": head.weight, f"{layer}.bias": head.bias}
    return arrays


def read_head(path: Path, layer: str, classes: int, *, mend: str) -> Head:
    """The head of `layer`, which must have `classes` rows.

    Raises
    ------
    CorruptFileError : it is not in the file, or does not fit.
    """
    names = [f"{layer}.weight", f"{layer}.bias"]
    arrays = files.read_arrays(path, names, mend=mend)
    try:
        head = Head(*(arrays[name] for name in names))
    except (InvalidArrayError, TypeError) as error:
        raise CorruptFileError(f"{path}: {error} {mend}") from error
    if head.classes != classes:
        raise CorruptFileError(
            f"{path} has a head for {head.classes} classes, but the run has {classes}. {mend}"
        )
    return head


def statistics_arrays(statistics: Mapping[str, ClassStatistics]) -> dict[str, np.ndarray]:
    """The sums of each layer, by name; of a symmetric scatter the upper triangle."""
    arrays = {}
    for layer, one in statistics.items():
        arrays |= {
            f"{layer}.counts": one.counts,
            f"{layer}.means": one.means,
            f"{layer}.scatter": pack_symmetric(one.scatter),
            f"{layer}.squares": one.squares,
        }
    return arrays


def read_statistics(path: Path, layer: str, classes: int, *, mend: str) -> ClassStatistics:
    """The class statistics of `layer`, which must be of `classes` classes.

    Raises
    ------
    CorruptFileError : they are not in the file, do not fit each other or are not finite.
    """
    names = [f"{layer}.{part}" for part in _STATISTICS]
    arrays = files.read_arrays(path, names, mend=mend)
    counts, means, packed, squares = (arrays[name] for name in names)
    found, dim = means.shape if means.ndim == 2 else (0, 0)
    shapes = (counts.shape, packed.shape, squares.shape)
    if (
        found != classes
        or shapes != ((classes,), (dim * (dim + 1) // 2,), (classes,))
        or counts.dtype.kind not in "iu"
        or any(array.dtype not in (np.float32, np.float64) for array in (means, packed, squares))
    ):
        raise CorruptFileError(f"{path} has arrays that do not fit. {mend}")
    try:
        for name in names[1:]:
            require_finite(arrays[name], name)
    except InvalidArrayError as error:
        raise CorruptFileError(f"{path}: {error} {mend}") from error
    return as_statistics(arrays, layer)


def as_statistics(arrays: Mapping[str, np.ndarray], layer: str) -> ClassStatistics:
    """The class statistics of `layer` among what `statistics_arrays` made."""
    counts, means, packed, squares = (arrays[f"{layer}.{part}"] for part in _STATISTICS)
    wide = [array.astype(np.float64, copy=False) for array in (means, packed, squares)]
    scatter = unpack_symmetric(wide[1], means.shape[1])
    return ClassStatistics(counts, wide[0], scatter, wide[2])


def require_scores(path: Path, name: str, scores: np.ndarray, *, mend: str) -> np.ndarray:
    """`scores` themselves; raises CorruptFileError unless they are one finite number each."""
    if scores.ndim != 1 or scores.dtype.kind != "f" or not np.isfinite(scores).all():
        raise CorruptFileError(
            f"{path}: '{name}' must hold one finite number for each sample. {mend}"
        )
    return scores


def as_distribution(
    path: Path, name: str, values: np.ndarray, ranks: np.ndarray, *, mend: str
) -> ScoreDistribution:
    """Return order statistics; raise CorruptFileError unless both arrays increase together."""
    require_scores(path, name, values, mend=mend)
    if (
        ranks.shape != values.shape
        or ranks.dtype.kind != "i"
        or not len(ranks)
        or ranks[0] != 0
        or (np.diff(ranks) <= 0).any()
        or (np.diff(values) < 0).any()
    ):
        raise CorruptFileError(f"{path}: '{name}' must hold increasing order statistics. {mend}")
    return ScoreDistribution(values.astype(np.float64), ranks.astype(np.int64))


def quality_arrays(quality: Mapping[str, Mapping[str, MapQuality]]) -> dict[str, np.ndarray]:
    """Return the quality of each layer's maps as arrays by layer, kind and measure."""
    return {
        f"{_QUALITY}{layer}/{kind}/{name}": np.array(value, np.float64, ndmin=1)
        for layer, maps in quality.items()
        for kind, one in maps.items()
        for name, value in one._asdict().items()
    }


def read_quality(
    path: Path, arrays: Mapping[str, np.ndarray], layer: str, *, mend: str
) -> dict[str, MapQuality]:
    """Return the quality of a layer's maps, by kind, from what `quality_arrays` made.

    Raises
    ------
    CorruptFileError
        If a measure is missing or is not a share.
    """
    prefix = f"{_QUALITY}{layer}/"
    kinds = {name.removeprefix(prefix).split("/")[0] for name in arrays if name.startswith(prefix)}
    found = {}
    for kind in sorted(kinds):
        values = [arrays.get(f"{prefix}{kind}/{name}") for name in MapQuality._fields]
        if not _is_quality(values):
            raise CorruptFileError(
                f"{path}: the quality of the {kind} map of layer {layer} must be a number of "
                f"samples and shares from 0 to 1. {mend}"
            )
        samples, trustworthiness, preserved, explained = (each.tolist() for each in values)
        found[kind] = MapQuality(
            int(samples[0]), trustworthiness[0], preserved[0], tuple(explained)
        )
    return found


def _is_quality(values: list[np.ndarray | None]) -> bool:
    if any(each is None or each.ndim != 1 or each.dtype.kind != "f" for each in values):
        return False
    samples, *shares = values
    if [len(each) for each in values[:3]] != [1, 1, 1] or not 1 <= samples[0] < _MOST_SAMPLES:
        return False
    return all(((each >= 0) & (each <= 1 + _ROUNDING)).all() for each in shares)


def layers_in(path: Path, *, mend: str) -> set[str]:
    """Names of the layers whose class statistics are in the file."""
    names = files.array_names(path, mend=mend)
    layers = {name.removesuffix(".means") for name in names if name.endswith(".means")}
    for layer in layers:
        if not layout.is_plain(layer):
            raise CorruptFileError(f"{path} has a layer called {layer!r:.300}. {mend}")
    return layers


def pack_symmetric(matrix: np.ndarray) -> np.ndarray:
    """The upper triangle of a symmetric (D, D) matrix as a vector of D (D + 1) / 2 values."""
    return matrix[np.triu_indices(len(matrix))]


def unpack_symmetric(packed: np.ndarray, dim: int) -> np.ndarray:
    """The symmetric (dim, dim) matrix whose upper triangle is `packed`."""
    matrix = np.zeros((dim, dim))
    matrix[np.triu_indices(dim)] = packed
    return matrix + np.triu(matrix, 1).T
