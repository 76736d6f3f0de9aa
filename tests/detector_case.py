"""A small synthetic network with ID and OOD samples, whole and degenerate, to try detectors on."""

import numpy as np

from ncviz import detectors
from ncviz.arrays import ClassStatistics, FeatureSet, Head

C, D = 6, 24


class Case:
    """A head, labelled training samples, and ID and OOD samples of one synthetic network."""

    def __init__(self, classes=C, dim=D, train=400, samples=80, seed=0, relu=True):
        rng = np.random.default_rng(seed)
        floor = 0.0 if relu else -np.inf
        centres = rng.normal(size=(classes, dim)) + 0.5
        own = np.arange(train) % classes
        self.head = Head(centres - centres.mean(axis=0), 0.1 * rng.normal(size=classes))
        spread = rng.uniform(0.1, 0.5, size=dim)
        self.train = self.see(
            np.maximum(centres[own] + spread * rng.normal(size=(train, dim)), floor), own
        )
        drawn = rng.integers(0, classes, samples)
        self.ids = self.see(
            np.maximum(centres[drawn] + spread * rng.normal(size=(samples, dim)), floor)
        )
        self.oods = self.see(np.maximum(0.8 * rng.normal(size=(samples, dim)) + 0.5, floor))

    def see(self, features, labels=None):
        return FeatureSet(features, self.head.logits(features), labels)

    def fit(self, name, statistics=None, **parameters):
        return detectors.create(name, **parameters).fit(self.train, self.head, statistics)

    def statistics(self):
        return ClassStatistics.of(self.train.features, self.train.labels, self.head.classes)


DEGENERATE = {
    "two classes": lambda: Case(classes=2),
    "fewer samples than dimensions": lambda: Case(train=3 * C, dim=64),
    "more classes than dimensions": lambda: Case(classes=9, dim=4),
    "one dimension": lambda: Case(dim=1, relu=False),
    "dead features": lambda: with_dead_features(Case()),
    "a class without samples": lambda: without_class(Case(), 2),
}


def with_dead_features(case):
    """Dimensions that are zero on all training samples, and not on some others."""
    alive = np.arange(D) >= 5
    case.train = case.see(case.train.features * alive, case.train.labels)
    case.ids = case.see(case.ids.features * alive)
    return case


def without_class(case, label):
    case.train = case.train[case.train.labels != label]
    return case
