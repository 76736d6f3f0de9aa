"""What one layer of an epoch offers, and its detectors: fitted, and the scores they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ncviz import detectors, xp
from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.caching import PROBE_SAMPLES
from ncviz.detectors import Detector, DetectorInfo, probe_energy
from ncviz.errors import InvalidArrayError
from ncviz.store import Epoch
from ncviz.thresholds import calibration_half
from ncviz.xp import Array

_MERGED = 0.01
# ID test samples, and OOD samples, whose scores are computed twice to measure rounding noise.
_TRIED = 64

Scores = dict[str, dict[str, np.ndarray]]
"""by detector, then by set; ``"test"`` is the ID test set"""


class Layer(NamedTuple):
    """Features, statistics and heads of one layer of an epoch.

    `has_logits` says that the network's logits are made from this layer, with a head or without
    one that is known. Of a run that was imported without features, the logits take the place of
    features and there are no statistics; `without_features` says so.
    """

    name: str
    has_logits: bool
    without_features: str
    statistics: ClassStatistics | None
    head: Head | None
    probe: Head | None
    train: FeatureSet
    test: FeatureSet
    ood: dict[str, FeatureSet]

    @classmethod
    def read(cls, epoch: Epoch, name: str) -> Layer:
        """The layer `name` of an epoch that was extracted."""
        extracted = [ood for ood in epoch.run.ood_sets if epoch.full_name(ood) in epoch.sets]
        return cls(
            name=name,
            has_logits=name == epoch.run.layers[-1],
            without_features=epoch.run.without_features,
            statistics=None if epoch.run.without_features else epoch.statistics(name),
            head=epoch.head(name) if epoch.has_head(name) else None,
            probe=epoch.probe(name) if epoch.has_probe(name) else None,
            train=epoch.features("train", name),
            test=epoch.features("test", name),
            ood={ood: epoch.features(ood, name) for ood in extracted},
        )

    def like(self, example: Array) -> Layer:
        """The same layer in the library and on the device of `example`."""

        def move(each):
            return None if each is None else each.like(example)

        return self._replace(
            statistics=move(self.statistics),
            head=move(self.head),
            probe=move(self.probe),
            train=move(self.train),
            test=move(self.test),
            ood={name: move(samples) for name, samples in self.ood.items()},
        )

    @property
    def correct(self) -> np.ndarray | None:
        """(N,) bool, whether the network classifies each ID test sample correctly.

        None without labels or logits.
        """
        if self.test.labels is None or not self.test.logits.shape[1]:
            return None
        predictions = xp.to_numpy(self.test.logits).argmax(axis=1)
        return predictions == xp.to_numpy(self.test.labels)

    @property
    def sets(self) -> dict[str, FeatureSet]:
        """The samples that are scored, by name of their set."""
        return {"test": self.test, **self.ood}

    @property
    def classifier(self) -> Head | None:
        """Return the head that detectors are fitted with: the layer's own, or the linear probe.

        Logits that take the place of features have the identity.
        """
        if self.without_features:
            classes = self.train.logits.shape[1]
            identity = Head(np.eye(classes, dtype=np.float32), np.zeros(classes, np.float32))
            return identity.like(self.train.logits)
        return self.probe if self.head is None else self.head

    def supports(self, info: DetectorInfo) -> bool:
        """Return whether a detector can score this layer from arrays."""
        if self.without_features and not info.looks_at_logits_alone:
            return False
        return info.suits(has_head=self.head is not None, has_logits=self.has_logits)


class Fit(NamedTuple):
    """What a detector was fitted to at a layer.

    Attributes
    ----------
    samples : number of training samples it learned from; 0 where it learned from none, and those
        of the class statistics where it used these alone
    parameters : with the values that were used
    left_out : why it was left out; empty where it was scored
    """

    samples: int = 0
    parameters: Mapping[str, Any] = {}
    left_out: str = ""


class Scored(NamedTuple):
    """Fitted detectors of a layer and their scores.

    Attributes
    ----------
    detectors : the fitted detectors by name, of those that have scores
    scores : by detector and set
    fits : what each was fitted to, by detector, those left out among them
    variants : scores by detector, parameter and another value of it, and by set
    """

    detectors: dict[str, Detector]
    scores: Scores
    fits: dict[str, Fit]
    variants: dict[tuple[str, str, float], dict[str, np.ndarray]]


def score_layer(layer: Layer, names: Sequence[str]) -> Scored:
    """Fit the detectors `names` and score every set by them, as far as the layer allows.

    A layer without a head of its own is scored by detectors that look at features alone, and by
    those that look at logits alone where the logits are its own. The energy of a linear probe
    is added at every layer that has one. A detector that the features make undefined, or whose
    scores are rounding errors, is left out with the reason. Scores and fitted detectors are NumPy
    arrays, whatever the layer's are.
    """
    fitted: dict[str, Detector] = {}
    fits: dict[str, Fit] = {}
    variants: dict[tuple[str, str, float], Detector] = {}
    head = layer.classifier
    few = _few_of_each(layer)
    for name in names if head is not None else ():
        info = detectors.info(name)
        if not layer.supports(info):
            continue
        try:
            train = _held_out(layer) if info.learns_held_out else layer.train
            detector = detectors.create(name).fit(train, head, layer.statistics)
        except InvalidArrayError as error:
            fits[name] = Fit(left_out=str(error))
            continue
        fits[name] = Fit(
            detector.samples_used(train, layer.statistics),
            detector.used_parameters(),
            _unresolved(detectors.rounding_noise(detector.score, few)),
        )
        if fits[name].left_out:
            continue
        fitted[name] = detector
        for parameter, variant in detector.variants(train, head, layer.statistics):
            variants[name, parameter, variant.used_parameters()[parameter]] = variant
    scores, others = _score_sets(fitted, layer), _score_sets(variants, layer)
    if layer.probe is not None:
        name, score = probe_energy.INFO.name, partial(probe_energy.score, layer.probe)
        left_out = _unresolved(detectors.rounding_noise(score, few))
        fits[name] = Fit(
            min(PROBE_SAMPLES, layer.statistics.samples), probe_energy.INFO.defaults, left_out
        )
        if not left_out:
            scores[name] = {each: xp.to_numpy(score(own)) for each, own in layer.sets.items()}
    narrowed = {name: narrow(by_set) for name, by_set in scores.items()}
    held = {name: detector.like(np.empty(0)) for name, detector in fitted.items()}
    return Scored(held, narrowed, fits, others)


def _score_sets(fitted: Mapping[Any, Detector], layer: Layer) -> dict[Any, dict[str, np.ndarray]]:
    """Return the scores of every set by each of the fitted detectors, under the same keys."""
    scores = {key: {} for key in fitted}
    for each, samples in layer.sets.items():
        for key, values in detectors.score_all(fitted, samples).items():
            scores[key][each] = xp.to_numpy(values)
    return scores


def _few_of_each(layer: Layer) -> FeatureSet:
    """Return some ID test samples and as many OOD samples, evenly spaced in each set."""
    parts = [_spaced(layer.test, _TRIED)]
    parts += [_spaced(each, -(-_TRIED // len(layer.ood))) for each in layer.ood.values()]
    library = xp.namespace(layer.test.features)
    features, logits = (
        library.concat([getattr(part, name) for part in parts]) for name in ("features", "logits")
    )
    return FeatureSet(features, logits)


def _spaced(samples: FeatureSet, count: int) -> FeatureSet:
    rows = np.unique(np.linspace(0, len(samples) - 1, min(count, len(samples))).round())
    return samples[xp.like(rows.astype(np.int64), samples.features)]


def _unresolved(noise: float) -> str:
    """Return why scores with that rounding noise say nothing; empty where they do."""
    if noise <= detectors.MAX_NOISE:
        return ""
    if np.isinf(noise):
        return "All samples have the same score."
    return (
        "Its scores differ by no more than float32 rounding: rounding the features and logits "
        f"differently moves them by {noise:.0%} of their standard deviation."
    )


def _held_out(layer: Layer) -> FeatureSet:
    """The half of the ID test set that serves calibration."""
    if layer.test.labels is None:
        raise InvalidArrayError("It learns from held-out samples, but the test set has no labels.")
    chosen = calibration_half(xp.to_numpy(layer.test.labels))
    return layer.test[xp.like(chosen, layer.test.labels)]


def network_scores(
    epoch: Epoch, layer: Layer, names: Sequence[str]
) -> tuple[Scores, dict[str, Fit]]:
    """Return scores that took the network, of those in `names` that every set has, and why others
    were left out."""
    found = {each: epoch.network_scores(each) for each in layer.sets}
    scores, fits = {}, {}
    for name in names:
        if not all(name in by_name for by_name in found.values()):
            continue
        by_set = {each: by_name[name] for each, by_name in found.items()}
        same = detectors.constant(np.concatenate(list(by_set.values())))
        fits[name] = Fit(0, detectors.info(name).defaults, _unresolved(np.inf) if same else "")
        if not same:
            scores[name] = narrow(by_set)
    return scores, fits


def narrow(by_set: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Scores in float32, unless that makes more than a hundredth of them equal to others.

    Half the bytes, and the same ranking but for scores that agree to seven digits, which the
    float16 of the features leaves open anyway. Confidences near 1 need float64: a float32 rounds
    them to 1.
    """
    scores = np.concatenate(list(by_set.values()))
    with np.errstate(over="ignore"):
        single = scores.astype(np.float32)
    kept = len(np.unique(single)) >= (1 - _MERGED) * len(np.unique(scores))
    if not np.isfinite(single).all() or not kept:
        return dict(by_set)
    return {name: values.astype(np.float32) for name, values in by_set.items()}
