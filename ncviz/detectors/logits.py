"""Detectors that look at the logits alone: MSP, MaxLogit, Energy."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from ncviz.arrays import FeatureSet
from ncviz.detectors.base import Detector, register, require_positive


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

    def _score(self, samples: FeatureSet) -> np.ndarray:
        logits = samples.logits.astype(np.float64)
        # 1 / sum exp(z - max): rounding cannot carry it outside [1/C, 1].
        return 1 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)


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

    def _score(self, samples: FeatureSet) -> np.ndarray:
        return samples.logits.max(axis=1).astype(np.float64)


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

    def _score(self, samples: FeatureSet) -> np.ndarray:
        logits = samples.logits.astype(np.float64)
        return self.temperature * logsumexp(logits / self.temperature, axis=1)
