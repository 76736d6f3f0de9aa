"""Choosing the device a network runs on."""

from __future__ import annotations

import torch

from ncviz.errors import InvalidOptionError


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; ``"auto"`` takes a CUDA GPU if there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
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
            "--device auto."
        )
    return device
