"""Scores by loops over samples, in the way in which published code computes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from made import Made
from scipy.special import softmax
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from ncviz.arrays import ClassStatistics, FeatureSet

Loop = Callable[[FeatureSet], list[float]]


def mahalanobis(made: Made) -> Loop:
    """Every sample against every class by the whole precision matrix, as the code of ViM."""
    statistics = ClassStatistics.of(made.train.features, made.train.labels, made.head.classes)
    means = statistics.means
    precision = np.linalg.pinv(statistics.within_covariance)
    return lambda samples: [
        -(((h - means) @ precision) * (h - means)).sum(axis=1).min() for h in samples.features
    ]


def kl_matching(made: Made) -> Loop:
    """Every sample against every template by a Python function, as the code of ViM."""
    probabilities = softmax(made.train.logits.astype(np.float64), axis=1)
    predicted = probabilities.argmax(axis=1)
    templates = [probabilities[predicted == c].mean(axis=0) for c in np.unique(predicted)]

    def divergence(p: np.ndarray, q: np.ndarray) -> float:
        return float(np.sum(np.where(p != 0, p * np.log(p / q), 0)))

    return lambda samples: [
        -min(divergence(p, q) for q in templates)
        for p in softmax(samples.logits.astype(np.float64), axis=1)
    ]


def neco(made: Made) -> Loop:
    """Principal components at once, both norms sample by sample, as the code of NECO."""
    scaler = StandardScaler().fit(made.train.features)
    pca = PCA().fit(scaler.transform(made.train.features))
    dim = made.head.classes - 1

    def loop(samples: FeatureSet) -> list[float]:
        standard = scaler.transform(samples.features)
        turned = pca.transform(standard)
        scores = []
        for whole, reduced in zip(standard, turned, strict=True):
            length, within = np.linalg.norm(whole), np.linalg.norm(reduced[:dim])
            scores.append(within / length)
        return scores

    return loop


def gradnorm(made: Made) -> Loop:
    """A backward pass for every sample, as OpenOOD."""
    layer = made.linear.requires_grad_(True)
    loss = torch.nn.LogSoftmax(dim=-1)

    def loop(samples: FeatureSet) -> list[float]:
        scores = []
        for h in torch.from_numpy(samples.features):
            layer.zero_grad()
            logits = layer(h[None])
            torch.mean(torch.sum(-torch.ones_like(logits) * loss(logits), dim=-1)).backward()
            scores.append(float(layer.weight.grad.abs().sum()))
        return scores

    return loop


LOOPS = {
    "mahalanobis": (mahalanobis, 100),
    "kl_matching": (kl_matching, 30),
    "neco": (neco, 10_000),
    "gradnorm": (gradnorm, 1000),
}
"""What prepares each loop, and how many samples it is timed on."""
