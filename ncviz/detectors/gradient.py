"""Detectors that follow a gradient: GradNorm that of the head's weights, ODIN that of the image."""

from __future__ import annotations

from ncviz import xp
from ncviz.arrays import FeatureSet
from ncviz.detectors.base import Detector, register, require_not_negative, require_positive
from ncviz.errors import MissingDataError
from ncviz.xp import Array


@register
class GradNorm(Detector):
    """L1 norm of a gradient with respect to the head's weights (Huang et al., NeurIPS 2021).

    The gradient is that of the cross-entropy to the uniform distribution, summed over the classes
    as in the authors' code: (C p - 1) h^T, whose norm is a product of two; nothing need be
    differentiated.
    """

    name = "gradnorm"
    label = "GradNorm"
    family = "gradient"
    formula = (
        r"\left\|\tfrac{\partial}{\partial W}\textstyle\sum_c -\log p_c\right\|_1"
        r"=\|C\,p-1\|_1\,\|h\|_1"
    )
    source = "Huang et al., NeurIPS 2021"
    # The logits must be those of this layer's head, although they are given.
    needs = ("features", "logits", "head")
    caveat = (
        "For a confident network the first factor hardly varies, and what is left is the size of "
        "the features."
    )

    def _score(self, samples: FeatureSet) -> Array:
        library, classes = xp.namespace(samples.logits), samples.logits.shape[1]
        surprise = library.abs(classes * xp.softmax(samples.logits) - 1)
        size = library.sum(library.abs(samples.features), axis=1, dtype=library.float64)
        return library.sum(surprise, axis=1) * size


@register
class ODIN(Detector):
    """Softmax at a high temperature after a step against the loss (Liang et al., ICLR 2018).

    The step needs the network itself, so `score` refuses; extraction writes the scores.

    Parameters
    ----------
    temperature : T > 0
    epsilon : length of the step in the range of pixels, 0 to 1; at least 0
    """

    name = "odin"
    label = "ODIN"
    family = "gradient"
    formula = (
        r"\max_c\ \operatorname{softmax}(z(\tilde x)/T)_c,\quad "
        r"\tilde x=x-\varepsilon\operatorname{sign}\nabla_x\left(-\log"
        r"\operatorname{softmax}(z(x)/T)_{\hat y}\right)"
    )
    source = "Liang et al., ICLR 2018"
    needs = ("network",)
    caveat = (
        "The paper tunes T and epsilon on OOD samples. At T = 1000 the softmax is nearly linear in "
        "the logits: it ranks by the largest logit's lead over the mean."
    )

    def __init__(self, *, temperature: float = 1000.0, epsilon: float = 0.0014):
        self.temperature = require_positive(temperature, "Temperature")
        self.epsilon = require_not_negative(epsilon, "Epsilon")

    def _score(self, samples: FeatureSet) -> Array:
        raise MissingDataError(
            "ODIN needs the network's gradient with respect to the image, which features and "
            "logits do not hold; scripts/extract.py writes its scores."
        )
