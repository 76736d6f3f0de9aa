"""Checkpoints as training code writes them: entries, prefixes, further tensors, number types."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrizations, weight_norm
from torch.optim.swa_utils import AveragedModel

from ncviz import models
from ncviz.errors import CorruptFileError, InvalidArrayError, UnknownNameError
from ncviz.extraction.weights import load_weights
from ncviz.models import registry

State = dict[str, Tensor]


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    net = nn.Sequential(body, nn.Linear(4, 3))
    body[1].running_mean.normal_()
    return net


@pytest.fixture
def state() -> State:
    return network(seed=1).state_dict()


@pytest.fixture
def save(tmp_path):
    """Save an object and return its path."""

    def write(found: object, name: str = "a.pt") -> Path:
        path = tmp_path / name
        torch.save(found, path)
        return path

    return write


def loaded(path: Path, **options) -> tuple[State, str]:
    """The state of another network after loading, and the line that describes it."""
    net = network(seed=2)
    line = load_weights(net, path, **options)
    return net.state_dict(), line


def require_equal(found: State, expected: State) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor)


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def others(state: State) -> State:
    """Weights of the same shapes and other values."""
    return {n: t + 1 if t.is_floating_point() else t for n, t in state.items()}


def zeros(state: State) -> State:
    return {name: torch.zeros_like(tensor) for name, tensor in state.items()}


@pytest.mark.parametrize(
    "prefix",
    ["module.", "model.", "_orig_mod.", "net.", "backbone.", "module._orig_mod.", "model.net."],
)
@pytest.mark.parametrize("entry", ["", "state_dict", "net", "model", "ema", "anything"])
def test_entries_and_prefixes(entry, prefix, state, save):
    found = prefixed(prefix, state)
    path = save({entry: found, "epoch": 3, "acc": 94.0} if entry else found)
    weights, line = loaded(path)
    require_equal(weights, state)
    assert line.startswith(f"a.pt: entry '{entry}'" if entry else "a.pt: the whole file")
    removed = prefix.replace("_orig_mod.", "")
    assert (f"prefix '{removed}'" if removed else "no prefix") in line


def test_wrappers_inside_of_names(state, save):
    found = {name.replace("0.", "0._orig_mod.", 1): tensor for name, tensor in state.items()}
    weights, _ = loaded(save(found))
    require_equal(weights, state)


def test_lightning_file(state, save):
    content = {
        "epoch": 9,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": {**prefixed("model.", state), "criterion.weight": torch.ones(3)},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(4)}}}],
        "lr_schedulers": [],
    }
    weights, line = loaded(save(content, "last.ckpt"))
    require_equal(weights, state)
    assert line == "last.ckpt: entry 'state_dict', prefix 'model.'; ignored: criterion.weight"


def test_averaged_model(save):
    net = network(seed=1)
    averaged = AveragedModel(net)
    averaged.update_parameters(net)
    weights, line = loaded(save(averaged.state_dict()))
    require_equal(weights, net.state_dict())
    assert line == "a.pt: the whole file, prefix 'module.'; ignored: n_averaged"


def test_nested_entry(state, save):
    path = save({"ema": {"decay": 0.9, "state_dict": state}, "model": others(state)})
    weights, line = loaded(path)
    require_equal(weights, state)
    assert "entry 'ema.state_dict'" in line
    weights, _ = loaded(path, entry="model")
    require_equal(weights, others(state))


def test_averages_are_preferred_and_alternatives_named(state, save):
    for entry in ("state_dict_ema", "model_ema", "ema"):
        path = save({"state_dict": others(state), entry: state})
        weights, line = loaded(path)
        require_equal(weights, state)
        assert f"entry '{entry}'" in line
        assert "these fit too (--entry, --strip-prefix): entry 'state_dict', no prefix" in line
        weights, line = loaded(path, entry="state_dict")
        require_equal(weights, others(state))
        assert "fit too" not in line


def test_listed_entries_come_before_others(state, save):
    weights, line = loaded(save({"backup": others(state), "state_dict": state}))
    require_equal(weights, state)
    assert "entry 'backup'" in line.split("fit too")[1]


def test_prefixes_of_one_entry(state, save):
    path = save(prefixed("student.", others(state)) | prefixed("ema_model.", state))
    weights, line = loaded(path)
    require_equal(weights, state)
    assert "prefix 'ema_model.'" in line
    assert "prefix 'student.'" in line.split("fit too")[1]
    for prefix in ("student.", "student"):
        weights, line = loaded(path, strip_prefix=prefix)
        require_equal(weights, others(state))
        assert "fit too" not in line


def test_zero_weights_are_never_used(state, save):
    path = save({"state_dict_ema": zeros(state), "state_dict": state})
    weights, line = loaded(path)
    require_equal(weights, state)
    assert "all zero and not used: entry 'state_dict_ema'" in line
    with pytest.raises(InvalidArrayError, match="every weight in entry 'state_dict_ema'"):
        loaded(path, entry="state_dict_ema")
    with pytest.raises(InvalidArrayError, match=r"every weight in the whole file.* is zero"):
        loaded(save(zeros(state)))


def test_batch_counters_may_be_absent(state, save):
    bare = {name: tensor for name, tensor in state.items() if "num_batches" not in name}
    weights, line = loaded(save(bare))
    require_equal({name: weights[name] for name in bare}, bare)
    assert "without num_batches_tracked" in line
    del bare["0.1.running_mean"]
    with pytest.raises(InvalidArrayError, match=r"lacks '0\.1\.running_mean'"):
        loaded(save(bare))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_number_types(kind, suffix, state, save, tmp_path):
    found = {n: t.to(kind) if t.is_floating_point() else t for n, t in state.items()}
    path = tmp_path / f"a.{suffix}"
    save_file(found, path) if suffix == "safetensors" else torch.save(found, path)
    weights, _ = loaded(path)
    assert weights["1.weight"].dtype is torch.float32
    require_equal(weights, {name: tensor.to(state[name].dtype) for name, tensor in found.items()})


def test_older_weight_norm_fits_the_parametrization(save):
    old, new = (
        nn.Sequential(nn.Flatten(), norm(nn.Linear(4, 3)))
        for norm in (weight_norm, parametrizations.weight_norm)
    )
    load_weights(new, save(old.state_dict()))
    images = torch.randn(2, 4)
    torch.testing.assert_close(new(images), old(images))


def test_further_tensors_are_ignored_or_refused(state, save):
    weights, line = loaded(save({**state, "centers": torch.ones(3), "loss.scale": torch.ones(1)}))
    require_equal(weights, state)
    assert line.endswith("ignored: centers, loss.scale")
    # A bias or layer that the module lacks would make it another function.
    for name in ("0.0.extra", "1.1.weight"):
        with pytest.raises(InvalidArrayError, match=f"beyond the network's, '{name}'"):
            loaded(save({**state, name: torch.ones(1)}))


def test_names_of_a_file_that_does_not_fit(state, save):
    path = save({"net": {f"layer{i}.weight": torch.ones(2) for i in range(12)}, "epoch": 3})
    with pytest.raises(InvalidArrayError) as error:
        loaded(path)
    said = str(error.value)
    assert "does not fit the network, compared with entry 'net', no prefix" in said
    assert "under 'net' layer0.weight, layer1.weight, layer10.weight" in said
    assert "and 4 more" in said
    with pytest.raises(CorruptFileError, match=r"holds no state_dict\. Its keys: epoch, note"):
        loaded(save({"epoch": 3, "note": "none"}, "notes.pt"))
    with pytest.raises(CorruptFileError, match="object of type list"):
        loaded(save([1, 2], "list.pt"))
    with pytest.raises(UnknownNameError, match=r"Unknown entry 'ema'\. Known: net\."):
        loaded(path, entry="ema")
    with pytest.raises(InvalidArrayError, match=r"entry 'net', prefix 'model\.'.*lacks"):
        loaded(save({"net": state}), strip_prefix="model.")


def test_shapes_and_values(state, save):
    with pytest.raises(InvalidArrayError, match=r"'1\.bias' has shape \(9,\); the network's has"):
        loaded(save({**state, "1.bias": torch.ones(9)}))
    bad = {**state, "1.bias": torch.full((3,), torch.nan)}
    with pytest.raises(InvalidArrayError, match=r"'1\.bias' holds values that are NaN"):
        loaded(save(bad))


def test_a_failed_load_leaves_the_module_unchanged(state, save):
    net = network(seed=2)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(InvalidArrayError):
        load_weights(net, save({**state, "1.bias": torch.ones(9)}))
    require_equal(net.state_dict(), before)


def test_options_of_the_script(state, save, call, tmp_path, shapes, monkeypatch):
    monkeypatch.setattr(registry, "_builders", {})

    @models.register("tiny")
    def tiny(classes, image_size):
        net = network(seed=3)
        net[0].insert(3, nn.AdaptiveAvgPool2d(1))
        return models.wrap(net, head="1")

    path = save({"a": prefixed("x.", state) | prefixed("y.", others(state)), "b": state})
    options = {"architecture": "tiny", "id-set": "shapes", "size": 8, "entry": "a"}
    options |= {"strip-prefix": "y", "weights": f"4={path}", "data-root": shapes}
    options |= {"checkpoints": tmp_path / "runs"}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    code, out, error = call("adopt", "run", *words)
    assert code == 0, error
    assert "Epoch 4: a.pt: entry 'a', prefix 'y.'" in out
    assert "on 12 test images: accuracy 0." in out


def test_plugin_that_imports_a_neighbour(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "neighbour_of_plugin.py").write_text("from torch import nn\nHead = nn.Linear\n")
    (folder / "late_neighbour.py").write_text("width = 12\n")
    (folder / "net.py").write_text(
        "import neighbour_of_plugin\n"
        "from torch import nn\n"
        "from ncviz import models\n"
        "@models.register('with-neighbour')\n"
        "def build(classes, image_size):\n"
        "    import late_neighbour\n"
        "    head = neighbour_of_plugin.Head(late_neighbour.width, classes)\n"
        "    return models.wrap(nn.Sequential(nn.Flatten(), head), head='1')\n"
    )
    monkeypatch.setattr(registry, "_builders", {})
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("NCVIZ_PLUGINS", str(folder / "net.py"))
    built = models.build_architecture("with-neighbour", classes=3, image_size=2)
    assert built(torch.ones(1, 3, 2, 2)).logits.shape == (1, 3)
