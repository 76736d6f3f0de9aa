"""The cached samples that a sample is nearest to, in the feature space of a layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ncviz.errors import InvalidArrayError

# Weights are shared in half precision, which moves the features of the same image by this much of
# their length.
_SAME = 5e-3


@dataclass(frozen=True)
class Neighbour:
    """A cached sample near another one.

    Attributes
    ----------
    set_name : full name of its set, such as ``cifar100/train``
    position : which sample of its set
    label : its class in its own set, or -1
    key : finds its picture again, or empty where the run does not say
    distance : Euclidean, in the layer's own feature space
    cosine : of the angle between both features, from the origin; 0 where one has no length
    same : whether it is as near as the very image would be
    """

    set_name: str
    position: int
    label: int
    key: str
    distance: float
    cosine: float
    same: bool


@dataclass(frozen=True)
class Gallery:
    """Cached samples of some sets at one layer, one set after the other.

    Attributes
    ----------
    features : (N, D)
    sets : (N,) position in `set_names`
    positions : (N,) which sample of its set
    labels : (N,) class in its own set, or -1
    keys : (N,) keys of the pictures, empty where the run does not say
    """

    features: np.ndarray
    set_names: tuple[str, ...]
    sets: np.ndarray
    positions: np.ndarray
    labels: np.ndarray
    keys: np.ndarray

    def __len__(self) -> int:
        return len(self.features)

    def nearest(
        self, features: np.ndarray, count: int, *, but: tuple[str, int] | None = None
    ) -> list[Neighbour]:
        """The `count` samples at the smallest Euclidean distance of `features` (D,), nearest first.

        `but` is a sample that is left out, by set and position: nothing is nearer to itself.

        Raises
        ------
        InvalidArrayError : features of another layer.
        """
        if features.shape != self.features.shape[1:]:
            raise InvalidArrayError(
                f"Features have shape {features.shape}; these samples have "
                f"{self.features.shape[1:]}. Take both from the same layer."
            )
        image = features.astype(np.float64)
        distances = np.sqrt(np.square(self.features - image).sum(axis=1))
        order = np.argsort(distances, kind="stable")
        if but is not None and but[0] in self.set_names:
            set_name, position = self.set_names.index(but[0]), but[1]
            itself = (self.sets[order] == set_name) & (self.positions[order] == position)
            order = order[~itself]
        order = order[:count]
        return [self._neighbour(int(row), image, float(distances[row])) for row in order]

    def _neighbour(self, row: int, image: np.ndarray, distance: float) -> Neighbour:
        own = self.features[row].astype(np.float64)
        length = np.linalg.norm(image)
        both = length * np.linalg.norm(own)
        return Neighbour(
            set_name=self.set_names[self.sets[row]],
            position=int(self.positions[row]),
            label=int(self.labels[row]),
            key=str(self.keys[row]),
            distance=distance,
            cosine=float(image @ own / both) if both else 0.0,
            same=distance <= _SAME * length,
        )
