"""How often intervals contain the true value, by simulation: the table in docs/coverage.md.

    python benchmarks/coverage.py [--repeats 800] [--jobs 2] [--page docs/coverage.md]

Scores are drawn from distributions whose metrics are known. An interval of 95% has nominal coverage
if it contains the true value in 95% of the draws.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without an installation

from ncviz import metrics
from ncviz.metrics.ranking import Ranking

ROOT = Path(__file__).resolve().parents[1]
SIZES = ((10_000, 10_000), (1_500, 300), (400, 30))
AUROCS = (0.5, 0.7, 0.9, 0.99)
METRICS = metrics.INTERVAL_METRICS
MEAN_SETS = 3
MANY = 10_000
_GRID = 200_000

Draw = Callable[[np.random.Generator, int], np.ndarray]


@dataclass(frozen=True)
class Family:
    """ID and OOD scores with a given AUROC.

    Attributes
    ----------
    name : what the scores look like
    ids, oods : draw scores
    population : weights of ID and OOD scores by increasing score, from which true values follow
    """

    name: str
    ids: Draw
    oods: Draw
    population: tuple[np.ndarray, np.ndarray, np.ndarray]

    def truth(self, ids: int, oods: int) -> dict[str, float]:
        """Metrics of the distributions; AUPR depends on the numbers of samples."""
        thresholds, of_id, of_ood = (each[::-1] for each in self.population)
        ranking = Ranking(thresholds, of_id * ids, of_ood * oods)
        flipped = ranking.flipped()
        return {
            "auroc": ranking.auroc(),
            "aupr_in": ranking.average_precision(),
            "aupr_out": flipped.average_precision(),
            "fpr95": float(ranking.fpr[ranking.first_at_tpr(0.95)]),
            "fpr95_ood": float(flipped.fpr[flipped.first_at_tpr(0.95)]),
        }


def normal(auroc: float, *, ood_deviation: float = 1.0) -> Family:
    """Normal scores; the OOD scores may vary more than the ID scores."""
    shift = ndtri(auroc) * np.hypot(1, ood_deviation)
    edges = np.linspace(-9 * ood_deviation, 9 * ood_deviation + shift, _GRID + 1)
    population = _cells(edges, ndtr(edges - shift), ndtr(edges / ood_deviation))
    name = "normal" if ood_deviation == 1 else f"normal, OOD {ood_deviation:g} times as wide"
    return Family(
        name,
        lambda rng, count: rng.normal(shift, 1, count),
        lambda rng, count: rng.normal(0, ood_deviation, count),
        population,
    )


def tied(auroc: float) -> Family:
    """Normal scores rounded to whole numbers: about five distinct values."""

    def rounded(shift: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        edges = np.arange(-9, 20) - 0.5
        return _cells(edges, ndtr(edges - shift), ndtr(edges))

    def excess(shift: float) -> float:
        _, of_id, of_ood = rounded(shift)
        return float(of_id @ (np.cumsum(of_ood) - of_ood / 2)) - auroc

    shift = brentq(excess, -1, 10)
    return Family(
        "rounded to five values",
        lambda rng, count: rng.normal(shift, 1, count).round(),
        lambda rng, count: rng.normal(0, 1, count).round(),
        rounded(shift),
    )


def skewed(auroc: float) -> Family:
    """Exponential scores: ID scores with a long tail upwards."""
    scale = auroc / (1 - auroc)
    edges = np.r_[0, np.geomspace(1e-9, 40 * max(scale, 1), _GRID)]
    population = _cells(edges, 1 - np.exp(-edges / scale), 1 - np.exp(-edges))
    return Family(
        "exponential",
        lambda rng, count: rng.exponential(scale, count),
        lambda rng, count: rng.exponential(1, count),
        population,
    )


def _cells(
    edges: np.ndarray, id_below: np.ndarray, ood_below: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    of_id, of_ood = (np.diff(each) / (each[-1] - each[0]) for each in (id_below, ood_below))
    filled = of_id + of_ood > 0
    return edges[1:][filled], of_id[filled], of_ood[filled]


FAMILIES: dict[str, Callable[[float], Family]] = {
    "normal": normal,
    "wide": partial(normal, ood_deviation=2.0),
    "tied": tied,
    "skewed": skewed,
}


@dataclass(frozen=True)
class Cell:
    """Coverage of one metric's interval, at one size and distribution.

    Attributes
    ----------
    kind : ``"one set"``, ``"mean of 3 sets"`` or ``"difference"``
    given : draws with an interval
    covered : draws whose interval contains the true value
    repeats : draws
    """

    kind: str
    scores: str
    ids: int
    oods: int
    auroc: float
    metric: str
    given: int
    covered: int
    repeats: int

    @property
    def coverage(self) -> float | None:
        """Share of intervals that contain the true value; None if most draws have no interval."""
        return self.covered / self.given if 2 * self.given > self.repeats else None


def one_set(
    name: str,
    ids: int,
    oods: int,
    auroc: float,
    repeats: int,
    seed: int = 0,
    *,
    measured: Sequence[str] = METRICS,
) -> list[Cell]:
    """Coverage of the intervals of one ID and one OOD set, for the metrics `measured`."""
    chosen = FAMILIES[name](auroc)
    rng = np.random.default_rng([seed, 0, ids, oods, round(1000 * auroc), *name.encode()])

    def draw() -> dict[str, metrics.CorrelatedEstimate]:
        drawn = chosen.ids(rng, ids), chosen.oods(rng, oods)
        return metrics.detection_estimates(*drawn, metrics=measured)

    key = ("one set", chosen.name, ids, oods, auroc)
    truth = chosen.truth(ids, oods)
    return _count(key, draw, {each: truth[each] for each in measured}, repeats)


def mean_of_sets(
    name: str, ids: int, oods: int, auroc: float, repeats: int, seed: int = 0
) -> list[Cell]:
    """Coverage of the intervals of means over OOD sets that share their ID samples."""
    chosen = FAMILIES[name](auroc)
    rng = np.random.default_rng([seed, 1, ids, oods, round(1000 * auroc), *name.encode()])

    def draw() -> dict[str, metrics.CorrelatedEstimate]:
        known = chosen.ids(rng, ids)
        sets = [
            metrics.detection_estimates(known, chosen.oods(rng, oods), ood_name=str(at))
            for at in range(MEAN_SETS)
        ]
        return {each: metrics.mean_estimate([one[each] for one in sets]) for each in METRICS}

    key = (f"mean of {MEAN_SETS} sets", chosen.name, ids, oods, auroc)
    return _count(key, draw, chosen.truth(ids, oods), repeats)


def difference(
    name: str, ids: int, oods: int, auroc: float, repeats: int, seed: int = 0
) -> list[Cell]:
    """Coverage of the intervals of the difference of two equally good scores of the same samples.

    Normal scores with a correlation of 0.8, as two detectors of one network have it.
    """
    shift = ndtri(auroc) * np.sqrt(2)
    rng = np.random.default_rng([seed, 2, ids, oods, round(1000 * auroc)])

    def draw() -> dict[str, metrics.CorrelatedEstimate]:
        sides = []
        shared = rng.normal(0, np.sqrt(0.8), ids + oods)
        for _ in range(2):
            scores = shared + rng.normal(0, np.sqrt(0.2), ids + oods)
            sides.append(metrics.detection_estimates(scores[:ids] + shift, scores[ids:]))
        first, second = sides
        return {each: metrics.difference_estimate(first[each], second[each]) for each in METRICS}

    key = ("difference", name, ids, oods, auroc)
    return _count(key, draw, dict.fromkeys(METRICS, 0.0), repeats)


def _count(
    key: tuple,
    draw: Callable[[], dict[str, metrics.CorrelatedEstimate]],
    truth: dict[str, float],
    repeats: int,
) -> list[Cell]:
    given, covered = (dict.fromkeys(truth, 0) for _ in range(2))
    for _ in range(repeats):
        for metric, found in draw().items():
            if found.interval.exists:
                given[metric] += 1
                # Within rounding: the truth comes from a numerical integral.
                covered[metric] += found.low - 1e-9 <= truth[metric] <= found.high + 1e-9
    return [Cell(*key, metric, given[metric], int(covered[metric]), repeats) for metric in truth]


def cells(repeats: int, jobs: int, seed: int = 0) -> list[Cell]:
    """All cells of the table, one distribution and size after the other.

    Rows with the largest sizes get a quarter of the draws.
    """
    kinds = ((one_set, FAMILIES), (mean_of_sets, ("normal",)), (difference, ("normal",)))
    work = [
        (compute, name, *sizes, auroc, repeats if sizes[0] < MANY else repeats // 4, seed)
        for compute, names in kinds
        for sizes in SIZES
        for auroc in AUROCS
        for name in names
    ]
    if jobs == 1:
        return [cell for one in work for cell in _call(*one)]
    with get_context("spawn").Pool(jobs) as pool:
        return [cell for group in pool.starmap(_call, work, chunksize=1) for cell in group]


def _call(compute: Callable[..., list[Cell]], *arguments) -> list[Cell]:
    return compute(*arguments)


def page(found: Sequence[Cell]) -> str:
    """The page with the table of coverage."""
    labels = [metrics.DEFINITIONS[name].label for name in METRICS]
    rows: dict[tuple, dict[str, Cell]] = {}
    for cell in found:
        sizes, draws = f"{cell.ids:,} / {cell.oods:,}", f"{cell.repeats:,}"
        key = (cell.kind, cell.scores, sizes, f"{cell.auroc:g}", draws)
        rows.setdefault(key, {})[cell.metric] = cell
    head = ("", "scores", "ID / OOD", "true AUROC", "draws", *labels)
    lines = [
        "# Coverage of confidence intervals",
        "",
        "Share of 95% intervals that contain the true value in simulated draws of test samples. "
        f"Nominal is 0.95; chance moves a share by up to {_error(200)} in 200 draws and "
        f"{_error(800)} in 800. A dash: no interval is given, because none has nominal "
        "coverage at this number of samples. A difference compares two equally good scores of the "
        "same samples whose correlation is 0.8.",
        "",
        "`python benchmarks/coverage.py` (part of `make bench`) writes this page. The methods are "
        "documented in `ncviz.metrics.detection_intervals`. Intervals describe other draws of "
        "test samples for the same network; they do not include training with another seed.",
        "",
        f"| {' | '.join(head)} |",
        f"|{'---|' * 5}{'---:|' * len(labels)}",
    ]
    for key, by_metric in rows.items():
        values = [by_metric[name].coverage for name in METRICS]
        texts = ["–" if value is None else f"{value:.3f}" for value in values]
        lines.append(f"| {' | '.join((*key, *texts))} |")
    return "\n".join(lines) + "\n"


def _error(draws: int) -> str:
    return f"{1.96 * np.sqrt(0.95 * 0.05 / draws):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=800, help="draws for each row")
    parser.add_argument("--seed", type=int, default=20, help="of the draws")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "coverage.md")
    parser.add_argument("--json", type=Path, help="also write the cells to this file")
    given = parser.parse_args()
    found = cells(given.repeats, given.jobs, given.seed)
    text = page(found)
    print(text, end="")
    given.page.write_text(text)
    if given.json:
        given.json.write_text(json.dumps([asdict(cell) for cell in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
