"""Which samples of a set are cached: chosen once, the same in every epoch, in the same order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from ncviz.data import ImageSet
from ncviz.errors import InvalidOptionError


def stratified_sample(labels: np.ndarray, size: int | None, seed: int = 0) -> np.ndarray:
    """Sorted indices of `size` of the N samples, each class in proportion to its size.

    Seats are given as Sainte-Lague gives them in a parliament: the next one goes to the class with
    the most samples for each odd number 1, 3, 5, ... of seats it would then have passed; ties, and
    which samples of a class are taken, are random. All N where `size` is None or not below N.

    Parameters
    ----------
    labels : (N,) integers
    """
    count = len(labels)
    if size is None or size >= count:
        return np.arange(count)
    order = np.random.default_rng(seed).permutation(count)
    by_class = order[np.argsort(labels[order], kind="stable")]
    sizes = np.unique(labels, return_counts=True)[1]
    # The k-th sample of a class of n stands at (k + 1/2) / n: the lowest are taken.
    place = np.empty(count)
    place[by_class] = np.concatenate([(np.arange(n) + 0.5) / n for n in sizes])
    chosen = order[np.argsort(place[order], kind="stable")[:size]]
    return np.sort(chosen)


def sample_table(images: ImageSet, size: int | None, seed: int = 0) -> pd.DataFrame:
    """The samples of one set as rows: set, index, label, key."""
    chosen = stratified_sample(images.labels, size, seed)
    return pd.DataFrame(
        {
            "set": images.full_name,
            "index": chosen,
            "label": images.labels[chosen],
            "key": [images.keys[index] for index in chosen],
        }
    )


def only(images: ImageSet, samples: pd.DataFrame) -> ImageSet:
    """The images of a set that `samples` lists, in that order."""
    indices = samples["index"].to_numpy()
    keys = tuple(images.keys[index] for index in indices)
    return replace(images, labels=images.labels[indices], keys=keys)


def require_same_images(images: ImageSet, samples: pd.DataFrame) -> None:
    """Raise InvalidOptionError unless `images` has every sample where `samples` says it is."""
    before = -1
    for index, label, key in samples[["index", "label", "key"]].itertuples(index=False):
        inside = before < index < len(images)
        if not inside or (images.keys[index], images.labels[index]) != (key, label):
            raise InvalidOptionError(
                f"{images.full_name} is not the data that the run's samples were drawn from: "
                f"number {index} is not {key} any more. Point --data-root or NCVIZ_DATA at the "
                "original."
            )
        before = index
