"""Detectors that measure a feature against means: of its class (SHE), of all (fDBD, NCI)."""

from __future__ import annotations

from functools import cached_property

from ncviz import xp
from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.detectors.base import (
    Detector,
    class_statistics,
    mean_feature,
    over_blocks,
    register,
    require_not_negative,
)
from ncviz.errors import InvalidArrayError
from ncviz.xp import Array

# Rows of a head that are nearer than float32 rounding of their length are equal.
_SAME_ROW = 1e-7


@register
class SHE(Detector):
    """Simplified Hopfield energy (Zhang et al., ICLR 2023): inner product with a stored pattern.

    The pattern of a class is the mean of its correctly classified training features. Where none
    was classified correctly, as early in training, it is the mean of all of the class (of the
    statistics, where given), and for a class without any sample the mean over all samples.

    Attributes
    ----------
    patterns_ : (C, D) S
    """

    name = "she"
    label = "SHE"
    family = "means"
    formula = (
        r"\langle h,\ S_{\hat y}\rangle,\quad "
        r"S_c = \mathrm{mean}\{h_i : y_i = c,\ \hat y_i = c\},\quad \hat y=\arg\max_c z_c"
    )
    source = "Zhang et al., ICLR 2023"
    needs = ("features", "logits", "statistics", "training features", "training logits")
    caveat = (
        "Grows with the length of a feature, whatever its direction. Classes with longer patterns "
        "score higher throughout."
    )

    patterns_: Array

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        if train.labels is None:
            raise InvalidArrayError(
                "SHE averages the correctly classified training samples; give training samples "
                "with labels."
            )
        library = xp.namespace(train.logits)
        counts, sums = 0, 0
        for found, added in over_blocks(_correct_sums, train):
            counts, sums = counts + found, sums + added
        self.patterns_ = sums / library.clip(counts, 1)[:, None]
        without = counts == 0
        if without.any():
            whole = class_statistics(train, head, statistics)
            means = library.where(whole.counts[:, None] > 0, whole.means, whole.mean)
            self.patterns_[without] = means[without]

    def _score(self, samples: FeatureSet) -> Array:
        library = xp.namespace(samples.features)
        own = self.patterns_[library.argmax(samples.logits, axis=1)]
        return library.vecdot(xp.float64(samples.features), own)


def _correct_sums(samples: FeatureSet) -> tuple[Array, Array]:
    """Numbers (C,) and float64 sums (C, D) of the correctly classified samples of each class."""
    library, classes = xp.namespace(samples.logits), samples.logits.shape[1]
    correct = library.argmax(samples.logits, axis=1) == samples.labels
    labels = samples.labels[correct]
    sums = xp.class_sums(xp.float64(samples.features[correct]), labels, classes)
    return xp.float64(xp.counts(labels, classes)), sums


class _AboutTheMean(Detector):
    """What detectors share that use the head and the distance to the mean training feature."""

    mean_: Array
    weight_: Array

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        self.weight_ = head.weight
        self.mean_ = mean_feature(train, statistics)

    def _centred(self, samples: FeatureSet) -> tuple[Array, Array]:
        """Features (B, D) about the mean, and their lengths (B,)."""
        centred = samples.features - self.mean_
        return centred, xp.norms(centred)


@register
class FDBD(_AboutTheMean):
    """Fast decision boundary based detector (Liu and Qin, ICML 2024).

    The distances of a feature to the boundaries between its class and every other one, summed as
    in OpenOOD, over its distance to the training mean. The paper and pytorch-ood divide by C - 1.
    Classes whose rows of W are equal have no boundary and are left out. A sample exactly at the
    mean scores 0: there the ratio is undefined.

    Attributes
    ----------
    mean_ : (D,) mu_G
    weight_ : (C, D) of the head
    """

    name = "fdbd"
    label = "fDBD"
    family = "means"
    formula = (
        r"\frac{1}{\|h-\mu_G\|_2}\sum_{c\neq\hat y}"
        r"\frac{|z_{\hat y}-z_c|}{\|w_{\hat y}-w_c\|_2},\quad \hat y=\arg\max_c z_c"
    )
    source = "Liu and Qin, ICML 2024"
    needs = ("features", "logits", "head", "statistics")
    caveat = (
        "Presumes that logits are those of the head on the features. The sum grows with the number "
        "of classes, so scores of different data sets do not compare."
    )

    def _score(self, samples: FeatureSet) -> Array:
        logits = xp.float64(samples.logits)
        library = xp.namespace(logits)
        gaps = library.max(logits, axis=1, keepdims=True) - logits
        total = library.vecdot(gaps, self._per_gap[library.argmax(logits, axis=1)])
        return xp.ratio(total, self._centred(samples)[1])

    @cached_property
    def _per_gap(self) -> Array:
        """(C, C) one over the distance between two rows of W, 0 where they are equal."""
        weight = xp.float64(self.weight_)
        library = xp.namespace(weight)
        first, second = xp.pairs(len(weight), weight)
        gaps = library.zeros_like(weight @ weight.T)
        gaps[first, second] = gaps[second, first] = xp.pair_distances(weight)
        different = gaps > _SAME_ROW * xp.norms(weight)
        return library.where(different, 1 / library.where(different, gaps, 1.0), 0.0)


@register
class NCI(_AboutTheMean):
    """Neural collapse inspired detector (Liu and Qin, CVPR 2025).

    Under collapse, a feature about the training mean lies along its class's row of W; OOD features
    lie elsewhere, and nearer to the origin. The row keeps its length. A sample exactly at the mean
    has no direction: its first term is 0.

    Parameters
    ----------
    alpha : weight of the feature's length; the authors and OpenOOD tune it from 1e-4 up

    Attributes
    ----------
    mean_ : (D,) mu_G
    weight_ : (C, D) of the head
    """

    name = "nci"
    label = "NCI"
    family = "means"
    formula = (
        r"\frac{w_{\hat y}^\top (h-\mu_G)}{\|h-\mu_G\|_2} + \alpha\,\|h\|_1,"
        r"\quad \hat y=\arg\max_c z_c"
    )
    source = "Liu and Qin, CVPR 2025"
    needs = ("features", "logits", "head", "statistics")
    caveat = (
        "What weight alpha should have depends on the scale of the features. Before the network "
        "has collapsed, directions and rows of W agree little for ID samples too."
    )

    def __init__(self, *, alpha: float = 1e-4):
        self.alpha = require_not_negative(alpha, "Alpha")

    def _score(self, samples: FeatureSet) -> Array:
        centred, length = self._centred(samples)
        library = xp.namespace(centred)
        own = xp.float64(self.weight_)[library.argmax(samples.logits, axis=1)]
        agreement = xp.ratio(library.vecdot(centred, own), length)
        size = library.sum(library.abs(samples.features), axis=1, dtype=library.float64)
        return agreement + self.alpha * size
