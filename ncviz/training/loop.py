"""The training loop: reads top to bottom, saves chosen epochs, resumes exactly."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from ncviz import data
from ncviz.arrays import Head
from ncviz.errors import InvalidArrayError, InvalidOptionError
from ncviz.inference import Pixels, choose_device, normalise, send, split_evenly
from ncviz.models import Network, build
from ncviz.processes import Processes, join
from ncviz.store import Run, open_run, run_folder, write
from ncviz.store.lock import writing
from ncviz.training.augment import augment
from ncviz.training.batch_norm import use_whole_batch
from ncviz.training.losses import nearest_neighbour_entropy
from ncviz.training.recipes import Recipe, saved_epochs
from ncviz.training.start import (
    describe,
    open_or_create,
    recorded_class_order,
    state_to_resume,
)
from ncviz.training.state import History, capture, restore, to_arrays


def train(
    recipe: Recipe,
    run_name: str,
    *,
    data_root: Path | None = None,
    checkpoints: Path | None = None,
    class_order: data.ClassOrder | None = None,
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
    an epoch depend on the seed and the epoch alone. On a CPU they are the same to the bit; a GPU
    adds up in no fixed order, and rounds anew each time.

    Under torchrun every process calls this. Each step's batch is then split over the processes,
    and what comes out is the training of one process up to rounding, `resume` under another number
    of processes included; only the entropy of a recipe looks for neighbours in its own part.

    Parameters
    ----------
    class_order : order of the class folders of the data set, as for `data.load`; if None, that of
        the run that is resumed

    Raises
    ------
    NcvizError : an unknown data set, a folder without images, a run that exists already, a resumed
        run of another recipe, a batch too small for the processes, a full disk, a loss that is not
        finite.
    """
    where = choose_device(device)
    processes = join(where)
    progress = progress and processes.first
    folder = run_folder(run_name, checkpoints)
    load = {
        "root": data_root,
        "class_order": class_order or recorded_class_order(folder, resume=resume),
        "download": download,
        "skip_corrupt": skip_corrupt,
        "progress": progress,
    }
    with processes.one_before_others():
        train_set, test_set = (data.load(recipe.data, split, **load) for split in ("train", "test"))
    data.require_classes(train_set, test_set)
    require_shares(recipe, len(train_set), processes)
    transform = data.Transform(size=recipe.image_size, mean=recipe.mean, std=recipe.std)
    description = describe(recipe, train_set, test_set, transform, data_root)
    with writing(folder) if processes.first else nullcontext():
        if processes.first:
            run = open_or_create(folder, description, resume=resume)
        processes.wait()
        if not processes.first:
            run = open_run(folder)

        state = state_to_resume(run)
        trainee = _Trainee.create(
            recipe, len(train_set.classes), where, processes, pretrained=state is None
        )
        history: History = []
        if state is not None:
            history = restore(state, trainee.network, trainee.optimizer, trainee.scaler)
            if processes.first:
                write.save_history(run, history)

        with tqdm(
            total=recipe.epochs * len(train_set),
            initial=len(history) * len(train_set),
            unit="img",
            unit_scale=True,
            disable=not progress,
        ) as bar:
            if len(history) < recipe.epochs:
                train_pixels = Pixels(train_set, transform, workers=workers)
                test_pixels = Pixels(test_set, transform, workers=workers)
            for epoch in range(len(history) + 1, recipe.epochs + 1):
                history.append(_run_epoch(trainee, epoch, train_pixels, test_pixels, bar))
                if not processes.first:
                    continue
                if epoch in saved_epochs(recipe):
                    network = trainee.network
                    write.save_network(run, epoch, to_arrays(network), _heads(network))
                state = capture(trainee.network, trainee.optimizer, trainee.scaler, history)
                write.save_training_state(run, state)
                write.save_history(run, history)
        accuracy = {split: history[-1][f"{split}_accuracy"] for split in ("train", "test")}
        if processes.first:
            write.update_description(run, accuracy=accuracy)
        processes.wait()  # for what the first writes: another script may go on from any process
        return open_run(folder)


def require_shares(recipe: Recipe, images: int, processes: Processes) -> None:
    """Each process needs two images of every batch: one alone has no deviation for BatchNorm."""
    smallest = min(map(len, split_evenly(np.arange(images), recipe.batch_size)))
    if processes.several and smallest < 2 * processes.count:
        raise InvalidOptionError(
            f"Batches of {smallest} images cannot be split over {processes.count} processes, each "
            f"of which needs two or more. Start at most {max(1, smallest // 2)}, or give a larger "
            f"--batch-size than {recipe.batch_size}."
        )


@dataclass(frozen=True)
class _Trainee:
    """What is trained, and with what: `replica` is the network as its process calls it."""

    recipe: Recipe
    network: Network
    replica: nn.Module
    processes: Processes
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    device: torch.device

    @classmethod
    def create(
        cls,
        recipe: Recipe,
        classes: int,
        device: torch.device,
        processes: Processes,
        *,
        pretrained: bool,
    ) -> Self:
        torch.manual_seed(recipe.seed)
        with processes.one_before_others():
            network = build(
                recipe.model,
                classes=classes,
                image_size=recipe.image_size,
                load_pretrained=pretrained,
            )
        network = network.to(device, memory_format=torch.channels_last)
        replica = network
        if processes.several:
            network = use_whole_batch(network, device)
            replica = DistributedDataParallel(
                network, device_ids=[device] if device.type == "cuda" else None
            )
        scaler = torch.amp.GradScaler(device.type, enabled=_precision(device) is torch.float16)
        optimizer = _optimizer(network, recipe)
        return cls(recipe, network, replica, processes, optimizer, scaler, device)


def _optimizer(network: Network, recipe: Recipe) -> torch.optim.Optimizer:
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


def _run_epoch(
    trainee: _Trainee, epoch: int, train_pixels: Pixels, test_pixels: Pixels, bar: tqdm
) -> dict[str, float]:
    """Train for one epoch and measure it: a row of the history."""
    start = time.perf_counter()
    bar.set_description(f"epoch {epoch}/{trainee.recipe.epochs}")
    train_loss, train_accuracy = _train_epoch(trainee, epoch, train_pixels, bar)
    test_loss, test_accuracy = _evaluate(trainee, test_pixels)
    _require_finite(test_loss, trainee.recipe, epoch)
    _show(bar, train_loss, train_accuracy, test=test_accuracy)
    return {
        "epoch": epoch,
        "learning_rate": trainee.recipe.learning_rate_at((epoch - 1) / trainee.recipe.epochs),
        "train_loss": train_loss,
        "train_accuracy": train_accuracy,
        "test_loss": test_loss,
        "test_accuracy": test_accuracy,
        "seconds": round(time.perf_counter() - start, 3),
    }


def _train_epoch(trainee: _Trainee, epoch: int, pixels: Pixels, bar: tqdm) -> tuple[float, float]:
    """One pass over the training set; returns the mean loss and accuracy while training."""
    recipe, network, device = trainee.recipe, trainee.replica, trainee.device
    processes = trainee.processes
    random = np.random.default_rng([recipe.seed, epoch])
    batches = split_evenly(random.permutation(len(pixels)), recipe.batch_size)
    parts = [processes.part(len(batch)) for batch in batches]
    own = [batch[part] for batch, part in zip(batches, parts, strict=True)]
    precision = _precision(device)
    network.train()
    # Summed on the device: reading a number each step would stall a GPU.
    total, seen = torch.zeros(2, device=device, dtype=torch.float64), 0
    for step, (images, labels) in enumerate(pixels.batches(own)):
        of, part = len(batches[step]), parts[step]
        progress = (epoch - 1 + step / len(batches)) / recipe.epochs
        for group in trainee.optimizer.param_groups:
            group["lr"] = recipe.learning_rate_at(progress)
        images = augment(send(images, device), recipe, random, of=of, part=part)
        images = normalise(images, pixels.transform)
        labels = send(labels, device)
        with torch.autocast(device.type, precision, enabled=precision is not torch.float32):
            outputs = network(images)
            logits = outputs.logits
            loss = cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
        if recipe.entropy_weight:
            loss = loss - recipe.entropy_weight * nearest_neighbour_entropy(outputs.encoder)
        trainee.optimizer.zero_grad()
        trainee.scaler.scale(weigh(loss, len(labels), of, processes)).backward()
        trainee.scaler.step(trainee.optimizer)
        trainee.scaler.update()
        correct = (logits.detach().argmax(1) == labels).sum()
        total += torch.stack([loss.detach().double() * len(labels), correct.double()])
        seen += len(labels)
        bar.update(of)
        if step % 20 == 19 or step + 1 == len(batches):
            loss_sum, correct_sum = total.tolist()
            _show(bar, loss_sum / seen, correct_sum / seen)
            _require_finite(loss_sum, recipe, epoch)
    loss, correct = (processes.sum(total) / len(pixels)).tolist()
    return loss, correct


def weigh(loss: Tensor, part: int, of: int, processes: Processes) -> Tensor:
    """A mean loss of `part` images such that its mean over processes is that of all `of` images.

    Gradients are averaged over processes whatever their parts, which differ by an image.
    """
    return loss * (part * processes.count / of) if processes.several else loss


@torch.inference_mode()
def _evaluate(trainee: _Trainee, pixels: Pixels) -> tuple[float, float]:
    """Mean cross-entropy and accuracy with the test transform."""
    network, device = trainee.network.eval(), trainee.device
    total = torch.zeros(2, device=device, dtype=torch.float64)
    batches = split_evenly(np.arange(len(pixels)), 500)
    for images, labels in pixels.batches(trainee.processes.own(batches)):
        logits = network(normalise(send(images, device), pixels.transform)).logits
        labels = send(labels, device)
        loss = cross_entropy(logits, labels, reduction="sum")
        total += torch.stack([loss, (logits.argmax(1) == labels).sum()])
    loss, correct = (trainee.processes.sum(total) / len(pixels)).tolist()
    return loss, correct


def _require_finite(loss: float, recipe: Recipe, epoch: int) -> None:
    if not np.isfinite(loss):
        raise InvalidArrayError(
            f"The loss is not finite in epoch {epoch}: the training has diverged. Start another "
            f"run with a lower --learning-rate than {recipe.learning_rate:g}, or with "
            "--warmup-epochs."
        )


def _show(bar: tqdm, loss: float, accuracy: float, **more: float) -> None:
    shown = {"loss": loss, "accuracy": accuracy, **more}
    bar.set_postfix({name: f"{value:.3f}" for name, value in shown.items()})


def _heads(network: Network) -> dict[str, Head]:
    return {
        layer: Head(head.weight.detach().cpu().numpy(), head.bias.detach().cpu().numpy())
        for layer, head in network.heads().items()
    }
