"""Detectors that split features along principal directions of the training set.

Residual and ViM look beyond these directions, NECO along them, pNML at how far they reach.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from ncviz import xp
from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.detectors.base import Detector, moments, over_blocks, register, require_count
from ncviz.errors import InvalidArrayError
from ncviz.linalg import positive_eigh, unit_vectors
from ncviz.xp import Array

# Float32 features carry a relative error of 6e-8: a residual below that is rounding.
_NO_RESIDUAL = 1e-7
# A dimension whose spread is below this share of its mean is constant up to float64 rounding.
_CONSTANT = 1e-12
_NULL_DIRECTION = 1e-12
# A product of more rows spends less on adding up the D x D sums.
_PRODUCT_ROWS = 8192


@register
class Residual(Detector):
    """Length of a feature beyond the principal space (Wang et al., CVPR 2022), negated.

    The origin moves to u = -W^+ b, where the head's logits vanish. R holds the directions beyond
    the first D' of the training features' second moment about u. ViM adds the energy to it.

    Parameters
    ----------
    dim : D', dimension of the principal space; by default 1000 for D >= 2048, 512 for D >= 768 and
        D/2 below, as in the authors' code of ViM, whose residual this is. OpenOOD takes 512, and
        fits on validation samples. Always cut to D - 1, or no residual would be left, and to the
        rank of the training features.

    Attributes
    ----------
    principal_dim_ : D' as used
    origin_ : (D,) u
    residual_axes_ : (D, D - D') R
    """

    name = "residual"
    label = "Residual"
    family = "subspace"
    formula = r"-\|R^\top(h-u)\|_2,\quad u=-W^{+}b"
    source = "Wang et al., CVPR 2022"
    needs = ("features", "head", "statistics")
    caveat = (
        "Depends on D' and on the head's bias (with b = 0 the origin stays at 0). Blind to all "
        "that differs within the principal space, and larger for long features than for short ones."
    )

    resolved: ClassVar = {"dim": "principal_dim_"}
    sensitivity: ClassVar = {"dim": (0.5, 1.5)}
    principal_dim_: int
    origin_: Array
    residual_axes_: Array

    def __init__(self, *, dim: int | None = None):
        self.dim = require_count(dim, f"The dimension of {self.label}'s principal space")

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        self._split(self._decompose(train, head, statistics), head)

    def _decompose(
        self, train: FeatureSet, head: Head, statistics: ClassStatistics | None
    ) -> tuple[Array, Array]:
        """Set the origin and return variances about it, ascending, and their directions."""
        self.origin_ = -_pseudo_inverse(head.weight) @ xp.float64(head.bias)
        mean, covariance = moments(train, statistics)
        shift = mean - self.origin_
        return tuple(xp.namespace(mean).linalg.eigh(covariance + shift[:, None] * shift))

    def _split(self, spectrum: tuple[Array, Array], head: Head) -> None:
        """Set the dimension of the principal space and the directions beyond it."""
        values, axes = spectrum
        # Which directions without any training feature come first is chance: all are beyond.
        rank = int(xp.namespace(values).count_nonzero(values > _NULL_DIRECTION * values[-1]))
        self.principal_dim_ = min(self.dim or _authors_dim(head.dim), head.dim - 1, rank)
        self.residual_axes_ = axes[:, : head.dim - self.principal_dim_]

    def variants(
        self, train: FeatureSet, head: Head, statistics: ClassStatistics | None = None
    ) -> Iterator[tuple[str, Detector]]:
        """Yield variants as every detector does, from a single decomposition."""
        self._spectrum = self._decompose(train, head, statistics)
        try:
            yield from super().variants(train, head, statistics)
        finally:
            del self._spectrum

    def _with(
        self,
        parameter: str,
        value: int,
        train: FeatureSet,
        head: Head,
        statistics: ClassStatistics | None,
    ) -> Detector:
        changed = copy.copy(self)
        changed.dim = value
        changed._split(vars(changed).pop("_spectrum"), head)
        changed._match(train)
        changed._settle()
        return changed

    def _match(self, train: FeatureSet) -> None:
        """Set what else follows from the training samples once the space is split."""

    def _residual(self, samples: FeatureSet) -> Array:
        shifted = xp.float64(samples.features) - self.origin_
        return xp.norms(shifted @ self.residual_axes_)

    def _score(self, samples: FeatureSet) -> Array:
        return -self._residual(samples)


@register
class ViM(Residual):
    """Virtual-logit matching (Wang et al., CVPR 2022): energy minus the scaled residual norm.

    Origin and R are those of Residual. Alpha makes the residual as large as a maximum logit, both
    on average over the training samples.

    Parameters
    ----------
    dim : D', dimension of the principal space; by default 1000 for D >= 2048, 512 for D >= 768 and
        D/2 below, as in the authors' code. Cut as in Residual.

    Attributes
    ----------
    principal_dim_ : D' as used
    origin_ : (D,) u
    residual_axes_ : (D, D - D') R
    alpha_ : 0 where the training samples leave no residual; the score is the energy then
    """

    name = "vim"
    label = "ViM"
    formula = (
        r"\log\sum_c e^{z_c} - \alpha\,\|R^\top(h-u)\|_2,\quad u=-W^{+}b,\quad "
        r"\alpha=\frac{\sum_i \max_c z_c(x_i)}{\sum_i\|R^\top(h_i-u)\|}"
    )
    needs = ("features", "logits", "head", "training features", "training logits")
    caveat = (
        "Depends on D' and on the head's bias (with b = 0 the origin stays at 0). If maximum "
        "logits are negative on average, as before training, alpha is too and the residual counts "
        "the wrong way."
    )

    alpha_: float

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        super()._fit(train, head, statistics)
        self._match(train)

    def _match(self, train: FeatureSet) -> None:
        residual = length = 0.0
        for part, whole in over_blocks(self._sums, train):
            residual, length = residual + part, length + whole
        library = xp.namespace(train.logits)
        largest = library.sum(library.max(train.logits, axis=1), dtype=library.float64)
        self.alpha_ = float(largest / residual) if residual > _NO_RESIDUAL * length else 0.0

    def _sums(self, samples: FeatureSet) -> tuple[Array, Array]:
        """Sums over samples of their residuals, and of their distances to the origin."""
        lengths = xp.norms(xp.float64(samples.features) - self.origin_)
        return self._residual(samples).sum(), lengths.sum()

    def _score(self, samples: FeatureSet) -> Array:
        return xp.logsumexp(xp.float64(samples.logits)) - self.alpha_ * self._residual(samples)


def _pseudo_inverse(weight: Array) -> Array:
    """(D, C) W^+ without the directions that only float32 rounding gives a head's rows.

    Weight decay pulls the sum of a head's rows to zero: inverting what is left of that direction
    would send the origin far away.
    """
    precision = max(weight.shape) * np.finfo(np.float32).eps
    return xp.namespace(weight).linalg.pinv(xp.float64(weight), rtol=precision)


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

    resolved: ClassVar = {"dim": "principal_dim_"}
    sensitivity: ClassVar = {"dim": (0.5, 2)}
    principal_dim_: int
    mean_: Array
    scale_: Array
    axes_: Array

    def __init__(
        self, *, dim: int | None = None, scale: bool = True, multiply_by_max_logit: bool = False
    ):
        self.dim = require_count(dim, "The dimension of NECO's principal space")
        self.scale = scale
        self.multiply_by_max_logit = multiply_by_max_logit

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        self.mean_, covariance = moments(train, statistics)
        library = xp.namespace(covariance)
        deviation = library.sqrt(library.linalg.diagonal(covariance))
        constant = deviation <= _CONSTANT * library.abs(self.mean_)
        if constant.all():
            raise InvalidArrayError(
                "All training features are equal, so they have no principal directions and NECO is "
                "undefined. Choose another epoch or layer."
            )
        ones = library.ones_like(deviation)
        self.scale_ = library.where(constant, ones, deviation) if self.scale else ones
        correlation = covariance / (self.scale_[:, None] * self.scale_)
        _, axes = positive_eigh(correlation, tolerance=_NULL_DIRECTION)
        self._keep(axes, self.dim or head.classes - 1)

    def _keep(self, axes: Array, dim: int) -> None:
        """Set the first principal directions, at most all but one."""
        self.axes_ = axes[:, : max(min(dim, len(axes) - 1), 1)]
        self.principal_dim_ = self.axes_.shape[1]

    def variants(
        self, train: FeatureSet, head: Head, statistics: ClassStatistics | None = None
    ) -> Iterator[tuple[str, Detector]]:
        """Yield variants as every detector does, from a single decomposition."""
        factor = max(1, *self.sensitivity["dim"])
        largest = round(factor * self.principal_dim_)
        self._widest = super()._with("dim", largest, train, head, statistics)
        try:
            yield from super().variants(train, head, statistics)
        finally:
            del self._widest

    def _with(
        self,
        parameter: str,
        value: int,
        train: FeatureSet,
        head: Head,
        statistics: ClassStatistics | None,
    ) -> Detector:
        changed = copy.copy(self._widest)
        changed.dim = value
        changed._keep(changed.axes_, value)
        changed._settle()
        return changed

    def _score(self, samples: FeatureSet) -> Array:
        standard = (xp.float64(samples.features) - self.mean_) / self.scale_
        share = xp.ratio(xp.norms(standard @ self.axes_), xp.norms(standard))
        if not self.multiply_by_max_logit:
            return share
        return share * xp.namespace(share).max(samples.logits, axis=1)


@register
class PNML(Detector):
    """Regret of the predictive normalised maximum likelihood (Bibas et al., NeurIPS 2021), negated.

    How much more probable every class could become if the head were fitted to the sample as well,
    under that label: little where the training features, all of length one, reach far into the
    sample's direction, and where the head is sure. The authors and pytorch-ood divide by log C.

    Parameters
    ----------
    normalise : probabilities are those of the head on features of length one, as in the authors'
        code; without, those of the network's own logits, which are far surer

    Attributes
    ----------
    leverage_axes_ : (D, r) from a direction to r <= D coordinates, the sum of whose squares is q,
        its leverage: the less the training features reach into the direction, the larger
    weight_, bias_ : the head
    """

    name = "pnml"
    label = "pNML"
    family = "subspace"
    formula = (
        r"-\log\sum_c \frac{p_c}{p_c + (1 - p_c)\,p_c^{\,g}},\quad g = \frac{q}{1+q},\quad "
        r"q = \hat h^\top (\hat H^\top \hat H)^{+} \hat h,\quad p = \mathrm{softmax}(W \hat h + b)"
    )
    source = "Bibas et al., NeurIPS 2021"
    needs = ("features", "logits", "head", "training features")
    caveat = (
        "Blind to the length of a feature and to directions that no training sample has: what lies "
        "in these alone has no regret. The regret shrinks as the number N of training samples "
        "grows, so scores of different training sets do not compare."
    )

    leverage_axes_: Array
    weight_: Array
    bias_: Array

    def __init__(self, *, normalise: bool = True):
        self.normalise = normalise

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        self.weight_, self.bias_ = head.weight, head.bias
        gram = sum(over_blocks(_unit_products, train, _PRODUCT_ROWS))
        values, axes = positive_eigh(gram, tolerance=_NULL_DIRECTION)
        self.leverage_axes_ = axes / values**0.5

    def _score(self, samples: FeatureSet) -> Array:
        unit = unit_vectors(samples.features)
        leverage = xp.squares(unit @ self.leverage_axes_)
        logits = xp.float64(samples.logits)
        if self.normalise:
            logits = unit @ xp.float64(self.weight_).T + self.bias_
        return -_regret(logits, leverage / (1 + leverage))


def _unit_products(samples: FeatureSet) -> Array:
    """(D, D) sum of u u^T over the samples' features of length one, u."""
    unit = unit_vectors(samples.features)
    return unit.T @ unit


def _regret(logits: Array, exponent: Array) -> Array:
    """(N,) log of the sum over classes of p / (p + (1 - p) p^g).

    Each term is p plus p (1 - p) (1 - p^g) / (p + (1 - p) p^g), and the first add up to one. The
    rest are positive, so that nothing cancels where the head is sure, and take logarithms of p and
    1 - p, so that nothing underflows.
    """
    library, exponent = xp.namespace(logits), exponent[:, None]
    log_p, log_rest = xp.log_softmax_and_complement(logits)
    gain = library.exp(log_rest) * -library.expm1(exponent * log_p)
    share = xp.sigmoid((1 - exponent) * log_p - log_rest)
    return library.log1p(library.sum(gain * share, axis=1))
