"""Detectors that look at the logits alone: MSP, MaxLogit, Energy, Entropy, GEN, KL matching."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ncviz import xp
from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.detectors.base import Detector, over_blocks, register, require_count, require_positive
from ncviz.errors import InvalidArrayError
from ncviz.temperature import fit_temperature
from ncviz.xp import Array

# Probabilities below the smallest normal float64 count as that: a template's logarithm is finite.
_SMALLEST = np.finfo(np.float64).tiny


@register
class MaxSoftmax(Detector):
    """Maximum softmax probability (Hendrycks and Gimpel, ICLR 2017); lies in [1/C, 1]."""

    name = "msp"
    label = "MSP"
    family = "logits"
    formula = r"\max_c\ \operatorname{softmax}(z)_c"
    source = "Hendrycks and Gimpel, ICLR 2017"
    needs = ("logits",)
    caveat = "Saturates at 1 for a confident network: samples that tie there cannot be told apart."

    def _score(self, samples: FeatureSet) -> Array:
        return xp.largest_probability(samples.logits)


@register
class MaxLogit(Detector):
    """Largest logit (Hendrycks et al., ICML 2022)."""

    name = "max_logit"
    label = "MaxLogit"
    family = "logits"
    formula = r"\max_c\ z_c"
    source = "Hendrycks et al., ICML 2022"
    needs = ("logits",)
    caveat = "Grows with the norm of the features, so it partly measures how large they are."

    def _score(self, samples: FeatureSet) -> Array:
        return xp.float64(xp.namespace(samples.logits).max(samples.logits, axis=1))


@register
class Energy(Detector):
    """Negative free energy (Liu et al., NeurIPS 2020); MaxLogit plus 0 to T log C.

    Parameters
    ----------
    temperature : T > 0
    """

    name = "energy"
    label = "Energy"
    family = "logits"
    formula = r"T \log \sum_c \exp(z_c / T)"
    source = "Liu et al., NeurIPS 2020"
    needs = ("logits",)
    caveat = (
        "The paper's energy E is minus this score; scoring E itself turns the ranking round. Close "
        "to MaxLogit for a confident network."
    )

    def __init__(self, *, temperature: float = 1.0):
        self.temperature = require_positive(temperature, "Temperature")

    def _score(self, samples: FeatureSet) -> Array:
        logits = xp.float64(samples.logits)
        return self.temperature * xp.logsumexp(logits / self.temperature)


@register
class TemperatureScaling(Detector):
    """Maximum softmax probability at the temperature that calibrates it (Guo et al., ICML 2017).

    Parameters
    ----------
    temperature : T > 0; by default the one that `fit_temperature` finds for the samples given to
        `fit`, which must be labelled ID samples that the network was not trained on

    Attributes
    ----------
    temperature_ : T as used
    """

    name = "temperature_scaling"
    label = "Temperature scaling"
    family = "logits"
    formula = (
        r"\max_c\ \operatorname{softmax}(z/T)_c,\quad "
        r"T=\arg\min_T \sum_i -\log\operatorname{softmax}(z_i/T)_{y_i}"
    )
    source = "Guo et al., ICML 2017"
    needs = ("logits", "held-out logits")
    caveat = (
        "Made for honest probabilities, not for OOD detection: it ranks much as MSP does. T comes "
        "out too low if fitted to samples that the network was trained on."
    )

    resolved: ClassVar = {"temperature": "temperature_"}
    temperature_: float

    def __init__(self, *, temperature: float | None = None):
        if temperature is not None:
            require_positive(temperature, "Temperature")
        self.temperature = temperature

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        if self.temperature is not None:
            self.temperature_ = self.temperature
        elif train.labels is None:
            raise InvalidArrayError(
                "Temperature scaling fits its temperature to ID samples with labels that the "
                "network was not trained on: give these, or set the parameter 'temperature'."
            )
        else:
            self.temperature_ = fit_temperature(
                xp.to_numpy(train.logits), xp.to_numpy(train.labels)
            )

    def _needs_samples(self, statistics: ClassStatistics | None) -> bool:
        return self.temperature is None

    def _score(self, samples: FeatureSet) -> Array:
        return xp.largest_probability(xp.float64(samples.logits) / self.temperature_)


@register
class Entropy(Detector):
    """Negative Shannon entropy of the softmax (as pytorch-ood); lies in [-log C, 0]."""

    name = "entropy"
    label = "Entropy"
    family = "logits"
    formula = r"\sum_c p_c \log p_c,\quad p=\operatorname{softmax}(z)"
    source = "Shannon, 1948; as a score for OOD images: Chan et al., ICCV 2021"
    needs = ("logits",)
    caveat = "Close to MSP for a confident network; it also sees how the rest is spread."

    def _score(self, samples: FeatureSet) -> Array:
        log_p = xp.log_softmax(samples.logits)
        library = xp.namespace(log_p)
        return library.vecdot(library.exp(log_p), log_p)


@register
class GEN(Detector):
    """Generalised entropy of the largest probabilities (Liu et al., CVPR 2023).

    A sum, as in OpenOOD and the authors' code; pytorch-ood takes the mean and cuts probabilities at
    1e-7, which changes the ranking of confident samples.

    Parameters
    ----------
    gamma : exponent > 0; the smaller, the more the small probabilities count
    top : M, number of the largest probabilities to sum over; cut to C
    """

    name = "gen"
    label = "GEN"
    family = "logits"
    formula = (
        r"-\sum_{j=1}^{M} p_{(j)}^{\gamma}\,(1-p_{(j)})^{\gamma},\quad p_{(1)}\ge p_{(2)}\ge\dots"
    )
    source = "Liu et al., CVPR 2023"
    needs = ("logits",)
    caveat = (
        "Depends on gamma, which the paper tunes, and on M where there are more than M classes."
    )

    def __init__(self, *, gamma: float = 0.1, top: int = 100):
        self.gamma = require_positive(gamma, "Gamma")
        self.top = require_count(top, "The number of probabilities that GEN sums over")

    def _score(self, samples: FeatureSet) -> Array:
        log_p, log_rest = xp.log_softmax_and_complement(samples.logits)
        log_terms = log_p + log_rest
        library = xp.namespace(log_terms)
        if self.top < log_p.shape[1]:
            _, largest = xp.top(log_p, self.top)
            log_terms = library.take_along_axis(log_terms, largest, axis=1)
        return -library.sum(library.exp(self.gamma * log_terms), axis=1)


@register
class KLMatching(Detector):
    """Divergence from the nearest class's typical probabilities (Hendrycks et al., ICML 2022).

    The template d_k is the mean softmax of the training samples PREDICTED as k; true labels are not
    used. A class that is never predicted has no template. (OpenOOD gives it a one-hot vector, which
    is infinitely far from every sample whose softmax is not exactly that vector.)

    Attributes
    ----------
    log_templates_ : (K, C) log d_k of the K <= C classes that were predicted
    """

    name = "kl_matching"
    label = "KL matching"
    family = "logits"
    formula = (
        r"-\min_k\ \mathrm{KL}(p\,\|\,d_k),\quad "
        r"d_k=\operatorname{mean}\{p(x_i) : \arg\max p(x_i)=k\}"
    )
    source = "Hendrycks et al., ICML 2022"
    needs = ("logits", "training logits")
    caveat = (
        "Templates come from training samples, where a network is surer than elsewhere (the paper "
        "and OpenOOD take a validation set). A sample may be surer than its template and lose for "
        "it."
    )

    log_templates_: Array

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        library = xp.namespace(train.logits)
        sums = counts = 0
        for added, found in over_blocks(_probabilities_by_decision, train):
            sums, counts = sums + added, counts + found
        seen = library.nonzero(counts)[0]
        templates = sums[seen] / counts[seen][:, None]
        own = xp.row_numbers(seen), seen
        templates[own] = 0
        surplus = library.sum(templates, axis=1)  # 1 - d_kk, exact where d_kk rounds to 1
        self.log_templates_ = library.log(library.clip(templates, _SMALLEST))
        self.log_templates_[own] = library.log1p(-surplus)

    def _score(self, samples: FeatureSet) -> Array:
        log_p = xp.log_softmax(samples.logits)
        library = xp.namespace(log_p)
        p = library.exp(log_p)
        crossed = p @ self.log_templates_.T  # (B, K) sum of p log d_k
        divergence = library.vecdot(p, log_p) - library.max(crossed, axis=1)
        return -library.clip(divergence, 0)  # below 0 by rounding alone


def _probabilities_by_decision(samples: FeatureSet) -> tuple[Array, Array]:
    """(C, C) sum of the softmax of the samples predicted as each class, and their numbers (C,)."""
    log_p = xp.log_softmax(samples.logits)
    library, classes = xp.namespace(log_p), log_p.shape[1]
    predicted = library.argmax(log_p, axis=1)
    return xp.class_sums(library.exp(log_p), predicted, classes), xp.counts(predicted, classes)
