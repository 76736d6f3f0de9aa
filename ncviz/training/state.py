"""The state of a training as arrays and plain values, and back, for exact resuming."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ncviz.errors import CorruptFileError
from ncviz.store.write import TrainingState


def capture(
    network: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, values: dict
) -> TrainingState:
    """Weights, buffers, optimiser state and `values` after an epoch."""
    arrays = {f"network/{name}": array for name, array in to_arrays(network).items()}
    for index, slots in optimizer.state_dict()["state"].items():
        for slot, value in slots.items():
            if value is not None:
                arrays[f"optimizer/{index}/{slot}"] = torch.as_tensor(value).cpu().numpy()
    return TrainingState(arrays, {**values, "scaler": scaler.state_dict()})


def restore(
    state: TrainingState,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> None:
    """Put a captured state back; raises CorruptFileError if it belongs to another network."""
    weights, slots = {}, {}
    for name, array in state.arrays.items():
        kind, _, rest = name.partition("/")
        if kind == "network":
            weights[rest] = torch.from_numpy(array)
        else:
            index, _, slot = rest.partition("/")
            slots.setdefault(int(index), {})[slot] = torch.from_numpy(array)
    try:
        network.load_state_dict(weights)
        optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
    except (RuntimeError, ValueError) as error:
        raise CorruptFileError(
            "The training state does not fit the recipe's network; delete the run's folder and "
            "train again."
        ) from error
    scaler.load_state_dict(state.values["scaler"])


def to_arrays(network: nn.Module) -> dict[str, np.ndarray]:
    """Parameters and buffers as NumPy arrays by name."""
    return {name: tensor.cpu().numpy() for name, tensor in network.state_dict().items()}
