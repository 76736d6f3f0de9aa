"""Selection of the samples of a set: once, the same in every epoch, in the same order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from ncviz.caching import Size, Sizes, stratified_sample
from ncviz.data import ImageSet
from ncviz.errors import InvalidOptionError, MissingDataError
from ncviz.store import Run


def choose_samples(
    run: Run, images: Mapping[str, ImageSet], sizes: Sizes
) -> dict[str, pd.DataFrame]:
    """Return the samples of each set by its full name: those the run has, or else new ones.

    Sets of the run that are not among `images` keep their samples.

    Raises
    ------
    InvalidOptionError
        If the images are not those that the run's samples were drawn from, or if `sizes` asks for
        another number of samples than the run has.
    """
    try:
        known = dict(list(run.samples.groupby("set", sort=False)))
    except MissingDataError:
        known = {}
    for name, one in images.items():
        option, size = sizes.of(name.removeprefix(f"{run.id_set}/"))
        if name not in known:
            known[name] = sample_table(one, size)
            continue
        require_same_images(one, known[name])
        wanted = size if isinstance(size, int) else len(one)
        if size is not None and min(wanted, len(one)) != len(known[name]):
            raise InvalidOptionError(
                f"Run {run.name} has {len(known[name]):,} of the {len(one):,} samples of {name}, "
                f"which --{option.replace('_', '-')} {size} contradicts. Leave the option out to "
                f"keep them, or {run.how_to_sample_anew}."
            )
    return known


def sample_table(images: ImageSet, size: Size, seed: int = 0) -> pd.DataFrame:
    """Return the samples of one set as rows: set, index, label, key."""
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
