"""A saved epoch's network, loaded, and its forward pass over pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

import numpy as np
import torch
from torch import Tensor

from ncviz.data import Transform
from ncviz.errors import CorruptFileError
from ncviz.inference.pixels import Pixels, normalise, split_evenly
from ncviz.models import ModelSpec, Network, Outputs, build
from ncviz.store import Epoch, Run


def model_spec(run: Run) -> ModelSpec:
    """The ModelSpec that the run was trained with."""
    recorded = run.recipe["model"]
    return ModelSpec(**{f.name: recorded[f.name] for f in fields(ModelSpec) if f.name in recorded})


def load_network(epoch: Epoch, device: torch.device) -> Network:
    """The network as it was at `epoch`, in float32 and in evaluation mode.

    Raises
    ------
    MissingDataError : the epoch's weights were not kept.
    CorruptFileError : they do not fit the network that `run.json` describes.
    """
    run = epoch.run
    network = build(model_spec(run), classes=len(run.classes), load_pretrained=False)
    weights = {name: torch.from_numpy(array) for name, array in epoch.weights().items()}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).strip().splitlines()[1].strip()
        raise CorruptFileError(
            f"The weights of epoch {epoch.number} of {run.name} do not fit the network in its "
            f"run.json: {first} Train the run again."
        ) from error
    return network.to(device, memory_format=torch.channels_last).eval()


def transform_of(run: Run) -> Transform:
    """The transform that every image of the run goes through."""
    return Transform.from_dict(run.description["transform"])


@torch.inference_mode()
def forward(
    network: Network, pixels: Pixels, device: torch.device, *, indices=None, batch_size: int = 500
) -> Iterator[tuple[Outputs, Tensor]]:
    """Outputs and labels (B,) of `pixels`, in order, in float32, batch by batch.

    `indices` chooses samples; None takes all.
    """
    chosen = np.arange(len(pixels)) if indices is None else np.asarray(indices)
    for batch, labels in pixels.batches(split_evenly(chosen, batch_size)):
        yield network(normalise(batch.to(device), pixels.transform)), labels
