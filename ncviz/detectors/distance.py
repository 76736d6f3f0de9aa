"""Detectors that measure the distance to the training features: Mahalanobis."""

from __future__ import annotations

import numpy as np

from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.detectors.base import Detector, class_statistics, register, require_positive
from ncviz.errors import InvalidArrayError
from ncviz.linalg import positive_eigh, squared_distances


@register
class Mahalanobis(Detector):
    """Distance to the nearest class mean in units of the pooled spread (Lee et al., NeurIPS 2018).

    On one layer and without input noise, as OpenOOD's MDS. Features are whitened once by the
    eigenvectors of Sigma_W, then distances are plain ones: O(N D^2 + N C D).

    Parameters
    ----------
    tolerance : directions whose variance is at most this share of the largest are left out. The
        scale of the features does not matter, which it would for an absolute term on the diagonal.

    Attributes
    ----------
    centre_ : (D,) mean of the class means
    whitening_ : (D, r) from centred features to r <= D directions of variance one
    means_ : (K, r) whitened means of the K <= C classes that have samples
    """

    name = "mahalanobis"
    label = "Mahalanobis"
    family = "distance"
    formula = r"-\min_c\ (h-\mu_c)^\top \Sigma_W^{+} (h-\mu_c)"
    source = "Lee et al., NeurIPS 2018"
    needs = ("features", "statistics")
    caveat = (
        "Strong collapse leaves directions with next to no variance within classes: small "
        "deviations there dominate, and those without any are not seen at all. The score is a "
        "negative squared distance; a positive one ranks the wrong way round."
    )

    centre_: np.ndarray
    whitening_: np.ndarray
    means_: np.ndarray

    def __init__(self, *, tolerance: float = 1e-10):
        self.tolerance = require_positive(tolerance, "Tolerance")

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        statistics = class_statistics(train, head, statistics)
        means = statistics.means[statistics.counts > 0]
        variances, axes = positive_eigh(statistics.within_covariance, tolerance=self.tolerance)
        # What float64 rounding of the sums alone leaves behind counts as no variance.
        rounding = statistics.dim * (np.finfo(np.float64).eps * np.abs(means).max(initial=0)) ** 2
        if not len(variances) or variances[0] <= rounding:
            raise InvalidArrayError(
                "The features do not vary within any class, so the Mahalanobis distance is "
                "undefined. Give statistics of more samples, or choose another epoch or detector."
            )
        self.centre_ = means.mean(axis=0)
        self.whitening_ = axes / np.sqrt(variances)
        self.means_ = (means - self.centre_) @ self.whitening_

    def _score(self, samples: FeatureSet) -> np.ndarray:
        whitened = (samples.features.astype(np.float64) - self.centre_) @ self.whitening_
        return -squared_distances(whitened, self.means_).min(axis=1)
