"""Scores of single samples by their distance to training features, from the definitions."""

import numpy as np


def mahalanobis(case, sample, logits):
    train, labels = case.train.features, case.train.labels
    means = [train[labels == c].mean(axis=0) for c in range(case.head.classes)]
    residuals = [h - means[y] for h, y in zip(train, labels, strict=True)]
    precision = np.linalg.pinv(sum(np.outer(r, r) for r in residuals) / len(train))
    return -min((sample - mean) @ precision @ (sample - mean) for mean in means)


def relative_mahalanobis(case, sample, logits):
    train = case.train.features
    mean = train.mean(axis=0)
    precision = np.linalg.pinv(sum(np.outer(h - mean, h - mean) for h in train) / len(train))
    background = (sample - mean) @ precision @ (sample - mean)
    return mahalanobis(case, sample, logits) + background
