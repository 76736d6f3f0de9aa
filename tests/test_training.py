"""Training: recipes, schedules, augmentation, exact resuming, and what it refuses."""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, MultiStepLR

from ncviz import data
from ncviz.errors import (
    CorruptFileError,
    InvalidArrayError,
    InvalidOptionError,
    MissingDataError,
    NcvizError,
    StorageError,
    UnknownNameError,
)
from ncviz.inference import Pixels, choose_device, load_network, normalise, split_evenly
from ncviz.models import ModelSpec, build
from ncviz.store import files, open_run, write
from ncviz.training import RECIPES, Recipe, loop, recipe, saved_epochs, train

ROOT = Path(__file__).resolve().parents[1]
TINY = Recipe(
    name="tiny",
    data="shapes",
    model=ModelSpec(width=4, stem="cifar"),
    image_size=8,
    epochs=2,
    batch_size=8,
    learning_rate=0.05,
    crop_padding=1,
    save="1,2",
)
ADAMW = replace(TINY, optimizer="adamw", learning_rate=0.01, label_smoothing=0.1)
PROJECTED = replace(ADAMW, model=replace(TINY.model, projector="etf-features"), entropy_weight=0.1)
OPTIONS = {"device": "cpu", "progress": False}


def train_tiny(settings, root, folder, **options):
    return train(settings, "tiny", data_root=root, checkpoints=folder, **OPTIONS, **options)


def everything(run) -> dict[str, object]:
    """All that a training leaves behind, but for how long it took and when."""
    found = {"history": run.history.drop(columns="seconds").to_dict("list")}
    found["run"] = {k: v for k, v in run.description.items() if k != "created"}
    for path in sorted(run.path.rglob("*.safetensors")):
        name = path.relative_to(run.path).as_posix()
        found |= {f"{name}:{key}": array for key, array in files.read_arrays(path).items()}
    return found


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_equal(other[name], value, err_msg=name)


# Recipes


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "report-model1",
            {
                "data": "cifar100",
                "model": ModelSpec("resnet18", width=64, stem="imagenet", pretrained=True),
                "optimizer": "sgd",
                "learning_rate": 0.01,
                "momentum": 0.9,
                "schedule": "cosine",
                "epochs": 400,
                "batch_size": 256,
                "flip": True,
                "crop_padding": 4,
            },
        ),
        (
            "report-model2",
            {
                "model": ModelSpec("resnet18", width=64, stem="imagenet", pretrained=True),
                "learning_rate": 0.1,
                "schedule": "steps",
                "milestones": (1 / 3, 2 / 3),
                "epochs": 400,
                "batch_size": 256,
                "flip": True,
                "crop_padding": 4,
            },
        ),
        (
            "papyan",
            {
                "model": ModelSpec("resnet18", width=64, stem="cifar"),
                "optimizer": "sgd",
                "momentum": 0.9,
                "weight_decay": 5e-4,
                "schedule": "steps",
                "milestones": (1 / 3, 2 / 3),
                "epochs": 350,
                "batch_size": 128,
                "flip": False,
                "crop_padding": 0,
            },
        ),
        ("cifar100-small", {"data": "cifar100", "model": ModelSpec(width=32)}),
        ("digits", {"data": "digits", "image_size": 8, "flip": False}),
    ],
)
def test_recipes_are_what_they_claim(name, expected):
    settings = recipe(name)
    assert settings.name == name
    assert {field: getattr(settings, field) for field in expected} == expected


def test_every_recipe_names_its_data_and_saves_its_last_epoch():
    for settings in RECIPES.values():
        assert settings.data in data.names()
        assert saved_epochs(settings)[-1] == settings.epochs
        data.Transform(size=settings.image_size, mean=settings.mean, std=settings.std)


def test_an_unknown_recipe_lists_them_all():
    with pytest.raises(UnknownNameError, match=r"Did you mean 'papyan'.*digits.*report-model1"):
        recipe("papian")


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 0},
        {"batch_size": 3},
        {"image_size": 7},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"milestones": (0.5, 1.0)},
        {"momentum": 1.0},
        {"momentum": -0.1},
        {"nesterov": True, "momentum": 0.0},
        {"weight_decay": -1e-4},
        {"label_smoothing": 1.0},
        {"warmup_epochs": 100.0},
        {"optimizer": "lion"},
        {"schedule": "linear"},
        {"crop_padding": -1},
        {"seed": -1},
    ],
    ids=str,
)
def test_settings_outside_their_range_are_refused_by_name(settings):
    with pytest.raises(NcvizError, match=next(iter(settings))):
        Recipe(name="x", **settings)


@pytest.mark.parametrize(
    ("save", "epochs", "expected"),
    [
        ("1,5,20", 40, (1, 5, 20, 40)),
        (" 3 , 2", 3, (2, 3)),
        ("log:5", 81, (1, 3, 9, 27, 81)),
        ("log:1", 9, (1, 9)),
        ("log:12", 3, (1, 2, 3)),
        ("log:9", 10, (1, 2, 3, 4, 5, 6, 7, 8, 10)),
        ("", 7, (7,)),
    ],
)
def test_saved_epochs(save, epochs, expected):
    assert saved_epochs(Recipe(name="x", save=save, epochs=epochs)) == expected


@pytest.mark.parametrize("save", ["0", "1,41", "log:0", "log:", "1;2", "all", "1.5"])
def test_epochs_that_cannot_be_saved_are_refused(save):
    with pytest.raises(InvalidOptionError, match="save"):
        Recipe(name="x", save=save, epochs=40)


def test_log_spaced_epochs_are_as_many_as_asked_and_grow_apart():
    for count in (2, 8, 20):
        for epochs in (20, 60, 400):
            chosen = saved_epochs(Recipe(name="x", save=f"log:{count}", epochs=epochs))
            assert (chosen[0], chosen[-1], len(chosen)) == (1, epochs, count)


# Schedules


def rates_of(scheduler_of, settings, steps):
    """Learning rates by torch's own scheduler, step by step."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=settings.learning_rate)
    scheduler = scheduler_of(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("settings", "scheduler_of"),
    [
        ({"schedule": "cosine"}, lambda o: CosineAnnealingLR(o, T_max=60)),
        (
            {"schedule": "steps", "milestones": (1 / 3, 2 / 3)},
            lambda o: MultiStepLR(o, [20, 40], gamma=0.1),
        ),
        ({"schedule": "steps"}, lambda o: MultiStepLR(o, [])),
    ],
    ids=["cosine", "steps", "constant"],
)
def test_schedules_are_torch_s(settings, scheduler_of):
    settings = Recipe(name="x", epochs=60, learning_rate=0.3, **settings)
    ours = [settings.learning_rate_at(step / 60) for step in range(60)]
    np.testing.assert_allclose(ours, rates_of(scheduler_of, settings, 60), rtol=1e-9)


@pytest.mark.parametrize(
    ("settings", "points"),
    [
        ({"schedule": "one-cycle"}, {0: 0.04, 0.15: 0.52, 0.3: 1, 0.65: 0.5, 1: 0}),
        (
            {"schedule": "cosine", "warmup_epochs": 10},
            {0: 0.01, 0.05: 0.505, 0.1: 1, 0.55: 0.5, 1: 0},
        ),
        (
            {"schedule": "steps", "milestones": (0.5,), "warmup_epochs": 10},
            {0: 0.01, 0.1: 1, 0.49: 1, 0.5: 0.1, 1: 0.1},
        ),
    ],
    ids=["one-cycle", "cosine after warm-up", "steps after warm-up"],
)
def test_schedules_at_known_points(settings, points):
    settings = Recipe(name="x", epochs=100, learning_rate=2.0, **settings)
    for progress, share in points.items():
        assert settings.learning_rate_at(progress) == pytest.approx(2 * share, abs=1e-12)


def test_the_schedule_moves_with_every_step(shapes, tmp_path, monkeypatch):
    rates = []
    step = torch.optim.SGD.step

    def record(self, *arguments):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.SGD, "step", record)
    run = train_tiny(TINY, shapes, tmp_path)
    # 30 images in batches of at most 8: four steps an epoch.
    expected = [TINY.learning_rate_at(progress / 8) for progress in range(8)]
    np.testing.assert_allclose(rates, expected)
    np.testing.assert_allclose(run.history["learning_rate"], [expected[0], expected[4]])


# The command line


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("train_script", ROOT / "scripts" / "train.py")
    # Its dataclass looks for its own module there.
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OTHER_WORDS = {
    "name": "mine",
    "data": "svhn",
    "optimizer": "adamw",
    "schedule": "steps",
    "save": "log:3",
    "backbone": "resnet34",
    "stem": "cifar",
    "norm": "group",
    "projector": "etf-classes",
}


def another(name, value):
    """A valid value other than `value`, and the words that ask for it."""
    option = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return not value, [f"--no{option[1:]}" if value else option]
    if isinstance(value, tuple):
        value = (0.25, 0.5, 0.75)
        return value, [option, *map(str, value)]
    if isinstance(value, str):
        return OTHER_WORDS[name], [option, OTHER_WORDS[name]]
    new = value + 2 if isinstance(value, int) else value / 2 + 0.25
    return new, [option, str(new)]


def test_every_setting_can_be_given_on_the_command_line(script, monkeypatch):
    base, words, expected = recipe("report-model1"), [], {}

    def override(settings):
        changes = {}
        for field in fields(settings):
            value = getattr(settings, field.name)
            if is_dataclass(value):
                changes[field.name] = override(value)
            else:
                changes[field.name], more = another(field.name, value)
                words.extend(more)
        return changes

    expected = override(base)
    seen = {}

    def keep(settings, name, **options):
        seen.update(settings=settings, name=name)
        raise KeyboardInterrupt

    monkeypatch.setattr(script, "train", keep)
    monkeypatch.setattr(sys, "argv", ["train.py", "report-model1", "--run", "r", *words])
    with pytest.raises(KeyboardInterrupt):
        script.main()
    assert seen["name"] == "r"
    assert asdict(seen["settings"]) == expected


# Resuming


class Interruption:
    """Raises an error in place of the n-th call of a function."""

    def __init__(self, monkeypatch, owner, name, *, call, error=KeyboardInterrupt):
        self.function, self.calls, self.last, self.error = getattr(owner, name), 0, call, error
        monkeypatch.setattr(owner, name, self)

    def __call__(self, *arguments, **options):
        self.calls += 1
        if self.calls == self.last:
            raise self.error
        return self.function(*arguments, **options)


@pytest.fixture(scope="module")
def undisturbed(shapes_root, tmp_path_factory):
    """What each of the recipes above leaves behind when nothing interrupts it."""
    return {
        settings: everything(train_tiny(settings, shapes_root, tmp_path_factory.mktemp("whole")))
        for settings in (TINY, ADAMW, PROJECTED)
    }


# run.json, then weights, head, state and history of two epochs, then the accuracy in run.json.
@pytest.mark.parametrize("write_number", range(1, 11))
def test_resuming_after_any_write_that_did_not_end(
    shapes, tmp_path, monkeypatch, undisturbed, write_number
):
    with monkeypatch.context() as patch:
        Interruption(patch, os, "replace", call=write_number)
        with pytest.raises(KeyboardInterrupt):
            train_tiny(TINY, shapes, tmp_path)
    resumed = train_tiny(TINY, shapes, tmp_path, resume=True)
    assert_same(everything(resumed), undisturbed[TINY])


@pytest.mark.parametrize(
    ("settings", "name", "call"),
    [
        (TINY, "augment", 2),
        (TINY, "augment", 7),
        (TINY, "_evaluate", 2),
        (ADAMW, "augment", 7),
        (PROJECTED, "augment", 7),
    ],
    ids=["first epoch", "second epoch", "evaluation", "adamw", "projector"],
)
def test_resuming_after_an_interruption_inside_an_epoch(
    shapes, tmp_path, monkeypatch, undisturbed, settings, name, call
):
    with monkeypatch.context() as patch:
        Interruption(patch, loop, name, call=call)
        with pytest.raises(KeyboardInterrupt):
            train_tiny(settings, shapes, tmp_path)
    resumed = train_tiny(settings, shapes, tmp_path, resume=True)
    assert_same(everything(resumed), undisturbed[settings])


def test_resuming_after_a_full_disk(shapes, tmp_path, monkeypatch, undisturbed):
    with monkeypatch.context() as patch:
        full = OSError(errno.ENOSPC, "No space left on device")
        Interruption(patch, os, "replace", call=8, error=full)
        with pytest.raises(StorageError, match="No space left on device"):
            train_tiny(TINY, shapes, tmp_path)
    assert list(open_run(tmp_path / "tiny").history["epoch"]) == [1]
    assert_same(everything(train_tiny(TINY, shapes, tmp_path, resume=True)), undisturbed[TINY])


@pytest.mark.slow
def test_resuming_after_a_kill(shapes, tmp_path):
    settings = replace(TINY, epochs=10, save="log:4")
    whole = train_tiny(settings, shapes, tmp_path / "whole")
    words = "--data shapes --width 4 --image-size 8 --epochs 10 --batch-size 8 --crop-padding 1"
    words += " --learning-rate 0.05 --save log:4 --flip --name tiny"
    for name in ("mean", "std"):
        words += f" --{name} " + " ".join(map(str, getattr(settings, name)))
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), "digits", "--run", "tiny"]
    command += [*words.split(), "--data-root", str(shapes), "--checkpoints", str(tmp_path)]
    process = subprocess.Popen(
        [*command, "--device", "cpu"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        history = tmp_path / "tiny" / "history.csv"
        deadline = time.monotonic() + 120
        while not history.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert 0 < len(open_run(tmp_path / "tiny").history) < 10, "killed too early or too late"
    assert_same(everything(train_tiny(settings, shapes, tmp_path, resume=True)), everything(whole))


def test_resuming_a_finished_training_changes_nothing(shapes, tmp_path, files_below):
    run = train_tiny(TINY, shapes, tmp_path)
    before = files_below(run.path)
    again = train_tiny(TINY, shapes, tmp_path, resume=True)
    assert again.description["accuracy"] == run.description["accuracy"]
    assert files_below(run.path) == before


def test_resume_starts_a_run_that_is_not_there_yet(shapes, tmp_path, undisturbed):
    (tmp_path / "tiny").mkdir()  # as a kill before the first write leaves it
    assert_same(everything(train_tiny(TINY, shapes, tmp_path, resume=True)), undisturbed[TINY])


def test_imagenet_weights_are_asked_for_at_the_first_start_alone(shapes, tmp_path, monkeypatch):
    asked = []

    def record(*arguments, load_pretrained, **options):
        asked.append(load_pretrained)
        return build(*arguments, load_pretrained=load_pretrained, **options)

    monkeypatch.setattr(loop, "build", record)
    train_tiny(TINY, shapes, tmp_path)
    train_tiny(TINY, shapes, tmp_path, resume=True)
    assert asked == [True, False]


def test_an_existing_run_is_not_overwritten(shapes, tmp_path, files_below):
    run = train_tiny(TINY, shapes, tmp_path)
    before = files_below(run.path)
    with pytest.raises(InvalidOptionError, match=r"holds a run already.*--resume.*--run NAME"):
        train_tiny(TINY, shapes, tmp_path)
    assert files_below(run.path) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.2}, r"learning_rate = 0\.05, and is resumed with 0\.2"),
        ({"model": ModelSpec(width=8, stem="cifar")}, r"model\.width = 4, .* with 8"),
        ({"epochs": 3}, "epochs = 2"),
        ({"seed": 1}, "seed = 0"),
        ({"mean": (0.5, 0.5, 0.5)}, "mean = "),
    ],
    ids=["rate", "width", "epochs", "seed", "mean"],
)
def test_resuming_with_another_recipe_names_the_difference(shapes, tmp_path, change, message):
    train_tiny(TINY, shapes, tmp_path)
    with pytest.raises(InvalidOptionError, match=message):
        train_tiny(replace(TINY, **change), shapes, tmp_path, resume=True)


def test_resuming_with_other_images_names_them(shapes, tmp_path):
    train_tiny(TINY, shapes, tmp_path)
    (shapes / "shapes" / "test" / "dot" / "0.png").rename(shapes / "shapes/test/dot/9.png")
    with pytest.raises(InvalidOptionError, match=r"files or labels of shapes/test differ"):
        train_tiny(TINY, shapes, tmp_path, resume=True)


def test_a_setting_younger_than_the_run_stands_at_its_default(shapes, tmp_path):
    run = train_tiny(TINY, shapes, tmp_path)
    old = {**run.recipe, "model": {**run.recipe["model"]}}
    del old["entropy_weight"], old["model"]["norm"]
    write.update_description(run, recipe=old)
    train_tiny(TINY, shapes, tmp_path, resume=True)
    with pytest.raises(InvalidOptionError, match=r"entropy_weight = 0\.0, .* with 0\.1"):
        train_tiny(replace(TINY, entropy_weight=0.1), shapes, tmp_path, resume=True)


def test_a_shared_run_is_not_trained_over(shapes, tmp_path, files_below):
    run = train_tiny(TINY, shapes, tmp_path)
    shutil.rmtree(run.path / "training")
    before = files_below(run.path)
    with pytest.raises(MissingDataError, match=r"was trained already.*another --run NAME"):
        train_tiny(TINY, shapes, tmp_path, resume=True)
    assert files_below(run.path) == before


@pytest.mark.parametrize(
    "changed",
    [
        lambda state: ({k: v for k, v in state.arrays.items() if "conv1" not in k}, state.values),
        lambda state: ({**state.arrays, "optimizer/x/y": np.ones(1)}, state.values),
        lambda state: (state.arrays, {"history": state.values["history"]}),
        lambda state: (state.arrays, {**state.values, "history": state.values["history"][1:]}),
        lambda state: (state.arrays, {**state.values, "history": [1, 2]}),
    ],
    ids=["no weights", "foreign", "no scaler", "gap", "no rows"],
)
def test_a_damaged_state_is_refused(shapes, tmp_path, changed):
    run = train_tiny(TINY, shapes, tmp_path)
    state = write.load_training_state(run)
    write.save_training_state(run, write.TrainingState(*changed(state)))
    with pytest.raises(CorruptFileError, match="training state is damaged"):
        train_tiny(TINY, shapes, tmp_path, resume=True)


# What a training leaves behind


def test_the_seed_decides_the_weights(shapes, tmp_path, undisturbed):
    again = everything(train_tiny(TINY, shapes, tmp_path / "again"))
    assert_same(again, undisturbed[TINY])
    other = everything(train_tiny(replace(TINY, seed=1), shapes, tmp_path / "other"))
    for name in ("backbone.layer1.0.conv1.weight", "head.weight"):
        key = f"epochs/0002/model.safetensors:{name}"
        assert not np.array_equal(other[key], again[key])


def test_the_history_and_the_saved_epochs(shapes, tmp_path):
    run = train_tiny(replace(TINY, epochs=3, save="2"), shapes, tmp_path)
    assert run.epochs == (2, 3)
    assert list(run.history) == [
        "epoch",
        "learning_rate",
        "train_loss",
        "train_accuracy",
        "test_loss",
        "test_accuracy",
        "seconds",
    ]
    assert run.history.to_dict("records") == write.load_training_state(run).values["history"]
    assert run.description["accuracy"]["test"] == run.history["test_accuracy"].iloc[-1]


def test_the_run_records_where_it_comes_from(shapes, tmp_path):
    run = train_tiny(PROJECTED, shapes, tmp_path)
    assert run.recipe == {
        **asdict(PROJECTED),
        "mean": list(PROJECTED.mean),
        "std": list(PROJECTED.std),
        "milestones": [],
    }
    assert run.classes == ("bar", "cross", "dot")
    assert run.layers == ("encoder", "projector")
    assert run.superclasses is None
    assert run.description["transform"]["size"] == 8
    for split in ("train", "test"):
        images = data.load("shapes", split, root=shapes)
        assert run.description["data"][f"shapes/{split}"] == images.fingerprint()
    assert {"python", "torch", "torchvision", "numpy"} <= run.description["versions"].keys()


def test_accuracy_and_loss_are_those_of_a_plain_loop(shapes, tmp_path):
    run = train_tiny(TINY, shapes, tmp_path)
    network = load_network(run.epoch(2), torch.device("cpu"))
    images = data.load("shapes", "test", root=shapes)
    right, loss = 0, 0.0
    for index in range(len(images)):
        pixels = np.asarray(images.image(index)) / 255
        pixels = (pixels - TINY.mean) / TINY.std
        with torch.inference_mode():
            logits = network(torch.tensor(pixels.transpose(2, 0, 1)[None]).float()).logits[0]
        right += int(logits.argmax()) == images.labels[index]
        loss -= float(logits.log_softmax(0)[images.labels[index]])
    assert run.history["test_accuracy"].iloc[-1] == right / len(images)
    assert run.history["test_loss"].iloc[-1] == pytest.approx(loss / len(images), rel=1e-4)


def test_saved_heads_and_weights_are_the_network_s(shapes, tmp_path):
    run = train_tiny(PROJECTED, shapes, tmp_path)
    epoch = run.epoch(2)
    network = load_network(epoch, torch.device("cpu"))
    head = epoch.head("projector")
    np.testing.assert_array_equal(head.weight, network.head.weight.detach().numpy())
    np.testing.assert_array_equal(head.bias, network.head.bias.detach().numpy())
    assert not epoch.has_head("encoder")
    assert not network.training


def test_label_smoothing_is_part_of_the_loss(shapes, tmp_path):
    # One step of no length: the loss is that of the first weights.
    settings = replace(
        TINY, epochs=1, save="1", batch_size=30, learning_rate=1e-30, flip=False, crop_padding=0
    )
    images = data.load("shapes", "train", root=shapes)
    pixels = np.stack([np.asarray(images.image(i)) for i in range(len(images))]) / 255
    pixels = ((pixels - TINY.mean) / TINY.std).transpose(0, 3, 1, 2)
    torch.manual_seed(0)
    network = build(TINY.model, classes=3, image_size=8).train()
    logs = network(torch.tensor(pixels).float()).logits.log_softmax(1)
    for smoothing in (0.0, 0.3):
        target = torch.full((30, 3), smoothing / 3)
        target[range(30), images.labels] += 1 - smoothing
        expected = float(-(target * logs).sum(1).mean().detach())
        run = train_tiny(
            replace(settings, label_smoothing=smoothing), shapes, tmp_path / str(smoothing)
        )
        assert run.history["train_loss"][0] == pytest.approx(expected, rel=1e-4)


def test_the_bar_shows_loss_accuracy_speed_and_time_left(shapes, tmp_path, capsys):
    train(TINY, "tiny", data_root=shapes, checkpoints=tmp_path, device="cpu")
    shown = capsys.readouterr().err
    for part in ("epoch 2/2", "60.0/60.0", "img/s", "loss=", "accuracy=", "test=", "<00:0"):
        assert part in shown


# What it refuses


def test_a_loss_that_is_not_finite_stops_with_advice(shapes, tmp_path):
    wild = replace(TINY, learning_rate=1e30, schedule="steps", weight_decay=0.0)
    with pytest.raises(InvalidArrayError, match=r"diverged.*--learning-rate than 1e\+30"):
        train_tiny(wild, shapes, tmp_path)


def test_splits_with_different_classes_are_refused(shapes, tmp_path):
    (shapes / "shapes" / "test" / "dot").rename(shapes / "shapes" / "test" / "dots")
    with pytest.raises(InvalidOptionError, match="different classes: only one of them has 'dot'"):
        train_tiny(TINY, shapes, tmp_path)
    assert not (tmp_path / "tiny").exists()


def test_one_class_alone_is_refused(shapes, tmp_path):
    for split in ("train", "test"):
        for name in ("bar", "cross"):
            shutil.rmtree(shapes / "shapes" / split / name)
    with pytest.raises(InvalidOptionError, match="the class 'dot' alone"):
        train_tiny(TINY, shapes, tmp_path)


def test_a_class_without_images_is_named(shapes, tmp_path):
    for image in (shapes / "shapes" / "train" / "dot").iterdir():
        image.unlink()
    with pytest.raises(MissingDataError, match="Class 'dot' of shapes/train has no image"):
        train_tiny(TINY, shapes, tmp_path)


def test_a_missing_data_folder_is_named(tmp_path):
    with pytest.raises(UnknownNameError, match=r"data set 'shapes'.*SPLIT/CLASS"):
        train_tiny(TINY, tmp_path / "nowhere", tmp_path)


def test_a_corrupt_image_is_named_and_skipped_on_request(shapes, tmp_path):
    broken = shapes / "shapes" / "train" / "dot" / "3.png"
    broken.write_bytes(b"no image")
    with pytest.raises(CorruptFileError, match=r"dot/3\.png is corrupt.*--skip-corrupt"):
        train_tiny(TINY, shapes, tmp_path / "a")
    with pytest.warns(UserWarning, match=r"skipped 1 corrupt of 30 images: .*dot/3\.png"):
        run = train_tiny(TINY, shapes, tmp_path / "b", skip_corrupt=True)
    assert run.description["train_samples"] == 29


def test_a_folder_in_place_of_a_known_set_may_name_its_classes_otherwise(shapes, tmp_path):
    (shapes / "shapes").rename(shapes / "cifar100")
    run = train_tiny(replace(TINY, data="cifar100"), shapes, tmp_path)
    assert run.superclasses is None


@pytest.mark.parametrize("name", ["gpu", "mps", "cuda:99", ""])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(InvalidOptionError, match=r"use auto, cpu|Use --device cpu"):
        choose_device(name)


# Pixels


def mirrored_and_cropped(image, settings, mirror, row, column):
    """One image, pixel by pixel."""
    size, padding = len(image), settings.crop_padding
    result = np.zeros_like(image)
    for y in range(size):
        for x in range(size):
            from_y, from_x = y + row - padding, x + column - padding
            if 0 <= from_y < size and 0 <= from_x < size:
                result[y, size - 1 - x if mirror else x] = image[from_y, from_x]
    return result


@pytest.mark.parametrize("flip", [False, True], ids=["as it is", "mirrored"])
@pytest.mark.parametrize("padding", [0, 2], ids=["whole", "cropped"])
def test_augmentation_is_what_a_slow_loop_does(flip, padding):
    settings = replace(TINY, flip=flip, crop_padding=padding)
    images = np.random.default_rng(0).integers(1, 256, (40, 6, 6, 3), dtype=np.uint8)
    result = loop.augment(torch.from_numpy(images), settings, np.random.default_rng(7)).numpy()

    possible = range(2 * padding + 1)
    found = [
        [
            (mirror, row, column)
            for mirror in ({False, True} if flip else {False})
            for row in possible
            for column in possible
            if np.array_equal(mirrored_and_cropped(one, settings, mirror, row, column), new)
        ]
        for one, new in zip(images, result, strict=True)
    ]
    assert all(len(ways) == 1 for ways in found)
    mirrors, rows, columns = zip(*(ways[0] for ways in found), strict=True)
    assert set(mirrors) == ({False, True} if flip else {False})
    assert set(rows) == set(columns) == set(possible)
    again = loop.augment(torch.from_numpy(images), settings, np.random.default_rng(7)).numpy()
    np.testing.assert_array_equal(result, again)


def test_batches_from_workers_are_those_from_memory(shapes):
    images = data.load("shapes", "train", root=shapes)
    transform = data.Transform(size=6)
    indices = split_evenly(np.random.default_rng(0).permutation(len(images)), 7)
    memory = list(Pixels(images, transform).batches(indices))
    workers = list(Pixels(images, transform, workers=2, memory_limit=0).batches(indices))
    assert len(memory) == len(workers) == 5
    for (pixels, labels), (others, their_labels), chosen in zip(
        memory, workers, indices, strict=True
    ):
        assert torch.equal(pixels, others)
        assert torch.equal(labels, their_labels)
        assert labels.tolist() == images.labels[chosen].tolist()
        assert pixels.dtype == torch.uint8


def test_a_corrupt_image_in_a_worker_is_one_clear_line(shapes):
    (shapes / "shapes" / "train" / "dot" / "3.png").write_bytes(b"no image")
    images = data.load("shapes", "train", root=shapes)
    pixels = Pixels(images, data.Transform(size=6), workers=2, memory_limit=0)
    with pytest.raises(CorruptFileError, match=r"dot/3\.png is corrupt") as caught:
        list(pixels.batches(split_evenly(np.arange(len(images)), 7)))
    assert "\n" not in str(caught.value)


def test_normalising_is_the_transform_s(shapes):
    transform = data.Transform(size=4, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
    images = normalise(torch.from_numpy(pixels), transform)
    np.testing.assert_allclose(images, transform.normalise(pixels), rtol=1e-6, atol=1e-6)
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_batches_are_even_and_complete():
    for count in (1, 7, 8, 9, 100):
        batches = split_evenly(np.arange(count), 8)
        sizes = [len(batch) for batch in batches]
        assert max(sizes) <= 8
        assert max(sizes) - min(sizes) <= 1
        assert np.concatenate(batches).tolist() == list(range(count))
