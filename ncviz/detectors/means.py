"""Detectors that measure a feature against means: of its class (SHE), of all (fDBD, NCI)."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.detectors.base import (
    Detector,
    class_statistics,
    register,
    require_not_negative,
    row_blocks,
)
from ncviz.errors import InvalidArrayError

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

    patterns_: np.ndarray

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        if train.labels is None:
            raise InvalidArrayError(
                "SHE averages the correctly classified training samples; give training samples "
                "with labels."
            )
        correct = train[train.logits.argmax(axis=1) == train.labels]
        counts, self.patterns_ = _class_means(correct, head.classes)
        without = counts == 0
        if without.any():
            whole = class_statistics(train, head, statistics)
            means = np.where(whole.counts[:, None] > 0, whole.means, whole.mean)
            self.patterns_[without] = means[without]

    def _score(self, samples: FeatureSet) -> np.ndarray:
        own = self.patterns_[samples.logits.argmax(axis=1)]
        return np.einsum("nd,nd->n", samples.features, own, dtype=np.float64)


def _class_means(samples: FeatureSet, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts (C,) and means (C, D) by label; zero for a class without samples."""
    # Pages import this module and fit nothing.
    from scipy.sparse import csr_array

    sums = np.zeros((classes, samples.features.shape[1]))
    for rows in row_blocks(samples):
        labels = samples.labels[rows]
        membership = csr_array(
            (np.ones(len(labels)), (labels, np.arange(len(labels)))), (classes, len(labels))
        )
        sums += membership @ samples.features[rows].astype(np.float64)
    counts = np.bincount(samples.labels, minlength=classes)
    return counts, sums / np.maximum(counts, 1)[:, None]


class _AboutTheMean(Detector):
    """What detectors share that use the head and the distance to the mean training feature."""

    mean_: np.ndarray
    weight_: np.ndarray

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        self.weight_ = head.weight
        self.mean_ = (
            train.features.mean(axis=0, dtype=np.float64) if statistics is None else statistics.mean
        )

    def _centred(self, samples: FeatureSet) -> tuple[np.ndarray, np.ndarray]:
        """Features (B, D) about the mean, and their lengths (B,)."""
        centred = samples.features - self.mean_
        return centred, np.linalg.norm(centred, axis=1)


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

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        super()._fit(train, head, statistics)
        vars(self).pop("_per_gap", None)  # of an earlier fit

    def _score(self, samples: FeatureSet) -> np.ndarray:
        logits = samples.logits.astype(np.float64)
        largest = logits.max(axis=1, keepdims=True)
        total = np.einsum("nc,nc->n", largest - logits, self._per_gap[logits.argmax(axis=1)])
        distance = self._centred(samples)[1]
        return np.divide(total, distance, out=np.zeros_like(total), where=distance > 0)

    @cached_property
    def _per_gap(self) -> np.ndarray:
        """(C, C) one over the distance between two rows of W, 0 where they are equal."""
        from scipy.spatial.distance import cdist

        weight = self.weight_.astype(np.float64)
        gaps = cdist(weight, weight)
        equal = gaps <= _SAME_ROW * np.linalg.norm(weight, axis=1)
        return np.divide(1, gaps, out=np.zeros_like(gaps), where=~equal)


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

    def _score(self, samples: FeatureSet) -> np.ndarray:
        centred, length = self._centred(samples)
        own = self.weight_[samples.logits.argmax(axis=1)]
        along = np.einsum("nd,nd->n", centred, own, dtype=np.float64)
        agreement = np.divide(along, length, out=np.zeros_like(along), where=length > 0)
        return agreement + self.alpha * np.abs(samples.features).sum(axis=1, dtype=np.float64)
