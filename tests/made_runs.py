"""Runs of any shape for tests of the app: synthetic features, real store, real evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ncviz.arrays import ClassStatistics, Head
from ncviz.embedding import etf_view, map_quality, pca_view
from ncviz.errors import InvalidArrayError, MissingDataError
from ncviz.evaluation import evaluate
from ncviz.store import Epoch, Run, marks, write

OOD_SETS = {"letters": "near", "noise": "far"}
PER_CLASS = 12


def make_run(
    checkpoints: Path,
    name: str,
    *,
    classes: Sequence[str] = ("cat", "dog", "fox", "hen"),
    epochs: Sequence[int] = (1, 4, 9),
    layers: Sequence[str] = ("encoder",),
    heads: Sequence[str] | None = None,
    stages: Mapping[int, Sequence[str]] | None = None,
    ood_sets: Mapping[str, str] = OOD_SETS,
    superclasses: Sequence[str] | None = None,
    features: bool = True,
    results: bool = True,
    dim: int | None = None,
    ood_scale: float = 1.0,
    seed: int | None = None,
) -> Run:
    """A run that collapses from epoch to epoch.

    `heads` are the layers with a head of their own (all if None); `stages` maps an epoch to further
    layers that were extracted there. `features` = False leaves features, statistics and results
    out, `results` = False the results. OOD features of a large `ood_scale` get larger logits than
    ID features: logit scores rank them the wrong way round. Runs with a `seed` have other features
    and fingerprints of their data, so that they form a seed group.
    """
    rng = np.random.default_rng(seed or 0)
    recipe = {"name": "made", "model": {"backbone": "resnet18", "width": 8}}
    seeded = {} if seed is None else {"data": {"made/train": "a", "made/test": "b"}}
    run = write.create_run(
        checkpoints / name,
        {
            "recipe": recipe if seed is None else {**recipe, "seed": seed},
            **seeded,
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
        own = {layer: _head(directions) for layer in (layers if heads is None else heads)}
        write.save_heads(run, number, own)
    run = type(run)(run.path, run.description)
    if features:
        for number in epochs:
            extracted = (*(stages or {}).get(number, ()), *layers)
            _extract(run.epoch(number), extracted, directions, rng, ood_scale)
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
    epoch: Epoch,
    layers: Sequence[str],
    directions: np.ndarray,
    rng: np.random.Generator,
    ood_scale: float,
) -> None:
    run = epoch.run
    spread = 1.5 / epoch.number
    labels = np.repeat(np.arange(len(run.classes)), PER_CLASS)
    for split in ("train", "test"):
        points = directions[labels] + rng.normal(
            scale=spread, size=(len(labels), directions.shape[1])
        )
        arrays = {layer: _blurred(points, layer, rng) for layer in layers}
        write.save_features(epoch, f"{run.id_set}/{split}", arrays | {"labels": labels}, {})
        if split == "train":
            statistics = {
                layer: ClassStatistics.of(features, labels, len(run.classes))
                for layer, features in arrays.items()
            }
            write.save_statistics(epoch, statistics, {})
            # What a probe would come to: close to the network's head, and not the same.
            probe = _head(1.1 * directions)
            write.save_probes(epoch, dict.fromkeys(layers, probe), {})
    for name in run.ood_sets:
        points = rng.normal(scale=ood_scale, size=(40, directions.shape[1]))
        arrays = {layer: points.astype(np.float32) for layer in layers}
        write.save_features(epoch, f"{name}/test", arrays | {"labels": np.zeros(40, np.int64)}, {})


def _blurred(points: np.ndarray, layer: str, rng: np.random.Generator) -> np.ndarray:
    """Stages inside the backbone are less collapsed than what comes out of it, the first least."""
    if not layer.startswith("stage"):
        return points.astype(np.float32)
    scale = 4.0 / int(layer.removeprefix("stage"))
    return (points + rng.normal(scale=scale, size=points.shape)).astype(np.float32)


def add_samples(run: Run, *, keys: bool = False) -> pd.DataFrame:
    """Write and return the list of samples: the training set's come first, and are not mapped.

    With `keys` the samples have an identity: those of runs made with equal options are the same.
    """
    parts = []
    for name in (f"{run.id_set}/train", *mapped_sets(run)):
        labels = run.epoch(run.epochs[-1]).features(name, run.layers[0]).labels
        index = np.arange(len(labels))
        key = [f"{at}.png" if keys else "" for at in index]
        parts.append(pd.DataFrame({"set": name, "index": index, "label": labels, "key": key}))
    samples = pd.concat(parts, ignore_index=True)
    write.save_samples(run, samples)
    return samples


def add_maps(run: Run, *, epochs: Sequence[int] | None = None) -> None:
    """Maps without UMAP, which compiles for a minute: the PCA view with its axes swapped."""
    try:
        samples = run.samples
    except MissingDataError:
        samples = add_samples(run)
    found = [np.flatnonzero(samples["set"] == name) for name in mapped_sets(run)]
    rows = np.concatenate(found).astype(np.int32)
    last = run.epoch(run.epochs[-1])
    for number in epochs or run.epochs:
        epoch = run.epoch(number)
        points, quality = {}, {}
        for layer in run.layers:
            features = mapped_features(epoch, layer)
            view = pca_view(mapped_features(last, layer))
            pca = view.project(features)
            measured = map_quality(features, {"umap": pca[:, ::-1], "pca": pca})
            measured["pca"] = measured["pca"]._replace(explained=view.explained(features))
            quality[layer] = measured
            points[layer] = {"umap": np.ascontiguousarray(pca[:, ::-1]), "pca": pca}
            try:
                points[layer]["etf"] = etf_view(last.statistics(layer)).project(features)
            except InvalidArrayError:
                continue  # two classes have no plane of class means
        write.save_maps(epoch, rows, points, map_sources(epoch), quality)


def map_sources(epoch: Epoch) -> dict[str, str]:
    """What maps come from that are made as they are made now, on the axes of the last epoch."""
    last = epoch.run.epoch(epoch.run.epochs[-1])
    return epoch.inputs() | marks.of_maps({"seed": 0}, last.axes_mark)


def mapped_sets(run: Run) -> list[str]:
    """The sets that maps show, in their order."""
    return [f"{run.id_set}/test", *(f"{name}/test" for name in run.ood_sets)]


def mapped_features(epoch: Epoch, layer: str) -> np.ndarray:
    """Features of all samples of the mapped sets, one set after the other."""
    sets = mapped_sets(epoch.run)
    return np.concatenate([epoch.features(name, layer).features for name in sets])
