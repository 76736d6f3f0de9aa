"""Scores of single samples by principal directions, straight from the definitions."""

import math
from decimal import Decimal

import numpy as np

from detector_oracles.logits import energy


def beyond_principal_space(case):
    """Function of a sample: its length beyond the first D/2 directions about the origin."""
    train, head = case.train.features, case.head
    origin = -np.linalg.lstsq(head.weight, head.bias)[0]
    values, vectors = np.linalg.eigh(sum(np.outer(h - origin, h - origin) for h in train))
    beyond = [vectors[:, i] for i in np.argsort(values)[: head.dim - head.dim // 2]]
    return lambda h: math.sqrt(sum((axis @ (h - origin)) ** 2 for axis in beyond))


def residual(case, sample, logits):
    return -beyond_principal_space(case)(sample)


def vim(case, sample, logits):
    length, head = beyond_principal_space(case), case.head
    largest = np.mean([max(head.weight @ h + head.bias) for h in case.train.features])
    alpha = largest / np.mean([length(h) for h in case.train.features])
    return energy(case, sample, logits) - alpha * length(sample)


def neco(case, sample, logits):
    train = case.train.features
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread = np.where(spread > 0, spread, 1)
    axes = np.linalg.svd((train - mean) / spread)[2][: case.head.classes - 1]
    standard = (sample - mean) / spread
    return math.sqrt(sum((axis @ standard) ** 2 for axis in axes)) / np.linalg.norm(standard)


def pnml(case, sample, logits):
    train = [h / math.hypot(*h) for h in case.train.features]
    length = math.hypot(*sample)
    unit = sample / length if length else sample
    leverage = unit @ np.linalg.pinv(sum(np.outer(h, h) for h in train)) @ unit
    return -regret(case.head.weight @ unit + case.head.bias, leverage / (1 + leverage))


def regret(logits, exponent):
    """With 28 digits: probabilities within 1e-16 of 0 and 1 count."""
    exponent = Decimal(float(exponent))
    growth = [Decimal(float(z)).exp() for z in logits]
    shares = [(each / sum(growth), 1 - each / sum(growth)) for each in growth]
    return float(sum(p / (p + rest * p**exponent) for p, rest in shares).ln())
