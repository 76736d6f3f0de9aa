"""Detectors that compare a sample with every training sample: KNN, NNGuide, Relation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cached_property
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from ncviz import xp
from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.detectors._banked import Banked, Largest, rounding
from ncviz.detectors.base import (
    over_blocks,
    register,
    require_count,
    require_not_negative,
    require_positive,
)
from ncviz.errors import InvalidOptionError
from ncviz.linalg import unit_vectors
from ncviz.xp import Array

_PUBLISHED_K = 50
# NNGuide in OpenOOD: k of 1% of CIFAR's 50,000 training samples.
_GUIDE_K, _GUIDE_BANK = 100, 500
# Training samples proposed beyond the k nearest, so that the k-th is one of them.
_SPARE = 8
# Doubt in what an index says: every sample that it proposes is compared anew.
_NO_TRUST = 1e300
# Float64 numbers gathered at once to compare samples with candidates: 32 MB.
_ENTRIES = 2**22


class _Nearest:
    """What finds the training samples of the largest affinity to each sample of a block.

    Where the bank is not float64, products in float32 only propose them, some more than k. What is
    made of them is computed anew in float64, and where a training sample that was not proposed
    could be among the k for all that float32 tells, products in float64 propose again. So the
    scores are those of float64, at about the price of float32.
    """

    def __init__(self, detector: Banked, unit: Array, dtype: Any, k: int, scale: float):
        self._detector, self._unit, self._k = detector, unit, k
        self._doubt = scale * rounding(unit, dtype)
        self.wanted = min(k + _SPARE, len(detector.bank_))
        self._by_index = False
        example = xp.namespace(unit).astype(unit[:0], dtype)
        self._proposed = Largest(len(unit), self.wanted, example)

    def add(self, at: slice, cosines: Array) -> None:
        self._proposed.add(at, self._affinities(at, cosines))

    def take(self, affinities: Array, columns: Array) -> None:
        """Take what an index proposes: affinities that say little, and columns, -1 for none."""
        self._by_index, self._doubt = True, _NO_TRUST
        self._proposed.values, self._proposed.columns = affinities, columns

    def find(self) -> Array:
        """(B,) what is made of the k training samples of the largest affinity."""
        found, certain = self._search()
        if self._by_index:
            certain = (self._proposed.columns >= 0).sum(axis=1) >= self._k
        if not certain.all() and self.wanted < len(self._detector.bank_):
            again = copy.copy(self)
            again._unit, again._by_index = self._unit[~certain], False
            wide = xp.namespace(self._unit).float64
            again._proposed = Largest(len(again._unit), self.wanted, again._unit)
            for at, cosines in self._detector._cosines(again._unit, wide):
                again.add(at, cosines)
            found[~certain] = again._search()[0]
        return found

    def _affinities(self, at: slice, cosines: Array) -> Array:
        """(B, n) affinities to the training samples `at`; larger is nearer."""
        return cosines

    def _search(self) -> tuple[Array, Array]:
        """What is made of the proposed (B,), and whether no other can be among the k (B,)."""
        raise NotImplementedError

    def _each(self, work: Callable[[slice], Array], count: int, entries: int) -> Array:
        """`work` of so many rows at a time that they hold few `entries` each."""
        step = max(1, _ENTRIES // entries)
        parts = [work(slice(at, at + step)) for at in range(0, max(count, 1), step)]
        return xp.namespace(self._unit).concat(parts)


class _KthNearest(_Nearest):
    """The distance of each sample to its k-th nearest training sample.

    Products rank by the closeness u.h + [h = 0] / 2, which is (1 + |u|^2 - d^2) / 2: a feature of
    zeros has the distance 1 to others, not the square root of 2.
    """

    def _affinities(self, at: slice, cosines: Array) -> Array:
        if not self._detector._any_zero:
            return cosines
        library = xp.namespace(cosines)
        zero = self._detector._inverse_lengths[at] == 0
        return cosines + library.astype(zero, cosines.dtype) / 2

    def finish(self) -> Array:
        return -(self.find() ** 0.5)

    def _search(self) -> tuple[Array, Array]:
        library, k = xp.namespace(self._unit), self._k
        closeness = xp.float64(self._proposed.values)
        kth = xp.border(closeness, k)
        # True distances of the k-th nearest by the products, and of all that may be it instead.
        surely_nearer = closeness > kth + self._doubt
        squared = library.where(surely_nearer, -library.inf, library.inf)
        squared = library.astype(squared, library.float64)
        maybe = ~surely_nearer & (closeness >= kth - self._doubt)
        maybe &= self._proposed.columns >= 0
        rows, places = library.nonzero(maybe)
        columns = self._proposed.columns[rows, places]

        def distances(part: slice) -> Array:
            gaps = unit_vectors(self._detector.bank_[columns[part]])
            gaps -= self._unit[rows[part]]
            return xp.squares(gaps)

        squared[rows, places] = self._each(distances, len(rows), self._unit.shape[1])
        found = -xp.border(-squared, k)[:, 0]
        return found, library.min(closeness, axis=1) < kth[:, 0] - self._doubt


class _Guide(_Nearest):
    """The mean of the k largest products of cosine and training energy, times the own energy."""

    def __init__(self, nnguide: NNGuide, unit: Array, dtype: Any, own: Array):
        scale = float(abs(nnguide.energies_).max())
        super().__init__(nnguide, unit, dtype, nnguide.neighbours_, scale)
        self._own = own

    def _affinities(self, at: slice, cosines: Array) -> Array:
        library = xp.namespace(cosines)
        return cosines * library.astype(self._detector.energies_[at], cosines.dtype)

    def finish(self) -> Array:
        return self._own * self.find()

    def _search(self) -> tuple[Array, Array]:
        library, (rows, proposed) = xp.namespace(self._unit), self._proposed.columns.shape
        weights = self._detector._inverse_lengths * self._detector.energies_

        def products(part: slice) -> Array:
            columns = self._proposed.columns[part]
            features = xp.float64(self._detector.bank_[columns.reshape(-1)])
            features = features.reshape((*columns.shape, self._unit.shape[1]))
            found = (features @ self._unit[part][:, :, None])[:, :, 0] * weights[columns]
            return library.where(columns >= 0, found, -library.inf)

        affinities = self._each(products, rows, proposed * self._unit.shape[1])
        largest, _ = xp.top(affinities, self._k)
        beyond = library.min(xp.float64(self._proposed.values), axis=1)
        certain = library.min(largest, axis=1) >= beyond + self._doubt
        return library.mean(largest, axis=1), certain


class _Relations:
    """The sum of each sample's relations to all training samples."""

    def __init__(self, relation: Relation, samples: FeatureSet, dtype: Any):
        self._relation, self._dtype = relation, dtype
        self._own = _probabilities(samples.logits, dtype)
        self._total = 0

    def add(self, at: slice, cosines: Array) -> None:
        library = xp.namespace(cosines)
        relation = self._own @ _probabilities(self._relation.bank_logits_[at], self._dtype).T
        relation *= cosines
        # No threshold is below 0, so that negative cosines need no treatment of their own.
        relation *= relation > self._relation.threshold
        if self._relation.power != 1:
            relation **= self._relation.power
        self._total = self._total + library.sum(relation, axis=1, dtype=library.float64)

    def finish(self) -> Array:
        return self._total


@register
class KNN(Banked):
    """Distance to the k-th nearest training feature (Sun et al., ICML 2022), negated.

    All features are brought to length one; a feature of zeros stays there. The distance is not
    squared, as in pytorch-ood; OpenOOD squares it, which ranks the same. The search is exact:
    where the bank is not float64, products in float32 propose the neighbours, the distances of all
    that could be the k-th for all that float32 tells are computed anew in float64, and where
    others might be that were not proposed, products in float64 propose again.

    Parameters
    ----------
    k : by default 50 for a whole training set, as in the paper for CIFAR-10 and in OpenOOD
        everywhere. For a part of the training set, the same share of the bank: round(50 n / N) of
        n kept among N, at least 1. (For ImageNet the paper uses 1000 of all and 10 of a
        hundredth.) Never more than the number of training samples.
    probes : None compares with every training sample; a number looks at so many cells of an index
        instead, of about 4 sqrt(N), for training sets where all would take too long. It takes
        faiss, and some neighbours are missed: the more probes, the fewer.

    Attributes
    ----------
    bank_ : (N, D) the training features as given
    neighbours_ : k as used
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
        "Depends on k relative to the number of training samples: with more neighbours than a "
        "class has samples it measures the distance to other classes, and collapse turns its "
        "ranking round. Blind to the length of a feature."
    )

    resolved: ClassVar = {"k": "neighbours_"}
    sensitivity: ClassVar = {"k": (0.02, 0.2, 4)}  # of 50: 1, 10, 200
    neighbours_: int

    def __init__(self, *, k: int | None = None, probes: int | None = None):
        self.k = require_count(k, "The number k of neighbours")
        self.probes = require_count(probes, "The number of probes")

    def _with(self, parameter: str, value: int, *fitted_to: Any) -> KNN:
        return _of_other_k(self, value)

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        super()._fit(train, head, statistics)
        whole = len(train) if statistics is None else statistics.samples
        share = len(train) / max(whole, len(train))
        self.neighbours_ = min(self.k or max(1, round(_PUBLISHED_K * share)), len(train))

    def _listen(self, samples: FeatureSet, unit: Array, dtype: Any) -> _KthNearest:
        return _KthNearest(self, unit, dtype, self.neighbours_, 1.0)

    def _indexed(self, at: slice) -> Array:
        return unit_vectors(self.bank_[at])

    @cached_property
    def _any_zero(self) -> bool:
        """Whether a training feature is zero."""
        return bool((self._inverse_lengths == 0).any())


@register
class NNGuide(Banked):
    """Energy guided by the nearest training features (Park et al., ICCV 2023).

    The energy of a sample times the mean of its k largest cosines with training features, each
    multiplied by the training sample's energy. The search in the bank is exact, as in KNN.

    Parameters
    ----------
    k : by default 100 of a bank of the published size, as in OpenOOD, and the same share of a
        smaller bank: round(100 n / m) of n where m were wanted, at least 1. (pytorch-ood uses 10
        of all training samples.) Never more than the bank has.
    share : share of the whole training set to keep as the bank, drawn at random with a fixed seed;
        1% as in the paper and in OpenOOD. At least 500, which is 1% of CIFAR, as far as there are
        as many. Where fewer training samples are given than that, all of them.
    probes : as in KNN

    Attributes
    ----------
    bank_ : (n, D) features of the training samples in the bank, as given
    energies_ : (n,) of these samples
    neighbours_ : k as used
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
        "the wrong way. Depends on k relative to the size of the bank, which is a random part of "
        "the training set."
    )

    resolved: ClassVar = {"k": "neighbours_"}
    sensitivity: ClassVar = {"k": (0.1, 0.5, 2)}  # of 100: 10, 50, 200
    version = 2
    energies_: Array
    neighbours_: int

    def __init__(self, *, k: int | None = None, share: float = 0.01, probes: int | None = None):
        self.k = require_count(k, "The number k of neighbours")
        if not (isinstance(share, Real) and 0 < share <= 1):
            raise InvalidOptionError(
                f"NNGuide's share of the training set must be above 0 and at most 1; got {share}."
            )
        self.share = share
        self.probes = require_count(probes, "The number of probes")

    def _with(self, parameter: str, value: int, *fitted_to: Any) -> NNGuide:
        return _of_other_k(self, value)

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        whole = max(len(train), 0 if statistics is None else statistics.samples)
        wanted = max(round(self.share * whole), _GUIDE_BANK)
        if wanted < len(train):
            chosen = np.random.default_rng(0).choice(len(train), wanted, replace=False)
            train = train[xp.like(np.sort(chosen), train.features)]
        super()._fit(train, head, statistics)
        self.energies_ = xp.namespace(train.logits).concat(list(over_blocks(_energy, train)))
        scaled = max(1, round(_GUIDE_K * min(1, len(train) / wanted)))
        self.neighbours_ = min(self.k or scaled, len(train))

    def _listen(self, samples: FeatureSet, unit: Array, dtype: Any) -> _Guide:
        return _Guide(self, unit, dtype, _energy(samples))

    def _indexed(self, at: slice) -> Array:
        return unit_vectors(self.bank_[at]) * self.energies_[at][:, None]


@register
class Relation(Banked):
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

    bank_logits_: Array

    def __init__(self, *, power: float = 1.0, threshold: float = 0.03):
        self.power = require_positive(power, "Power")
        self.threshold = require_not_negative(threshold, "Threshold")

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        super()._fit(train, head, statistics)
        self.bank_logits_ = train.logits

    def _listen(self, samples: FeatureSet, unit: Array, dtype: Any) -> _Relations:
        return _Relations(self, samples, dtype)


def _of_other_k(detector: Banked, k: int) -> Any:
    """Return a fitted detector with another number of neighbours in the same bank."""
    changed = copy.copy(detector)
    changed.k, changed.neighbours_ = k, min(k, len(detector.bank_))
    return changed


def _energy(samples: FeatureSet) -> Array:
    return xp.logsumexp(xp.float64(samples.logits))


def _probabilities(logits: Array, dtype: Any) -> Array:
    return xp.namespace(logits).astype(xp.softmax(logits), dtype)
