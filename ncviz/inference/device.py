"""Choosing the device a network runs on."""

from __future__ import annotations

import torch

from ncviz.errors import InvalidOptionError
from ncviz.processes import here


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; ``"auto"`` takes a CUDA GPU if there is one, else the CPU.

    Each of several processes takes a GPU of its own.

    Raises
    ------
    InvalidOptionError : no such device, or one for several processes.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    process = here()
    if process.several and name.startswith("cuda:"):
        raise InvalidOptionError(
            f"{process.count} processes cannot share '{name}': with --device auto each takes the "
            "GPU of its number. CUDA_VISIBLE_DEVICES says which there are to take."
        )
    if process.several and name == "cuda":
        name = f"cuda:{process.local_rank}"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise InvalidOptionError(f"Unknown device '{name}'; use auto, cpu, cuda or cuda:N.")
    gpus = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise InvalidOptionError(
            f"There is no device '{name}' here: {gpus} CUDA GPUs were found. Use --device cpu or "
            "--device auto, and no more processes on a machine than it has GPUs."
        )
    return device
