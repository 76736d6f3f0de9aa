"""How long each detector takes to fit and to score, beside pytorch-ood where it has the detector.

    python benchmarks/detectors.py [--train 50000] [--queries 10000] [--dim 512] [--classes 100]

Everything runs in one process on the same made-up float32 arrays. Take 1 thread or all:
OMP_NUM_THREADS=1 holds both to one core.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Collection, Iterator
from functools import partial

import least
import numpy as np
from bench import Row, Table, memory_of, run, seconds, timed
from loops import LOOPS
from made import Made, make
from peers import PEERS
from scipy.stats import spearmanr

from ncviz import detectors
from ncviz.arrays import ClassStatistics

NEIGHBOURS = ("knn", "nnguide", "relation")
# What is to be known where scores are not those of pytorch-ood, or take longer.
_TIES = "pytorch-ood's probabilities are float32 and tie where the head is sure"
OTHER_SCORES = {
    "msp": _TIES,
    "entropy": _TIES,
    "gen": f"{_TIES}, and cut off at 1e-7",
    "vra": "pytorch-ood takes thresholds for each dimension, ours one pair for all as the paper",
    "temperature_scaling": "all made samples are classified right, so that no temperature is best: "
    "ours ends at its bound, where all scores are 1, and pytorch-ood after 50 steps",
}
_FLOAT64 = "float64 where pytorch-ood has float32, so that probabilities next to 1 stay apart"
SLOWER = {
    "msp": _FLOAT64,
    "energy": _FLOAT64,
    "entropy": _FLOAT64,
    "gen": _FLOAT64,
    "kl_matching": f"{_FLOAT64}, in templates too",
    "max_logit": "handing blocks to threads takes longer than the maxima",
    "fdbd": "distances in float64, whose differences pytorch-ood rounds",
    "vim": "second moments, their spectrum and residuals in float64: what collapsed features leave "
    "beyond the principal space is lost in float32",
    "pnml": "second moments and their spectrum in float64, as in ViM",
}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--train", type=int, default=50_000, help="training samples")
    parser.add_argument("--queries", type=int, default=10_000, help="samples to score")
    parser.add_argument("--dim", type=int, default=512, help="features of a sample")
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--spread", type=float, default=0.7, help="within a class; 0.01: collapsed")
    parser.add_argument("--detectors", nargs="+", metavar="NAME", help="by default all")


def tables(given: argparse.Namespace) -> Iterator[Table]:
    made = make(given.train, given.queries, given.dim, given.classes, given.spread)
    tiny = make(2 * given.classes, 10, given.dim, given.classes, given.spread)
    names = [name for name in given.detectors or detectors.names() if is_scored(name)]
    for name in names:  # imports and threads are there before the clock starts
        fit_and_score(name, tiny)
    size = f"{given.train:,} x {given.dim} features, {given.queries:,} queries, C = {given.classes}"
    alone = Table(f"Each detector alone, fit and score: {size}", theirs="pytorch-ood")
    for name in names:
        alone.rows.append(one(name, made))
    yield alone
    if given.detectors:
        return
    yield together(made, alone, size)
    yield against_loops(made, size)


def is_scored(name: str) -> bool:
    return detectors.info(name).scores_arrays


def fit_and_score(name: str, made: Made) -> np.ndarray:
    return detectors.create(name).fit(made.train, made.head).score(made.queries)


def one(name: str, made: Made) -> Row:
    ours, scores = timed(partial(fit_and_score, name, made))
    bound = bound_of([name], made)
    if name not in PEERS:
        return Row(name, ours, bound=bound)
    theirs, others = timed(partial(PEERS[name], made))
    rank = spearmanr(scores, -others.detach().numpy()).statistic
    notes = [SLOWER.get(name, "")] if theirs < ours else []
    if not rank > 1 - 1e-4:
        notes += [f"Spearman correlation {rank:.4f}", OTHER_SCORES.get(name, "")]
    note = "; ".join(filter(None, notes))
    return Row(name, ours, theirs, bound, aim="1x", reached=theirs >= ours, note=note)


def bound_of(names: Collection[str], made: Made) -> float:
    return least.seconds(names, made.train, made.queries, made.head)


def together(made: Made, alone: Table, size: str) -> Table:
    """Sets of detectors, statistics of the training set made once, against the sum of the peers."""
    theirs = {row.what: row.theirs for row in alone.rows if row.theirs is not None}
    others = [name for name in theirs if name not in NEIGHBOURS]
    near = sum(theirs.get(name, 0) for name in NEIGHBOURS)
    product = bound_of(NEIGHBOURS, made)
    table = Table(f"Sets of detectors, fit and score: {size}", theirs="pytorch-ood")
    measured = seconds(partial(product_and_top, made))
    ours = seconds(partial(fit_and_score_all, others, made))
    rest = sum(theirs[name] for name in others)
    table.rows.append(
        Row(
            f"the {len(others)} without neighbours",
            ours,
            rest,
            bound_of(others, made),
            aim="15x",
            reached=rest >= 15 * ours,
            note=profile(others, made),
        )
    )
    ours = seconds(partial(fit_and_score_all, NEIGHBOURS, made))
    table.rows.append(
        Row("KNN, NNGuide and relation in one pass", ours, near or None, bound=product)
    )
    table.rows.append(
        Row(
            "the same, against one float32 product of torch and its top 50",
            ours,
            measured,
            bound=product,
            aim="0.67x",
            reached=ours <= 1.5 * measured,
        )
    )
    common = list(theirs)
    ours = seconds(partial(fit_and_score_all, common, made))
    whole = sum(theirs.values())
    table.rows.append(
        Row(
            f"all {len(common)} that both have",
            ours,
            whole,
            bound_of(common, made),
            aim="5x",
            reached=whole >= 5 * ours,
            note=f"one product of torch and its top 50 alone would allow {whole / measured:.3g}x",
        )
    )
    everything = [name for name in detectors.names() if is_scored(name)]
    ours = seconds(partial(fit_and_score_all, everything, made))
    bound = bound_of(everything, made)
    table.rows.append(Row(f"all {len(everything)} of ours", ours, bound=bound))
    held = memory_of(partial(fit_and_score_all, everything, made))
    table.rows.append(
        Row(
            "their peak memory beyond the input, in GB",
            held / 1e9,
            made.bytes / 1e9,
            aim="at most twice the input in all",
            reached=held <= made.bytes,
            note="`theirs` is the size of the input",
        )
    )
    return table


def fit_and_score_all(names: list[str], made: Made) -> dict[str, np.ndarray]:
    statistics = ClassStatistics.of(made.train.features, made.train.labels, made.head.classes)
    fitted = {name: detectors.create(name).fit(made.train, made.head, statistics) for name in names}
    return detectors.score_all(fitted, made.queries)


def profile(names: list[str], made: Made) -> str:
    """Where the time of `fit_and_score_all` goes."""
    work = partial(ClassStatistics.of, made.train.features, made.train.labels, made.head.classes)
    shared, statistics = timed(work)
    fits, fitted = {}, {}
    for name in names:

        def fit(name=name) -> detectors.Detector:
            return detectors.create(name).fit(made.train, made.head, statistics)

        fits[name], fitted[name] = timed(fit)
    scores = {name: seconds(partial(fitted[name].score, made.queries)) for name in names}
    return (
        f"{shared:.2f} s for statistics of the training set, {sum(fits.values()):.2f} s for fits "
        f"({slowest(fits)}), {sum(scores.values()):.2f} s for scores ({slowest(scores)}); all of "
        "it in float64"
    )


def slowest(found: dict[str, float]) -> str:
    chosen = sorted(found, key=found.get, reverse=True)[:3]
    return ", ".join(f"{name} {found[name]:.2f}" for name in chosen)


def product_and_top(made: Made) -> None:
    """One product of all queries with all training samples, and the 50 largest of each row."""
    import torch

    queries, bank = torch.from_numpy(made.queries.features), torch.from_numpy(made.train.features)
    (queries @ bank.T).topk(50, dim=1)


def against_loops(made: Made, size: str) -> Table:
    """Per-sample loops as published code has them, timed on some samples."""
    table = Table(f"Scoring alone, against loops over samples: {size}", theirs="loop")
    for name, (prepare, count) in LOOPS.items():
        detector = detectors.create(name).fit(made.train, made.head)
        ours = seconds(partial(detector.score, made.queries))
        loop: Callable = prepare(made)
        part = made.queries[:count]
        theirs, scores = timed(partial(loop, part), best_of=1)
        theirs *= len(made.queries) / len(part)
        rank = spearmanr(scores, detector.score(part)).statistic
        note = f"the loop was timed on {count} samples; Spearman correlation of both {rank:.4f}"
        if name == "neco":
            note += "; that code turns all samples at once and loops over two norms alone"
        nobody = made.train[:0]
        bound = least.seconds([name], nobody, made.queries, made.head, statistics=True)
        table.rows.append(
            Row(name, ours, theirs, bound, aim="50x", reached=theirs >= 50 * ours, note=note)
        )
    return table


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(run(tables, __doc__, options))
