"""The fixed simplex-ETF projector, group norm with weight standardisation, VGG and ViT."""

import math

import pytest
import torch
from torch import nn

from ncviz.models import ModelSpec, build
from ncviz.models.normalisation import StandardisedConv2d, group_norm
from ncviz.models.projector import ETFProjector, simplex_etf


def test_square_part_is_a_simplex_etf():
    vertices = simplex_etf(7, 7, 7).double()
    gram = vertices @ vertices.T
    expected = 7 / 6 * (torch.eye(7) - 1 / 7)
    assert torch.allclose(gram, expected.double(), atol=1e-6)


def test_projector_equals_its_closed_form_for_features_without_negatives():
    """Centre, rectify, centre over all 4D hidden units (those beyond D are zero), normalise."""
    features = torch.rand(5, 12, dtype=torch.float64)
    scale = math.sqrt(12 / 11)
    hidden = torch.relu(scale * (features - features.mean(1, keepdim=True)))
    out = scale * (hidden - hidden.sum(1, keepdim=True) / 12)
    expected = out / out.norm(dim=1, keepdim=True)
    actual = ETFProjector(12, 12).double()(features)
    assert torch.allclose(actual, expected, atol=1e-6)
    assert torch.allclose(actual.norm(dim=1), torch.ones(5, dtype=torch.float64))


def test_hidden_units_beyond_the_features_are_dead_for_features_without_negatives():
    projector = ETFProjector(12, 12)
    hidden = torch.relu(torch.rand(50, 12) @ projector.expand.T)
    assert hidden[:, :12].any()
    assert not hidden[:, 12:].any()


def test_size_of_the_classes_gives_another_projector():
    features = torch.rand(4, 12)
    by_features, by_classes = ETFProjector(12, 12)(features), ETFProjector(12, 3)(features)
    assert not torch.allclose(by_features, by_classes, atol=1e-3)


@pytest.mark.parametrize("backbone", ["resnet18", "vgg17", "vit-t"])
def test_projector_is_frozen_and_the_head_sits_on_it(backbone):
    width = 64 if backbone == "vit-t" else 8
    spec = ModelSpec(backbone, width=width, projector="etf-features")
    network = build(spec, classes=5, image_size=32)
    outputs = network(torch.rand(2, 3, 32, 32))
    assert set(outputs.layers) == set(spec.layers) == {"encoder", "projector"}
    assert list(network.heads()) == ["projector"]
    assert torch.allclose(network.head(outputs.projector), outputs.logits)
    assert not any("projector" in name for name, _ in network.named_parameters())
    outputs.logits.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_network_without_projector_has_the_encoder_alone():
    network = build(ModelSpec(width=8), classes=5, image_size=32)
    outputs = network(torch.rand(2, 3, 32, 32))
    assert outputs.projector is None
    assert list(outputs.layers) == list(network.heads()) == ["encoder"]


def test_standardised_convolution_uses_filters_of_zero_mean_and_unit_variance():
    convolution = StandardisedConv2d(3, 4, 3, padding=1)
    images = torch.rand(2, 3, 8, 8)
    filters = convolution.weight.detach().clone()
    for each in filters:
        each -= each.mean()
        each /= each.std(unbiased=False)
    expected = nn.functional.conv2d(images, filters, convolution.bias, padding=1)
    assert torch.allclose(convolution(images), expected, atol=1e-4)


@pytest.mark.parametrize(("channels", "groups"), [(64, 32), (32, 32), (8, 8), (48, 24)])
def test_groups_divide_the_channels(channels, groups):
    assert group_norm(channels).num_groups == groups


def test_group_norm_leaves_no_batch_statistics():
    network = build(ModelSpec(width=8, norm="group"), classes=5, image_size=32).train()
    kinds = [type(module) for module in network.modules()]
    assert nn.BatchNorm2d not in kinds
    assert nn.Conv2d not in kinds
    images = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        together = network(images).logits
        alone = torch.cat([network(image[None]).logits for image in images])
    assert torch.allclose(together, alone, atol=1e-5)


def test_vgg_17_has_seventeen_layers_with_weights():
    network = build(ModelSpec("vgg17", width=8), classes=5, image_size=32)
    weighted = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == 17
    assert network(torch.rand(2, 3, 32, 32)).encoder.shape == (2, 64)


def test_vit_t_is_192_wide_with_patches_of_4_pixels_for_32_pixel_images():
    network = build(ModelSpec("vit-t", width=192), classes=5, image_size=32)
    transformer = network.backbone.transformer
    assert transformer.conv_proj.kernel_size == (4, 4)
    assert len(transformer.encoder.layers) == 12
    assert transformer.encoder.layers[0].num_heads == 3
    assert network(torch.rand(2, 3, 32, 32)).encoder.shape == (2, 192)
