"""Detectors that learn to change features, or the weights they meet, before taking the energy."""

from __future__ import annotations

from functools import cached_property
from numbers import Real
from typing import ClassVar

from ncviz import xp
from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.detectors.base import Detector, mean_feature, register
from ncviz.errors import InvalidOptionError
from ncviz.percentiles import percentiles
from ncviz.xp import Array


class HeadEnergy(Detector):
    """Energy of the head's logits on changed features; pooled ones, as in OpenOOD.

    Attributes
    ----------
    weight_, bias_ : (C, D), (C,) the head as given
    """

    family = "activations"

    weight_: Array
    bias_: Array

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        self.weight_, self.bias_ = head.weight, head.bias

    def _score(self, samples: FeatureSet) -> Array:
        changed = self._change(xp.float64(samples.features))
        return xp.logsumexp(changed @ self._used_weight.T + self.bias_)

    def _change(self, features: Array) -> Array:
        """Features (B, D) as the head is to see them; may be changed in place."""
        return features

    @cached_property
    def _used_weight(self) -> Array:
        return xp.float64(self.weight_)


@register
class ReAct(HeadEnergy):
    """Energy with activations cut at a threshold (Sun et al., NeurIPS 2021).

    Parameters
    ----------
    percentile : the threshold is this percentile of ALL activations of the training samples (the
        paper's choice; OpenOOD takes a validation set), in (0, 100)

    Attributes
    ----------
    threshold_ : t
    """

    name = "react"
    label = "ReAct"
    formula = r"\log\sum_c \exp\left(W\min(h,t)+b\right)_c,\quad t=\text{percentile}_{90}(h_{id})"
    source = "Sun et al., NeurIPS 2021"
    needs = ("features", "head", "training features")
    caveat = (
        "Cuts the largest activations of ID samples too. One threshold for all dimensions: those "
        "of a large scale are cut most."
    )

    sensitivity: ClassVar = {"percentile": (85, 90, 95, 99)}
    threshold_: float

    def __init__(self, *, percentile: float = 90):
        self.percentile = require_percentile(percentile)

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        super()._fit(train, head, statistics)
        (self.threshold_,) = percentiles(train.features, (self.percentile,))

    def _change(self, features: Array) -> Array:
        return xp.namespace(features).clip(features, None, self.threshold_)


@register
class VRA(HeadEnergy):
    """Energy with activations held between two thresholds (Xu et al., NeurIPS 2023).

    As in OpenOOD, activations below the lower threshold are raised to it; the paper sets them to
    0, which is the same wherever a tenth of all activations are 0.

    Parameters
    ----------
    lower_percentile, upper_percentile : the thresholds are these percentiles of ALL activations of
        the training samples, in (0, 100), the lower first

    Attributes
    ----------
    lower_, upper_ : the thresholds
    """

    name = "vra"
    label = "VRA"
    formula = (
        r"\log\sum_c \exp\left(W\operatorname{clip}(h,\,t_{10},\,t_{90})+b\right)_c,\quad "
        r"t_q=\text{percentile}_q(h_{id})"
    )
    source = "Xu et al., NeurIPS 2023"
    needs = ("features", "head", "training features")
    caveat = (
        "Equal to ReAct where the lower threshold is 0, as with features of which a tenth or more "
        "are 0 after a ReLU."
    )

    sensitivity: ClassVar = {
        "lower_percentile": (1, 10, 30),
        "upper_percentile": (85, 90, 95, 99),
    }
    lower_: float
    upper_: float

    def __init__(self, *, lower_percentile: float = 10, upper_percentile: float = 90):
        self.lower_percentile = require_percentile(lower_percentile, "The lower percentile")
        self.upper_percentile = require_percentile(upper_percentile, "The upper percentile")
        if lower_percentile >= upper_percentile:
            raise InvalidOptionError(
                "VRA's lower percentile must be below the upper; got "
                f"{lower_percentile} and {upper_percentile}."
            )

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        super()._fit(train, head, statistics)
        shares = self.lower_percentile, self.upper_percentile
        self.lower_, self.upper_ = percentiles(train.features, shares)

    def _change(self, features: Array) -> Array:
        return xp.namespace(features).clip(features, self.lower_, self.upper_)


@register
class DICE(HeadEnergy):
    """Energy with the weights of small contribution set to 0 (Sun and Li, ECCV 2022).

    A weight's contribution is its product with the mean activation of its dimension over the
    training samples; one threshold holds for all classes together.

    Parameters
    ----------
    percentile : share of the weights to remove in per cent, in (0, 100)

    Attributes
    ----------
    mean_ : (D,) mean activation of the training samples
    threshold_ : weights whose contribution is larger stay
    """

    name = "dice"
    label = "DICE"
    formula = (
        r"\log\sum_c \exp\left((W\odot M)h+b\right)_c,\quad "
        r"M_{cd}=1\left[W_{cd}\,\bar h_d > \text{percentile}_{90}\{W_{ij}\,\bar h_j\}\right]"
    )
    source = "Sun and Li, ECCV 2022"
    needs = ("features", "head", "statistics")
    caveat = (
        "Removes the weights that speak against a class along with those that say little, so "
        "logits are no longer comparable with the network's. With few dimensions or classes a "
        "class may keep no weight at all."
    )

    sensitivity: ClassVar = {"percentile": (70, 80, 90, 95)}
    mean_: Array
    threshold_: float

    def __init__(self, *, percentile: float = 90):
        self.percentile = require_percentile(percentile)

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        super()._fit(train, head, statistics)
        self.mean_ = mean_feature(train, statistics)
        (self.threshold_,) = percentiles(self._contributions(), (self.percentile,))

    def _contributions(self) -> Array:
        return xp.float64(self.weight_) * self.mean_

    @cached_property
    def _used_weight(self) -> Array:
        return xp.float64(self.weight_) * (self._contributions() > self.threshold_)


def require_percentile(value: float, what: str = "Percentile") -> float:
    """Return `value` if it is a number between 0 and 100, else raise InvalidOptionError."""
    if not (isinstance(value, Real) and 0 < value < 100):
        raise InvalidOptionError(f"{what} must lie between 0 and 100; got {value}.")
    return value
