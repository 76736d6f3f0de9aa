"""The collapse metrics that follow from class sums and the head alone: NC1, NC2, NC3, bias."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from ncviz import xp
from ncviz.arrays import ClassStatistics, Head
from ncviz.collapse.geometry import centred_means, global_mean, ideal_gram, unit_rows
from ncviz.errors import InvalidArrayError
from ncviz.linalg import positive_eigh
from ncviz.xp import Array


@dataclass(frozen=True)
class CollapseMetrics:
    """NC1, NC2 and NC3 of one layer at one epoch; `ncviz.collapse.METRICS` defines every field.

    A field is None where it is undefined: those of the head without a head or with a row of zeros
    in it, `nc1_cdnv` where two class means coincide, the log and Riesz kernels where two directions
    of class means do.
    """

    nc1_pinv: float
    nc1_trace: float
    nc1_total: float
    nc1_frobenius: float
    nc1_cdnv: float | None
    nc2_equinorm: float
    nc2_gram: float
    nc2_gram_zhu: float
    nc2_cosine_mean: float
    nc2_cosine_std: float
    nc2_max_angle: float
    nc2_distance_mean: float
    nc2_distance_variance: float
    nc2_log_kernel_mean: float | None
    nc2_log_kernel_variance: float | None
    nc2_riesz_kernel_mean: float | None
    nc2_riesz_kernel_variance: float | None
    nc2_weights_equinorm: float | None = None
    nc2_weights_gram: float | None = None
    nc3_duality: float | None = None
    nc3_product: float | None = None
    nc3_cosine_mean: float | None = None
    nc3_cosine_min: float | None = None
    nc3_variance: float | None = None
    nc4_bias: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """The metrics by name, in the order of the fields."""
        return asdict(self)


def measure(statistics: ClassStatistics, head: Head | None = None) -> CollapseMetrics:
    """Every definition of NC1 to NC3 that needs no pass over the samples.

    All in float64. The global mean mu_G is the mean of class means (as Zhu et al. and
    rhubarbwu/neural-collapse), which differs from the mean of samples if classes are unbalanced;
    Sigma_W weighs samples equally, Sigma_B classes. `nc1_pinv` counts at most C - 1 eigenvalues of
    Sigma_B, its rank, so it equals the truncated-SVD form of Han et al. (2022) too.

    Parameters
    ----------
    statistics : C >= 2 classes, each with samples
    head : classifier on the same layer, or None to leave the metrics of the head out

    Raises
    ------
    InvalidArrayError : fewer than two classes, a class without samples, NaN, all class means equal,
        a class mean on mu_G, or a head of another shape.
    """
    means = centred_means(statistics)
    of_head = {}
    if head is not None:
        require_head(statistics, head)
        of_head = _duality(means, head) | _bias(statistics, head)
    return CollapseMetrics(**_variability(statistics, means), **_simplex(means), **of_head)


def require_head(statistics: ClassStatistics, head: Head) -> None:
    """Raise InvalidArrayError unless the head has the classes and features of the statistics."""
    if tuple(head.weight.shape) != tuple(statistics.means.shape):
        raise InvalidArrayError(
            f"The head maps {head.dim} features to {head.classes} classes, but the statistics hold "
            f"{statistics.classes} classes of {statistics.dim} features; take both from the same "
            "run and layer."
        )


def _variability(statistics: ClassStatistics, means: Array) -> dict[str, float | None]:
    """NC1: how small the spread within classes is, against the spread between them."""
    linalg = xp.namespace(means).linalg
    within = statistics.within_covariance  # (D, D)
    outer = means @ means.T  # (C, C), holds the spectrum of C * Sigma_B without any D x D matrix
    trace_within, trace_between = linalg.trace(within), linalg.trace(outer) / len(means)
    return {
        "nc1_pinv": _within_over_between(within, means, outer),
        "nc1_trace": float(trace_within / trace_between),
        "nc1_total": float(trace_within / linalg.trace(statistics.total_covariance)),
        # ||Sigma_B||_F = ||Mc Mc^T||_F / C: both products have the same eigenvalues.
        "nc1_frobenius": _length(within) / (_length(outer) / len(means)),
        "nc1_cdnv": _cdnv(statistics),
    }


def _within_over_between(within: Array, means: Array, outer: Array) -> float:
    """tr(Sigma_W Sigma_B^+) / C.

    With Mc Mc^T = U diag(s) U^T, Sigma_B^+ = C A A^T for A = Mc^T U diag(1/s), so that the trace
    over C is tr(A^T Sigma_W A): a sum of non-negative terms, never negative.
    """
    precision = max(means.shape) * np.finfo(np.float64).eps
    values, vectors = positive_eigh(outer, tolerance=precision)
    rank = min(len(values), len(means) - 1)
    axes = means.T @ (vectors[:, :rank] / values[:rank])  # (D, r)
    return float((axes * (within @ axes)).sum())


def _cdnv(statistics: ClassStatistics) -> float | None:
    variances = statistics.squares / statistics.counts  # (C,)
    squared = xp.pair_distances(statistics.means) ** 2  # (C (C-1) / 2,)
    if not (squared > 0).all():
        return None
    first, second = xp.pairs(statistics.classes, variances)
    return float(((variances[first] + variances[second]) / (2 * squared)).mean())


def _simplex(means: Array) -> dict[str, float | None]:
    """NC2: how close the centred class means come to a simplex ETF."""
    library = xp.namespace(means)
    classes = len(means)
    unit = unit_rows(means, "mean")
    cosines = unit @ unit.T
    between = cosines[xp.pairs(classes, cosines)]
    ideal = xp.like(ideal_gram(classes), cosines)
    distances = xp.pair_distances(unit)
    return {
        "nc2_equinorm": _variation(means),
        "nc2_gram": _length(cosines - ideal) / _length(ideal),
        "nc2_gram_zhu": _distance_to_simplex(means @ means.T),
        "nc2_cosine_mean": float(library.mean(between)),
        "nc2_cosine_std": float(library.std(between)),
        "nc2_max_angle": float(library.mean(library.abs(between + 1 / (classes - 1)))),
        "nc2_distance_mean": float(library.mean(distances)),
        "nc2_distance_variance": float(library.var(distances)),
        **_kernels(distances),
    }


def _kernels(distances: Array) -> dict[str, float | None]:
    library = xp.namespace(distances)
    if not (distances > 0).all():
        return dict.fromkeys(
            f"nc2_{kernel}_kernel_{spread}"
            for kernel in ("log", "riesz")
            for spread in ("mean", "variance")
        )
    logs, inverses = -library.log(distances), 1 / distances
    return {
        "nc2_log_kernel_mean": float(library.mean(logs)),
        "nc2_log_kernel_variance": float(library.var(logs)),
        "nc2_riesz_kernel_mean": float(library.mean(inverses)),
        "nc2_riesz_kernel_variance": float(library.var(inverses)),
    }


def _duality(means: Array, head: Head) -> dict[str, float | None]:
    """NC2 of the head's rows and NC3: how far the head and the class means are the same."""
    library = xp.namespace(means, head.weight)
    weight = xp.float64(head.weight)
    if not (xp.norms(weight) > 0).all():
        return {}
    cosines = library.vecdot(unit_rows(weight, "head weight"), unit_rows(means, "mean"))
    return {
        "nc2_weights_equinorm": _variation(weight),
        "nc2_weights_gram": _distance_to_simplex(weight @ weight.T),
        "nc3_duality": _length(weight / _length(weight) - means / _length(means)),
        "nc3_product": _distance_to_simplex(weight @ means.T),
        "nc3_cosine_mean": float(library.mean(cosines)),
        "nc3_cosine_min": float(cosines.min()),
        "nc3_variance": float(library.var(library.vecdot(weight, means))),
    }


def _bias(statistics: ClassStatistics, head: Head) -> dict[str, float]:
    logits = xp.float64(head.weight) @ global_mean(statistics) + head.bias
    return {"nc4_bias": _length(logits)}


def _length(array: Array) -> float:
    """Square root of the sum of all squares."""
    return float(xp.namespace(array).linalg.vector_norm(array))


def _variation(rows: Array) -> float:
    library, norms = xp.namespace(rows), xp.norms(rows)
    return float(library.std(norms) / library.mean(norms))


def _distance_to_simplex(product: Array) -> float | None:
    """||P / ||P||_F - (I - 11^T/C) / sqrt(C-1)||_F of a (C, C) product P; None for P = 0."""
    classes, length = len(product), _length(product)
    if length == 0:
        return None
    ideal = (np.eye(classes) - 1 / classes) / math.sqrt(classes - 1)
    return _length(product / length - xp.like(ideal, product))
