"""Which samples of a set are cached: chosen once, the same in every epoch, in the same order."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from ncviz.caching import stratified_sample
from ncviz.data import ImageSet
from ncviz.errors import InvalidOptionError


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
