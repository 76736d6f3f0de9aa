"""Detectors that split features along principal directions of the training set: ViM, NECO."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.detectors.base import Detector, moments, register, require_count
from ncviz.errors import InvalidArrayError
from ncviz.linalg import positive_eigh

# Float32 features carry a relative error of 6e-8: a residual below that is rounding.
_NO_RESIDUAL = 1e-7
# A dimension whose spread is below this share of its mean is constant up to float64 rounding.
_CONSTANT = 1e-12
_NULL_DIRECTION = 1e-12


@register
class ViM(Detector):
    """Virtual-logit matching (Wang et al., CVPR 2022): energy minus the scaled residual norm.

    The origin moves to u = -W^+ b, where the head's logits vanish. R holds the directions beyond
    the first D' of the training features' second moment about u, and alpha makes the residual as
    large as a maximum logit, both on average over the training samples.

    Parameters
    ----------
    dim : D', dimension of the principal space; by default 1000 for D >= 2048, 512 for D >= 768 and
        D/2 below, as in the authors' code. Always cut to D - 1, or no residual would be left.

    Attributes
    ----------
    principal_dim_ : D' as used
    origin_ : (D,) u
    residual_axes_ : (D, D - D') R
    alpha_ : 0 where the training samples leave no residual; the score is the energy then
    """

    name = "vim"
    label = "ViM"
    family = "subspace"
    formula = (
        r"\log\sum_c e^{z_c} - \alpha\,\|R^\top(h-u)\|_2,\quad u=-W^{+}b,\quad "
        r"\alpha=\frac{\sum_i \max_c z_c(x_i)}{\sum_i\|R^\top(h_i-u)\|}"
    )
    source = "Wang et al., CVPR 2022"
    needs = ("features", "logits", "head", "training features", "training logits")
    caveat = (
        "Depends on D' and on the head's bias (with b = 0 the origin stays at 0). If maximum "
        "logits are negative on average, as before training, alpha is too and the residual counts "
        "the wrong way."
    )

    principal_dim_: int
    origin_: np.ndarray
    residual_axes_: np.ndarray
    alpha_: float

    def __init__(self, *, dim: int | None = None):
        self.dim = require_count(dim, "The dimension of ViM's principal space")

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        self.origin_ = -_pseudo_inverse(head.weight) @ head.bias
        self.principal_dim_ = min(self.dim or _authors_dim(head.dim), head.dim - 1)
        mean, covariance = moments(train, statistics)
        shift = mean - self.origin_
        _, axes = np.linalg.eigh(covariance + np.outer(shift, shift))  # ascending
        self.residual_axes_ = axes[:, : head.dim - self.principal_dim_]
        shifted = train.features.astype(np.float64) - self.origin_
        residual = np.linalg.norm(shifted @ self.residual_axes_, axis=1).mean()
        largest = train.logits.max(axis=1).mean(dtype=np.float64)
        seen = residual > _NO_RESIDUAL * np.linalg.norm(shifted, axis=1).mean()
        self.alpha_ = float(largest / residual) if seen else 0.0

    def _score(self, samples: FeatureSet) -> np.ndarray:
        shifted = samples.features.astype(np.float64) - self.origin_
        residual = np.linalg.norm(shifted @ self.residual_axes_, axis=1)
        return logsumexp(samples.logits.astype(np.float64), axis=1) - self.alpha_ * residual


def _pseudo_inverse(weight: np.ndarray) -> np.ndarray:
    """(D, C) W^+ without the directions that only float32 rounding gives a head's rows.

    Weight decay pulls the sum of a head's rows to zero: inverting what is left of that direction
    would send the origin far away.
    """
    precision = max(weight.shape) * np.finfo(np.float32).eps
    return np.linalg.pinv(weight.astype(np.float64), rcond=precision)


def _authors_dim(dim: int) -> int:
    if dim >= 2048:
        return 1000
    return 512 if dim >= 768 else dim // 2


@register
class NECO(Detector):
    """Share of a feature's norm in the principal space (Ben Ammar et al., ICLR 2024).

    The official recipe: standardise each dimension, take the first d principal directions, divide
    the norm within them by the whole norm. Numerator and denominator are both taken in the same
    centred space, so that the share lies in [0, 1]; the official code mixes spaces without the
    scaler and for DeiT and Swin.

    Parameters
    ----------
    dim : d; by default C - 1, the rank of the simplex ETF that class means converge to. The paper
        tunes it for each network and states no default. Always cut to D - 1, or nothing would be
        left out and every score be 1, and to the rank of the training features.
    scale : standardise each dimension (official). The authors advise against it where NC1 holds
        very well.
    multiply_by_max_logit : official for every network other than a ResNet

    Attributes
    ----------
    principal_dim_ : d as used
    mean_ : (D,) mean of the training features
    scale_ : (D,) their standard deviation, 1 where a dimension is constant or without scaling
    axes_ : (D, d) principal directions
    """

    name = "neco"
    label = "NECO"
    family = "subspace"
    formula = (
        r"\frac{\|P_d\,\varphi(h)\|_2}{\|\varphi(h)\|_2},\quad \varphi(h)=\frac{h-\mu}{\sigma}"
    )
    source = "Ben Ammar et al., ICLR 2024"
    needs = ("features", "logits", "statistics")
    caveat = (
        "Depends on d and on scaling, both of which the paper tunes. A share says nothing about "
        "the length of a feature: a sample at the training mean scores 0."
    )

    principal_dim_: int
    mean_: np.ndarray
    scale_: np.ndarray
    axes_: np.ndarray

    def __init__(
        self, *, dim: int | None = None, scale: bool = True, multiply_by_max_logit: bool = False
    ):
        self.dim = require_count(dim, "The dimension of NECO's principal space")
        self.scale = scale
        self.multiply_by_max_logit = multiply_by_max_logit

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        self.mean_, covariance = moments(train, statistics)
        deviation = np.sqrt(np.diag(covariance))
        constant = deviation <= _CONSTANT * np.abs(self.mean_)
        if constant.all():
            raise InvalidArrayError(
                "All training features are equal, so they have no principal directions and NECO is "
                "undefined. Choose another epoch or layer."
            )
        self.scale_ = np.where(constant, 1.0, deviation) if self.scale else np.ones(head.dim)
        correlation = covariance / np.outer(self.scale_, self.scale_)
        _, axes = positive_eigh(correlation, tolerance=_NULL_DIRECTION)
        dim = min(self.dim or head.classes - 1, head.dim - 1)
        self.axes_ = axes[:, : max(dim, 1)]
        self.principal_dim_ = self.axes_.shape[1]

    def _score(self, samples: FeatureSet) -> np.ndarray:
        standard = (samples.features.astype(np.float64) - self.mean_) / self.scale_
        whole = np.linalg.norm(standard, axis=1)
        within = np.linalg.norm(standard @ self.axes_, axis=1)
        share = np.divide(within, whole, out=np.zeros_like(whole), where=whole > 0)
        return share * samples.logits.max(axis=1) if self.multiply_by_max_logit else share
