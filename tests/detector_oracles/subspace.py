"""Scores of single samples by principal directions, straight from the definitions."""

import math

import numpy as np

from detector_oracles.logits import energy


def vim(case, sample, logits):
    train, head = case.train.features, case.head
    origin = -np.linalg.lstsq(head.weight, head.bias)[0]
    values, vectors = np.linalg.eigh(sum(np.outer(h - origin, h - origin) for h in train))
    beyond = [vectors[:, i] for i in np.argsort(values)[: head.dim - head.dim // 2]]

    def residual(h):
        return math.sqrt(sum((axis @ (h - origin)) ** 2 for axis in beyond))

    largest = np.mean([max(head.weight @ h + head.bias) for h in train])
    alpha = largest / np.mean([residual(h) for h in train])
    return energy(case, sample, logits) - alpha * residual(sample)


def neco(case, sample, logits):
    train = case.train.features
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread = np.where(spread > 0, spread, 1)
    axes = np.linalg.svd((train - mean) / spread)[2][: case.head.classes - 1]
    standard = (sample - mean) / spread
    return math.sqrt(sum((axis @ standard) ** 2 for axis in axes)) / np.linalg.norm(standard)
