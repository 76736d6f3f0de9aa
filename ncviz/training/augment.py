"""Random flips and crops of pixels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from ncviz.training.recipes import Recipe


def augment(images: Tensor, recipe: Recipe, random: np.random.Generator) -> Tensor:
    """Mirror and crop pixels (B, S, S, 3) at random, as `recipe` asks."""
    size = images.shape[1]
    rows = columns = torch.arange(size).expand(len(images), size)
    if recipe.crop_padding:
        images = pad(images, (0, 0, *[recipe.crop_padding] * 4))
        corners = random.integers(0, 2 * recipe.crop_padding + 1, (2, len(images), 1))
        rows, columns = (rows + torch.from_numpy(corner) for corner in corners)
    if recipe.flip:
        mirrored = torch.from_numpy(random.random((len(images), 1)) < 0.5)
        columns = torch.where(mirrored, columns.flip(1), columns)
    elif not recipe.crop_padding:
        return images
    batch = torch.arange(len(images))[:, None, None]
    return images[batch, rows[:, :, None], columns[:, None, :]]
