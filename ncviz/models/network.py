"""What every network of ncviz is: images in, encoder features and logits out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pickle import UnpicklingError
from typing import NamedTuple

from torch import Tensor, nn

from ncviz.errors import InvalidOptionError, MissingDataError, UnknownNameError
from ncviz.models.normalisation import use_group_norm
from ncviz.models.projector import ETFProjector
from ncviz.models.resnet import DEPTHS, IMAGENET_WEIGHTS, ResNet
from ncviz.models.vgg import VGG
from ncviz.models.vit import HEAD_WIDTH, ViT
from ncviz.projector import KINDS, etf_size

_RESNETS = {name: partial(ResNet, depths) for name, depths in DEPTHS.items()}
_OTHERS = {"vgg17": VGG, "vit-t": ViT}
STEMS = ("imagenet", "cifar")
NORMS = ("batch", "group")
PROJECTORS = ("none", *KINDS)


def backbones() -> tuple[str, ...]:
    """Names of the backbones there are."""
    return (*_RESNETS, *_OTHERS)


@dataclass(frozen=True)
class ModelSpec:
    """Everything that is needed to build a network again."""

    backbone: str = "resnet18"
    """resnet18, resnet34, vgg17 or vit-t"""
    width: int = 64
    """channels of the first stage, an eighth of the features; of vit-t the features themselves"""
    stem: str = "imagenet"
    """of a ResNet: imagenet (7x7 stride 2 and max-pooling) or cifar (3x3 stride 1)"""
    norm: str = "batch"
    """batch, or group: group normalisation with weight standardisation"""
    projector: str = "none"
    """none, or a fixed simplex-ETF projector after the encoder, of the size of the features
    (etf-features, as its authors' code has it) or of the number of classes (etf-classes)"""
    pretrained: bool = False
    """start from torchvision's ImageNet weights (width 64, imagenet stem; downloads them once)"""

    def __post_init__(self) -> None:
        choices = {
            "backbone": backbones(),
            "stem": STEMS,
            "norm": NORMS,
            "projector": PROJECTORS,
        }
        for kind, known in choices.items():
            if getattr(self, kind) not in known:
                raise UnknownNameError(kind, getattr(self, kind), known)
        if self.width < 1:
            raise InvalidOptionError(f"Width is {self.width}; it must be at least 1.")
        if self.backbone == "vit-t" and self.width % HEAD_WIDTH:
            raise InvalidOptionError(
                f"Width is {self.width}; that of vit-t must be a multiple of {HEAD_WIDTH}, "
                "the width of one attention head."
            )
        fits = (self.width, self.stem, self.norm) == (64, "imagenet", "batch")
        if self.pretrained and not (fits and self.backbone in IMAGENET_WEIGHTS):
            raise InvalidOptionError(
                "ImageNet weights fit a ResNet of width 64 with the imagenet stem and batch norm; "
                f"the model is {self.backbone} of width {self.width} with the {self.stem} stem and "
                f"{self.norm} norm. Change these, or train from scratch."
            )

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the layers inside the backbone, the pooled outputs before the encoder's."""
        return tuple(map(stage_name, range(1, _OTHERS.get(self.backbone, ResNet).stages)))

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that every saved epoch has, the one under the head last."""
        return ("encoder",) if self.projector == "none" else ("encoder", "projector")


class Outputs(NamedTuple):
    """What a network returns for a batch: features of each layer, and logits."""

    encoder: Tensor  # (B, D)
    projector: Tensor | None  # (B, D) unit vectors, or None without a projector
    logits: Tensor  # (B, C)
    stages: tuple[Tensor, ...] = ()  # (B, channels) pooled, of each stage before the encoder

    @property
    def layers(self) -> dict[str, Tensor]:
        """Features (B, D) by layer name from stage1 on, the one under the head last."""
        stages = {stage_name(number): each for number, each in enumerate(self.stages, start=1)}
        layers = {**stages, "encoder": self.encoder, "projector": self.projector}
        return {name: features for name, features in layers.items() if features is not None}


def stage_name(number: int) -> str:
    """The name of the layer that stage `number` of a backbone, counted from 1, puts out."""
    return f"stage{number}"


class Network(nn.Module):
    """A backbone, perhaps a fixed projector, and a linear head on the last of them."""

    def __init__(self, backbone: nn.Module, classes: int, projector: nn.Module | None = None):
        super().__init__()
        self.backbone = backbone
        self.projector = projector
        self.head = nn.Linear(backbone.dim, classes)

    def forward(self, images: Tensor) -> Outputs:
        """Normalised images (B, 3, S, S) to Outputs."""
        *stages, encoder = self.backbone.pooled(images)
        projector = None if self.projector is None else self.projector(encoder)
        logits = self.head(encoder if projector is None else projector)
        return Outputs(encoder, projector, logits, tuple(stages))

    def heads(self) -> dict[str, nn.Linear]:
        """The linear classifier of each layer that has one."""
        return {"encoder" if self.projector is None else "projector": self.head}


def build(
    spec: ModelSpec, *, classes: int, image_size: int, load_pretrained: bool = True
) -> Network:
    """A network for `spec`, initialised from torch's global random state.

    With `load_pretrained` off no ImageNet weights are fetched: use it where trained weights are
    loaded right afterwards.
    """
    backbone = _backbone(spec, image_size)
    if spec.norm == "group":
        use_group_norm(backbone)
    if spec.pretrained and load_pretrained:
        weights = _imagenet_weights(spec.backbone)
        backbone.load_state_dict({k: v for k, v in weights.items() if not k.startswith("fc.")})
    projector = None
    if spec.projector != "none":
        projector = ETFProjector(backbone.dim, etf_size(spec.projector, backbone.dim, classes))
    return Network(backbone, classes, projector)


def _imagenet_weights(backbone: str) -> dict[str, Tensor]:
    source = IMAGENET_WEIGHTS[backbone]
    try:
        return source.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except (OSError, RuntimeError, UnpicklingError) as error:
        raise MissingDataError(
            f"The ImageNet weights of {backbone} could not be fetched from {source.url}: {error}. "
            "Put that file into ~/.cache/torch/hub/checkpoints, or train with --no-pretrained."
        ) from error


def _backbone(spec: ModelSpec, image_size: int) -> nn.Module:
    if spec.backbone == "vgg17":
        return VGG(spec.width)
    if spec.backbone == "vit-t":
        return ViT(spec.width, image_size)
    return _RESNETS[spec.backbone](spec.width, spec.stem)
