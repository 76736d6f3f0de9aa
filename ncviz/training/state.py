"""The state of a training as arrays and plain values, and back, for exact resuming."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ncviz.errors import CorruptFileError
from ncviz.store.write import TrainingState

History = list[dict[str, float]]


def capture(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    history: History,
) -> TrainingState:
    """Weights, buffers, optimiser state and history after an epoch."""
    arrays = {f"network/{name}": array for name, array in to_arrays(network).items()}
    for index, slots in optimizer.state_dict()["state"].items():
        for slot, value in slots.items():
            if value is not None:
                arrays[f"optimizer/{index}/{slot}"] = torch.as_tensor(value).cpu().numpy()
    return TrainingState(arrays, {"history": history, "scaler": scaler.state_dict()})


def restore(
    state: TrainingState,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> History:
    """Put a captured state back and return its history.

    Raises
    ------
    CorruptFileError : it is damaged or belongs to another network.
    """
    weights, slots = {}, {}
    try:
        for name, array in state.arrays.items():
            kind, _, rest = name.partition("/")
            if kind == "network":
                weights[rest] = torch.from_numpy(array)
            else:
                index, _, slot = rest.partition("/")
                slots.setdefault(int(index), {})[slot] = torch.from_numpy(array)
        network.load_state_dict(weights)
        optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
        scaler.load_state_dict(state.values["scaler"])
        history = state.values["history"]
        if [row["epoch"] for row in history] != list(range(1, len(history) + 1)):
            raise ValueError("its history has gaps")
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise CorruptFileError(
            f"The training state is damaged or of another network ({error}). Delete the run's "
            "folder and train again."
        ) from error
    return history


def to_arrays(network: nn.Module) -> dict[str, np.ndarray]:
    """Parameters and buffers as NumPy arrays by name."""
    return {name: tensor.cpu().numpy() for name, tensor in network.state_dict().items()}
