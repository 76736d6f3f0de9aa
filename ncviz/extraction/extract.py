"""Forward passes over saved epochs: features of fixed samples, statistics of all training data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from ncviz import data
from ncviz.arrays import ClassStatistics
from ncviz.errors import InvalidOptionError, MissingDataError
from ncviz.extraction.sampling import sample_table
from ncviz.inference import Pixels, choose_device, forward, load_network, transform_of
from ncviz.models import Network
from ncviz.store import Epoch, Run, write
from ncviz.store.files import fingerprint


@dataclass(frozen=True)
class Sizes:
    """How many samples of each kind of set are cached; None for all of them."""

    train_samples: int | None = 1000
    """of the training set, whose statistics always cover every image"""
    test_samples: int | None = 1500
    """of the test set"""
    ood_samples: int | None = 400
    """of each OOD set"""


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
    chosen = [run.epoch(number) for number in (run.epochs if epochs is None else epochs)]
    if epochs is None:
        chosen = [epoch for epoch in chosen if epoch.has_weights]
    if not chosen:
        raise MissingDataError(
            f"Run {run.name} has no saved epoch with weights. "
            f"Run: python scripts/train.py {run.recipe['name']} --run {run.name} --resume"
        )
    load = {"root": data_root, "download": download, "skip_corrupt": skip_corrupt}
    groups = _ood_groups(run, ood, load)
    splits = [(run.id_set, "train"), (run.id_set, "test"), *((name, "test") for name in groups)]
    images = {f"{name}/{split}": data.load(name, split, **load) for name, split in splits}
    _require_same_data(run, images)
    samples = _samples(run, images, sizes)
    run = write.update_description(run, ood_sets={**run.ood_sets, **groups})
    work = {epoch.number: _missing(epoch, images, samples) for epoch in chosen}
    transform = transform_of(run)
    total = sum(_images_to_see(name, images, samples) for sets in work.values() for name in sets)
    with tqdm(total=total, unit="img", desc=f"extract {run.name}", disable=not progress) as bar:
        # Set by set, so that only one set's pixels are in memory at a time.
        for name in images:
            todo = [epoch for epoch in chosen if name in work[epoch.number]]
            if todo:
                pixels = Pixels(images[name], transform, workers=workers)
                for epoch in todo:
                    network = load_network(epoch, where)
                    _extract_set(epoch, network, name, pixels, samples[name], where, bar)
    return run


def _extract_set(
    epoch: Epoch,
    network: Network,
    name: str,
    pixels: Pixels,
    samples: pd.DataFrame,
    device: torch.device,
    bar: tqdm,
) -> None:
    """Write one set's features; of the training set, the statistics of all samples too."""
    indices = samples["index"].to_numpy()
    everything = name == f"{epoch.run.id_set}/train"
    statistics: dict[str, ClassStatistics] = {}
    kept: dict[str, list[np.ndarray]] = {layer: [] for layer in epoch.run.layers}
    start = 0
    for outputs, labels in forward(
        network, pixels, device, indices=None if everything else indices
    ):
        stop = start + len(labels)
        rows = slice(None)
        if everything:
            first, last = np.searchsorted(indices, [start, stop])
            rows = indices[first:last] - start
        for layer, tensor in outputs.layers.items():
            features = tensor.cpu().numpy()
            kept[layer].append(features[rows].astype(np.float16))
            if everything:
                empty = ClassStatistics.empty(len(epoch.run.classes), features.shape[1])
                statistics.setdefault(layer, empty).update(features, labels.numpy())
        start = stop
        bar.update(len(labels))
    sources = _sources(epoch, samples)
    if everything:
        write.save_statistics(epoch, statistics, sources)
    arrays = {layer: np.concatenate(parts) for layer, parts in kept.items()}
    arrays["labels"] = samples["label"].to_numpy(np.int32)
    write.save_features(epoch, name, arrays, sources)


def _ood_groups(run: Run, ood: Sequence[str] | None, load: dict) -> dict[str, str]:
    """OOD set names with their group, near before far."""
    if ood is None and run.ood_sets:
        return run.ood_sets
    groups: dict[str, str] = {}
    for name in _partners_at_hand(run.id_set, load) if ood is None else ood:
        if name in data.suites():
            suite = data.suite(name)
            groups |= dict.fromkeys(suite.near, "near") | dict.fromkeys(suite.far, "far")
        else:
            groups[name] = data.ood_group(run.id_set, name)
    if run.id_set in groups:
        raise InvalidOptionError(
            f"{run.id_set} is what the run knows; it cannot be an OOD set too."
        )
    return dict(sorted(groups.items(), key=lambda item: item[1] != "near"))


def _partners_at_hand(id_set: str, load: dict) -> list[str]:
    """OOD sets of the suites made for `id_set` whose images are here."""
    partners = dict.fromkeys(
        name
        for suite in map(data.suite, data.suites())
        if suite.id_name == id_set
        for name in suite.members
    )
    found = []
    for name in partners:
        try:
            data.load(name, "test", **load)
        except MissingDataError:
            continue
        found.append(name)
    if not found:
        raise MissingDataError(
            f"No OOD set for {id_set} is on this machine (looked for {', '.join(partners)}). "
            "Name one with --ood, or put its images under the data root."
        )
    return found


def _require_same_data(run: Run, images: dict[str, data.ImageSet]) -> None:
    for name, recorded in run.description["data"].items():
        if images[name].fingerprint() != recorded:
            raise InvalidOptionError(
                f"{name} is not the data that {run.name} was trained on: its files or labels "
                "differ. Point --data-root or NCVIZ_DATA at the original."
            )


def _samples(run: Run, images: dict[str, data.ImageSet], sizes: Sizes) -> dict[str, pd.DataFrame]:
    """The cached samples of each set; drawn now for sets that have none yet."""
    try:
        known = dict(list(run.samples.groupby("set", sort=False)))
    except MissingDataError:
        known = {}
    kinds = {
        f"{run.id_set}/train": sizes.train_samples,
        f"{run.id_set}/test": sizes.test_samples,
    }
    new = {
        name: sample_table(one, kinds.get(name, sizes.ood_samples))
        for name, one in images.items()
        if name not in known
    }
    if new:
        write.save_samples(run, pd.concat([*known.values(), *new.values()], ignore_index=True))
    return known | new


def _sources(epoch: Epoch, samples: pd.DataFrame) -> dict[str, str]:
    """Fingerprints of what one set's files of an epoch depend on."""
    digest = fingerprint(
        {"index": samples["index"].to_numpy(), "label": samples["label"].to_numpy()}
    )
    return {"samples": digest, "weights": epoch.weights_fingerprint}


def _missing(
    epoch: Epoch, images: dict[str, data.ImageSet], samples: dict[str, pd.DataFrame]
) -> list[str]:
    """Names of the sets whose files this epoch lacks, or has from other weights or samples."""
    return [
        name
        for name in images
        if not epoch.has_features(name, sources=_sources(epoch, samples[name]))
    ]


def _images_to_see(
    name: str, images: dict[str, data.ImageSet], samples: dict[str, pd.DataFrame]
) -> int:
    return len(images[name]) if name.endswith("/train") else len(samples[name])
