"""How long bootstrap intervals of the detection metrics take, beside the obvious loop.

    python benchmarks/bootstrap.py [--samples 10000] [--resamples 200] [--repeats 5]

Prints the median seconds of a call with as many ID as OOD samples, for all metrics, and of drawing
one resample after another for `detection_metrics`. The aim is below 0.5 s on 2 threads:
OMP_NUM_THREADS=2.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without an installation

from ncviz.metrics import bootstrap, detection_metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=10_000, help="of ID, and as many of OOD")
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5, help="calls to take the median of")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    ids, oods = (rng.normal(mean, 1, options.samples) for mean in (1.0, 0.0))
    ours, loop = [], []
    for _ in range(options.repeats):  # in turns, so that a busy machine slows both
        ours.append(seconds(lambda: bootstrap(ids, {"ood": oods}, resamples=options.resamples)))
        loop.append(seconds(lambda: one_after_another(ids, oods, options.resamples)))
    median, slow = statistics.median(ours), statistics.median(loop)
    print(
        f"{options.resamples} resamples of {options.samples:,} ID and {options.samples:,} OOD: "
        f"median {median:.3f} s of {options.repeats} calls; one resample after another "
        f"{slow:.3f} s, {slow / median:.1f} times as long"
    )


def one_after_another(ids: np.ndarray, oods: np.ndarray, resamples: int) -> None:
    """The obvious loop: draw, sort, measure."""
    rng = np.random.default_rng(0)
    for _ in range(resamples):
        detection_metrics(rng.choice(ids, len(ids)), rng.choice(oods, len(oods)))


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
