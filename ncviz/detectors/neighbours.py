"""Detectors that compare a sample with every training sample: KNN, NNGuide, Relation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import logsumexp, softmax

from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.detectors.base import (
    Detector,
    register,
    require_count,
    require_not_negative,
    require_positive,
)
from ncviz.linalg import unit_vectors

# Training samples compared at once: with the rows of a block, 32 to 64 MB of products.
_COLUMNS = 1024
# Float64 numbers gathered at once to compare samples with candidates: 32 MB.
_ENTRIES = 2**22


def similarities(unit: np.ndarray, bank: np.ndarray, dtype) -> Iterator[tuple[slice, np.ndarray]]:
    """Cosines of samples and training samples, for a block of training samples at a time.

    Parameters
    ----------
    unit : (B, D) features of length one, or zero
    bank : (N, D) training features of any length, in any floating point type
    dtype : of the products

    Yields
    ------
    at : slice of the bank
    cosines : (B, n) with the training samples `at`, 0 for a feature of length zero
    """
    unit = unit.astype(dtype)
    for start in range(0, len(bank), _COLUMNS):
        at = slice(start, start + _COLUMNS)
        yield at, unit @ unit_vectors(bank[at]).astype(dtype).T


class Largest:
    """The largest values of each row and their columns, taken in block by block."""

    def __init__(self, rows: int, count: int, dtype):
        self.values = np.full((rows, count), -np.inf, dtype)
        self.columns = np.zeros((rows, count), np.int64)

    def add(self, at: slice, values: np.ndarray) -> None:
        """Take in values (B, n) of the columns `at`."""
        count = self.values.shape[1]
        merged = np.concatenate([self.values, values], axis=1)
        kept = np.argpartition(merged, -count, axis=1)[:, -count:]
        self.values = np.take_along_axis(merged, kept, axis=1)
        earlier = np.take_along_axis(self.columns, np.minimum(kept, count - 1), axis=1)
        self.columns = np.where(kept < count, earlier, at.start + kept - count)


class _Banked(Detector):
    """What detectors share that keep the training features as they were given."""

    family = "neighbours"
    bank_: np.ndarray

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        self.bank_ = train.features

    @property
    def _products(self) -> type:
        """Type of the products: float64 costs four times the time of float32."""
        return np.float64 if self.bank_.dtype == np.float64 else np.float32


class _Nearest(_Banked):
    """A score from the k training samples of the largest affinity to a sample.

    Where the bank is not float64, products in float32 only propose candidates, some more than k.
    Their affinities are computed anew in float64, and where a training sample that was not
    proposed could belong to the k for all that float32 tells, products in float64 propose again.
    So the scores are those of float64, at about the price of float32.
    """

    k: int

    def _approximate(self, unit: np.ndarray, at: slice, cosines: np.ndarray) -> np.ndarray:
        """Affinities (B, n) to the training samples `at` from cosines; larger is nearer."""
        raise NotImplementedError

    def _exact(self, unit: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Affinities (B, m) of samples (B, D) of length one to the training samples `columns`."""
        raise NotImplementedError

    def _largest_affinities(self, features: np.ndarray) -> np.ndarray:
        """(B, k) in no order; fewer than k where the bank is smaller."""
        unit = unit_vectors(features)
        found, certain = self._search(unit, self._products)
        if not certain.all():
            found[~certain] = self._search(unit[~certain], np.float64)[0]
        return found

    def _search(self, unit: np.ndarray, dtype) -> tuple[np.ndarray, np.ndarray]:
        """The k largest affinities (B, k), and whether no other can be larger (B,)."""
        k = min(self.k, len(self.bank_))
        proposed = Largest(len(unit), min(k + k // 4 + 8, len(self.bank_)), dtype)
        scale = 0.0
        for at, cosines in similarities(unit, self.bank_, dtype):
            affinities = self._approximate(unit, at, cosines)
            scale = max(scale, float(np.abs(affinities).max(initial=0)))
            proposed.add(at, affinities)
        found = np.empty((len(unit), k))
        step = max(1, _ENTRIES // (proposed.columns.shape[1] * unit.shape[1]))
        for start in range(0, len(unit), step):
            rows = slice(start, start + step)
            exact = self._exact(unit[rows], proposed.columns[rows])
            found[rows] = np.partition(exact, -k, axis=1)[:, -k:]
        if dtype == np.float64 or proposed.columns.shape[1] == len(self.bank_):
            return found, np.ones(len(unit), bool)
        # Rounding errors of D products add up like a random walk.
        slack = 4 * np.sqrt(unit.shape[1]) * np.finfo(dtype).eps * scale
        return found, found.min(axis=1) >= proposed.values.min(axis=1) + slack

    def _unit_bank(self, columns: np.ndarray) -> np.ndarray:
        """(B, m, D) training features of length one."""
        features = self.bank_[columns.ravel()]
        return unit_vectors(features).reshape(*columns.shape, -1)


@register
class KNN(_Nearest):
    """Distance to the k-th nearest training feature (Sun et al., ICML 2022), negated.

    All features are brought to length one; a feature of zeros stays there. The distance is not
    squared, as in pytorch-ood; OpenOOD squares it, which ranks the same. The search is exact.

    Parameters
    ----------
    k : 50 as the paper's for CIFAR-10 and OpenOOD's default; the paper takes 200 for CIFAR-100 and
        1000 for ImageNet. Always cut to the number of training samples.

    Attributes
    ----------
    bank_ : (N, D) the training features as given
    """

    name = "knn"
    label = "KNN"
    formula = (
        r"-\|\hat h - \hat h_{(k)}\|_2,\quad \hat h = \frac{h}{\|h\|_2},\quad "
        r"\hat h_{(k)}\ \text{the } k\text{-th nearest training feature}"
    )
    source = "Sun et al., ICML 2022"
    needs = ("features", "training features")
    caveat = (
        "Depends on k relative to the number of training samples: with a part of the training set "
        "the k-th neighbour lies farther away. Blind to the length of a feature."
    )

    def __init__(self, *, k: int = 50):
        self.k = require_count(k, "The number k of neighbours")

    def _approximate(self, unit: np.ndarray, at: slice, cosines: np.ndarray) -> np.ndarray:
        # A feature of zeros has the distance 1 to others, not the square root of 2.
        squares = np.add.outer(unit.any(axis=1), self.bank_[at].any(axis=1), dtype=cosines.dtype)
        return 2 * cosines - squares

    def _exact(self, unit: np.ndarray, columns: np.ndarray) -> np.ndarray:
        gap = self._unit_bank(columns)
        gap -= unit[:, None]
        return -np.einsum("bmd,bmd->bm", gap, gap)

    def _score(self, samples: FeatureSet) -> np.ndarray:
        return -np.sqrt(-self._largest_affinities(samples.features).min(axis=1))


@register
class NNGuide(_Nearest):
    """Energy guided by the nearest training features (Park et al., ICCV 2023).

    The energy of a sample times the mean of its k largest cosines with training features, each
    multiplied by the training sample's energy. The search is exact and takes all training samples.

    Parameters
    ----------
    k : as in OpenOOD, which keeps 1 % of the training samples; pytorch-ood takes 10 of all. Always
        cut to the number of training samples.

    Attributes
    ----------
    bank_ : (N, D) the training features as given
    energies_ : (N,) of the training samples
    """

    name = "nnguide"
    label = "NNGuide"
    formula = (
        r"E(z)\cdot\operatorname{mean}_{\text{top-}k}\left[\hat h^\top \hat h_i\,E(z_i)\right],"
        r"\quad E(z)=\log\sum_c e^{z_c},\quad \hat h = \frac{h}{\|h\|_2}"
    )
    source = "Park et al., ICCV 2023"
    needs = ("features", "logits", "training features", "training logits")
    caveat = (
        "A product of two factors: where both are negative, as with logits far below 0, it ranks "
        "the wrong way. Depends on k relative to the number of training samples."
    )

    energies_: np.ndarray

    def __init__(self, *, k: int = 100):
        self.k = require_count(k, "The number k of neighbours")

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        super()._fit(train, head, statistics)
        self.energies_ = _energy(train)

    def _approximate(self, unit: np.ndarray, at: slice, cosines: np.ndarray) -> np.ndarray:
        return cosines * self.energies_[at].astype(cosines.dtype)

    def _exact(self, unit: np.ndarray, columns: np.ndarray) -> np.ndarray:
        cosines = np.einsum("bmd,bd->bm", self._unit_bank(columns), unit)
        return cosines * self.energies_[columns]

    def _score(self, samples: FeatureSet) -> np.ndarray:
        return _energy(samples) * self._largest_affinities(samples.features).mean(axis=1)


@register
class Relation(_Banked):
    """Sum of relations to all training samples (Kim et al., NeurIPS 2023).

    The relation of two samples is the cosine of their features, if positive, times the inner
    product of their probabilities. Weak relations are left out. Where the bank is not float64,
    products are float32, which moves a score by about 1e-7 of itself.

    Parameters
    ----------
    power : exponent of a relation; the threshold is compared with the relation before
    threshold : relations up to it are left out, as in the authors' and OpenOOD's code

    Attributes
    ----------
    bank_ : (N, D) the training features as given
    bank_logits_ : (N, C) the training logits as given
    """

    name = "relation"
    label = "Relation"
    formula = (
        r"\sum_i r_i^{\,a}\ \mathbf 1[r_i > t],\quad "
        r"r_i = \max(0,\ \hat h^\top \hat h_i)\ p^\top p_i,\quad \hat h = \frac{h}{\|h\|_2}"
    )
    source = "Kim et al., NeurIPS 2023"
    needs = ("features", "logits", "training features", "training logits")
    caveat = (
        "A sum over the training samples: it grows with their number, and classes with more of "
        "them score higher. A sample without any relation above the threshold scores 0."
    )

    bank_logits_: np.ndarray

    def __init__(self, *, power: float = 1.0, threshold: float = 0.03):
        self.power = require_positive(power, "Power")
        self.threshold = require_not_negative(threshold, "Threshold")

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        super()._fit(train, head, statistics)
        self.bank_logits_ = train.logits

    def _score(self, samples: FeatureSet) -> np.ndarray:
        unit, own = unit_vectors(samples.features), _probabilities(samples.logits, self._products)
        total = np.zeros(len(samples))
        for at, cosines in similarities(unit, self.bank_, self._products):
            relation = np.maximum(cosines, 0)
            relation *= own @ _probabilities(self.bank_logits_[at], self._products).T
            relation[relation <= self.threshold] = 0
            total += (relation**self.power).sum(axis=1, dtype=np.float64)
        return total


def _energy(samples: FeatureSet) -> np.ndarray:
    return logsumexp(samples.logits.astype(np.float64), axis=1)


def _probabilities(logits: np.ndarray, dtype: type) -> np.ndarray:
    return softmax(logits.astype(np.float64), axis=1).astype(dtype)
