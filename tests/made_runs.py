"""Runs of any shape for tests of the app: synthetic features, real store, real evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ncviz.arrays import ClassStatistics, Head
from ncviz.evaluation import evaluate
from ncviz.store import Epoch, Run, write

OOD_SETS = {"letters": "near", "noise": "far"}
PER_CLASS = 12


def make_run(
    checkpoints: Path,
    name: str,
    *,
    classes: Sequence[str] = ("cat", "dog", "fox", "hen"),
    epochs: Sequence[int] = (1, 4, 9),
    layers: Sequence[str] = ("encoder",),
    ood_sets: Mapping[str, str] = OOD_SETS,
    superclasses: Sequence[str] | None = None,
    features: bool = True,
    results: bool = True,
    dim: int | None = None,
    ood_scale: float = 1.0,
) -> Run:
    """A run that collapses from epoch to epoch.

    `features` = False leaves features, statistics and results out, `results` = False the results.
    OOD features of a large `ood_scale` get larger logits than ID features: logit scores rank them
    the wrong way round.
    """
    rng = np.random.default_rng(0)
    run = write.create_run(
        checkpoints / name,
        {
            "recipe": {"name": "made", "model": {"backbone": "resnet18", "width": 8}},
            "id_set": "made",
            "classes": list(classes),
            "superclasses": list(superclasses) if superclasses else None,
            "layers": list(layers),
            "transform": {"size": 8, "mean": [0.5] * 3, "std": [0.5] * 3},
            "ood_sets": dict(ood_sets),
        },
    )
    write.save_history(run, [_history(number) for number in range(1, max(epochs) + 1)])
    directions = rng.normal(size=(len(classes), dim or 2 * len(classes)))
    for number in epochs:
        heads = {layer: _head(directions) for layer in layers}
        write.save_heads(run, number, heads)
    run = type(run)(run.path, run.description)
    if features:
        for number in epochs:
            _extract(run.epoch(number), directions, rng, ood_scale)
        if results:
            evaluate([run], progress=False)
    return run


def _history(epoch: int) -> dict[str, float]:
    return {
        "epoch": epoch,
        "learning_rate": 0.1,
        "train_loss": 2 / epoch,
        "train_accuracy": 1 - 0.5 / epoch,
        "test_loss": 2.5 / epoch,
        "test_accuracy": 0.9 - 0.5 / epoch,
        "seconds": 1.0,
    }


def _head(directions: np.ndarray) -> Head:
    weight = directions.astype(np.float32)
    return Head(weight, np.zeros(len(weight), np.float32))


def _extract(
    epoch: Epoch, directions: np.ndarray, rng: np.random.Generator, ood_scale: float
) -> None:
    run = epoch.run
    spread = 1.5 / epoch.number
    labels = np.repeat(np.arange(len(run.classes)), PER_CLASS)
    for split in ("train", "test"):
        points = directions[labels] + rng.normal(
            scale=spread, size=(len(labels), directions.shape[1])
        )
        arrays = {layer: points.astype(np.float32) for layer in run.layers}
        write.save_features(epoch, f"{run.id_set}/{split}", arrays | {"labels": labels}, {})
        if split == "train":
            statistics = ClassStatistics.of(points, labels, len(run.classes))
            write.save_statistics(epoch, dict.fromkeys(run.layers, statistics), {})
    for name in run.ood_sets:
        points = rng.normal(scale=ood_scale, size=(40, directions.shape[1]))
        arrays = {layer: points.astype(np.float32) for layer in run.layers}
        write.save_features(epoch, f"{name}/test", arrays | {"labels": np.zeros(40, np.int64)}, {})
