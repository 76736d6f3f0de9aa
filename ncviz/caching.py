"""Sampling and storage precision of cached features, and linear probes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from ncviz.arrays import FeatureSet, Head
from ncviz.errors import InvalidArrayError, InvalidOptionError
from ncviz.transfer import fit_head

PROBE_SAMPLES = 10_000
"""most training samples that a linear probe is fitted to, each class in proportion"""

_LARGEST = float(np.finfo(np.float16).max)
# Below, values of a thousandth of the largest would lose digits, and tiny features all of them.
_SMALLEST = 1024 * float(np.finfo(np.float16).tiny)


Size = int | Literal["all"] | None


@dataclass(frozen=True)
class Sizes:
    """Number of samples to extract of each set.

    By default a set that is new to the run is extracted whole, and any other keeps its samples.
    """

    train_samples: Size = None
    """training samples whose features are kept, for detectors and probes; class statistics always
    cover the whole training set (default: all)"""
    test_samples: Size = None
    """ID test samples (default: all)"""
    ood_samples: Size = None
    """samples of each OOD set (default: all)"""

    def __post_init__(self) -> None:
        for name, size in asdict(self).items():
            if not (size in (None, "all") or (isinstance(size, int) and size >= 1)):
                raise InvalidOptionError(
                    f"{name} is {size!r}; it must be at least 1, 'all', or left out."
                )

    def of(self, split: str) -> tuple[str, Size]:
        """Return the option for ``"train"``, ``"test"`` or an OOD set, and its value."""
        name = f"{split}_samples" if split in ("train", "test") else "ood_samples"
        return name, getattr(self, name)


def stratified_sample(labels: np.ndarray, size: Size, seed: int = 0) -> np.ndarray:
    """Sorted indices of `size` of the N samples, each class in proportion to its size.

    Seats are given as Sainte-Lague gives them in a parliament: the next one goes to the class with
    the most samples for each odd number 1, 3, 5, ... of seats it would then have passed; ties, and
    which samples of a class are taken, are random. All N where `size` is no number or not below N.

    Parameters
    ----------
    labels : (N,) integers
    """
    count = len(labels)
    if not isinstance(size, int) or size >= count:
        return np.arange(count)
    order = np.random.default_rng(seed).permutation(count)
    by_class = order[np.argsort(labels[order], kind="stable")]
    sizes = np.unique(labels, return_counts=True)[1]
    # The k-th sample of a class of n stands at (k + 1/2) / n: the lowest are taken.
    place = np.empty(count)
    place[by_class] = np.concatenate([(np.arange(n) + 0.5) / n for n in sizes])
    chosen = order[np.argsort(place[order], kind="stable")[:size]]
    return np.sort(chosen)


def fit_probes(
    layers: Mapping[str, np.ndarray], labels: np.ndarray, classes: int
) -> dict[str, Head]:
    """A linear probe in float32 for each layer, from training features (N, D) and labels (N,).

    A layer whose labels lack a class is left out.
    """
    logits = np.empty((len(labels), 0), np.float32)
    probes = {}
    for layer, features in layers.items():
        try:
            probe = fit_head(FeatureSet(features, logits, labels), classes)
        except InvalidArrayError:
            # A class too small to learn from leaves the layer without a probe, not the run
            # without features.
            continue
        probes[layer] = Head(probe.weight.astype(np.float32), probe.bias.astype(np.float32))
    return probes


def halve(array: np.ndarray) -> np.ndarray:
    """A float32 array in float16 where its range is wide enough; any other as it is."""
    largest = np.abs(array).max(initial=0)
    if array.dtype != np.float32 or not (largest == 0 or _SMALLEST <= largest <= _LARGEST):
        return array
    return array.astype(np.float16)
