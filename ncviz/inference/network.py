"""A saved epoch's network, loaded, and its forward pass over pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from dataclasses import fields

import numpy as np
import torch
from torch import Tensor

from ncviz.data import Transform
from ncviz.errors import CorruptFileError, InvalidOptionError, NcvizError
from ncviz.inference.pixels import Pixels, normalise, send, split_evenly
from ncviz.models import ModelSpec, Network, Outputs, Wrapped, build, build_architecture
from ncviz.store import Epoch, Run


def model_spec(run: Run) -> ModelSpec:
    """The ModelSpec that the run was trained with."""
    try:
        recorded = run.recipe["model"]
        known = [field.name for field in fields(ModelSpec)]
        return ModelSpec(**{name: recorded[name] for name in known if name in recorded})
    except (KeyError, TypeError, NcvizError) as error:
        raise CorruptFileError(
            f"The description of run {run.name} names no network that this version of ncviz can "
            f"build: {error} Train the run again."
        ) from error


def stage_names(run: Run) -> tuple[str, ...]:
    """The layers that the run's backbone has before its encoder: stage1, stage2, ..."""
    return model_spec(run).stages if _architecture(run) is None else _build(run).stages


def _architecture(run: Run) -> str | None:
    """The name under which the run's user has registered its network; None for one of ncviz."""
    model = run.recipe.get("model")
    name = model.get("architecture") if isinstance(model, dict) else None
    return name if isinstance(name, str) else None


def _build(run: Run) -> Network | Wrapped:
    sizes = {"classes": len(run.classes), "image_size": transform_of(run).size}
    name = _architecture(run)
    if name is not None:
        return build_architecture(name, **sizes)
    return build(model_spec(run), **sizes, load_pretrained=False)


def load_network(epoch: Epoch, device: torch.device) -> Network | Wrapped:
    """The network as it was at `epoch`, in float32 and in evaluation mode.

    Raises
    ------
    MissingDataError : the epoch's weights were not kept.
    CorruptFileError : they do not fit the network that the run's description names.
    UnknownNameError : nobody has registered the architecture that it names.
    """
    run = epoch.run
    weights = {name: torch.from_numpy(array) for name, array in epoch.weights().items()}
    network = _build(run)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise CorruptFileError(
            f"The weights of epoch {epoch.number} of {run.name} do not fit the network that the "
            f"run describes: {reason} Train the run again."
        ) from error
    return network.to(device, memory_format=torch.channels_last).eval()


def transform_of(run: Run) -> Transform:
    """The transform that every image of the run goes through."""
    try:
        return Transform.from_dict(run.description["transform"])
    except (TypeError, InvalidOptionError) as error:
        raise CorruptFileError(
            f"The description of run {run.name} holds no transform of this version of ncviz: "
            f"{error} Train the run again."
        ) from error


@torch.inference_mode()
def forward(
    network: Network | Wrapped,
    pixels: Pixels,
    device: torch.device,
    *,
    batches: Sequence[np.ndarray] | None = None,
) -> Iterator[tuple[Outputs, Tensor]]:
    """Outputs and labels (B,) of `pixels`, in order, in float32, batch by batch.

    `batches` are the indices of each; None takes all there are, in batches of 500 or a few less.
    """
    for batch, labels in pixels.batches(all_batches(pixels) if batches is None else batches):
        yield network(normalise(send(batch, device), pixels.transform)), labels


def all_batches(pixels: Sized, size: int = 500) -> list[np.ndarray]:
    """The indices of `pixels` in batches for a forward pass: the same whoever sees which."""
    return split_evenly(np.arange(len(pixels)), size)
