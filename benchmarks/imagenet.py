"""All detectors on features of ImageNet's dimensions that lie in a file, and the memory they take.

    python benchmarks/imagenet.py [--train 320000] [--queries 1000]

ImageNet has 1,281,167 training images: 10.5 GB of features and 5.1 GB of logits, which the
temporary folder must hold.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import least
import numpy as np
from bench import Row, Table, memory_of, rates, run, timed

from ncviz import detectors
from ncviz.arrays import ClassStatistics, FeatureSet, Head

DIM, CLASSES = 2048, 1000
_ROWS = 10_000


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--train", type=int, default=320_000, help="training samples")
    parser.add_argument("--queries", type=int, default=1000, help="samples to score")


def tables(given: argparse.Namespace) -> Iterator[Table]:
    table = Table(
        f"Fit to {given.train:,} x {DIM} features in a file, C = {CLASSES}, "
        f"and score {given.queries:,} queries"
    )
    with tempfile.TemporaryDirectory(prefix="ncviz-") as folder:
        head, train, queries = made_in_files(Path(folder), given.train, given.queries)
        flops = given.train * DIM**2
        took = []

        def fit_statistics() -> None:
            whole = partial(ClassStatistics.of, train.features, train.labels, CLASSES)
            took.append(timed(whole, best_of=1))

        held = memory_of(fit_statistics)
        seconds, statistics = took.pop()
        table.rows.append(row("class statistics", seconds, held, rates().bound(double=flops)))
        fitted = {}
        for name in detectors.names():
            if not detectors.info(name).scores_arrays:
                continue

            def fit_and_score(name=name) -> None:
                def work() -> np.ndarray:
                    seen = queries if detectors.info(name).learns_held_out else train
                    fitted[name] = detectors.create(name).fit(seen, head, statistics)
                    return fitted[name].score(queries)

                took.append(timed(work, best_of=1))

            held = memory_of(fit_and_score)
            bound = least.seconds([name], train, queries, head, statistics=True)
            table.rows.append(row(name, took.pop()[0], held, bound))
        near = {name: fitted[name] for name in ("knn", "nnguide", "relation")}
        held = memory_of(
            lambda: took.append(timed(lambda: detectors.score_all(near, queries), best_of=1))
        )
        bound = least.seconds(list(near), train, queries, head)
        table.rows.append(row("those three in one pass", took.pop()[0], held, bound))
        size = train.features.nbytes + train.logits.nbytes
    table.rows.append(Row("size of the features and logits, in GB", size / 1e9))
    yield table


def row(what: str, seconds: float, held: int, bound: float | None = None) -> Row:
    return Row(what, seconds, bound=bound, note=f"{held / 1e9:.2f} GB of memory at most")


def made_in_files(folder: Path, train: int, queries: int) -> tuple[Head, FeatureSet, FeatureSet]:
    """A head, training samples in files and queries in memory."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CLASSES, DIM)).astype(np.float32)
    head = Head(centres / np.float32(np.sqrt(DIM)), np.zeros(CLASSES, np.float32))

    def draw(labels: np.ndarray) -> np.ndarray:
        noise = rng.standard_normal((len(labels), DIM), np.float32)
        return np.maximum(centres[labels] + noise, 0)

    labels = np.arange(train) % CLASSES
    features, logits = (
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, (train, width))
        for name, width in (("features", DIM), ("logits", CLASSES))
    )
    for at in range(0, train, _ROWS):
        block = draw(labels[at : at + _ROWS])
        features[at : at + _ROWS] = block
        logits[at : at + _ROWS] = head.logits(block)
    features.flush()
    logits.flush()
    mapped = [
        np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        for name in ("features", "logits")
    ]
    asked = np.arange(queries) % CLASSES
    seen = draw(asked)
    return head, FeatureSet(*mapped, labels), FeatureSet(seen, head.logits(seen), asked)


if __name__ == "__main__":
    run(tables, __doc__, options)
