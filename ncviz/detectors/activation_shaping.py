"""Detectors that shape a sample's activations by its own largest ones, then take the energy."""

from __future__ import annotations

from numbers import Real
from typing import ClassVar

from ncviz import xp
from ncviz.arrays import FeatureSet
from ncviz.detectors.activations import HeadEnergy, require_percentile
from ncviz.detectors.base import Detector, register
from ncviz.errors import InvalidOptionError
from ncviz.xp import Array

# exp of more, times a float32 logit, could leave float64. Ratios s1/s2 reach this only where fewer
# than one activation in 500 is kept; beyond it the logits alone tell samples apart.
_LARGEST_EXPONENT = 500.0


class _Pruned(HeadEnergy):
    """What ASH and SCALE share: the k largest of a sample's own activations.

    k is D less `percentile` per cent of D, rounded, and at least 1. Of equal activations at the
    border those of the first dimensions count, so that the choice depends on nothing else.
    """

    needs = ("features", "head")
    sensitivity: ClassVar = {"percentile": (65, 80, 90, 95)}

    def __init__(self, *, percentile: float = 90):
        self.percentile = require_percentile(percentile)

    def _largest(self, features: Array) -> Array:
        dim = features.shape[1]
        return _largest(features, dim - round(dim * self.percentile / 100))


_PRUNING_CAVEAT = (
    "Made for activations after a ReLU, which are not negative. With few dimensions, or few that "
    "are active, little is left of a sample."
)


@register
class AshP(_Pruned):
    """Energy of a sample's largest activations, the others set to 0 (Djurisic et al., ICLR 2023).

    Parameters
    ----------
    percentile : share of the activations to remove in per cent, in (0, 100); 90 is what OpenOOD
        takes for ASH-B (it runs no other variant); the paper tunes it from 60 to 95
    """

    name = "ash_p"
    label = "ASH-P"
    formula = r"\log\sum_c \exp\left(W(h\odot m)+b\right)_c,\quad m=1[h \text{ in the top } 10\,\%]"
    source = "Djurisic et al., ICLR 2023"
    caveat = _PRUNING_CAVEAT

    def _change(self, features: Array) -> Array:
        features *= self._largest(features)
        return features


@register
class AshB(_Pruned):
    """Energy of a sample's largest activations, all set to one value (Djurisic et al., ICLR 2023).

    The value keeps the sum: all activations' sum over the number kept, k. Where fewer than k are
    positive, zeros are raised as well, as in the authors' code.

    Parameters
    ----------
    percentile : share of the activations to remove in per cent, in (0, 100); 90 as in OpenOOD
    """

    name = "ash_b"
    label = "ASH-B"
    formula = (
        r"\log\sum_c \exp\left(W m \tfrac{1}{k}\textstyle\sum_d h_d+b\right)_c,\quad "
        r"m=1[h \text{ in the top } 10\,\%],\ k=\sum_d m_d"
    )
    source = "Djurisic et al., ICLR 2023"
    caveat = _PRUNING_CAVEAT

    def _change(self, features: Array) -> Array:
        kept = self._largest(features)
        library = xp.namespace(features)
        value = library.sum(features, axis=1) / library.sum(kept, axis=1)
        return kept * value[:, None]


@register
class AshS(_Pruned):
    """Energy of a sample's largest activations, scaled up (Djurisic et al., ICLR 2023).

    Both sums count positive activations alone, which are all that a ReLU leaves: so their ratio
    lies in [1, D/k] for every feature. Where there is none, nothing is scaled.

    Parameters
    ----------
    percentile : share of the activations to remove in per cent, in (0, 100); 90 is what OpenOOD
        takes for ASH-B (it runs no other variant); the paper tunes it from 60 to 95
    """

    name = "ash_s"
    label = "ASH-S"
    formula = (
        r"\log\sum_c \exp\left(W(h\odot m)\,e^{s_1/s_2}+b\right)_c,\quad "
        r"s_1=\sum_d h_d^+,\ s_2=\sum_d m_d h_d^+,\ m=1[h \text{ in the top } 10\,\%]"
    )
    source = "Djurisic et al., ICLR 2023"
    caveat = _PRUNING_CAVEAT

    def _change(self, features: Array) -> Array:
        kept = self._largest(features)
        return kept * features * _exponential(_ratio(features, kept))[:, None]


@register
class Scale(_Pruned):
    """Energy of a sample's features scaled up as in ASH-S, none removed (Xu et al., ICLR 2024).

    Both sums count positive activations alone, which are all that a ReLU leaves: so their ratio
    lies in [1, D/k] for every feature. Where there is none, nothing is scaled.

    Parameters
    ----------
    percentile : share of the activations left out of s2 in per cent, in (0, 100)
    """

    name = "scale"
    label = "SCALE"
    formula = (
        r"\log\sum_c \exp\left(W h\,e^{s_1/s_2}+b\right)_c,\quad "
        r"s_1=\sum_d h_d^+,\ s_2=\sum_{d \text{ in the top } 15\,\%} h_d^+"
    )
    source = "Xu et al., ICLR 2024"
    caveat = (
        "Made for activations after a ReLU, which are not negative. Rests on ID samples having "
        "their sum spread over more dimensions than OOD samples; collapse can turn that round."
    )

    sensitivity: ClassVar = {"percentile": (65, 75, 85, 95)}

    def __init__(self, *, percentile: float = 85):
        super().__init__(percentile=percentile)

    def _change(self, features: Array) -> Array:
        features *= _exponential(_ratio(features, self._largest(features)))[:, None]
        return features


@register
class LTS(Detector):
    """Energy of logits scaled by how a sample's activations are spread (Djurisic et al., 2024).

    Both sums count positive activations alone, as in the authors' code. Where there is none,
    nothing is scaled.

    Parameters
    ----------
    share : share of the largest activations in s2, in (0, 1)
    """

    name = "lts"
    label = "LTS"
    family = "activations"
    formula = (
        r"\log\sum_c \exp\left(z_c\,(s_1/s_2)^2\right),\quad "
        r"s_1=\sum_d h_d^+,\ s_2=\sum_{d \text{ in the top } 5\,\%} h_d^+"
    )
    source = "Djurisic et al., arXiv 2409.01175"
    # The logits must be those of this layer's head, although they are given.
    needs = ("features", "logits", "head")
    caveat = (
        "Made for activations after a ReLU, which are not negative. Rests on ID samples having "
        "their sum spread over more dimensions than OOD samples; collapse can turn that round."
    )

    sensitivity: ClassVar = {"share": (0.01, 0.05, 0.15, 0.35)}

    def __init__(self, *, share: float = 0.05):
        if not (isinstance(share, Real) and 0 < share < 1):
            raise InvalidOptionError(f"LTS' share must lie between 0 and 1; got {share}.")
        self.share = share

    def _score(self, samples: FeatureSet) -> Array:
        features = xp.float64(samples.features)
        dim = features.shape[1]
        top = _largest(features, dim - round(dim * (1 - self.share)))
        # Scaled down only by rounding, or by the 0 that stands for a sample without any activation.
        squared = xp.namespace(features).clip(_ratio(features, top), 1)[:, None] ** 2
        return xp.logsumexp(xp.float64(samples.logits) * squared)


def _largest(features: Array, count: int) -> Array:
    """(B, D) which are the `count` largest of their row, at least 1; of equal ones, the first."""
    count = max(count, 1)
    library = xp.namespace(features)
    border = xp.border(features, count)
    above = features > border
    equal = features == border
    places = count - library.count_nonzero(above, axis=1)[:, None]
    if (library.count_nonzero(equal, axis=1)[:, None] <= places).all():
        return above | equal
    return above | (
        equal & (library.cumulative_sum(library.astype(equal, library.int64), axis=1) <= places)
    )


def _ratio(features: Array, chosen: Array) -> Array:
    """(B,) s1/s2: sum of the positive activations over that of the chosen; 0 where s2 is 0."""
    library = xp.namespace(features)
    positive = library.clip(features, 0)
    part = library.sum(positive * chosen, axis=1)
    return xp.ratio(library.sum(positive, axis=1), part)


def _exponential(ratio: Array) -> Array:
    """exp(ratio), or as much of it as leaves the energy finite."""
    library = xp.namespace(ratio)
    return library.exp(library.clip(ratio, None, _LARGEST_EXPONENT))
