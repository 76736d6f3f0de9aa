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
    """Return what was counted as sentences; empty where nothing was.

    Parameters
    ----------
    found : set, duplicates, samples of each set; and found_by, ``"images"`` if near-duplicate
        images were counted instead of equal features
    """
    by_images, by_features = [], []
    for each in found:
        if each["duplicates"]:
            images = each.get("found_by") == "images"
            (by_images if images else by_features).append(
                f"{each['duplicates']:,} of {each['samples']:,} samples of {each['set']}"
            )
    sentences = []
    if by_images:
        sentences.append(f"{_listed(by_images)} are near-duplicates of training images.")
    if by_features:
        sentences.append(
            f"{_listed(by_features)} have exactly the features of a cached training sample."
        )
    if not sentences:
        return ""
    advice = "Results on samples that a network was trained on are too good."
    return f"Duplicates: {' '.join(sentences)} {advice}"


def in_lines(found: Mapping[str, Mapping]) -> list[str]:
    """Return a line for each set with near-duplicate images, with the keys of the first pairs.

    Parameters
    ----------
    found : by set: samples, duplicates, identical, and keys, pairs of the image and its duplicate
    """
    return [
        f"{name}: {each['duplicates']:,} of {each['samples']:,} images are near-duplicates of "
        f"training images, {each['identical']:,} of them identical; "
        + ", ".join(f"{key} = {known}" for key, known in each["keys"])
        + ", ..." * (len(each["keys"]) < each["duplicates"])
        for name, each in found.items()
        if each["duplicates"]
    ]


def _listed(parts: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
