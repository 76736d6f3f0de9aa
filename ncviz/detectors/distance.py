"""Detectors that measure the distance to class means: Mahalanobis, relative Mahalanobis."""

from __future__ import annotations

import numpy as np

from ncviz import xp
from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.detectors.base import Detector, class_statistics, register, require_positive
from ncviz.errors import InvalidArrayError
from ncviz.linalg import positive_eigh, squared_distances
from ncviz.xp import Array


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

    centre_: Array
    whitening_: Array
    means_: Array

    def __init__(self, *, tolerance: float = 1e-10):
        self.tolerance = require_positive(tolerance, "Tolerance")

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        statistics = class_statistics(train, head, statistics)
        means = statistics.means[statistics.counts > 0]
        # What float64 rounding of the sums alone leaves behind counts as no variance.
        longest = float(abs(means).max()) if len(means) else 0.0
        rounding = statistics.dim * (np.finfo(np.float64).eps * longest) ** 2
        whitening = _whitening(statistics.within_covariance, self.tolerance, floor=rounding)
        if whitening is None:
            raise InvalidArrayError(
                "The features do not vary within any class, so the Mahalanobis distance is "
                "undefined. Give statistics of more samples, or choose another epoch or detector."
            )
        self.centre_ = xp.namespace(means).mean(means, axis=0)
        self.whitening_ = whitening
        self.means_ = (means - self.centre_) @ self.whitening_

    def _score(self, samples: FeatureSet) -> Array:
        whitened = (xp.float64(samples.features) - self.centre_) @ self.whitening_
        return -xp.namespace(whitened).min(squared_distances(whitened, self.means_), axis=1)


@register
class RelativeMahalanobis(Mahalanobis):
    """Mahalanobis distance less that to the whole training set (Ren et al., arXiv 2106.09022).

    The distance d_0 to the mean of all training samples, in units of the total spread, is large
    for what is unlike any image of the kind; taking it off leaves what tells the classes apart.
    Both covariances are divided by N, and both drop directions by the same relative tolerance.

    Parameters
    ----------
    tolerance : as in Mahalanobis

    Attributes
    ----------
    centre_, whitening_, means_ : as in Mahalanobis
    mean_ : (D,) mean of all training features
    total_whitening_ : (D, r) from features about `mean_` to directions of total variance one
    """

    name = "relative_mahalanobis"
    label = "Relative Mahalanobis"
    formula = (
        r"-\min_c\left[(h-\mu_c)^\top \Sigma_W^{+} (h-\mu_c)\right]"
        r" + (h-\mu_G)^\top \Sigma_T^{+} (h-\mu_G)"
    )
    source = "Ren et al., arXiv 2106.09022"
    caveat = (
        "Built for near OOD: what is far from all training features has a large d_0 as well, which "
        "raises the score. Strong collapse leaves directions with next to no variance within "
        "classes, which then rule the first term alone. A positive score is nothing special."
    )

    mean_: Array
    total_whitening_: Array

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        statistics = class_statistics(train, head, statistics)
        super()._fit(train, head, statistics)
        self.mean_ = statistics.mean
        # The total spread is no smaller than that within classes, which has been checked.
        self.total_whitening_ = _whitening(statistics.total_covariance, self.tolerance)

    def _score(self, samples: FeatureSet) -> Array:
        whitened = (xp.float64(samples.features) - self.mean_) @ self.total_whitening_
        return super()._score(samples) + xp.squares(whitened)


def _whitening(covariance: Array, tolerance: float, floor: float = 0) -> Array | None:
    """(D, r) to directions of variance one; None if no variance is above `floor`."""
    variances, axes = positive_eigh(covariance, tolerance=tolerance)
    if not len(variances) or variances[0] <= floor:
        return None
    return axes / variances**0.5
