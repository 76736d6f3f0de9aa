"""Samples that a set shares with the training samples: its results are too good by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ncviz.errors import InvalidArrayError


def count_duplicates(train: np.ndarray, features: np.ndarray) -> int:
    """How many rows of `features` (M, D) are equal to a row of `train` (N, D), to the last bit.

    The same image comes to the same features; other images do so where a network tells nothing
    apart, which is worth knowing too.

    Raises
    ------
    InvalidArrayError : not two matrices of the same width.
    """
    train, features = np.asarray(train), np.asarray(features)
    if train.ndim != 2 or features.ndim != 2 or train.shape[1] != features.shape[1]:
        raise InvalidArrayError(
            f"Duplicates are looked for among features (N, D) and (M, D); got {train.shape} and "
            f"{features.shape}."
        )
    known = {row.tobytes() for row in train}
    return sum(row.tobytes() in known for row in features.astype(train.dtype))


def in_words(found: Iterable[Mapping]) -> str:
    """What was counted, in a sentence; empty where nothing was.

    Parameters
    ----------
    found : set, duplicates, samples of each set
    """
    parts = [
        f"{each['duplicates']:,} of {each['samples']:,} samples of {each['set']}"
        for each in found
        if each["duplicates"]
    ]
    if not parts:
        return ""
    listed = " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
    return (
        f"Duplicates: {listed} have exactly the features of a cached training sample. Results on "
        "samples that a network was trained on are too good."
    )
