"""ViT-T: torchvision's vision transformer, 192 wide, 12 layers, 3 heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from ncviz.errors import InvalidOptionError

HEAD_WIDTH = 64
PATCH = 16
BLOCKS_PER_STAGE = 3


class ViT(nn.Module):
    """Images (B, 3, S, S) to the class token (B, width) after the last layer norm.

    A transformer has no stages of its own: three blocks count as one here.

    One head is 64 wide, so `width` (192 for ViT-T) must be a multiple of it. Patches are 16 px wide
    for images from 128 px on, and an eighth of smaller ones: 4 px for 32 px images.
    """

    stages = 4

    def __init__(self, width: int, image_size: int):
        super().__init__()
        patch = PATCH if image_size >= 8 * PATCH else image_size // 8
        if image_size % patch:
            raise InvalidOptionError(
                f"image_size is {image_size}; vit-t cuts images into patches of {patch} px, so it "
                f"must be a multiple of {patch}."
            )
        self.dim = width
        self.transformer = VisionTransformer(
            image_size=image_size,
            patch_size=patch,
            num_layers=self.stages * BLOCKS_PER_STAGE,
            num_heads=width // HEAD_WIDTH,
            hidden_dim=width,
            mlp_dim=4 * width,
        )
        self.transformer.heads = nn.Identity()

    def pooled(self, images: Tensor) -> list[Tensor]:
        """The class token (B, width) after each stage; the last is normalised: the encoder's."""
        # As VisionTransformer.forward has it, which only gives the last.
        encoder = self.transformer.encoder
        patches = self.transformer._process_input(images)  # (B, patches, width)
        token = self.transformer.class_token.expand(len(images), -1, -1)
        x = encoder.dropout(torch.cat([token, patches], dim=1) + encoder.pos_embedding)
        features = []
        for number, block in enumerate(encoder.layers, start=1):
            x = block(x)
            if number % BLOCKS_PER_STAGE == 0:
                features.append(x[:, 0])
        features[-1] = encoder.ln(x)[:, 0]
        return features
