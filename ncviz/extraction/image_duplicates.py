"""Near-duplicates of training images in the sets of a run, found once per set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ncviz.data import ImageSet
from ncviz.data.near_duplicates import VERSION, HashedSet, find_duplicates, hash_images
from ncviz.inference import transform_of
from ncviz.store import Run

MAX_KEYS = 3
"""number of pairs whose keys are kept"""


def image_duplicates(run: Run, images: Mapping[str, ImageSet]) -> dict[str, dict[str, Any]]:
    """Count the images of each set that are near-duplicates of training images.

    Counts that the run has already are kept while data, transform and method are the same.

    Parameters
    ----------
    images : the training set, and the sets compared with it, by full name

    Returns
    -------
    as `Run.image_duplicates`

    Raises
    ------
    CorruptFileError : an image that does not decode.
    """
    train_name = f"{run.id_set}/train"
    found = run.image_duplicates
    transform = transform_of(run)
    train: HashedSet | None = None
    for name, one in images.items():
        of = _digest(images[train_name], one, transform.to_dict())
        if name == train_name or found.get(name, {}).get("of") == of:
            continue
        train = train or hash_images(images[train_name], transform)
        pairs = find_duplicates(train, hash_images(one, transform))
        first = list(zip(pairs.rows, pairs.matches, strict=True))[:MAX_KEYS]
        found[name] = {
            "samples": pairs.samples,
            "duplicates": len(pairs.rows),
            "identical": pairs.identical,
            "keys": [[one.keys[row], train.images.keys[match]] for row, match in first],
            "of": of,
        }
    return found


def _digest(train: ImageSet, other: ImageSet, transform: Mapping[str, Any]) -> str:
    parts = [VERSION, train.fingerprint(), other.fingerprint(), transform]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).hexdigest()
