"""Disk space that an extraction takes, reported before it starts."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence

import pandas as pd
import torch

from ncviz.errors import StorageError
from ncviz.inference import load_network, transform_of
from ncviz.store import Epoch, Run


def report_disk_use(
    run: Run,
    epochs: Sequence[Epoch],
    layers: Mapping[int, tuple[str, ...]],
    samples: Mapping[str, pd.DataFrame],
    *,
    progress: bool = True,
) -> None:
    """Print how much disk space the features and statistics of `epochs` take.

    Parameters
    ----------
    layers : names of the layers to extract, by epoch
    samples : the samples of each set
    progress : whether to print

    Raises
    ------
    StorageError
        If the disk has less space than the epochs without features will take.
    """
    needed = {
        epoch.number: bytes_of_epoch(epoch, layers[epoch.number], samples)
        for epoch in epochs
        if any(not epoch.has_features(name, layers[epoch.number]) for name in samples)
    }
    if not needed:
        return
    total, free = sum(needed.values()), shutil.disk_usage(run.path).free
    if progress:
        print(
            f"{run.name}: about {max(needed.values()) / 1e6:,.1f} MB per epoch, "
            f"{total / 1e6:,.1f} MB for {len(needed)} epochs; {free / 1e9:,.1f} GB free in "
            f"{run.path.parent}",
            file=sys.stderr,
        )
    if total > free:
        raise StorageError(
            f"The features of {len(needed)} epochs of {run.name} take about {total / 1e6:,.1f} MB, "
            f"but {run.path} has {free / 1e6:,.1f} MB free. Free some space, name fewer epochs "
            "with --epochs, or keep fewer samples with --train-samples, --test-samples and "
            "--ood-samples."
        )


def bytes_of_epoch(epoch: Epoch, layers: Sequence[str], samples: Mapping[str, pd.DataFrame]) -> int:
    """Return about how many bytes the features and statistics of an epoch take.

    Features are float16, labels int32, the class statistics of the training and the test set
    float64.
    """
    dims, classes = layer_dims(epoch), len(epoch.run.classes)
    stored = [dims[layer] for layer in layers if layer not in epoch.run.derived_layers]
    statistics = sum(
        classes * (dims[layer] + 2) + dims[layer] * (dims[layer] + 1) // 2 for layer in layers
    )
    rows = sum(map(len, samples.values()))
    return rows * (2 * sum(stored) + 4) + 2 * 8 * statistics


@torch.inference_mode()
def layer_dims(epoch: Epoch) -> dict[str, int]:
    """Return the number of features of each layer of an epoch's network."""
    size = transform_of(epoch.run).size
    outputs = load_network(epoch, torch.device("cpu"))(torch.zeros(2, 3, size, size))
    return {layer: features.shape[1] for layer, features in outputs.layers.items()}
