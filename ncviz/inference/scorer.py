"""Would the network know this image: one forward pass, and the score of every detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from PIL import Image

from ncviz import xp
from ncviz.arrays import FeatureSet, Head
from ncviz.caching import halve
from ncviz.data import Transform
from ncviz.inference.network import load_network, transform_of
from ncviz.inference.network_scores import score_images
from ncviz.inference.pixels import normalise
from ncviz.inference.reference import Reference, read_reference
from ncviz.models import Network
from ncviz.projector import etf_size, project
from ncviz.store import Epoch

BATCH = 32
"""images looked at together: a backward pass keeps what every layer put out"""


@dataclass(frozen=True)
class Sight:
    """What the network makes of one image, at one epoch and layer.

    Attributes
    ----------
    pixels : (S, S, 3) uint8, the image as the network sees it
    probabilities : (C,) softmax of the logits
    features : (D,) at the layer, rounded as the stored ones are
    scores : by detector, higher = more in-distribution
    """

    pixels: np.ndarray
    probabilities: np.ndarray
    features: np.ndarray
    scores: dict[str, float]

    def top(self, count: int = 5) -> list[tuple[int, float]]:
        """The most probable classes with their probabilities, most probable first."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(int(each), float(self.probabilities[each])) for each in order]


@dataclass(frozen=True)
class Scorer:
    """A saved network with its fitted detectors; nothing in it changes, so threads may share it.

    Without a linear `head`, logits are those of the network itself.
    """

    epoch: Epoch
    layer: str
    network: Network
    head: Head | None
    reference: Reference
    transform: Transform

    @classmethod
    def load(
        cls, epoch: Epoch, layer: str | None = None, *, detectors: Sequence[str] | None = None
    ) -> Self:
        """The scorer of an epoch at `layer`, by default the one under the head; on the CPU.

        Raises
        ------
        MissingDataError : the epoch's weights were not kept, or it was not evaluated.
        UnknownNameError : no such layer or detector.
        """
        last = epoch.run.layers[-1]
        layer = last if layer is None else layer
        return cls(
            epoch=epoch,
            layer=layer,
            network=load_network(epoch, torch.device("cpu")),
            head=epoch.head(last) if epoch.has_head(last) else None,
            reference=read_reference(epoch, layer, names=detectors),
            transform=transform_of(epoch.run),
        )

    def see(self, image: Image.Image) -> np.ndarray:
        """(S, S, 3) uint8: the RGB image as the network sees it."""
        return self.transform(image)

    def look(self, pixels: np.ndarray) -> list[Sight]:
        """What the network makes of images that `see` returned, (B, S, S, 3) uint8."""
        sights: list[Sight] = []
        for at in range(0, len(pixels), BATCH):
            sights += self._look(pixels[at : at + BATCH])
        return sights

    def _look(self, pixels: np.ndarray) -> list[Sight]:
        images = normalise(torch.tensor(pixels), self.transform)
        with torch.inference_mode():
            outputs = self.network(images)
            layers = {name: features.numpy() for name, features in outputs.layers.items()}
        samples = self._as_stored(layers, outputs.logits.numpy())
        scores = self.reference.score(samples)
        for name in self.reference.by_network:
            scores[name] = score_images(name, self.network, images, self.transform)
        probabilities = xp.softmax(samples.logits)
        return [
            Sight(
                pixels=pixels[row],
                probabilities=probabilities[row],
                features=samples.features[row],
                scores={
                    name: self._rounded(name, scores[name][row]) for name in self.reference.names
                },
            )
            for row in range(len(pixels))
        ]

    def _as_stored(self, layers: dict[str, np.ndarray], logits: np.ndarray) -> FeatureSet:
        """Features and logits by the steps that those of the stored samples went through.

        Only so do an image and the samples it is held against differ by nothing else.
        """
        run = self.epoch.run
        kept = {name: halve(features).astype(np.float32) for name, features in layers.items()}
        for name in run.derived_layers:
            kind = run.recipe["model"]["projector"]
            size = etf_size(kind, kept["encoder"].shape[1], len(run.classes))
            kept[name] = project(kept["encoder"], size)
        if self.head is not None:
            logits = self.head.logits(kept[run.layers[-1]])
        return FeatureSet(kept[self.layer], logits.astype(np.float32))

    def _rounded(self, name: str, score: float) -> float:
        # As precise as the stored scores, so that a stored sample meets its own score again.
        return float(self.reference.precision[name].type(score))
