"""How far a layer's embeddings spread out: nearest-neighbour entropy and effective rank."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import entr

from ncviz import threads, xp
from ncviz.arrays import require_finite
from ncviz.errors import InvalidArrayError
from ncviz.linalg import unit_vectors
from ncviz.xp import Array

# What arXiv 2502.10691 adds to a distance before its logarithm.
_EPSILON = 1e-8
# Similarities held at once, 64 MB of float64.
_ENTRIES = 2**23
_BLOCK = 8192


@dataclass(frozen=True)
class Spread:
    """Spread of one layer on one set of samples; `ncviz.collapse.METRICS` defines both fields."""

    entropy: float
    effective_rank: float

    def to_dict(self) -> dict[str, float]:
        """The metrics by name, in the order of the fields."""
        return asdict(self)


def spread(features: Array) -> Spread:
    """Entropy and effective rank of a layer's embeddings, both lower the more they collapse.

    `entropy` is (1/N) sum_i log(rho_i + 1e-8), natural logarithm, with rho_i the Euclidean distance
    of the i-th L2-normalised embedding to its nearest other one: the quantity that the entropy
    loss of arXiv 2502.10691 raises, here over all N samples instead of a batch. It is the part
    of the estimate of Kozachenko and Leonenko (1987) that depends on the data. The differential
    entropy itself, in nats on the unit sphere of d = D - 1 dimensions, is

        H = d * mean_i log rho_i + log V_d + log(N - 1) + gamma,

    with V_d = pi^(d/2) / Gamma(d/2 + 1), the volume of the unit ball in d dimensions, and gamma
    = 0.5772..., Euler's constant. Neighbours come closer as N grows, by log(N) / d on average:
    entropies compare only between sets of equal N (and layers by `entropy` only at equal D).
    A duplicate has rho = 0 and counts log(1e-8) = -18.4; that is the floor, reached when every
    sample has one. A row of zeros has no direction and stays at the origin, as in PyTorch.

    `effective_rank` is exp(-sum_k q_k log q_k), q_k = sigma_k / sum(sigma), of the singular values
    of the features as they are, neither centred nor normalised (Roy and Vetterli, EUSIPCO 2007).

    All in float64 (one copy of the features); further memory does not grow with N.

    Parameters
    ----------
    features : (N, D) with N >= 2

    Raises
    ------
    InvalidArrayError : wrong shape, fewer than two samples, NaN or infinity, or nothing but zeros.
    """
    features = xp.as_array(features)
    if features.ndim != 2 or len(features) < 2:
        raise InvalidArrayError(
            f"Features have shape {tuple(features.shape)}; their spread needs (N, D) with N of at "
            "least 2."
        )
    require_finite(features, "Features")
    if not features.any():
        raise InvalidArrayError(
            "Every feature is zero, so their spread is undefined. A dead layer does this: choose "
            "another epoch or layer."
        )
    distances = xp.to_numpy(_nearest_distances(unit_vectors(features)))
    return Spread(
        entropy=float(np.log(distances + _EPSILON).mean()),
        effective_rank=_effective_rank(xp.to_numpy(_singular_values(features))),
    )


def _nearest_distances(points: Array) -> Array:
    """(N,) Euclidean distance of each of the points (N, D) to the nearest other one."""
    library = xp.namespace(points)
    # Products of points around their mean tell closer neighbours apart.
    centred = points - library.mean(points, axis=0)
    half_squares = xp.squares(centred) / 2
    block = max(1, _ENTRIES // len(points))

    def search(at: int) -> Array:
        closeness = centred[at : at + block] @ centred.T  # (B, N)
        closeness -= half_squares
        own = xp.row_numbers(closeness)
        closeness[own, at + own] = -library.inf
        # The product only finds the neighbour: a difference gives duplicates a distance of 0.
        return xp.norms(points[at : at + block] - points[library.argmax(closeness, axis=1)])

    work = threads.spread if xp.is_numpy(points) else map
    return library.concat(list(work(search, range(0, len(points), block))))


def _singular_values(features: Array) -> Array:
    """Singular values of features (N, D), min(N, D) of them, block by block through QR.

    Eigenvalues of the D x D product would be faster, but lose all singular values under 1e-8 of
    the largest, and those of a collapsed layer count.
    """
    library = xp.namespace(features)
    triangle = xp.float64(features[:0])
    for at in range(0, len(features), _BLOCK):
        block = xp.float64(features[at : at + _BLOCK])
        triangle = xp.triangle(library.concat([triangle, block]))
    return library.linalg.svdvals(triangle)


def _effective_rank(values: np.ndarray) -> float:
    return float(np.exp(entr(values / values.sum()).sum()))
