"""Scores of single samples from logits, straight from the definitions."""

import math


def msp(case, sample, logits):
    return max(math.exp(z) for z in logits) / sum(math.exp(z) for z in logits)


def max_logit(case, sample, logits):
    return max(logits)


def energy(case, sample, logits):
    return math.log(sum(math.exp(z) for z in logits))
