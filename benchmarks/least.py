"""How long detectors take at least: what they read and multiply, at the rates of the machine."""

from __future__ import annotations

from collections.abc import Collection

from bench import rates

from ncviz import detectors
from ncviz.arrays import FeatureSet, Head

# Families that are made of a second moment of the training features: D^2 operations for each of
# them, since one half of the products is the other.
_SQUARES = ("distance", "subspace")


def seconds(
    names: Collection[str],
    train: FeatureSet,
    queries: FeatureSet,
    head: Head,
    *,
    statistics: bool = False,
) -> float:
    """Seconds for fitting these detectors and scoring, where each array is read once.

    `statistics` tells whether those of the training set are given. What a detector does beside is
    left out: the bound is one that nothing gets below, and not one that all get near.
    """
    infos = [detectors.info(name) for name in names]
    needs = {need for info in infos for need in info.needs}
    families = {info.family for info in infos}
    arrays = {
        "features": queries.features,
        "logits": queries.logits,
        "training features": train.features,
        "training logits": train.logits,
        "held-out logits": train.logits,
        "statistics": train.features,
    }
    read = needs & arrays.keys() - ({"statistics"} if statistics else set())
    size = sum(array.nbytes for array in {id(arrays[need]): arrays[need] for need in read}.values())
    squares = int("pnml" in names)  # of features of another length
    squares += not statistics and any(
        info.family in _SQUARES and info.name != "pnml" for info in infos
    )
    single = 0
    if any(info.family == "activations" and "logits" not in info.needs for info in infos):
        single += 2 * len(queries) * head.dim * head.classes
    if "neighbours" in families:
        single += 2 * len(queries) * len(train) * head.dim
    return rates().bound(bytes=size, single=single, double=squares * len(train) * head.dim**2)
