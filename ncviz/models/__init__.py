"""Networks: a backbone, an optional projector and a linear head, built from a frozen ModelSpec."""

from ncviz.models.network import ModelSpec, Network, Outputs, backbones, build

__all__ = ["ModelSpec", "Network", "Outputs", "backbones", "build"]
