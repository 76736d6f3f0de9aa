"""The cached samples that an image is nearest to, in the feature space of a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ncviz.errors import InvalidArrayError, MissingDataError
from ncviz.store import Epoch

# Weights are shared in half precision, which moves the features of the same image by this much of
# their length.
_SAME = 5e-3


@dataclass(frozen=True)
class Neighbour:
    """A cached sample near an image.

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

    def nearest(self, features: np.ndarray, count: int) -> list[Neighbour]:
        """The `count` samples at the smallest Euclidean distance of `features` (D,), nearest first.

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
        order = np.argsort(distances, kind="stable")[:count]
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


def read_gallery(epoch: Epoch, layer: str, sets: Sequence[str]) -> Gallery:
    """The cached samples of `sets` (full names) at `layer`, as far as these were extracted.

    Raises
    ------
    MissingDataError : none was extracted.
    """
    names = tuple(name for name in sets if name in epoch.sets)
    if not names:
        raise MissingDataError(
            f"Epoch {epoch.number} of {epoch.run.name} has no features of {', '.join(sets)}. "
            f"{epoch.run.how_to_extract()}"
        )
    found = [epoch.features(name, layer) for name in names]
    sizes = [len(samples) for samples in found]
    return Gallery(
        features=np.concatenate([samples.features for samples in found]),
        set_names=names,
        sets=np.repeat(np.arange(len(names)), sizes),
        positions=np.concatenate([np.arange(size) for size in sizes]),
        labels=np.concatenate(
            [
                np.full(len(each), -1) if each.labels is None else each.labels.astype(np.int64)
                for each in found
            ]
        ),
        keys=np.concatenate(
            [_keys(epoch, name, size) for name, size in zip(names, sizes, strict=True)]
        ),
    )


def _keys(epoch: Epoch, name: str, size: int) -> np.ndarray:
    try:
        samples = epoch.run.samples
    except MissingDataError:
        return np.full(size, "", dtype=object)
    keys = samples.loc[samples["set"] == name, "key"].to_numpy(dtype=object)
    # Features without their list of samples still tell how near they are.
    return keys if len(keys) == size else np.full(size, "", dtype=object)
