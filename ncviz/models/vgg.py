"""VGG-17: VGG-19 without its fully connected layers, features pooled like a ResNet's."""

from __future__ import annotations

from torch import Tensor, nn

from ncviz.models.resnet import initialise_convolutions

# Convolutions of each stage, in multiples of `width`; each stage ends with 2x2 max-pooling.
_STAGES = ((1, 1), (2, 2), (4,) * 4, (8,) * 4, (8,) * 4)


class VGG(nn.Module):
    """Images (B, 3, S, S) to pooled features (B, 8 * width); 16 convolutions and a head make 17.

    A stage whose input is one pixel wide already is not pooled again, so that 32 px images pass.
    """

    stages = len(_STAGES)

    def __init__(self, width: int):
        super().__init__()
        channels = 3
        for stage, multiples in enumerate(_STAGES):
            layers = []
            for multiple in multiples:
                planes = multiple * width
                layers += [
                    nn.Conv2d(channels, planes, 3, padding=1, bias=False),
                    nn.BatchNorm2d(planes),
                    nn.ReLU(inplace=True),
                ]
                channels = planes
            self.add_module(f"stage{stage + 1}", nn.Sequential(*layers))
        self.dim = channels
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        initialise_convolutions(self)

    def pooled(self, images: Tensor) -> list[Tensor]:
        """Features (B, channels) after each of the five stages; the last is the encoder's."""
        features, x = [], images
        for stage in range(len(_STAGES)):
            x = getattr(self, f"stage{stage + 1}")(x if stage == 0 else self.pool(x))
            features.append(x.mean(dim=(2, 3)))
        return features
