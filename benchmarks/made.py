"""Features of a made-up network, as clustered as asked, for benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ncviz.arrays import FeatureSet, Head


@dataclass(frozen=True)
class Made:
    """A head, training samples and queries, float32 throughout."""

    head: Head
    train: FeatureSet
    queries: FeatureSet

    @property
    def linear(self) -> torch.nn.Linear:
        """The head as a module."""
        layer = torch.nn.Linear(self.head.dim, self.head.classes)
        weight, bias = torch.tensor(self.head.weight), torch.tensor(self.head.bias)
        layer.load_state_dict({"weight": weight, "bias": bias})
        return layer.requires_grad_(False)

    def tensors(self, samples: FeatureSet) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Features, logits and labels of samples, in the memory where they are."""
        return tuple(map(torch.from_numpy, (samples.features, samples.logits, samples.labels)))

    @property
    def bytes(self) -> int:
        """Size of all samples."""
        arrays = (
            self.train.features,
            self.train.logits,
            self.queries.features,
            self.queries.logits,
        )
        return sum(array.nbytes for array in arrays)


def make(train: int, queries: int, dim: int, classes: int, spread: float = 0.7) -> Made:
    """Non-negative features around class centres, and a head of about the centres.

    `spread` is that within a class: 0.7 is a network early in training, 0.01 a collapsed one.
    """
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(classes, dim)).astype(np.float32)
    head = Head(centres / np.float32(np.sqrt(dim)), np.zeros(classes, np.float32))

    def draw(labels: np.ndarray) -> FeatureSet:
        noise = rng.standard_normal((len(labels), dim), np.float32)
        features = np.maximum(centres[labels] + np.float32(spread) * noise, 0)
        return FeatureSet(features, head.logits(features), labels)

    return Made(head, draw(np.arange(train) % classes), draw(np.arange(queries) % classes))
