"""Networks that a user brings: wrapped, registered, adopted, extracted and evaluated."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import mobilenet_v3_small, vit_b_16

from ncviz import models
from ncviz.data import Transform, load
from ncviz.errors import (
    CorruptFileError,
    InvalidArrayError,
    InvalidOptionError,
    MissingDataError,
    NcvizError,
    UnknownNameError,
)
from ncviz.evaluation import evaluate
from ncviz.extraction import adopt, extract, weights_by_epoch
from ncviz.extraction.weights import load_weights
from ncviz.inference import Pixels, load_network, normalise, odin_scores
from ncviz.inference.scorer import Scorer
from ncviz.models import registry
from ncviz.store import open_run

ROOT = Path(__file__).resolve().parents[1]
SIZE, CLASSES = 32, 3
CPU = torch.device("cpu")


def mobilenet(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    network = mobilenet_v3_small(weights=None, num_classes=CLASSES).train()
    # Without statistics of a batch, an untrained network's signal dies out on its way.
    for each in network.modules():
        if isinstance(each, nn.BatchNorm2d):
            each.momentum = None
    with torch.no_grad():
        network(torch.randn(16, 3, SIZE, SIZE))
    return network.eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def adapter(tmp_path, monkeypatch) -> Path:
    """The adapter that the documentation shows, as the user's file."""
    text = (ROOT / "docs" / "bring-your-own.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (code,) = (block for block in blocks if "models.register" in block)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    path = tmp_path / "my_net.py"
    path.write_text(code)
    monkeypatch.setattr(registry, "_builders", {})
    monkeypatch.setenv("NCVIZ_PLUGINS", str(path))
    return path


def test_outputs_are_those_of_the_module(images):
    network = mobilenet()
    wrapped = models.wrap(network, head="classifier.3", stages={"stage1": "features.3"})
    outputs = wrapped(images)
    deep = network.avgpool(network.features(images)).flatten(1)
    torch.testing.assert_close(outputs.encoder, network.classifier[:3](deep))
    torch.testing.assert_close(outputs.logits, network(images))
    torch.testing.assert_close(outputs.stages[0], network.features[:4](images).mean(dim=(2, 3)))
    assert outputs.projector is None
    assert list(outputs.layers) == ["stage1", "encoder"]
    head = wrapped.head
    torch.testing.assert_close(outputs.encoder @ head.weight.T + head.bias, outputs.logits)


def test_a_stage_that_is_overwritten_in_place_is_kept_as_it_was(images):
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(3 * SIZE**2, 5), nn.ReLU(inplace=True), nn.Linear(5, CLASSES)
    )
    stages = models.wrap(network, head="3", stages={"stage1": "1"})(images).stages
    torch.testing.assert_close(stages[0], network[:2](images))
    assert (stages[0] < 0).any()


def test_gradients_reach_the_images(images):
    network = mobilenet()
    wrapped = models.wrap(network, head="classifier.3")
    gradients = []
    for logits in (lambda x: wrapped(x).logits, network):
        moved = images.clone().requires_grad_()
        logits(moved).square().sum().backward()
        gradients.append(moved.grad)
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(*gradients)
    scores = odin_scores(wrapped, images, Transform(size=SIZE))
    assert np.isfinite(scores).all()


def test_no_hook_is_left_even_after_an_error(images):
    network = mobilenet()
    wrapped = models.wrap(network, head="classifier.3", stages={"stage1": "features.3"})
    wrapped(images)
    with pytest.raises(RuntimeError):
        wrapped(images[:, :2])
    assert not any(each._forward_hooks for each in network.modules())


def test_tokens_are_averaged():
    network = vit_b_16(weights=None, image_size=32, num_classes=CLASSES).eval()
    stages = {"stage1": "encoder.layers.encoder_layer_0"}
    with torch.inference_mode():
        outputs = models.wrap(network, head="heads.head", stages=stages)(torch.zeros(2, 3, 32, 32))
    assert outputs.encoder.shape == outputs.stages[0].shape == (2, 768)


class Elsewhere(nn.Module):
    """Heads that are not where a head should be."""

    def __init__(self):
        super().__init__()
        self.pixels, self.unused = nn.Linear(SIZE, CLASSES), nn.Linear(SIZE, CLASSES)

    def forward(self, images):
        return self.pixels(images)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"head": "classifier.4"}, UnknownNameError, r"Did you mean 'classifier.*classifier\.3"),
        ({"head": ""}, UnknownNameError, "Linear submodules: classifier.0, classifier.3"),
        (
            {"head": "classifier.3", "stages": {"stage1": "feature.3"}},
            UnknownNameError,
            "features.3",
        ),
        ({"head": "classifier.3", "stages": {"deep": "features.3"}}, InvalidOptionError, "stage1"),
    ],
)
def test_names_that_do_not_fit(options, kind, message):
    with pytest.raises(kind, match=message):
        models.wrap(mobilenet(), **options)


def test_a_head_that_is_not_called_or_takes_no_features(images):
    with pytest.raises(InvalidOptionError, match="does not call 'unused'"):
        models.wrap(Elsewhere(), head="unused")(images)
    with pytest.raises(InvalidArrayError, match=r"shape \(4, 3, 32, 32\); expected \(4, D\)"):
        models.wrap(Elsewhere(), head="pixels")(images)
    with pytest.raises(InvalidArrayError, match=r"takes an input of shape .* classifier\.3"):
        models.wrap(mobilenet(), head="features")(images)


@pytest.mark.parametrize("form", ["plain", "nested", "model", "parallel", "safetensors"])
def test_the_adapter_of_the_documentation(form, adapter, shapes, tmp_path):
    network = mobilenet(seed=7)
    state = network.state_dict()
    path = tmp_path / f"weights.{'safetensors' if form == 'safetensors' else 'pt'}"
    if form == "safetensors":
        save_file(state, path)
    elif form == "parallel":
        torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path)
    else:
        torch.save(
            {"nested": {"state_dict": state}, "model": {"model": state}}.get(form, state), path
        )
    run = adopt_shapes(tmp_path, shapes, {5: path})
    assert run.classes == ("bar", "cross", "dot")
    found = load_network(run.epoch(5), CPU).module.state_dict()
    for name, tensor in state.items():
        torch.testing.assert_close(found[name], tensor)
    np.testing.assert_array_equal(
        run.epoch(5).head().weight, network.classifier[3].weight.detach().numpy()
    )


def adopt_shapes(tmp_path: Path, shapes: Path, weights, *, architecture: str = "my-net"):
    return adopt(
        tmp_path / "runs" / "mine",
        architecture=architecture,
        id_set="shapes",
        weights=weights,
        transform=Transform(size=SIZE),
        data_root=shapes,
    )


def test_from_weights_to_results(adapter, shapes, tmp_path):
    for epoch in (1, 2):
        torch.save(mobilenet(epoch).state_dict(), tmp_path / f"{epoch}.pt")
    env = {**os.environ, "NCVIZ_DATA": str(shapes), "NCVIZ_CHECKPOINTS": str(tmp_path / "runs")}
    command = f"adopt.py mine --architecture my-net --id-set shapes --size {SIZE} --weights"
    files = [f"{epoch}={tmp_path / f'{epoch}.pt'}" for epoch in (1, 2)]
    for line in ([*command.split(), *files], ["extract.py", "mine", "--ood", "specks", "--stages"]):
        script = [sys.executable, f"scripts/{line[0]}", *line[1:]]
        done = subprocess.run(
            script, cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    run = open_run(tmp_path / "runs" / "mine")
    evaluate([run], progress=False)
    assert run.epochs == (1, 2)
    assert run.epoch(2).layers == ("stage1", "stage2", "encoder")
    assert {"odin", "energy", "mahalanobis"} <= set(run.detection()["detector"])
    assert "nc3_duality" in set(run.collapse()["metric"])
    # What is stored is what the network says of these images.
    network, features = mobilenet(2), run.epoch(2).features("specks")
    with torch.inference_mode():
        pixels = Pixels(load("specks", "test", root=shapes), Transform(size=SIZE))
        batch, _ = next(pixels.batches([np.arange(10)]))
        logits = network(normalise(batch, pixels.transform))
    np.testing.assert_allclose(features.logits, logits.numpy(), rtol=0, atol=1e-3)
    assert features.logits.std(axis=0).min() > 5e-3


def test_code_is_never_taken_from_a_run(adapter, shapes, tmp_path, monkeypatch):
    torch.save(mobilenet().state_dict(), tmp_path / "a.pt")
    run = adopt_shapes(tmp_path, shapes, {1: tmp_path / "a.pt"})
    (run.path / "my_net.py").write_text(adapter.read_text())
    monkeypatch.setattr(registry, "_builders", {})
    monkeypatch.delenv("NCVIZ_PLUGINS")
    with pytest.raises(UnknownNameError, match=r"architecture 'my-net'.*set NCVIZ_PLUGINS"):
        extract(run, ood=[], data_root=shapes, progress=False, device="cpu")


def test_plugins_that_cannot_be_used(adapter, tmp_path, monkeypatch):
    for text, message in (
        ("1 / 0", "cannot be imported: ZeroDivisionError"),
        (adapter.read_text().replace("my-net", "other"), "Unknown architecture 'my-net'.*other"),
        (adapter.read_text().replace("num_classes=classes", "num_classes=9"), "tells 9 classes"),
        (re.sub(r"return .*", "return network", adapter.read_text()), "built as MobileNetV3"),
    ):
        monkeypatch.setattr(registry, "_builders", {})
        path = tmp_path / f"plugin{len(message)}.py"
        path.write_text(text)
        monkeypatch.setenv("NCVIZ_PLUGINS", str(path))
        with pytest.raises(NcvizError, match=message):
            models.build_architecture("my-net", classes=CLASSES, image_size=SIZE)
    monkeypatch.setenv("NCVIZ_PLUGINS", "no_such_module_anywhere")
    with pytest.raises(InvalidOptionError, match="names no_such_module_anywhere, which cannot"):
        models.build_architecture("none", classes=CLASSES, image_size=SIZE)


def test_a_name_belongs_to_one_builder(monkeypatch):
    monkeypatch.setattr(registry, "_builders", {})

    @models.register("one")
    def first(classes, image_size): ...

    models.register("one")(first)
    with pytest.raises(InvalidOptionError, match=r"'one' is registered by .*first already"):

        @models.register("one")
        def second(classes, image_size): ...


class Payload:
    """Would run code when it is unpickled."""

    def __reduce__(self):
        return (os.putenv, ("NCVIZ_TEST_UNPICKLED", "1"))


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda s: s.pop("classifier.3.bias"), InvalidArrayError, "lacks 'classifier.3.bias'"),
        (
            lambda s: s.update({"classifier.4.bias": torch.ones(1)}),
            InvalidArrayError,
            r"beyond .* 'classifier\.4\.bias'",
        ),
        (
            lambda s: s.update({"classifier.3.bias": torch.ones(9)}),
            InvalidArrayError,
            r"'classifier\.3\.bias' has shape \(9,\); the network's has \(3,\)",
        ),
        (
            lambda s: s.update({"classifier.3.bias": torch.full((3,), torch.nan)}),
            InvalidArrayError,
            r"'classifier\.3\.bias' holds values that are NaN",
        ),
        (lambda s: s.update(bad=Payload()), CorruptFileError, "never loaded"),
    ],
)
def test_weights_that_do_not_fit_leave_no_run(change, kind, message, adapter, shapes, tmp_path):
    state = dict(mobilenet().state_dict())
    change(state)
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(kind, match=message):
        adopt_shapes(tmp_path, shapes, {1: tmp_path / "a.pt"})
    assert list((tmp_path / "runs").iterdir()) == []


def test_files_of_weights_that_are_not_there_or_damaged(adapter, shapes, tmp_path):
    with pytest.raises(MissingDataError, match=r"none\.pt does not exist"):
        adopt_shapes(tmp_path, shapes, {1: tmp_path / "none.pt"})
    for name in ("a.pt", "a.safetensors"):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(CorruptFileError, match=re.escape(name)):
            adopt_shapes(tmp_path, shapes, {1: tmp_path / name})


def test_weights_by_epoch():
    assert weights_by_epoch(["10=a.pt", "90=b=c.pt"]) == {10: Path("a.pt"), 90: Path("b=c.pt")}
    for texts in (["a.pt"], ["x=a.pt"], ["1="], ["1=a", "01=b"]):
        with pytest.raises(InvalidOptionError):
            weights_by_epoch(texts)


def test_threads_that_share_a_network_see_their_own_images(images):
    network = models.wrap(mobilenet(), head="classifier.3", stages={"stage1": "features.3"}).eval()
    inputs = [images, 3 * images + 1]
    with torch.inference_mode():
        expected = [network(each) for each in inputs]
    wrong = []

    def look(at: int) -> None:
        with torch.inference_mode():
            for _ in range(20):
                seen = network(inputs[at])
                for name in ("encoder", "logits"):
                    if not torch.equal(getattr(seen, name), getattr(expected[at], name)):
                        wrong.append((at, name))
                if not torch.equal(seen.stages[0], expected[at].stages[0]):
                    wrong.append((at, "stage1"))

    threads = [threading.Thread(target=look, args=(at,)) for at in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


class Finished(nn.Module):
    """A linear layer whose output goes through `finish`."""

    def __init__(self, finish):
        super().__init__()
        self.fc, self.finish = nn.Linear(12, 3), finish

    def forward(self, images):
        return self.finish(self.fc(images.flatten(1)))


@pytest.mark.parametrize(
    "finish",
    [
        lambda z: z.softmax(dim=1),
        lambda z: z.copy_(z.softmax(dim=1)),
        lambda z: z.log_softmax(dim=1),
        lambda z: z.argmax(dim=1),
        lambda z: (z, "more"),
        lambda z: {"logits": z, "loss": None},
        lambda z: z[:, :2],
        lambda z: None,
    ],
    ids=["softmax", "in_place", "log_softmax", "argmax", "tuple", "dict", "embedding", "none"],
)
def test_logits_are_those_of_the_head_where_none_are_returned(finish):
    module, shown = Finished(finish), torch.randn(4, 3, 2, 2)
    with torch.inference_mode():
        outputs = models.wrap(module, head="fc")(shown)
        torch.testing.assert_close(outputs.logits, module.fc(shown.flatten(1)))


@pytest.mark.parametrize("factor", [0.0, 0.5, 20.0])
def test_logits_are_those_that_the_module_returns(factor):
    for finish in (lambda z: factor * z, lambda z: z.mul_(factor)):
        module, shown = Finished(finish), torch.randn(4, 3, 2, 2)
        with torch.inference_mode():
            outputs = models.wrap(module, head="fc")(shown)
            torch.testing.assert_close(outputs.logits, factor * module.fc(shown.flatten(1)))


def test_softmax_of_scaled_logits_keeps_its_probabilities():
    module, shown = Finished(lambda z: (3 * z).softmax(dim=1)), torch.randn(4, 3, 2, 2)
    with torch.inference_mode():
        logits = models.wrap(module, head="fc")(shown).logits
        torch.testing.assert_close(logits.softmax(dim=1), module(shown))


def test_head_called_with_a_keyword():
    class Keyword(Finished):
        def forward(self, images):
            return self.fc(input=images.flatten(1))

    shown = torch.randn(4, 3, 2, 2)
    outputs = models.wrap(Keyword(None), head="fc")(shown)
    torch.testing.assert_close(outputs.encoder, shown.flatten(1))


def test_a_function_that_fails_is_one_sentence(adapter):
    models.register("broken")(lambda classes: None)
    with pytest.raises(InvalidOptionError, match=r"'broken' could not be built.*TypeError"):
        models.build_architecture("broken", classes=CLASSES, image_size=SIZE)


def test_what_is_wrapped_wrongly_shows_before_there_is_a_run(adapter, shapes, tmp_path):
    torch.save(mobilenet().state_dict(), tmp_path / "a.pt")

    @models.register("idle")
    def idle(classes, image_size):
        network = mobilenet()
        network.idle = nn.Linear(2, classes)
        return models.wrap(network, head="idle")

    @models.register("flat")
    def flat(classes, image_size):
        return models.wrap(nn.Sequential(nn.Flatten(), nn.Linear(7, classes)), head="1")

    for name, message in (
        ("idle", "does not call 'idle'"),
        ("flat", "does not accept images of 32x32"),
    ):
        with pytest.raises(InvalidOptionError, match=message):
            adopt_shapes(tmp_path, shapes, {1: tmp_path / "a.pt"}, architecture=name)
    assert not (tmp_path / "runs" / "mine").exists()


def test_weights_of_a_compiled_parallel_network(tmp_path):
    state = mobilenet(seed=7).state_dict()
    torch.save({f"module._orig_mod.{n}": value for n, value in state.items()}, tmp_path / "a.pt")
    network = mobilenet(seed=8)
    load_weights(network, tmp_path / "a.pt")
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, state[name])


def test_weights_that_unfold_are_not_loaded(tmp_path):
    torch.save({"a": torch.zeros(10**6)}, tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as plain,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    assert (tmp_path / "b.pt").stat().st_size < 10**5
    with pytest.raises(CorruptFileError, match=r"b\.pt is not a file of weights alone"):
        load_weights(nn.Linear(1, 1), tmp_path / "b.pt")


def test_an_uploaded_image_meets_the_scores_that_were_stored_of_it(adapter, shapes, tmp_path):
    torch.save(mobilenet().state_dict(), tmp_path / "a.pt")
    run = adopt_shapes(tmp_path, shapes, {1: tmp_path / "a.pt"})
    run = extract(run, ood=["specks"], data_root=shapes, progress=False, device="cpu")
    evaluate([run], progress=False)
    epoch = run.epoch(1)
    scorer = Scorer.load(epoch)
    image = load("shapes", "test", root=shapes).image(0)
    (sight,) = scorer.look(scorer.see(image)[None])
    assert {"odin", "energy", "mahalanobis"} <= sight.scores.keys()
    for name, score in sight.scores.items():
        assert score == pytest.approx(epoch.scores(name, "test")[0], rel=1e-3, abs=1e-4), name
