"""The fixed simplex-ETF projector as a function of the encoder's features, without its weights."""

from __future__ import annotations

import math

import numpy as np

from ncviz.errors import InvalidArrayError

EXPANSION = 4
"""hidden units of the projector for each feature"""
KINDS = ("etf-features", "etf-classes")


def etf_size(kind: str, dim: int, classes: int) -> int:
    """The c of a projector's weights: the features' D (etf-features) or C (etf-classes)."""
    return dim if kind == "etf-features" else classes


def project(features: np.ndarray, size: int) -> np.ndarray:
    """(N, D) unit vectors of encoder features (N, D), as arXiv 2502.10691 projects them.

    D -> 4D, ReLU, 4D -> D and L2 normalisation, where both weights are the (4D, D) and (D, 4D)
    parts of sqrt(c / (c - 1)) (I - 11^T / c) with c = `size`. Every hidden unit beyond the first D
    has the same value, so that sums take the place of both products. Zero where all is zero.

    Raises
    ------
    InvalidArrayError : `size` is below 2: a simplex of one corner has no direction.
    """
    if size < 2:
        raise InvalidArrayError(f"A simplex-ETF projector has a size of 2 or more; got {size}.")
    dim = features.shape[1]
    scale = math.sqrt(size / (size - 1))
    shift = features.sum(axis=1, keepdims=True) / size
    hidden = np.maximum(scale * (features - shift), 0)
    beyond = np.maximum(-scale * shift, 0)
    total = hidden.sum(axis=1, keepdims=True) + (EXPANSION - 1) * dim * beyond
    reduced = scale * (hidden - total / size)
    length = np.linalg.norm(reduced, axis=1, keepdims=True)
    return reduced / np.where(length > 0, length, 1)
