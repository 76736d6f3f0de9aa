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
        raise InvalidOptionError(
            f"Unknown device '{name}'; use auto, cpu, cuda or cuda:N."
        ) from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InvalidOptionError("There is no CUDA GPU here; use --device cpu or --device auto.")
    return device
