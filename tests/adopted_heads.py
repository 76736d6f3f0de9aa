"""Small networks with the heads that classifiers have in practice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, normalize
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

from ncviz.arrays import Head

DIM = 12


class CosineLinear(nn.Linear):
    """logits = 12 cos(h, w): a subclass of nn.Linear whose output is not W h + b."""

    def forward(self, x: Tensor) -> Tensor:
        return 12 * linear(normalize(x), normalize(self.weight))


class CosineHead(nn.Module):
    """The same as a module of its own, with a learned scale."""

    def __init__(self, dim: int, classes: int):
        super().__init__()
        self.prototypes = nn.Parameter(torch.randn(classes, dim))
        self.scale = nn.Parameter(torch.tensor(8.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * normalize(x) @ normalize(self.prototypes).T


class LoRAHead(nn.Module):
    """A frozen linear layer and a trained update of rank two."""

    def __init__(self, dim: int, classes: int):
        super().__init__()
        self.base_layer = nn.Linear(dim, classes).requires_grad_(False)
        self.lora_a, self.lora_b = nn.Linear(dim, 2, bias=False), nn.Linear(2, classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.base_layer(x) + 4 * self.lora_b(self.lora_a(x))


class LoRALinear(nn.Linear):
    """The same as a subclass of nn.Linear, whose weight lacks the update."""

    def __init__(self, dim: int, classes: int):
        super().__init__(dim, classes)
        self.lora_a = nn.Parameter(torch.randn(2, dim))
        self.lora_b = nn.Parameter(0.1 * torch.randn(classes, 2))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x @ self.lora_a.T @ self.lora_b.T


class Net(nn.Module):
    """A body of two convolutions and a head; `finish` makes what the forward pass returns."""

    def __init__(self, head: nn.Module, finish: Callable = lambda logits, net, h: logits):
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Conv2d(8, DIM, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        )
        self.head, self._finish = head, finish

    def forward(self, images: Tensor):
        h = self.body(images)
        return self._finish(self.head(h), self, h)


def distilled(classes: int) -> Net:
    """The average of two heads in evaluation, as distilled DeiT."""
    net = Net(nn.Linear(DIM, classes), lambda logits, net, h: (logits + net.other(h)) / 2)
    net.other = nn.Linear(DIM, classes)
    return net


def scaled(classes: int) -> Net:
    """A learned scale after the head, as CLIP."""
    net = Net(nn.Linear(DIM, classes), lambda logits, net, h: net.scale.exp() * logits)
    net.scale = nn.Parameter(torch.tensor(1.0))
    return net


# How to build each network for C classes, and whether its logits are W h + b of the head's input.
KINDS: dict[str, tuple[Callable[[int], Net], bool]] = {
    "linear": (lambda c: Net(nn.Linear(DIM, c)), True),
    "without_bias": (lambda c: Net(nn.Linear(DIM, c, bias=False)), True),
    "weight_norm_old": (lambda c: Net(weight_norm(nn.Linear(DIM, c))), True),
    "weight_norm": (lambda c: Net(parametrizations.weight_norm(nn.Linear(DIM, c))), True),
    "spectral_norm_old": (lambda c: Net(spectral_norm(nn.Linear(DIM, c))), True),
    "spectral_norm": (lambda c: Net(parametrizations.spectral_norm(nn.Linear(DIM, c))), True),
    "lora": (lambda c: Net(LoRAHead(DIM, c)), True),
    "lora_linear": (lambda c: Net(LoRALinear(DIM, c)), True),
    "dropout_before": (lambda c: Net(nn.Sequential(nn.Dropout(), nn.Linear(DIM, c))), True),
    "softmax_after": (lambda c: Net(nn.Linear(DIM, c), lambda z, net, h: z.softmax(1)), True),
    "output_object": (lambda c: Net(nn.Linear(DIM, c), lambda z, net, h: {"logits": z}), True),
    "tuple": (lambda c: Net(nn.Linear(DIM, c), lambda z, net, h: (z, h)), True),
    "cosine": (lambda c: Net(CosineLinear(DIM, c, bias=False)), False),
    "cosine_module": (lambda c: Net(CosineHead(DIM, c)), False),
    "distilled": (distilled, False),
    "temperature_after": (lambda c: Net(nn.Linear(DIM, c), lambda z, net, h: z / 0.3), False),
    "scale_after": (scaled, False),
    "mlp": (lambda c: Net(nn.Sequential(nn.Linear(DIM, 9), nn.ReLU(), nn.Linear(9, c))), False),
}


def own_logits(net: Net, images: Tensor) -> Tensor:
    """The logits (B, C) that the network was trained with."""
    returned = net(images)
    if isinstance(returned, dict):
        return returned["logits"]
    if isinstance(returned, tuple):
        return returned[0]
    if torch.allclose(returned.sum(dim=1), torch.ones(len(images))) and (returned >= 0).all():
        return net.head(net.body(images))
    return returned


def trained(kind: str, images: Tensor, labels: Tensor, classes: int, steps: int = 60) -> Net:
    """Return the network of that kind after a short training, in evaluation mode.

    The training runs on one thread: sums over several differ in rounding, which 60 steps amplify.
    """
    torch.manual_seed(0)
    net = KINDS[kind][0](classes).train()
    optimizer = torch.optim.Adam((p for p in net.parameters() if p.requires_grad), 0.02)
    with one_thread():
        for _ in range(steps):
            optimizer.zero_grad()
            cross_entropy(own_logits(net, images), labels).backward()
            optimizer.step()
    return net.eval()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def rounding(head: Head, features: np.ndarray) -> np.ndarray:
    """Return the largest error (N,) of a logit of each sample when features become float16.

    Each feature is off by at most half the distance of neighbouring float16 numbers. The energy,
    the log-sum-exp of the logits, is off by no more than the largest error of a logit.
    """
    halves = np.spacing(np.abs(features).astype(np.float16)).astype(np.float64) / 2
    return (halves @ np.abs(head.weight).T).max(axis=1)
