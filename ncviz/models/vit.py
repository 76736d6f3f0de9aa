"""ViT-T: torchvision's vision transformer, 192 wide, 12 layers, 3 heads."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import VisionTransformer

HEAD_WIDTH = 64


class ViT(nn.Module):
    """Images (B, 3, S, S) to the class token (B, width) after the last layer norm.

    One head is 64 wide, so `width` (192 for ViT-T) must be a multiple of it. Patches are an eighth
    of the image wide: 4 px for 32 px images.
    """

    def __init__(self, width: int, image_size: int, layers: int = 12):
        super().__init__()
        self.dim = width
        self.transformer = VisionTransformer(
            image_size=image_size,
            patch_size=image_size // 8,
            num_layers=layers,
            num_heads=width // HEAD_WIDTH,
            hidden_dim=width,
            mlp_dim=4 * width,
        )
        self.transformer.heads = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return self.transformer(images)
