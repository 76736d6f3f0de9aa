"""Scores that take the network's gradient: against pytorch-ood, step by step, and in extraction."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
import torch
from pytorch_ood.detector import ODIN
from torch import nn

from ncviz.data import Transform
from ncviz.inference import odin_scores
from ncviz.models import ModelSpec, build

TRANSFORM = Transform(size=12, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.5))


@pytest.fixture(scope="module", params=["none", "etf-features"])
def network(request):
    torch.manual_seed(0)
    spec = ModelSpec(width=8, stem="cifar", projector=request.param)
    made = build(spec, classes=5, image_size=12)
    made(torch.randn(64, 3, 12, 12))  # statistics of batch norm that are not all zero and one
    return made.eval()


@pytest.fixture
def images():
    return torch.randn(30, 3, 12, 12, generator=torch.Generator().manual_seed(1))


class Logits(nn.Module):
    """The network as its peers know one: images in, logits out."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network(images).logits


@pytest.mark.parametrize(("temperature", "epsilon"), [(1000.0, 0.0014), (1.0, 0.1), (10.0, 0.0)])
def test_odin_is_pytorch_ood_s(network, images, temperature, epsilon):
    peer = ODIN(Logits(network), eps=epsilon, temperature=temperature, norm_std=TRANSFORM.std)
    found = odin_scores(network, images, TRANSFORM, temperature=temperature, epsilon=epsilon)
    np.testing.assert_allclose(found, -peer.predict(images).numpy(), rtol=1e-5)
    assert found.dtype == np.float64
    assert len(np.unique(found)) == len(images)


def test_odin_without_a_step_is_the_softmax_at_its_temperature(network, images):
    found = odin_scores(network, images, TRANSFORM, temperature=3.0, epsilon=0.0)
    with torch.no_grad():
        expected = (network(images).logits.double() / 3).softmax(dim=1).amax(dim=1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_small_step_raises_the_confidence_by_its_gradient(network, images):
    """To first order the logarithm of the score grows by the step times the gradient's l1 norm."""
    step, std = 1e-4, torch.tensor(TRANSFORM.std).view(1, 3, 1, 1)
    wanted = images.double().requires_grad_()
    double = build(ModelSpec(width=8, stem="cifar"), classes=5, image_size=12).double().eval()
    logits = double(wanted).logits
    confidence = logits.log_softmax(dim=1).amax(dim=1)
    (gradient,) = torch.autograd.grad(confidence.sum(), wanted)
    expected = (gradient.abs() / std).sum(dim=(1, 2, 3)) * step
    with_step, without = (
        np.log(odin_scores(double, images.double(), TRANSFORM, temperature=1.0, epsilon=epsilon))
        for epsilon in (step, 0.0)
    )
    np.testing.assert_allclose(with_step - without, expected, rtol=0.05)


def test_an_image_s_score_depends_on_no_other_image(network, images):
    whole = odin_scores(network, images, TRANSFORM)
    parts = [odin_scores(network, each, TRANSFORM) for each in images.split(7)]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-6)


def test_scoring_changes_neither_network_nor_images(network, images):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    copy = images.clone()
    with torch.inference_mode():
        odin_scores(network, images, TRANSFORM)
    assert torch.equal(images, copy)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(value.grad is None for value in network.parameters())


def test_every_detector_that_takes_the_network_is_computed():
    module = import_module("ncviz.inference.network_scores")
    assert set(module.network_detectors()) == set(module._COMPUTED)
