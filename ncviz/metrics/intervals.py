"""How far a detection metric would move with other test samples: bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from ncviz.errors import InvalidOptionError, UnknownNameError
from ncviz.metrics.ranking import require_scores
from ncviz.metrics.weighted import Contest, Groups

INTERVAL_METRICS = ("auroc", "aupr_in", "aupr_out", "fpr95", "fpr95_ood", "detection_accuracy")
"""The fields of DetectionMetrics that have intervals."""

# Cells of one table of weights: small enough for the processor's cache, which is what makes it
# fast, and for the memory not to grow with the number of resamples.
_CELLS = 30_000


@dataclass(frozen=True)
class Interval:
    """The range that a quantity lies in at some level of confidence, both ends included."""

    low: float
    high: float


@dataclass(frozen=True)
class Bootstrap:
    """Metrics of resamples drawn with replacement from the test samples.

    The intervals are percentile intervals: at a level of 0.95, from the 2.5th to the 97.5th
    percentile of the metric over the resamples. What they do not do:

    - They speak about other samples from the same sets, for this one network. Training it again
      with another seed usually moves a metric further.
    - They come out a little short where a set has few samples (below about 50), and for FPR95,
      which hangs on the few samples around one threshold.
    - Scores that separate the sets perfectly give [1, 1], as no resample can bring in an error:
      this does not prove that there is none.
    - Their ends rest on the outermost 2.5 % of the resamples, 5 of 200, and shift a little with
      the seed.

    Attributes
    ----------
    values : for each OOD set and each of `INTERVAL_METRICS`, (R,) the metric in each resample.
        Resample number r holds the same ID samples for every OOD set. Two bootstraps of the same
        samples with one seed (two detectors, say) draw the same samples as well, so their values
        may be subtracted resample by resample.
    """

    values: dict[str, dict[str, np.ndarray]]

    def interval(self, set_name: str, metric: str, level: float = 0.95) -> Interval:
        """Interval of one metric on one OOD set.

        Raises
        ------
        UnknownNameError : no such set or metric
        InvalidOptionError : the level is not between 0 and 1
        """
        return _percentiles(self._values(set_name, metric), level)

    def mean_interval(self, set_names: Iterable[str], metric: str, level: float = 0.95) -> Interval:
        """Interval of a metric's mean over several OOD sets, such as all near ones.

        Raises
        ------
        UnknownNameError : no such set or metric
        InvalidOptionError : no set is named, or the level is not between 0 and 1
        """
        values = [self._values(name, metric) for name in set_names]
        if not values:
            raise InvalidOptionError("A mean over OOD sets needs at least one set; got none.")
        return _percentiles(np.mean(values, axis=0), level)

    def minus(self, other: Self) -> Self:
        """Differences, resample by resample, on the OOD sets that both have.

        Two bootstraps of the SAME samples with one seed give paired differences: what makes a
        resample easy or hard for both drops out. With different seeds the draws have nothing to do
        with one another, as the samples of two separate tests.

        Raises
        ------
        InvalidOptionError : the numbers of resamples differ
        """
        shared = [name for name in self.values if name in other.values]
        sizes = {len(self.values[name]["auroc"]) for name in shared}
        sizes |= {len(other.values[name]["auroc"]) for name in shared}
        if len(sizes) > 1:
            raise InvalidOptionError(
                f"Bootstraps are subtracted resample by resample; got {min(sizes)} and "
                f"{max(sizes)} resamples."
            )
        return type(self)(
            {
                name: {m: self.values[name][m] - other.values[name][m] for m in INTERVAL_METRICS}
                for name in shared
            }
        )

    def _values(self, set_name: str, metric: str) -> np.ndarray:
        if set_name not in self.values:
            raise UnknownNameError("OOD set", set_name, self.values)
        if metric not in INTERVAL_METRICS:
            raise UnknownNameError("metric with an interval", metric, INTERVAL_METRICS)
        return self.values[set_name][metric]


def bootstrap(
    id_scores: np.ndarray,
    ood_scores: Mapping[str, np.ndarray],
    *,
    resamples: int = 200,
    seed: int = 0,
) -> Bootstrap:
    """Detection metrics of `resamples` resamples of the ID samples and of each OOD set.

    Each set is resampled on its own, with replacement, to its own size. What is drawn from a set
    depends on the seed, the set's name and its size alone, not on the other sets or the scores.

    Parameters
    ----------
    id_scores : (N,) finite numbers, at least one, higher = more ID
    ood_scores : (M,) of each OOD set, by its name
    resamples : how many, at least 1
    seed : not negative; the same seed gives the same values

    Raises
    ------
    InvalidArrayError : scores of a set are not one-dimensional, empty, NaN or infinite
    InvalidOptionError : `resamples` or `seed` is out of range

    Notes
    -----
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    _require_counts(resamples, seed)
    ids = Groups.of(require_scores(id_scores, "ID"))
    oods = {
        name: Groups.of(require_scores(scores, f"OOD set '{name}':"))
        for name, scores in ood_scores.items()
    }
    contests = {name: Contest.of(ids, groups) for name, groups in oods.items()}
    id_stream = np.random.default_rng([seed, 0])
    ood_streams = {name: np.random.default_rng([seed, 1, *name.encode()]) for name in oods}
    values = {name: {m: np.empty(resamples) for m in INTERVAL_METRICS} for name in oods}
    for rows in _blocks(resamples, max(groups.samples for groups in (ids, *oods.values()))):
        id_weights = ids.weigh(_draw(id_stream, rows, ids.samples))
        for name, groups in oods.items():
            weights = groups.weigh(_draw(ood_streams[name], rows, groups.samples))
            for metric, found in contests[name].metrics(id_weights, weights).items():
                values[name][metric][rows] = found
    return Bootstrap(values)


def _require_counts(resamples: int, seed: int) -> None:
    if resamples < 1:
        raise InvalidOptionError(f"A bootstrap needs at least 1 resample; got {resamples}.")
    if seed < 0:
        raise InvalidOptionError(f"The seed must not be negative; got {seed}.")


def _blocks(resamples: int, samples: int) -> Iterable[slice]:
    """Resamples in runs whose weights fit the cache."""
    size = max(1, _CELLS // samples)
    for start in range(0, resamples, size):
        yield slice(start, min(start + size, resamples))


def _draw(stream: np.random.Generator, rows: slice, samples: int) -> np.ndarray:
    """(B, N) the samples that each of the resamples `rows` draws."""
    return stream.integers(samples, size=(rows.stop - rows.start, samples))


def _percentiles(values: np.ndarray, level: float) -> Interval:
    if not 0 < level < 1:
        raise InvalidOptionError(f"The level of an interval must lie between 0 and 1; got {level}.")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))
