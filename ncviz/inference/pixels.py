"""Batches of pixels for a network: decoded once where memory allows, else by a pool of workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ncviz.data import ImageSet, Transform, decode, decoded_bytes
from ncviz.errors import NcvizError

MEMORY_LIMIT = 4 * 2**30
"""bytes of decoded pixels kept in memory for one set; larger sets are decoded anew each epoch"""


class Pixels:
    """The images of a set as the network's transform leaves them, 8 bits a channel.

    Those that fit in memory are kept there once they were asked for.
    """

    def __init__(
        self,
        images: ImageSet,
        transform: Transform,
        *,
        workers: int = 4,
        memory_limit: int = MEMORY_LIMIT,
    ):
        self.images, self.transform, self.workers = images, transform, workers
        self.labels = torch.from_numpy(images.labels)
        self._decoded = None
        if decoded_bytes(len(images), transform) <= memory_limit:
            self._decoded = torch.empty(
                (len(images), transform.size, transform.size, 3), dtype=torch.uint8
            )
            self._lacking = np.ones(len(images), bool)

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, indices: Sequence[np.ndarray]) -> Iterator[tuple[Tensor, Tensor]]:
        """Pixels (B, S, S, 3) uint8 and labels (B,) for each array of sample indices."""
        if self._decoded is not None:
            for chosen in indices:
                yield self._kept(chosen), self.labels[torch.from_numpy(chosen)]
            return
        batches = _Batches(self.images, self.transform, indices)
        loader = DataLoader(batches, batch_size=None, num_workers=self.workers)
        for chosen, pixels in zip(indices, loader, strict=True):
            if isinstance(pixels, NcvizError):
                raise pixels
            yield pixels, self.labels[torch.tensor(chosen)]

    def _kept(self, chosen: np.ndarray) -> Tensor:
        new = chosen[self._lacking[chosen]]
        if len(new):
            decoded = decode(self.images, self.transform, indices=new)
            self._decoded[torch.from_numpy(new)] = torch.from_numpy(decoded)
            self._lacking[new] = False
        first, last = chosen[0], chosen[-1] + 1
        if last - first == len(chosen) and np.all(np.diff(chosen) == 1):
            return self._decoded[first:last]  # in a row: a view
        return self._decoded[torch.from_numpy(chosen)]


class _Batches(Dataset):
    def __init__(self, images: ImageSet, transform: Transform, indices: Sequence[np.ndarray]):
        self.images, self.transform, self.indices = images, transform, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, batch: int) -> np.ndarray | NcvizError:
        try:
            return np.stack([self.transform(self.images.image(i)) for i in self.indices[batch]])
        except NcvizError as error:
            # Raised in a worker, it would reach the user as the worker's traceback.
            return error


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`, without waiting for what a GPU is still at."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def normalise(pixels: Tensor, transform: Transform) -> Tensor:
    """Pixels (B, S, S, 3) uint8 to network input (B, 3, S, S) float32, channels last in memory."""
    mean, std = _mean_and_std(transform, pixels.device)
    # In place: each step of its own would take memory as large as the batch.
    return pixels.float().div_(255).sub_(mean).div_(std).permute(0, 3, 1, 2)


@lru_cache(maxsize=8)
def _mean_and_std(transform: Transform, device: torch.device) -> tuple[Tensor, Tensor]:
    # Sent to a GPU once, and not for every batch.
    with torch.inference_mode(False):
        return tuple(
            torch.tensor(values, dtype=torch.float32, device=device)
            for values in (transform.mean, transform.std)
        )


def split_evenly(indices: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Consecutive batches of nearly equal size, none larger than `batch_size`.

    Equal sizes keep the last batch from being so small that its BatchNorm statistics are noise.
    """
    return np.array_split(indices, max(1, -(-len(indices) // batch_size)))
