"""The training loop: reads top to bottom, saves chosen epochs, resumes exactly."""

from __future__ import annotations

import json
import platform
import time
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from ncviz import data
from ncviz.arrays import Head
from ncviz.errors import InvalidArrayError, InvalidOptionError
from ncviz.inference import Pixels, choose_device, normalise, split_evenly
from ncviz.models import Network, build
from ncviz.store import Run, open_run, run_folder, write
from ncviz.training.recipes import Recipe, saved_epochs
from ncviz.training.state import capture, restore, to_arrays


def train(
    recipe: Recipe,
    run_name: str,
    *,
    data_root: Path | None = None,
    checkpoints: Path | None = None,
    resume: bool = False,
    download: bool = False,
    skip_corrupt: bool = False,
    device: str = "auto",
    workers: int = 4,
    progress: bool = True,
) -> Run:
    """Train `recipe` as the run `run_name`, or go on with it where `resume` is given.

    Each finished epoch leaves a state from which `resume` continues to the same history and
    weights as a training that was never interrupted: the order of samples and the augmentation of
    an epoch depend on the seed and the epoch alone.

    Raises
    ------
    NcvizError : an unknown data set, a folder without images, a run that exists already, a resumed
        run of another recipe, a full disk, a loss that is not finite.
    """
    where = choose_device(device)
    folder = run_folder(run_name, checkpoints)
    load = {"root": data_root, "download": download, "skip_corrupt": skip_corrupt}
    train_set = data.load(recipe.data, "train", **load)
    test_set = data.load(recipe.data, "test", **load)
    transform = data.Transform(size=recipe.image_size, mean=recipe.mean, std=recipe.std)
    # Through JSON and back, so that a fresh description compares equal to one read from disk.
    description = json.loads(
        json.dumps(
            {
                **_describe(recipe, train_set, test_set),
                "superclasses": _superclasses(train_set, data_root),
                "transform": transform.to_dict(),
            }
        )
    )
    run = _open_or_create(folder, description, resume=resume)

    torch.manual_seed(recipe.seed)
    network = build(recipe.model, classes=len(train_set.classes))
    network = network.to(where, memory_format=torch.channels_last)
    optimizer = _optimizer(network, recipe)
    scaler = torch.amp.GradScaler(where.type, enabled=_precision(where) is torch.float16)
    history: list[dict[str, float]] = []
    state = write.load_training_state(run)
    if state is not None:
        restore(state, network, optimizer, scaler)
        history = state.values["history"]
        write.save_history(run, history)

    train_pixels = Pixels(train_set, transform, workers=workers)
    test_pixels = Pixels(test_set, transform, workers=workers)
    save_at = set(saved_epochs(recipe))
    for epoch in range(len(history) + 1, recipe.epochs + 1):
        start = time.perf_counter()
        row = {
            "epoch": epoch,
            "learning_rate": recipe.learning_rate_at((epoch - 1) / recipe.epochs),
        }
        bar = tqdm(
            total=len(train_pixels),
            desc=f"epoch {epoch}/{recipe.epochs}",
            unit="img",
            disable=not progress,
        )
        with bar:
            loss, accuracy = _train_epoch(
                network, optimizer, scaler, recipe, epoch, train_pixels, where, bar
            )
            row |= {"train_loss": loss, "train_accuracy": accuracy}
            loss, accuracy = _evaluate(network, test_pixels, where)
            row |= {"test_loss": loss, "test_accuracy": accuracy}
        row["seconds"] = round(time.perf_counter() - start, 3)
        history.append(row)
        if epoch in save_at:
            write.save_network(run, epoch, to_arrays(network), _heads(network))
        write.save_training_state(run, capture(network, optimizer, scaler, {"history": history}))
        write.save_history(run, history)
    accuracy = {split: history[-1][f"{split}_accuracy"] for split in ("train", "test")}
    return write.update_description(run, accuracy=accuracy)


def _open_or_create(folder: Path, description: dict, *, resume: bool) -> Run:
    if not resume or not folder.exists():
        return write.create_run(folder, description)
    run = open_run(folder)
    for key in ("recipe", "data"):
        for name, value in description[key].items():
            recorded = run.description.get(key, {}).get(name)
            if recorded != value:
                raise InvalidOptionError(
                    f"Run {run.name} was started with {name} = {recorded}, and is resumed with "
                    f"{value}. Resume it with the same recipe, options and data."
                )
    return run


def _superclasses(images: data.ImageSet, data_root: Path | None) -> list[str] | None:
    known = data.describe(images.name, root=data_root).superclasses
    return known and [known[name] for name in images.classes]


def _describe(recipe: Recipe, train_set: data.ImageSet, test_set: data.ImageSet) -> dict:
    return {
        "recipe": asdict(recipe),
        "id_set": recipe.data,
        "classes": train_set.classes,
        "layers": ["encoder"],
        "data": {images.full_name: images.fingerprint() for images in (train_set, test_set)},
        "train_samples": len(train_set),
        "test_samples": len(test_set),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in ("torch", "torchvision", "numpy")},
        },
    }


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(network.parameters(), weight_decay=recipe.weight_decay)
    return torch.optim.SGD(
        network.parameters(),
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
    )


def _precision(device: torch.device) -> torch.dtype:
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _train_epoch(
    network: Network,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    recipe: Recipe,
    epoch: int,
    pixels: Pixels,
    device: torch.device,
    bar: tqdm,
) -> tuple[float, float]:
    """One pass over the training set; returns the mean loss and accuracy while training."""
    random = np.random.default_rng([recipe.seed, epoch])
    batches = split_evenly(random.permutation(len(pixels)), recipe.batch_size)
    precision = _precision(device)
    network.train()
    # Summed on the device: reading a number each step would stall a GPU.
    total, seen = torch.zeros(2, device=device), 0
    for step, (images, labels) in enumerate(pixels.batches(batches)):
        progress = (epoch - 1 + step / len(batches)) / recipe.epochs
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate_at(progress)
        images = normalise(augment(images, recipe, random).to(device), pixels.transform)
        labels = labels.to(device)
        with torch.autocast(device.type, precision, enabled=precision is not torch.float32):
            logits = network(images).logits
            loss = cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        correct = (logits.detach().argmax(1) == labels).sum()
        total += torch.stack([loss.detach().float() * len(labels), correct.float()])
        seen += len(labels)
        bar.update(len(labels))
        if step % 20 == 19 or step + 1 == len(batches):
            loss_sum, correct_sum = total.tolist()
            bar.set_postfix(loss=f"{loss_sum / seen:.3f}", accuracy=f"{correct_sum / seen:.3f}")
            if not np.isfinite(loss_sum):
                raise InvalidArrayError(
                    f"The loss is not finite in epoch {epoch}. Lower --learning-rate "
                    f"(now {recipe.learning_rate}), or add --warmup-epochs."
                )
    loss, accuracy = (total / seen).tolist()
    return loss, accuracy


def augment(images: Tensor, recipe: Recipe, random: np.random.Generator) -> Tensor:
    """Mirror and crop pixels (B, S, S, 3) at random, as `recipe` asks."""
    size = images.shape[1]
    rows = torch.arange(size).expand(len(images), size)
    columns = rows
    if recipe.crop_padding:
        images = nn.functional.pad(images, (0, 0, *[recipe.crop_padding] * 4))
        corners = random.integers(0, 2 * recipe.crop_padding + 1, (2, len(images), 1))
        rows, columns = (rows + torch.from_numpy(corner) for corner in corners)
    if recipe.flip:
        mirrored = torch.from_numpy(random.random((len(images), 1)) < 0.5)
        columns = torch.where(mirrored, columns.flip(1), columns)
    elif not recipe.crop_padding:
        return images
    batch = torch.arange(len(images))[:, None, None]
    return images[batch, rows[:, :, None], columns[:, None, :]]


@torch.inference_mode()
def _evaluate(network: Network, pixels: Pixels, device: torch.device) -> tuple[float, float]:
    """Mean cross-entropy and accuracy with the test transform."""
    network.eval()
    total = torch.zeros(2, device=device, dtype=torch.float64)
    for images, labels in pixels.batches(split_evenly(np.arange(len(pixels)), 500)):
        logits = network(normalise(images.to(device), pixels.transform)).logits
        labels = labels.to(device)
        loss = cross_entropy(logits, labels, reduction="sum")
        total += torch.stack([loss, (logits.argmax(1) == labels).sum()])
    loss, correct = (total / len(pixels)).tolist()
    return loss, correct


def _heads(network: Network) -> dict[str, Head]:
    return {
        layer: Head(head.weight.detach().cpu().numpy(), head.bias.detach().cpu().numpy())
        for layer, head in network.heads().items()
    }
