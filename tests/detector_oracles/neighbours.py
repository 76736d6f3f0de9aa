"""Scores of single samples by comparison with each training sample, from the definitions."""

import math

import numpy as np

from detector_oracles.logits import energy


def unit(feature):
    length = math.hypot(*feature)
    return feature / length if length else feature


def cosine(first, second):
    return sum(a * b for a, b in zip(unit(first), unit(second), strict=True))


def knn(case, sample, logits, k=50):
    return -sorted(math.dist(unit(sample), unit(h)) for h in case.train.features)[k - 1]


def nnguide(case, sample, logits):
    # 1% of the training set is less than 500 in every case, of which k is a fifth.
    count = min(len(case.train), 500)
    rows = np.arange(len(case.train))
    if count < len(rows):
        rows = np.random.default_rng(0).choice(len(rows), count, replace=False)
    guides = sorted(
        cosine(sample, case.train.features[row])
        * energy(case, case.train.features[row], case.train.logits[row])
        for row in rows
    )
    k = count // 5
    return energy(case, sample, logits) * sum(guides[-k:]) / k


def relation(case, sample, logits):
    def probabilities(z):
        return np.exp(z) / sum(np.exp(z))

    relations = [
        max(0, cosine(sample, h)) * (probabilities(logits) @ probabilities(z))
        for h, z in zip(case.train.features, case.train.logits, strict=True)
    ]
    return sum(r for r in relations if r > 0.03)
