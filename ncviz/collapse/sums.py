"""The collapse metrics that follow from class sums and the head alone: NC1, NC2, NC3, bias."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from ncviz.arrays import ClassStatistics, Head
from ncviz.collapse.geometry import centred_means, global_mean, ideal_gram, unit_rows
from ncviz.errors import InvalidArrayError
from ncviz.linalg import positive_eigh


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
    if head.weight.shape != statistics.means.shape:
        raise InvalidArrayError(
            f"The head maps {head.dim} features to {head.classes} classes, but the statistics hold "
            f"{statistics.classes} classes of {statistics.dim} features; take both from the same "
            "run and layer."
        )


def _variability(statistics: ClassStatistics, means: np.ndarray) -> dict[str, float | None]:
    """NC1: how small the spread within classes is, against the spread between them."""
    within = statistics.within_covariance  # (D, D)
    outer = means @ means.T  # (C, C), holds the spectrum of C * Sigma_B without any D x D matrix
    trace_within, trace_between = np.trace(within), np.trace(outer) / len(means)
    return {
        "nc1_pinv": _within_over_between(within, means, outer),
        "nc1_trace": float(trace_within / trace_between),
        "nc1_total": float(trace_within / np.trace(statistics.total_covariance)),
        # ||Sigma_B||_F = ||Mc Mc^T||_F / C: both products have the same eigenvalues.
        "nc1_frobenius": float(np.linalg.norm(within) / (np.linalg.norm(outer) / len(means))),
        "nc1_cdnv": _cdnv(statistics),
    }


def _within_over_between(within: np.ndarray, means: np.ndarray, outer: np.ndarray) -> float:
    """tr(Sigma_W Sigma_B^+) / C.

    With Mc Mc^T = U diag(s) U^T, Sigma_B^+ = C A A^T for A = Mc^T U diag(1/s), so that the trace
    over C is tr(A^T Sigma_W A): a sum of non-negative terms, never negative.
    """
    precision = max(means.shape) * np.finfo(np.float64).eps
    values, vectors = positive_eigh(outer, tolerance=precision)
    rank = min(len(values), len(means) - 1)
    axes = means.T @ (vectors[:, :rank] / values[:rank])  # (D, r)
    return float(np.einsum("dr,dr->", axes, within @ axes))


def _cdnv(statistics: ClassStatistics) -> float | None:
    variances = statistics.squares / statistics.counts  # (C,)
    squared = _distances(statistics.means, "sqeuclidean")  # (C (C-1) / 2,)
    if not squared.all():
        return None
    first, second = np.triu_indices(statistics.classes, k=1)
    return float(np.mean((variances[first] + variances[second]) / (2 * squared)))


def _distances(points: np.ndarray, metric: str = "euclidean") -> np.ndarray:
    """(C (C-1) / 2,) between every two rows of (C, D)."""
    # Pages import this module and measure nothing: half of scipy would be loaded with it.
    from scipy.spatial.distance import pdist

    return pdist(points, metric)


def _simplex(means: np.ndarray) -> dict[str, float | None]:
    """NC2: how close the centred class means come to a simplex ETF."""
    classes = len(means)
    unit = unit_rows(means, "mean")
    cosines = unit @ unit.T
    between = cosines[np.triu_indices(classes, k=1)]
    ideal = ideal_gram(classes)
    distances = _distances(unit)
    return {
        "nc2_equinorm": _variation(means),
        "nc2_gram": float(np.linalg.norm(cosines - ideal) / np.linalg.norm(ideal)),
        "nc2_gram_zhu": _distance_to_simplex(means @ means.T),
        "nc2_cosine_mean": float(between.mean()),
        "nc2_cosine_std": float(between.std()),
        "nc2_max_angle": float(np.abs(between + 1 / (classes - 1)).mean()),
        "nc2_distance_mean": float(distances.mean()),
        "nc2_distance_variance": float(distances.var()),
        **_kernels(distances),
    }


def _kernels(distances: np.ndarray) -> dict[str, float | None]:
    if not distances.all():
        return dict.fromkeys(
            f"nc2_{kernel}_kernel_{spread}"
            for kernel in ("log", "riesz")
            for spread in ("mean", "variance")
        )
    logs, inverses = -np.log(distances), 1 / distances
    return {
        "nc2_log_kernel_mean": float(logs.mean()),
        "nc2_log_kernel_variance": float(logs.var()),
        "nc2_riesz_kernel_mean": float(inverses.mean()),
        "nc2_riesz_kernel_variance": float(inverses.var()),
    }


def _duality(means: np.ndarray, head: Head) -> dict[str, float | None]:
    """NC2 of the head's rows and NC3: how far the head and the class means are the same."""
    weight = head.weight.astype(np.float64)
    if not weight.any(axis=1).all():
        return {}
    cosines = np.sum(unit_rows(weight, "head weight") * unit_rows(means, "mean"), axis=1)
    return {
        "nc2_weights_equinorm": _variation(weight),
        "nc2_weights_gram": _distance_to_simplex(weight @ weight.T),
        "nc3_duality": float(
            np.linalg.norm(weight / np.linalg.norm(weight) - means / np.linalg.norm(means))
        ),
        "nc3_product": _distance_to_simplex(weight @ means.T),
        "nc3_cosine_mean": float(cosines.mean()),
        "nc3_cosine_min": float(cosines.min()),
        "nc3_variance": float(np.einsum("cd,cd->c", weight, means).var()),
    }


def _bias(statistics: ClassStatistics, head: Head) -> dict[str, float]:
    logits = head.weight.astype(np.float64) @ global_mean(statistics) + head.bias
    return {"nc4_bias": float(np.linalg.norm(logits))}


def _variation(rows: np.ndarray) -> float:
    norms = np.linalg.norm(rows, axis=1)
    return float(norms.std() / norms.mean())


def _distance_to_simplex(product: np.ndarray) -> float | None:
    """||P / ||P||_F - (I - 11^T/C) / sqrt(C-1)||_F of a (C, C) product P; None for P = 0."""
    classes, length = len(product), np.linalg.norm(product)
    if length == 0:
        return None
    ideal = (np.eye(classes) - 1 / classes) / np.sqrt(classes - 1)
    return float(np.linalg.norm(product / length - ideal))
