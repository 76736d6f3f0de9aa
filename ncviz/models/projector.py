"""The fixed simplex-ETF projector between encoder and head (arXiv 2502.10691)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from ncviz.projector import EXPANSION


def simplex_etf(rows: int, columns: int, size: int) -> Tensor:
    """(rows, columns) part of sqrt(c / (c - 1)) (I - 11^T / c) for c = `size`.

    For rows = columns = c its rows are the vertices of a simplex ETF: unit vectors with cosine
    -1/(c-1) between any two. Rows and columns beyond c continue the formula, with no diagonal.
    """
    return math.sqrt(size / (size - 1)) * (torch.eye(rows, columns) - 1 / size)


class ETFProjector(nn.Module):
    """Features (B, D) to unit vectors (B, D) by fixed weights: D -> 4D, ReLU, 4D -> D, normalise.

    `size` is the c of both weights: D in the authors' code, whatever the number of classes. For
    features that are never negative, as after a ReLU, all hidden units beyond the first D stay at
    zero then, and the projector centres, rectifies and centres again. `ncviz.projector.project` is
    the same map without the weights.
    """

    def __init__(self, dim: int, size: int):
        super().__init__()
        self.dim = dim
        self.register_buffer("expand", simplex_etf(EXPANSION * dim, dim, size), persistent=False)
        self.register_buffer("reduce", simplex_etf(dim, EXPANSION * dim, size), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        hidden = relu(features @ self.expand.T)
        return normalize(hidden @ self.reduce.T, dim=1)
