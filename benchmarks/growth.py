"""How time and memory grow with size: four sizes each, and the exponent fitted to them.

python benchmarks/growth.py
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from bench import Row, Table, memory_of, run, seconds
from made import make

from ncviz import collapse, detectors
from ncviz.arrays import ClassStatistics
from ncviz.metrics import detection_intervals, detection_metrics

DIM, CLASSES = 256, 50


class Case(NamedTuple):
    """Work at several sizes, and what is prepared for each outside the clock."""

    what: str
    sizes: tuple[int, ...]
    prepare: Callable[[int], Callable[[], object]]
    expected: str


def statistics(count: int) -> Callable[[], object]:
    train = make(count, 1, DIM, CLASSES).train
    return lambda: ClassStatistics.of(train.features, train.labels, CLASSES)


def measured(classes: int) -> Callable[[], object]:
    train = make(4 * classes, 1, DIM, classes).train
    sums = ClassStatistics.of(train.features, train.labels, classes)
    return lambda: collapse.measure(sums)


def spread(count: int) -> Callable[[], object]:
    features = make(count, 1, DIM, CLASSES).train.features
    return lambda: collapse.spread(features)


def scored(name: str) -> Callable[[int], Callable[[], object]]:
    def prepare(count: int) -> Callable[[], object]:
        made = make(5000, count, DIM, CLASSES)
        fitted = detectors.create(name).fit(made.train, made.head)
        return lambda: fitted.score(made.queries)

    return prepare


def fitted(name: str) -> Callable[[int], Callable[[], object]]:
    def prepare(count: int) -> Callable[[], object]:
        made = make(count, 1, DIM, CLASSES)
        return lambda: detectors.create(name).fit(made.train, made.head)

    return prepare


def metrics(count: int) -> Callable[[], object]:
    ids, oods = np.random.default_rng(0).normal(size=(2, count))
    return lambda: detection_metrics(ids + 1, oods)


def intervals(count: int) -> Callable[[], object]:
    ids, oods = np.random.default_rng(0).normal(size=(2, count))
    return lambda: detection_intervals(ids + 1, oods)


MANY = (25_000, 50_000, 100_000, 200_000)
CASES = (
    Case("class statistics, N samples", MANY, statistics, "1"),
    Case("collapse metrics, C classes", (50, 100, 200, 400), measured, "2 to 3"),
    Case("entropy and effective rank, N samples", (4000, 8000, 16_000, 32_000), spread, "2"),
    Case("fitting ViM, N samples", MANY, fitted("vim"), "1"),
    Case("fitting ReAct, N samples", MANY, fitted("react"), "1"),
    Case("scoring by KNN, N queries", (2500, 5000, 10_000, 20_000), scored("knn"), "1"),
    Case("scoring by Mahalanobis, N queries", MANY, scored("mahalanobis"), "1"),
    Case("detection metrics, N scores of each set", MANY, metrics, "1"),
    Case("intervals of detection metrics, N scores of each set", MANY, intervals, "1"),
)


def tables(given: argparse.Namespace) -> Iterator[Table]:
    table = Table("Exponents of time over size", unit="exponent")
    for case in CASES:
        times, held = [], []
        for size in case.sizes:
            work = case.prepare(size)
            times.append(seconds(work))
            held.append(memory_of(work))
        exponent = float(np.polyfit(np.log(case.sizes), np.log(times), 1)[0])
        note = "; ".join(
            f"{size:,}: {took:.3g} s, {memory / 1e6:,.0f} MB"
            for size, took, memory in zip(case.sizes, times, held, strict=True)
        )
        table.rows.append(Row(case.what, exponent, aim=f"expected {case.expected}", note=note))
    yield table


if __name__ == "__main__":
    run(tables, __doc__)
