"""Transfer of every saved epoch: what its layers' features are worth on other labelled sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from ncviz import data
from ncviz.arrays import FeatureSet
from ncviz.definitions import CODE
from ncviz.errors import MissingDataError
from ncviz.extraction.extract import choose_epochs
from ncviz.inference import Pixels, choose_device, forward, load_network, transform_of
from ncviz.models import Network
from ncviz.processes import join
from ncviz.store import Epoch, Run, marks, write
from ncviz.store.lock import writes_run
from ncviz.transfer import transfer

SPLITS = ("train", "test")


@writes_run
def measure_transfer(
    run: Run,
    *,
    epochs: Sequence[int] | None = None,
    data_root: Path | None = None,
    device: str = "auto",
    workers: int = 4,
    progress: bool = True,
) -> tuple[str, ...]:
    """Write the transfer errors of saved epochs; those that are current are kept.

    Measured on each labelled OOD set of the run that has a train split on this machine: a linear
    probe and nearest class means, learned on all of its train split, tested on all of its test
    split, for each layer that was extracted. The features themselves are not stored. Under
    torchrun each process measures epochs of its own.

    Parameters
    ----------
    epochs : the epochs to measure; None takes all that have weights

    Returns
    -------
    names of the sets measured

    Raises
    ------
    NcvizError : unknown epoch, missing weights, no such set at hand, damaged images.
    """
    where = choose_device(device)
    processes = join(where)
    progress = progress and processes.first
    chosen = choose_epochs(run, epochs)
    load = {"root": data_root, "progress": progress}
    images, reasons = {}, {}
    for name in run.ood_sets:
        try:
            images[name] = _labelled_splits(name, load)
        except MissingDataError as error:
            reasons[name] = str(error)
    if not images:
        raise MissingDataError(
            f"None of the OOD sets of {run.name} ({', '.join(run.ood_sets) or 'there are none'}) "
            "has labels and a train split on this machine. Add one with: "
            f"python scripts/extract.py {run.name} --ood NAME ... --transfer"
        )
    if processes.first:
        run = write.update_description(run, without_transfer=reasons)
    of_data = {
        f"data:{one.full_name}": one.fingerprint() for splits in images.values() for one in splits
    }
    todo = [epoch for epoch in chosen if epoch.transfer_sources() != _sources(epoch, of_data)]
    processes.wait()  # until all have looked at what is there
    todo = processes.own(todo)
    if todo:
        transform = transform_of(run)
        pixels = {
            name: tuple(Pixels(one, transform, workers=workers) for one in splits)
            for name, splits in images.items()
        }
        for epoch in tqdm(todo, unit="epoch", desc=f"transfer {run.name}", disable=not progress):
            table = _measure_epoch(epoch, pixels, where)
            write.save_transfer(epoch, table, _sources(epoch, of_data))
    processes.wait()
    return tuple(images)


def _sources(epoch: Epoch, of_data: Mapping[str, str]) -> dict[str, str]:
    return {
        "weights": epoch.weights_fingerprint,
        f"{CODE}layers": " ".join(epoch.layers),
        **marks.of_transfer(),
        **of_data,
    }


def _labelled_splits(name: str, load: Mapping[str, Any]) -> tuple[data.ImageSet, ...]:
    """The train and test split of a set; raises MissingDataError that says what it lacks."""
    if not data.describe(name, root=load["root"]).labelled:
        raise MissingDataError("has no labels that say what is shown")
    try:
        return tuple(data.load(name, split, **load) for split in SPLITS)
    except MissingDataError:
        raise MissingDataError("has no train split to learn from") from None


def _measure_epoch(
    epoch: Epoch, pixels: Mapping[str, tuple[Pixels, ...]], device: torch.device
) -> pd.DataFrame:
    network = load_network(epoch, device)
    rows = []
    for name, splits in pixels.items():
        seen = [_features(network, split, epoch.layers, device) for split in splits]
        for layer in epoch.layers:
            train, test = (features[layer] for features in seen)
            rows.append({"layer": layer, "set": name, **transfer(train, test).to_dict()})
    return pd.DataFrame(rows)


def _features(
    network: Network, pixels: Pixels, layers: Sequence[str], device: torch.device
) -> dict[str, FeatureSet]:
    """What the network sees of one split at `layers`."""
    batches = [(outputs.layers, labels) for outputs, labels in forward(network, pixels, device)]
    labels = torch.cat([labels for _, labels in batches]).numpy()
    logits = np.empty((len(labels), 0), np.float32)  # a probe brings its own
    return {
        layer: FeatureSet(
            torch.cat([found[layer] for found, _ in batches]).cpu().numpy(), logits, labels
        )
        for layer in layers
    }
