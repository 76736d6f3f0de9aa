"""Scores of single samples by the energy of changed features, straight from the definitions."""

import math

import numpy as np


def energy_of(case, features):
    weight, bias = case.head.weight, case.head.bias
    logits = [sum(w * h for w, h in zip(row, features, strict=True)) for row in weight] + bias
    return logsumexp(logits)


def logsumexp(values):
    return max(values) + math.log(sum(math.exp(z - max(values)) for z in values))


def percentile(values, q):
    """Linear between the two values nearest in rank."""
    values = sorted(values)
    place = q / 100 * (len(values) - 1)
    low = math.floor(place)
    return values[low] + (place - low) * (values[min(low + 1, len(values) - 1)] - values[low])


def react(case, sample, logits):
    threshold = percentile(case.train.features.ravel(), 90)
    return energy_of(case, [min(h, threshold) for h in sample])


def vra(case, sample, logits):
    low, high = (percentile(case.train.features.ravel(), q) for q in (10, 90))
    return energy_of(case, [min(max(h, low), high) for h in sample])


def largest(sample, removed):
    """Dimensions of the largest activations, all but `removed` of them and at least one."""
    count = max(len(sample) - round(removed), 1)
    return sorted(range(len(sample)), key=lambda d: -sample[d])[:count]


def ash_p(case, sample, logits):
    kept = largest(sample, len(sample) * 0.9)
    return energy_of(case, [h if d in kept else 0 for d, h in enumerate(sample)])


def ash_b(case, sample, logits):
    kept = largest(sample, len(sample) * 0.9)
    return energy_of(case, [sum(sample) / len(kept) * (d in kept) for d in range(len(sample))])


def ash_s(case, sample, logits):
    kept = largest(sample, len(sample) * 0.9)
    factor = math.exp(sum(sample) / sum(sample[d] for d in kept))
    return energy_of(case, [h * factor if d in kept else 0 for d, h in enumerate(sample)])


def scale(case, sample, logits):
    kept = largest(sample, len(sample) * 0.85)
    factor = math.exp(sum(sample) / sum(sample[d] for d in kept))
    return energy_of(case, [h * factor for h in sample])


def lts(case, sample, logits):
    kept = largest(sample, len(sample) * 0.95)
    ratio = sum(sample) / sum(sample[d] for d in kept)
    return logsumexp([z * ratio**2 for z in logits])


def dice(case, sample, logits):
    weight, mean = case.head.weight, np.mean(case.train.features, axis=0)
    contributions = [[w * m for w, m in zip(row, mean, strict=True)] for row in weight]
    threshold = percentile(np.ravel(contributions), 90)
    scores = []
    for row, added, bias in zip(weight, contributions, case.head.bias, strict=True):
        terms = [w * h for w, a, h in zip(row, added, sample, strict=True) if a > threshold]
        scores.append(sum(terms) + bias)
    return logsumexp(scores)
