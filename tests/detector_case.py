"""A small synthetic network with ID and OOD samples, whole and degenerate, to try detectors on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from detector_oracles import slow

from ncviz import detectors, open_run
from ncviz.arrays import ClassStatistics, FeatureSet, Head

C, D = 6, 24
CHECKPOINTS = Path(__file__).resolve().parents[1] / "checkpoints"


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


class ShippedCase(Case):
    """The same of a trained network: cached features of epoch 60 of a shipped run, in float64."""

    def __init__(self, run, ood, samples=300):
        epoch = open_run(CHECKPOINTS / run).epoch(60)
        head = epoch.head()
        self.head = Head(head.weight.astype(np.float64), head.bias.astype(np.float64))
        train = epoch.features("train")
        self.train = self.see(train.features.astype(np.float64), train.labels)
        self.ids = self.see(epoch.features("test").features[:samples].astype(np.float64))
        self.oods = self.see(epoch.features(ood).features[:samples].astype(np.float64))


CASES = {
    "synthetic": Case,
    "digits": lambda: ShippedCase("digits", "letters"),
    "cifar100": lambda: ShippedCase("cifar100-resnet18", "cifar10"),
}


def narrow(samples):
    """The same samples in float32."""
    return replace(
        samples,
        features=samples.features.astype(np.float32),
        logits=samples.logits.astype(np.float32),
    )


def tensor(array):
    """What pytorch-ood takes: float32."""
    return torch.tensor(np.asarray(array), dtype=torch.float32)


def linear(head):
    """The head as a module."""
    layer = torch.nn.Linear(head.dim, head.classes)
    layer.load_state_dict({"weight": tensor(head.weight), "bias": tensor(head.bias)})
    return layer.requires_grad_(False)


def assert_scores_match_the_slow_loop(case, name, samples=4, rtol=1e-8):
    """On the first ID and OOD samples; networks are sure of the former."""
    for part in (case.ids[:samples], case.oods[:samples]):
        rows = zip(part.features, part.logits, strict=True)
        expected = [slow(name)(case, h, z) for h, z in rows]
        np.testing.assert_allclose(case.fit(name).score(part), expected, rtol=rtol)


def rotated(case, seed=0):
    """The same network and samples in other coordinates."""
    dim = case.head.dim
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))[0]
    turned = object.__new__(Case)
    turned.head = Head(case.head.weight @ rotation, case.head.bias)
    for part in ("train", "ids", "oods"):
        samples = getattr(case, part)
        setattr(turned, part, replace(samples, features=samples.features @ rotation))
    return turned


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
