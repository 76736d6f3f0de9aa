"""Scores of single samples against means, straight from the definitions."""

import math

import numpy as np


def she(case, sample, logits):
    train, own = case.train, int(np.argmax(logits))
    right = [
        h
        for h, z, label in zip(train.features, train.logits, train.labels, strict=True)
        if np.argmax(z) == label == own
    ]
    return sum(a * b for a, b in zip(sample, np.mean(right, axis=0), strict=True))


def fdbd(case, sample, logits):
    weight, own = case.head.weight, int(np.argmax(logits))
    total = 0.0
    for other, row in enumerate(weight):
        if other != own:
            total += abs(logits[own] - logits[other]) / math.dist(weight[own], row)
    return total / math.dist(sample, case.train.features.mean(axis=0))


def nci(case, sample, logits):
    centred = sample - case.train.features.mean(axis=0)
    along = sum(a * b for a, b in zip(case.head.weight[np.argmax(logits)], centred, strict=True))
    return along / math.hypot(*centred) + 1e-4 * sum(abs(h) for h in sample)
