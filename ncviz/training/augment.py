"""Random flips and crops of pixels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from ncviz.inference import send
from ncviz.training.recipes import Recipe


def augment(
    images: Tensor,
    recipe: Recipe,
    random: np.random.Generator,
    *,
    of: int | None = None,
    part: slice = slice(None),
) -> Tensor:
    """Mirror and crop pixels (B, S, S, 3) at random, as `recipe` asks, wherever they are.

    Where the images are the `part` of a batch of `of`, draws are made for all of it: each image
    gets what it gets when the batch is in one piece.
    """
    size, count = images.shape[1], len(images) if of is None else of
    batch = torch.arange(len(images), device=images.device)
    if recipe.crop_padding:
        corners = random.integers(0, 2 * recipe.crop_padding + 1, (2, count, 1))[:, part, 0]
        rows, columns = send(torch.from_numpy(np.ascontiguousarray(corners)), images.device)
        images = pad(images, (0, 0, *[recipe.crop_padding] * 4))
        # Every crop of every image as a view (B, R, R, 3, S, S): one is copied of each.
        images = images.unfold(1, size, 1).unfold(2, size, 1)[batch, rows, columns]
        images = images.permute(0, 2, 3, 1)
    if recipe.flip:
        mirrored = torch.from_numpy(random.random((count, 1))[part, 0] < 0.5)
        mirrored = send(mirrored, images.device)
        images = torch.where(mirrored[:, None, None, None], images.flip(2), images)
    return images
