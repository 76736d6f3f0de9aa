"""The loss of a recipe: cross-entropy, and the nearest-neighbour entropy of the encoder."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

_EPSILON = 1e-8


def nearest_neighbour_entropy(embeddings: Tensor) -> Tensor:
    """Mean log distance of each L2-normalised embedding (B, D) to its nearest in the batch.

    The Kozachenko-Leonenko estimate of differential entropy up to constants; its negative is the
    KoLeo loss (Sablayrolles et al., ICLR 2019) that arXiv 2502.10691 adds to the cross-entropy.
    Zero, without gradient, for a batch of one, which has no neighbour. Under several processes each
    looks for neighbours in its own part of the batch.
    """
    if len(embeddings) < 2:
        return embeddings.sum() * 0
    unit = normalize(embeddings.float(), dim=1)
    with torch.no_grad():
        similarity = unit @ unit.T
        similarity.fill_diagonal_(-2)
        nearest = similarity.argmax(dim=1)
    distance = torch.linalg.vector_norm(unit - unit[nearest] + _EPSILON, dim=1)
    return (distance + _EPSILON).log().mean()
