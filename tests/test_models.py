"""Networks: torchvision's own weights give its own outputs; sizes, stems, options, errors."""

from __future__ import annotations

from urllib.error import URLError

import pytest
import torch
import torchvision

from ncviz.errors import InvalidOptionError, MissingDataError, UnknownNameError
from ncviz.models import ModelSpec, backbones, build
from ncviz.models.resnet import IMAGENET_WEIGHTS

RESNETS = ("resnet18", "resnet34")


def network(*, classes=5, image_size=32, **spec):
    torch.manual_seed(0)
    return build(ModelSpec(**spec), classes=classes, image_size=image_size)


def torchvision_model(name, classes=1000):
    """torchvision's network with every parameter and buffer away from its initial value."""
    torch.manual_seed(1)
    model = getattr(torchvision.models, name)(num_classes=classes)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point() and tensor.ndim == 1:
            tensor.uniform_(0.5, 1.5)
    return model


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("name", RESNETS)
def test_torchvision_weights_give_torchvision_outputs(name, training):
    theirs = torchvision_model(name, classes=5).train(training)
    ours = network(backbone=name).train(training)
    weights = theirs.state_dict()
    head = {k.removeprefix("fc."): weights.pop(k) for k in ("fc.weight", "fc.bias")}
    ours.backbone.load_state_dict(weights)
    ours.head.load_state_dict(head)

    images = torch.randn(4, 3, 64, 64)
    outputs = ours(images)
    assert torch.equal(outputs.logits, theirs(images))
    theirs.fc = torch.nn.Identity()
    assert torch.equal(outputs.encoder, theirs(images))


@pytest.mark.parametrize("name", RESNETS)
def test_first_weights_are_drawn_as_torchvision_draws_them(name):
    ours = network(backbone=name).backbone.state_dict()
    theirs = getattr(torchvision.models, name)().state_dict()
    assert list(ours) == [key for key in theirs if not key.startswith("fc.")]
    for key, mine in ours.items():
        assert mine.shape == theirs[key].shape, key
        if mine.ndim == 4:
            assert mine.std().item() == pytest.approx(theirs[key].std().item(), rel=0.05), key
        else:
            assert torch.equal(mine, theirs[key]), key


def test_the_cifar_stem_keeps_four_times_the_resolution():
    images = torch.randn(1, 3, 32, 32)
    sides = {}
    for stem in ("imagenet", "cifar"):
        backbone = network(stem=stem, width=4).backbone
        x = backbone.maxpool(backbone.relu(backbone.bn1(backbone.conv1(images))))
        sides[stem] = x.shape[2:]
    assert sides == {"imagenet": (8, 8), "cifar": (32, 32)}


@pytest.mark.parametrize("name", RESNETS)
@pytest.mark.parametrize("width", [4, 32])
def test_width_scales_the_features(name, width):
    net = network(backbone=name, width=width, classes=7).eval()
    outputs = net(torch.randn(2, 3, 32, 32))
    assert outputs.encoder.shape == (2, 8 * width)
    assert outputs.logits.shape == (2, 7)
    assert net.heads()["encoder"].weight.shape == (7, 8 * width)
    torch.testing.assert_close(
        outputs.logits, outputs.encoder @ net.head.weight.T + net.head.bias, rtol=1e-5, atol=1e-6
    )


def test_a_network_follows_the_seed():
    first, again = network(width=4).state_dict(), network(width=4).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    torch.manual_seed(1)
    other = build(ModelSpec(width=4), classes=5, image_size=32).state_dict()
    assert not torch.equal(first["backbone.conv1.weight"], other["backbone.conv1.weight"])


@pytest.mark.parametrize("name", RESNETS)
def test_imagenet_weights_are_loaded_on_request_alone(name, monkeypatch):
    weights = torchvision_model(name).state_dict()
    asked = []

    def get_state_dict(source, **options):
        asked.append((source.url, options["weights_only"]))
        return weights

    monkeypatch.setattr(type(IMAGENET_WEIGHTS[name]), "get_state_dict", get_state_dict)
    spec = ModelSpec(name, pretrained=True)
    loaded = build(spec, classes=5, image_size=32).backbone.state_dict()
    assert all(torch.equal(loaded[key], weights[key]) for key in loaded)
    assert asked == [(IMAGENET_WEIGHTS[name].url, True)]

    build(spec, classes=5, image_size=32, load_pretrained=False)
    build(ModelSpec(name), classes=5, image_size=32)
    assert len(asked) == 1


def test_weights_that_cannot_be_fetched_are_a_clear_error(monkeypatch):
    def get_state_dict(source, **options):
        raise URLError("no route to host")

    source = type(IMAGENET_WEIGHTS["resnet18"])
    monkeypatch.setattr(source, "get_state_dict", get_state_dict)
    with pytest.raises(MissingDataError, match=r"no route to host.*--no-pretrained"):
        network(pretrained=True)


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ({"backbone": "resnet19"}, UnknownNameError, "Did you mean 'resnet18'"),
        ({"stem": "cifr"}, UnknownNameError, "Did you mean 'cifar'"),
        ({"width": 0}, InvalidOptionError, "at least 1"),
        ({"pretrained": True, "width": 32}, InvalidOptionError, "width 32"),
        ({"pretrained": True, "stem": "cifar"}, InvalidOptionError, "cifar stem"),
    ],
)
def test_a_specification_that_cannot_be_built_is_refused(spec, error, message):
    with pytest.raises(error, match=message):
        ModelSpec(**spec)


def test_every_backbone_builds_and_runs():
    for name in backbones():
        net = network(backbone=name, width=64, classes=3).eval()
        with torch.inference_mode():
            outputs = net(torch.randn(2, 3, 32, 32))
        assert outputs.logits.shape == (2, 3)
        assert set(net.heads()) <= set(outputs.layers)
