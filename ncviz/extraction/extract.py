"""Forward passes over saved epochs: features of fixed samples, statistics of all training data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from ncviz import data, detectors
from ncviz.arrays import ClassStatistics, require_finite
from ncviz.caching import PROBE_SAMPLES, Sizes, fit_probes, halve, stratified_sample
from ncviz.errors import (
    CorruptFileError,
    InvalidOptionError,
    MissingDataError,
)
from ncviz.extraction.partners import choose_ood_sets
from ncviz.extraction.sampling import only, require_same_images, sample_table
from ncviz.inference import (
    Pixels,
    choose_device,
    forward,
    load_network,
    network_detectors,
    network_scores,
    stage_names,
    transform_of,
)
from ncviz.store import Epoch, Run, write
from ncviz.store.lock import writes_run

Batches = Iterable[tuple[dict[str, np.ndarray], np.ndarray]]


@writes_run
def extract(
    run: Run,
    *,
    ood: Sequence[str] | None = None,
    epochs: Sequence[int] | None = None,
    stages: bool = False,
    sizes: Sizes = Sizes(),
    data_root: Path | None = None,
    download: bool = False,
    skip_corrupt: bool = False,
    device: str = "auto",
    workers: int = 4,
    progress: bool = True,
) -> Run:
    """Write features, statistics and probes of saved epochs; what is there already is kept.

    Parameters
    ----------
    ood : names of OOD sets or of suites; None takes those the run has, or else every set that the
        catalogue puts beside the run's ID set and that is on this machine
    epochs : the epochs to extract; None takes all that have weights
    stages : also extract the pooled output of each stage of the backbone before the encoder. An
        epoch that has its stages keeps them, and gets those of further sets.
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
    layers = {epoch.number: _layers(epoch, stages) for epoch in chosen}
    todo = {
        name: [epoch for epoch in chosen if not epoch.has_features(name, layers[epoch.number])]
        for name in images
    }
    everything = f"{run.id_set}/train"
    seen = {name: images[name] if name == everything else samples[name] for name in images}
    unscored = {
        name: [epoch for epoch in chosen if not _has_network_scores(epoch, name)]
        for name in images
        if name != everything
    }
    total = sum(
        len(epochs) * len(seen[name]) for each in (todo, unscored) for name, epochs in each.items()
    )
    with tqdm(
        total=total, unit="img", unit_scale=True, desc=f"extract {run.name}", disable=not progress
    ) as bar:
        # Set by set, so that only one set's pixels are in memory at a time.
        for name, lacking in todo.items():
            if not lacking and not unscored.get(name):
                continue
            shown = images[name] if name == everything else only(images[name], samples[name])
            pixels = Pixels(shown, transform_of(run), workers=workers)
            for epoch in lacking:
                bar.set_postfix({"set": name, "epoch": epoch.number})
                seen_by = _seen(epoch, layers[epoch.number], pixels, where, bar)
                if name == everything:
                    _extract_training_set(epoch, seen_by, name, shown.labels, samples[name])
                else:
                    _extract_samples(epoch, seen_by, name)
            for epoch in unscored.get(name, ()):
                bar.set_postfix({"set": name, "epoch": epoch.number, "of": "gradients"})
                _extract_network_scores(epoch, name, pixels, where, bar)
    return run


def _layers(epoch: Epoch, stages: bool) -> tuple[str, ...]:
    """Names of the layers to extract of an epoch."""
    wanted = stage_names(epoch.run) if stages else ()
    try:
        known = epoch.layers
    except CorruptFileError:  # damaged statistics are made anew, as everything else is
        known = epoch.run.layers
    return tuple(dict.fromkeys((*wanted, *known)))


def _seen(
    epoch: Epoch, layers: Sequence[str], pixels: Pixels, device: torch.device, bar: tqdm
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Features (B, D) of `layers` and labels (B,), batch by batch."""
    for outputs, labels in forward(load_network(epoch, device), pixels, device):
        found = outputs.layers
        yield {layer: found[layer].cpu().numpy() for layer in layers}, labels.numpy()
        bar.update(len(labels))


def choose_epochs(run: Run, epochs: Sequence[int] | None) -> list[Epoch]:
    """The epochs asked for, or all that have weights, of which there must be one."""
    if epochs is not None:
        return [run.epoch(number) for number in sorted(set(epochs))]
    chosen = [epoch for epoch in map(run.epoch, run.epochs) if epoch.has_weights]
    if not chosen and run.imported:
        raise MissingDataError(
            f"Run {run.name} was imported as features, without a network to show images to. Export "
            "more features and import them anew, or bring the weights: python scripts/adopt.py NAME"
        )
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


def _extract_samples(epoch: Epoch, batches: Batches, name: str) -> None:
    kept = _Kept(name)
    for layers, labels in batches:
        kept.add(layers, labels)
    write.save_features(epoch, name, kept.halved(), epoch.feature_sources(name))


def _extract_network_scores(
    epoch: Epoch, name: str, pixels: Pixels, device: torch.device, bar: tqdm
) -> None:
    """Scores of the detectors that features and logits do not suffice for."""
    parts: dict[str, list[np.ndarray]] = {}
    for scores in network_scores(load_network(epoch, device), pixels, device):
        for detector, values in scores.items():
            require_finite(values, f"The {detector} scores of {name}")
            parts.setdefault(detector, []).append(values)
        bar.update(len(values))
    arrays = {detector: np.concatenate(values) for detector, values in parts.items()}
    write.save_network_scores(epoch, name, arrays, _network_scores_sources(epoch, name))


def _has_network_scores(epoch: Epoch, name: str) -> bool:
    return epoch.has_network_scores(name, _network_scores_sources(epoch, name))


def _network_scores_sources(epoch: Epoch, name: str) -> dict[str, str]:
    return epoch.feature_sources(name) | detectors.marks(network_detectors())


def _extract_training_set(
    epoch: Epoch, batches: Batches, name: str, labels: np.ndarray, samples: pd.DataFrame
) -> None:
    """From one forward pass: statistics of all samples, features of the cached ones, probes."""
    classes = len(epoch.run.classes)
    statistics: dict[str, ClassStatistics] = {}
    cached = _Kept(name, samples["index"].to_numpy())
    probed = _Kept(name, stratified_sample(labels, PROBE_SAMPLES))
    for layers, own in batches:
        cached.add(layers, own)
        probed.add(layers, own)
        for layer, features in layers.items():
            empty = ClassStatistics.empty(classes, features.shape[1])
            statistics.setdefault(layer, empty).update(features, own)
    sources = epoch.feature_sources(name)
    learned = probed.arrays()
    probes = fit_probes(learned, learned.pop("labels"), classes)
    write.save_probes(epoch, probes, epoch.probe_sources())
    write.save_statistics(epoch, statistics, sources)
    write.save_features(epoch, name, cached.halved(), sources)


class _Kept:
    """Features by layer, and labels, of samples of one set, gathered batch by batch.

    `indices` (sorted) says which samples are kept; None keeps all.
    """

    def __init__(self, name: str, indices: np.ndarray | None = None):
        self.name, self.indices, self.seen = name, indices, 0
        self.parts: dict[str, list[np.ndarray]] = {"labels": []}

    def add(self, layers: Mapping[str, np.ndarray], labels: np.ndarray) -> None:
        rows = self._rows(len(labels))
        self.parts["labels"].append(labels[rows].astype(np.int32))
        for layer, features in layers.items():
            require_finite(features, f"The {layer}'s features of {self.name}")
            self.parts.setdefault(layer, []).append(features[rows])

    def _rows(self, count: int) -> slice | np.ndarray:
        start, self.seen = self.seen, self.seen + count
        if self.indices is None:
            return slice(None)
        first, last = np.searchsorted(self.indices, [start, self.seen])
        return self.indices[first:last] - start

    def arrays(self) -> dict[str, np.ndarray]:
        """All samples kept."""
        return {name: np.concatenate(parts) for name, parts in self.parts.items()}

    def halved(self) -> dict[str, np.ndarray]:
        """The same, features in float16 where its range is wide enough."""
        return {name: halve(array) for name, array in self.arrays().items()}
