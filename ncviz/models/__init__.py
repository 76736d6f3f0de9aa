"""Networks: a backbone, an optional projector and a linear head; or a module of the user's."""

from ncviz.models.network import ModelSpec, Network, Outputs, backbones, build
from ncviz.models.registry import build_architecture, register
from ncviz.models.wrap import Wrapped, wrap

__all__ = [
    "ModelSpec",
    "Network",
    "Outputs",
    "Wrapped",
    "backbones",
    "build",
    "build_architecture",
    "register",
    "wrap",
]
