"""What an index of the training samples gains for KNN and NNGuide, and how many it misses.

    python benchmarks/neighbours.py [--train 100000] [--queries 2000] [--dim 512]

Recall is the share of the k nearest training samples that are among what the index proposes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from bench import Row, Table, run, timed
from made import make

from ncviz import detectors
from ncviz.linalg import unit_vectors

PROBES = (1, 4, 16, 64)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--train", type=int, default=100_000, help="training samples")
    parser.add_argument("--queries", type=int, default=2000, help="samples to score")
    parser.add_argument("--dim", type=int, default=512, help="features of a sample")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument(
        "--spread", type=float, default=2.0, help="within a class, of about 1 apart"
    )
    parser.add_argument("--k", type=int, default=50, help="neighbours")


def tables(given: argparse.Namespace) -> Iterator[Table]:
    made = make(given.train, given.queries, given.dim, given.classes, given.spread)
    unit = unit_vectors(made.queries.features)
    products = unit @ unit_vectors(made.train.features).T
    nearest = np.argpartition(-products, given.k, axis=1)[:, : given.k]
    del products
    size = f"{given.train:,} x {given.dim} features, {given.queries:,} queries, k = {given.k}"
    table = Table(f"KNN by an index, against all training samples: {size}", theirs="all compared")
    exact = detectors.create("knn", k=given.k).fit(made.train, made.head)
    theirs, scores = timed(lambda: exact.score(made.queries), best_of=1)
    for probes in PROBES:
        knn = detectors.create("knn", k=given.k, probes=probes).fit(made.train, made.head)
        built, index = timed(lambda knn=knn: knn._index, best_of=1)
        ours, found = timed(lambda knn=knn: knn.score(made.queries))
        _, columns = index.search(unit, 2 * given.k)
        hits = [np.isin(own, these).mean() for own, these in zip(nearest, columns, strict=True)]
        apart = np.abs(found / scores - 1).mean()
        note = (
            f"recall {np.mean(hits):.3f}, distances {100 * apart:.2f} % too long on average; "
            f"the index of {index.cells:,} cells took {built:.1f} s"
        )
        table.rows.append(Row(f"{probes} of {index.cells:,} cells", ours, theirs, note=note))
    yield table


if __name__ == "__main__":
    run(tables, __doc__, options)
