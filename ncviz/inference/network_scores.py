"""Detectors that need the network itself: their scores, computed where its weights are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Sized

import numpy as np
import torch

from ncviz import detectors
from ncviz.data import Transform
from ncviz.inference.odin import odin_scores
from ncviz.inference.pixels import Pixels, normalise, send, split_evenly
from ncviz.models import Network

_COMPUTED: dict[str, Callable[..., np.ndarray]] = {"odin": odin_scores}
# A backward pass keeps what every layer put out.
_BATCH = 100


def network_detectors() -> tuple[str, ...]:
    """Names of the detectors that take the network to score a sample."""
    return tuple(name for name in detectors.names() if not detectors.info(name).scores_arrays)


def score_images(
    name: str, network: Network, images: torch.Tensor, transform: Transform
) -> np.ndarray:
    """(B,) float64 scores, by a detector's published defaults, of normalised images."""
    parameters = detectors.create(name).parameters()
    return _COMPUTED[name](network, images, transform, **parameters)


def score_batches(pixels: Sized) -> list[np.ndarray]:
    """The indices of `pixels` in batches small enough for a backward pass."""
    return split_evenly(np.arange(len(pixels)), _BATCH)


def network_scores(
    network: Network,
    pixels: Pixels,
    device: torch.device,
    *,
    batches: Sequence[np.ndarray] | None = None,
) -> Iterator[dict[str, np.ndarray]]:
    """Scores (B,) of `pixels` by every such detector, in order, batch by batch.

    `batches` are the indices of each; None takes all there are, as `score_batches` has them.
    """
    for batch, _ in pixels.batches(score_batches(pixels) if batches is None else batches):
        images = normalise(send(batch, device), pixels.transform)
        yield {
            name: score_images(name, network, images, pixels.transform)
            for name in network_detectors()
        }
