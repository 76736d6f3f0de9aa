"""Forward passes over saved epochs: features of fixed samples, statistics of all training data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from ncviz import data
from ncviz.arrays import ClassStatistics, require_finite
from ncviz.errors import InvalidOptionError, MissingDataError
from ncviz.extraction.partners import choose_ood_sets
from ncviz.extraction.sampling import only, require_same_images, sample_table
from ncviz.inference import Pixels, choose_device, forward, load_network, transform_of
from ncviz.models import Network
from ncviz.store import Epoch, Run, write


@dataclass(frozen=True)
class Sizes:
    """How many samples are cached of a set that is extracted for the first time; None for all."""

    train_samples: int | None = 1000
    """of the training set, whose statistics always cover every image"""
    test_samples: int | None = 1500
    """of the test set"""
    ood_samples: int | None = 400
    """of each OOD set"""

    def __post_init__(self) -> None:
        for name, size in asdict(self).items():
            if size is not None and size < 1:
                raise InvalidOptionError(f"{name} is {size}; it must be at least 1, or None.")


def extract(
    run: Run,
    *,
    ood: Sequence[str] | None = None,
    epochs: Sequence[int] | None = None,
    sizes: Sizes = Sizes(),
    data_root: Path | None = None,
    download: bool = False,
    skip_corrupt: bool = False,
    device: str = "auto",
    workers: int = 4,
    progress: bool = True,
) -> Run:
    """Write features, labels and statistics of saved epochs; what is there already is kept.

    Parameters
    ----------
    ood : names of OOD sets or of suites; None takes those the run has, or else every set that the
        catalogue puts beside the run's ID set and that is on this machine
    epochs : the epochs to extract; None takes all that have weights
    sizes : samples of a set that is extracted for the first time

    Raises
    ------
    NcvizError : unknown epoch, set or suite, missing or damaged data, weights or disk space. Every
        file is complete or absent; the same call again goes on where this one stopped.
    """
    where = choose_device(device)
    chosen = choose_epochs(run, epochs)
    load = {
        "root": data_root,
        "download": download,
        "skip_corrupt": skip_corrupt,
        "progress": progress,
    }
    groups = choose_ood_sets(run, ood, load)
    splits = [(run.id_set, "train"), (run.id_set, "test"), *((name, "test") for name in groups)]
    images = {f"{name}/{split}": data.load(name, split, **load) for name, split in splits}
    _require_same_data(run, images)
    samples = _samples(run, images, sizes)
    run = write.update_description(run, ood_sets={**run.ood_sets, **groups})
    todo = {name: [epoch for epoch in chosen if not epoch.has_features(name)] for name in images}
    everything = f"{run.id_set}/train"
    seen = {name: images[name] if name == everything else samples[name] for name in images}
    total = sum(len(epochs) * len(seen[name]) for name, epochs in todo.items())
    with tqdm(
        total=total, unit="img", unit_scale=True, desc=f"extract {run.name}", disable=not progress
    ) as bar:
        # Set by set, so that only one set's pixels are in memory at a time.
        for name, lacking in todo.items():
            if not lacking:
                continue
            shown = images[name] if name == everything else only(images[name], samples[name])
            pixels = Pixels(shown, transform_of(run), workers=workers)
            for epoch in lacking:
                bar.set_postfix({"set": name, "epoch": epoch.number})
                network = load_network(epoch, where)
                if name == everything:
                    _extract_training_set(epoch, network, name, pixels, samples[name], where, bar)
                else:
                    _extract_samples(epoch, network, name, pixels, where, bar)
    return run


def choose_epochs(run: Run, epochs: Sequence[int] | None) -> list[Epoch]:
    """The epochs asked for, or all that have weights, of which there must be one."""
    if epochs is not None:
        return [run.epoch(number) for number in sorted(set(epochs))]
    chosen = [epoch for epoch in map(run.epoch, run.epochs) if epoch.has_weights]
    if not chosen:
        raise MissingDataError(
            f"Run {run.name} has no saved epoch with weights. Let it train further, or train it "
            f"anew: python scripts/train.py {run.recipe['name']} --run NAME"
        )
    return chosen


def _require_same_data(run: Run, images: Mapping[str, data.ImageSet]) -> None:
    for name, recorded in (run.description.get("data") or {}).items():
        if name in images and images[name].fingerprint() != recorded:
            raise InvalidOptionError(
                f"{name} is not the data that {run.name} was trained on: its files or labels "
                "differ. Point --data-root or NCVIZ_DATA at the original."
            )


def _samples(
    run: Run, images: Mapping[str, data.ImageSet], sizes: Sizes
) -> dict[str, pd.DataFrame]:
    """The cached samples of each set; drawn now for sets that have none yet."""
    try:
        known = dict(list(run.samples.groupby("set", sort=False)))
    except MissingDataError:
        known = {}
    kinds = {f"{run.id_set}/train": sizes.train_samples, f"{run.id_set}/test": sizes.test_samples}
    new = {}
    for name, one in images.items():
        if name in known:
            require_same_images(one, known[name])
        else:
            new[name] = sample_table(one, kinds.get(name, sizes.ood_samples))
    if new:
        write.save_samples(run, pd.concat([*known.values(), *new.values()], ignore_index=True))
    return known | new


def _extract_samples(
    epoch: Epoch,
    network: Network,
    name: str,
    pixels: Pixels,
    device: torch.device,
    bar: tqdm,
) -> None:
    kept = _Kept(name)
    for outputs, labels in forward(network, pixels, device):
        kept.add(_to_arrays(outputs.layers), labels.numpy())
        bar.update(len(labels))
    write.save_features(epoch, name, kept.arrays(), epoch.feature_sources(name))


def _extract_training_set(
    epoch: Epoch,
    network: Network,
    name: str,
    pixels: Pixels,
    samples: pd.DataFrame,
    device: torch.device,
    bar: tqdm,
) -> None:
    """Statistics of all samples, features of the cached ones, from one forward pass."""
    indices = samples["index"].to_numpy()
    statistics: dict[str, ClassStatistics] = {}
    kept = _Kept(name)
    start = 0
    for outputs, labels in forward(network, pixels, device):
        stop = start + len(labels)
        first, last = np.searchsorted(indices, [start, stop])
        rows = indices[first:last] - start
        layers = _to_arrays(outputs.layers)
        kept.add({layer: features[rows] for layer, features in layers.items()}, labels[rows])
        for layer, features in layers.items():
            empty = ClassStatistics.empty(len(epoch.run.classes), features.shape[1])
            statistics.setdefault(layer, empty).update(features, labels.numpy())
        start = stop
        bar.update(len(labels))
    sources = epoch.feature_sources(name)
    write.save_statistics(epoch, statistics, sources)
    write.save_features(epoch, name, kept.arrays(), sources)


def _to_arrays(layers: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {layer: tensor.cpu().numpy() for layer, tensor in layers.items()}


class _Kept:
    """Features by layer, and labels, of the samples of one set, gathered batch by batch."""

    def __init__(self, name: str):
        self.name = name
        self.parts: dict[str, list[np.ndarray]] = {"labels": []}

    def add(self, layers: Mapping[str, np.ndarray], labels: np.ndarray) -> None:
        self.parts["labels"].append(np.asarray(labels, np.int32))
        for layer, features in layers.items():
            require_finite(features, f"The {layer}'s features of {self.name}")
            self.parts.setdefault(layer, []).append(features)

    def arrays(self) -> dict[str, np.ndarray]:
        """All samples, features in float16 where its range is wide enough."""
        return {name: _halve(np.concatenate(parts)) for name, parts in self.parts.items()}


def _halve(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.float32 or np.abs(array).max(initial=0) > np.finfo(np.float16).max:
        return array
    return array.astype(np.float16)
