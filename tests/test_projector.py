"""The fixed simplex-ETF projector, group norm with weight standardisation, VGG and ViT."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from ncviz.errors import InvalidArrayError, InvalidOptionError
from ncviz.models import ModelSpec, build
from ncviz.models.normalisation import StandardisedConv2d, group_norm
from ncviz.models.projector import ETFProjector, simplex_etf
from ncviz.projector import etf_size, project


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


@pytest.mark.parametrize("size", [12, 5, 40])
@pytest.mark.parametrize("negative", [False, True], ids=["after a ReLU", "of any sign"])
def test_the_projection_without_weights_is_the_projector_s(size, negative):
    features = torch.rand(6, 12, dtype=torch.float64) - 0.6 * negative
    expected = ETFProjector(12, size).double()(features).numpy()
    np.testing.assert_allclose(project(features.numpy(), size), expected, atol=1e-6)


def test_the_projection_of_a_constant_is_zero_and_finite():
    assert not project(np.zeros((2, 12)), 12).any()


def test_a_projection_of_one_direction_is_refused():
    with pytest.raises(InvalidArrayError, match="size of 2 or more; got 1"):
        project(np.ones((3, 1)), 1)


def test_an_etf_projector_s_size_is_of_the_features_or_of_the_classes():
    assert (etf_size("etf-features", 256, 100), etf_size("etf-classes", 256, 100)) == (256, 100)
    network = build(ModelSpec(width=8, projector="etf-classes"), classes=5, image_size=32)
    features = torch.rand(3, 64)
    expected = project(features.numpy(), 5)
    np.testing.assert_allclose(network.projector(features).numpy(), expected, atol=1e-6)


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
    assert spec.layers == ("encoder", "projector")
    assert tuple(outputs.layers) == (*spec.stages, *spec.layers)
    assert list(network.heads()) == ["projector"]
    assert torch.allclose(network.head(outputs.projector), outputs.logits)
    assert not any("projector" in name for name, _ in network.named_parameters())
    outputs.logits.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_network_without_projector_has_the_encoder_alone():
    network = build(ModelSpec(width=8), classes=5, image_size=32)
    outputs = network(torch.rand(2, 3, 32, 32))
    assert outputs.projector is None
    assert list(outputs.layers)[-1:] == list(network.heads()) == ["encoder"]


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
    # In float64: another batch size adds up in another order, which random weights blow up.
    network, images = network.double(), torch.rand(4, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        together = network(images).logits
        alone = torch.cat([network(image[None]).logits for image in images])
    assert torch.allclose(together, alone, atol=1e-9)


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


@pytest.mark.parametrize("backbone", ["resnet18", "resnet34", "vgg17", "vit-t"])
def test_stages_are_pooled_and_come_before_the_encoder(backbone):
    width = 64 if backbone == "vit-t" else 8
    spec = ModelSpec(backbone, width=width)
    network = build(spec, classes=5, image_size=32).eval()
    images = torch.rand(3, 3, 32, 32)
    with torch.inference_mode():
        outputs = network(images)
        alone = network(images[:1])
    assert tuple(outputs.layers) == (*spec.stages, "encoder")
    assert len(spec.stages) == {"vgg17": 4}.get(backbone, 3)
    widths = {name: features.shape[1] for name, features in outputs.layers.items()}
    if backbone == "vit-t":
        assert set(widths.values()) == {64}
    else:
        assert list(widths.values()) == [8, 16, 32, 64, 64][: len(widths)]
    for name, features in outputs.layers.items():
        assert torch.allclose(features[:1], alone.layers[name], atol=1e-5), name


@pytest.mark.parametrize(("image_size", "patch"), [(8, 1), (32, 4), (64, 8), (128, 16), (224, 16)])
def test_vit_s_patches_are_16_pixels_and_smaller_for_small_images(image_size, patch):
    network = build(ModelSpec("vit-t", width=64), classes=3, image_size=image_size)
    assert network.backbone.transformer.conv_proj.kernel_size == (patch, patch)


def test_vit_refuses_images_that_its_patches_do_not_fill():
    with pytest.raises(InvalidOptionError, match=r"image_size is 150.*multiple of 16"):
        build(ModelSpec("vit-t", width=64), classes=3, image_size=150)


def test_vit_s_encoder_is_torchvision_s():
    network = build(ModelSpec("vit-t", width=64), classes=5, image_size=32).eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        expected = network.backbone.transformer(images)
        assert torch.equal(network(images).encoder, expected)
