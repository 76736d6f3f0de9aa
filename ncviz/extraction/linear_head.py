"""Check whether the logits of a network are W h + b, by forward passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ncviz.arrays import Head
from ncviz.models import Outputs, Wrapped

TOLERANCE = 1e-4
"""largest difference between the logits and W h + b, as a share of the largest logit"""


@torch.inference_mode()
def linear_head(network: Wrapped, seen: Sequence[Outputs]) -> Head | None:
    """Return W (C, D) and b (C,) if the logits of every batch are W h + b, else None.

    Call it after the forward passes, because some heads compute their weight there
    (``torch.nn.utils.weight_norm``, ``spectral_norm``). W and b are those that the head states as
    ``weight`` and ``bias``, or else those measured from its output for zeros and unit vectors,
    which covers LoRA and a dropout before the linear layer. A cosine head, an average of two heads
    or a scale after the head do not match either.

    Parameters
    ----------
    network : in evaluation mode
    seen : outputs of `network` for batches of different kinds, such as ID images and random inputs

    Raises
    ------
    InvalidArrayError : W or b is not finite.
    """
    encoder = seen[0].encoder
    for weight, bias in _candidates(network.head, encoder, seen[0].logits.shape[1]):
        if all(_is_same(one, weight, bias) for one in seen):
            weight, bias = (each.detach().float().cpu().numpy() for each in (weight, bias))
            return Head(np.ascontiguousarray(weight), np.ascontiguousarray(bias))
    return None


def _is_same(outputs: Outputs, weight: Tensor, bias: Tensor) -> bool:
    logits = outputs.logits.double()
    linear = outputs.encoder.double() @ weight.double().T + bias.double()
    return bool((linear - logits).abs().max() <= TOLERANCE * logits.abs().max())


def _candidates(head: nn.Module, example: Tensor, classes: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield weight (C, D) and bias (C,) as stated, then as measured, where there are any."""
    dim = example.shape[1]
    weight, bias = getattr(head, "weight", None), getattr(head, "bias", None)
    if isinstance(weight, Tensor) and weight.shape == (classes, dim):
        zero = torch.zeros(classes, dtype=weight.dtype, device=weight.device)
        yield weight, bias if isinstance(bias, Tensor) and bias.shape == (classes,) else zero
    inputs = torch.eye(dim + 1, dim, dtype=example.dtype, device=example.device)
    try:
        outputs = head(inputs)
    except Exception:  # a head that does not accept such a batch
        return
    if isinstance(outputs, Tensor) and outputs.shape == (dim + 1, classes):
        yield (outputs[:-1] - outputs[-1]).T, outputs[-1]
