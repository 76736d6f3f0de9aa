"""What every network of ncviz is: images in, encoder features and logits out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from ncviz.errors import InvalidOptionError, UnknownNameError
from ncviz.models.resnet import DEPTHS, IMAGENET_WEIGHTS, ResNet

_BACKBONES = {name: partial(ResNet, depths) for name, depths in DEPTHS.items()}
STEMS = ("imagenet", "cifar")


def backbones() -> tuple[str, ...]:
    """Names of the backbones there are."""
    return tuple(sorted(_BACKBONES))


@dataclass(frozen=True)
class ModelSpec:
    """Everything that is needed to build a network again."""

    backbone: str = "resnet18"
    """resnet18 or resnet34"""
    width: int = 64
    """channels of the first stage; features have 8 times as many"""
    stem: str = "imagenet"
    """imagenet (7x7 stride 2 and max-pooling) or cifar (3x3 stride 1)"""
    pretrained: bool = False
    """start from torchvision's ImageNet weights (width 64, imagenet stem; downloads them once)"""

    def __post_init__(self) -> None:
        if self.backbone not in _BACKBONES:
            raise UnknownNameError("backbone", self.backbone, _BACKBONES)
        if self.stem not in STEMS:
            raise UnknownNameError("stem", self.stem, STEMS)
        if self.width < 1:
            raise InvalidOptionError(f"Width is {self.width}; it must be at least 1.")
        if self.pretrained and (self.width, self.stem) != (64, "imagenet"):
            raise InvalidOptionError(
                f"ImageNet weights fit width 64 with the imagenet stem; the model has width "
                f"{self.width} with the {self.stem} stem. Change these, or train from scratch."
            )


class Outputs(NamedTuple):
    """What a network returns for a batch: features of each layer, and logits."""

    encoder: Tensor  # (B, D)
    logits: Tensor  # (B, C)

    @property
    def layers(self) -> dict[str, Tensor]:
        """Features (B, D) by layer name."""
        return {"encoder": self.encoder}


class Network(nn.Module):
    """A backbone with a linear head on its pooled output."""

    def __init__(self, backbone: nn.Module, classes: int):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.dim, classes)

    def forward(self, images: Tensor) -> Outputs:
        """Normalised images (B, 3, S, S) to Outputs."""
        encoder = self.backbone(images)
        return Outputs(encoder, self.head(encoder))

    def heads(self) -> dict[str, nn.Linear]:
        """The linear classifier of each layer that has one."""
        return {"encoder": self.head}


def build(spec: ModelSpec, *, classes: int, load_pretrained: bool = True) -> Network:
    """A network for `spec`, initialised from torch's global random state.

    With `load_pretrained` off no ImageNet weights are fetched: use it where trained weights are
    loaded right afterwards.
    """
    backbone = _BACKBONES[spec.backbone](spec.width, spec.stem)
    if spec.pretrained and load_pretrained:
        weights = IMAGENET_WEIGHTS[spec.backbone].get_state_dict(progress=True, check_hash=True)
        backbone.load_state_dict({k: v for k, v in weights.items() if not k.startswith("fc.")})
    return Network(backbone, classes)
