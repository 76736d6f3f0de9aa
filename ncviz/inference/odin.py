"""ODIN: the softmax of an image that was moved towards the network's own prediction."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ncviz import xp
from ncviz.data import Transform


def odin_scores(
    network: nn.Module,
    images: Tensor,
    transform: Transform,
    *,
    temperature: float = 1000.0,
    epsilon: float = 0.0014,
) -> np.ndarray:
    """(B,) float64 ODIN scores of `images`, higher = more in-distribution.

    max softmax(z(x') / T) with x' = x - epsilon * sign(grad_x CE(z(x) / T, y)) / std, y being the
    predicted class (Liang et al., ICLR 2018). Takes two forward passes and a backward one.

    Parameters
    ----------
    network : returns an object with `logits` (B, C); in evaluation mode, which is not changed
    images : (B, 3, S, S) float32, normalised by `transform`
    transform : its std says how far a step of epsilon, meant for values from 0 to 1, goes here
    """
    moved = _towards_prediction(network, images, transform, temperature, epsilon)
    with torch.inference_mode():
        logits = network(moved).logits.double() / temperature
        return xp.to_numpy(xp.largest_probability(logits))


def _towards_prediction(
    network: nn.Module, images: Tensor, transform: Transform, temperature: float, epsilon: float
) -> Tensor:
    # A tensor made under inference mode takes no part in gradients; its copy does.
    with torch.inference_mode(False), torch.enable_grad():
        images = images.clone().requires_grad_()
        logits = network(images).logits / temperature
        # A sum keeps each image's gradient apart from the batch's size.
        loss = cross_entropy(logits, logits.argmax(dim=1), reduction="sum")
        (gradient,) = torch.autograd.grad(loss, images)
    std = torch.tensor(transform.std, device=images.device).view(1, 3, 1, 1)
    return images.detach() - epsilon * gradient.sign() / std
