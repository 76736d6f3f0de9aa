"""Scores of single samples from logits, straight from the definitions."""

import math

import numpy as np
from scipy.optimize import minimize_scalar


def softmax(logits):
    # Shifted, since the logits of a trained network may be large.
    powers = [math.exp(z - max(logits)) for z in logits]
    return [power / sum(powers) for power in powers]


def msp(case, sample, logits):
    return max(math.exp(z) for z in logits) / sum(math.exp(z) for z in logits)


def max_logit(case, sample, logits):
    return max(logits)


def energy(case, sample, logits):
    return math.log(sum(math.exp(z) for z in logits))


def entropy(case, sample, logits):
    return sum(p * math.log(p) for p in softmax(logits))


def gen(case, sample, logits):
    probabilities = softmax(logits)
    order = sorted(range(len(logits)), key=lambda c: -probabilities[c])
    terms = []
    for c in order[:100]:
        others = sum(p for other, p in enumerate(probabilities) if other != c)
        terms.append((probabilities[c] * others) ** 0.1)
    return -sum(terms)


def kl_matching(case, sample, logits):
    seen = [softmax(z) for z in case.train.logits]
    p = softmax(logits)
    divergences = []
    for k in range(case.head.classes):
        predicted = [q for q in seen if np.argmax(q) == k]
        if predicted:
            template = np.mean(predicted, axis=0)
            divergences.append(sum(a * math.log(a / b) for a, b in zip(p, template, strict=True)))
    return -min(divergences)


def temperature_scaling(case, sample, logits):
    def loss(log_temperature):
        temperature = math.exp(log_temperature)
        rows = zip(case.train.logits, case.train.labels, strict=True)
        return -sum(math.log(softmax(z / temperature)[y]) for z, y in rows)

    found = minimize_scalar(loss, bounds=(-2, 3), method="bounded", options={"xatol": 1e-9})
    return max(softmax(logits / math.exp(found.x)))
