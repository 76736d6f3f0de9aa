"""Class statistics and collapse metrics in one pass, against the two passes of a loop over classes.

    python benchmarks/collapse.py [--large]

`--large` adds 1,280,000 x 2048 features, made in a temporary file of 10.5 GB and read from there.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from bench import Row, Table, memory_of, rates, run, seconds, timed

from ncviz import collapse
from ncviz.arrays import ClassStatistics, Head

# Samples that the loop is timed on; its time grows with their number alone.
_LOOPED = 2000
_ROWS = 20_000
_LARGE = (1_280_000, 2048, 1000)
_MOST = 4e9


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--large", action="store_true", help="add the size of ImageNet's features")


def tables(given: argparse.Namespace) -> Iterator[Table]:
    yield small()
    if given.large:
        yield large()


def small() -> Table:
    count, dim, classes = 50_000, 512, 100
    rng = np.random.default_rng(0)
    labels = np.arange(count) % classes
    means = rng.normal(size=(classes, dim)).astype(np.float32)
    features = means[labels] + 0.1 * rng.standard_normal((count, dim), np.float32)
    table = Table(f"Class statistics of {count:,} x {dim} features", theirs="loop")
    ours, statistics = timed(lambda: ClassStatistics.of(features, labels, classes))
    theirs, scatter = timed(lambda: two_passes(features, labels, classes), best_of=1)
    apart = np.abs(statistics.scatter - scatter).max() / np.abs(scatter).max()
    table.rows.append(
        Row(
            "counts, means and scatter",
            ours,
            theirs,
            bound=rates().bound(double=count * dim**2, bytes=features.nbytes),
            aim="10x",
            reached=theirs >= 10 * ours,
            note=f"the scatter matrices differ by {apart:.1e} of the largest entry",
        )
    )
    head = Head(means, np.zeros(classes, np.float32))
    table.rows.append(
        Row("all collapse metrics from them", seconds(lambda: collapse.measure(statistics, head)))
    )
    return table


def large() -> Table:
    count, dim, classes = _LARGE
    table = Table(f"Class statistics of {count:,} x {dim} features in a file", theirs="loop")
    with tempfile.TemporaryDirectory(prefix="ncviz-") as folder:
        features = made_in_a_file(Path(folder) / "features.npy", count, dim)
        labels = np.arange(count) % classes
        part, own = np.asarray(features[:_LOOPED]), labels[:_LOOPED]
        theirs = seconds(lambda: two_passes(part, own, classes), best_of=1) * count / _LOOPED
        found = []
        held = memory_of(
            lambda: found.append(timed(lambda: ClassStatistics.of(features, labels, classes)))
        )
    ours, statistics = found[0]
    table.rows.append(
        Row(
            "counts, means and scatter",
            ours,
            theirs,
            bound=rates().bound(double=count * dim**2, bytes=4 * count * dim),
            aim="10x",
            reached=theirs >= 10 * ours,
            note=f"the loop was timed on {_LOOPED:,} samples",
        )
    )
    table.rows.append(
        Row("all collapse metrics from them", seconds(lambda: collapse.measure(statistics)))
    )
    table.rows.append(
        Row("peak anonymous memory, in GB", held / 1e9, aim="under 4", reached=held < _MOST)
    )
    return table


def two_passes(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """(D, D) scatter as it is written down: means of classes first, then a product a sample."""
    dim = features.shape[1]
    means = np.zeros((classes, dim))
    for c in range(classes):
        own = features[labels == c]
        if len(own):
            means[c] = own.astype(np.float64).mean(axis=0)
    scatter = np.zeros((dim, dim))
    for c in range(classes):
        for h in features[labels == c]:
            gap = h.astype(np.float64) - means[c]
            scatter += np.outer(gap, gap)
    return scatter


def made_in_a_file(path: Path, count: int, dim: int) -> np.ndarray:
    """(N, D) float32 features in a file, mapped into memory."""
    features = np.lib.format.open_memmap(path, "w+", np.float32, (count, dim))
    rng = np.random.default_rng(0)
    for at in range(0, count, _ROWS):
        rows = min(_ROWS, count - at)
        features[at : at + rows] = np.maximum(rng.standard_normal((rows, dim), np.float32), 0)
    features.flush()
    return np.load(path, mmap_mode="r", allow_pickle=False)


if __name__ == "__main__":
    run(tables, __doc__, options)
