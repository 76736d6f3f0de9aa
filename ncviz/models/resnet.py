"""ResNet-18 and ResNet-34 backbones of any width, from torchvision's residual blocks."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, ResNet34_Weights
from torchvision.models.resnet import BasicBlock, conv1x1

DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
IMAGENET_WEIGHTS = {
    "resnet18": ResNet18_Weights.IMAGENET1K_V1,
    "resnet34": ResNet34_Weights.IMAGENET1K_V1,
}


class ResNet(nn.Module):
    """Images (B, 3, S, S) to pooled features (B, 8 * width), in four stages.

    Parameters are named as in torchvision, so that its ImageNet weights load into width 64.
    `stem` is ``"imagenet"`` (7x7 stride 2, then max-pooling: 4x fewer pixels each way) or
    ``"cifar"`` (3x3 stride 1, full resolution, He et al. 2016 section 4.2).
    """

    stages = 4

    def __init__(self, depths: tuple[int, ...], width: int, stem: str):
        super().__init__()
        if stem == "imagenet":
            self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
            self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        else:
            self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
            self.maxpool = nn.Identity()
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        channels = width
        for stage, depth in enumerate(depths):
            planes = width * 2**stage
            layer = _stage(channels, planes, depth, stride=1 if stage == 0 else 2)
            self.add_module(f"layer{stage + 1}", layer)
            channels = planes
        self.dim = channels
        initialise_convolutions(self)

    def pooled(self, images: Tensor) -> list[Tensor]:
        """Features (B, width), (B, 2 * width), ... after each stage; the last is the encoder's."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        features = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)  # (B, channels, s, s)
            features.append(x.mean(dim=(2, 3)))
        return features


def initialise_convolutions(module: nn.Module) -> None:
    """He initialisation of every convolution below `module`, as torchvision's ResNets have it."""
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            nn.init.kaiming_normal_(child.weight, mode="fan_out", nonlinearity="relu")


def _stage(channels: int, planes: int, depth: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride != 1 or channels != planes:
        shortcut = nn.Sequential(conv1x1(channels, planes, stride), nn.BatchNorm2d(planes))
    first = BasicBlock(channels, planes, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(planes, planes) for _ in range(depth - 1)))
