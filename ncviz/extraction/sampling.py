"""Which samples of a set are cached: chosen once, the same in every epoch, in the same order."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ncviz.data import ImageSet


def stratified_sample(labels: np.ndarray, size: int | None, seed: int = 0) -> np.ndarray:
    """Sorted indices of `size` of the N samples, spread over the classes as evenly as they allow.

    All N where `size` is None or not smaller than N. Each class gives its share of the samples,
    the remainders going to classes chosen at random.
    """
    count = len(labels)
    if size is None or size >= count:
        return np.arange(count)
    random = np.random.default_rng(seed)
    order = random.permutation(count)
    # The k-th sample of each class, all classes' first before anyone's second ...
    rank = np.empty(count, np.int64)
    by_class = order[np.argsort(labels[order], kind="stable")]
    sizes = np.unique(labels, return_counts=True)[1]
    rank[by_class] = np.concatenate([np.arange(n) for n in sizes])
    # ... in proportion to the size of the class, ties in random order.
    share = (rank + 0.5) / np.repeat(sizes, sizes)[np.argsort(by_class)]
    chosen = order[np.argsort(share[order], kind="stable")[:size]]
    return np.sort(chosen)


def sample_table(images: ImageSet, size: int | None, seed: int = 0) -> pd.DataFrame:
    """Rows of `samples.parquet` for one set: set, index, label, key."""
    chosen = stratified_sample(images.labels, size, seed)
    return pd.DataFrame(
        {
            "set": images.full_name,
            "index": chosen,
            "label": images.labels[chosen],
            "key": [images.keys[index] for index in chosen],
        }
    )
