"""Samples through training: sides of a threshold and distances to class means, against loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.neighbors import NearestCentroid

from ncviz.arrays import ClassStatistics
from ncviz.errors import InvalidArrayError
from ncviz.through_training import class_distances, side_changes

_SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 8))


def slow_changes(accepted, percentiles) -> list[tuple]:
    found = []
    for sample in range(len(accepted[0])):
        crossings, largest, at = 0, 0.0, 0
        for epoch in range(1, len(accepted)):
            crossings += bool(accepted[epoch][sample]) != bool(accepted[epoch - 1][sample])
            step = percentiles[epoch][sample] - percentiles[epoch - 1][sample]
            if abs(step) > abs(largest) or at == 0:
                largest, at = step, epoch
        found.append((crossings, accepted[0][sample], accepted[-1][sample], largest, at))
    return found


@given(
    _SHAPES.flatmap(
        lambda shape: st.tuples(
            arrays(bool, shape), arrays(float, shape, elements=st.floats(0, 1, width=16))
        )
    )
)
def test_changes_of_side_equal_a_loop(both):
    accepted, percentiles = both
    found = side_changes(accepted, percentiles)
    columns = (found.crossings, found.first, found.last, found.largest, found.at)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == slow_changes(
        accepted.tolist(), percentiles.tolist()
    )
    order = found.order()
    assert sorted(order) == list(range(accepted.shape[1]))
    ranked = [(-found.crossings[at], -abs(found.largest[at]), at) for at in order]
    assert ranked == sorted(ranked)


def test_one_that_flips_at_every_epoch_comes_first():
    accepted = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1]], bool)
    percentiles = np.array([[0.5, 0.5, 0.0], [0.6, 0.0, 0.01], [0.9, 0.6, 0.9]])
    found = side_changes(accepted, percentiles)
    assert found.crossings.tolist() == [0, 2, 1]
    assert found.order().tolist() == [1, 2, 0]
    assert found.largest == pytest.approx([0.3, 0.6, 0.89])
    assert found.at.tolist() == [2, 2, 2]
    assert (found.first.tolist(), found.last.tolist()) == ([True, True, False], [True] * 3)


@pytest.mark.parametrize("shapes", [((0, 3), (0, 3)), ((2, 3), (3, 2)), ((4,), (4,))])
def test_arrays_that_do_not_fit_are_refused(shapes):
    with pytest.raises(InvalidArrayError, match="at least one epoch"):
        side_changes(*map(np.zeros, shapes))


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_class_distances_equal_a_loop_and_scikit_learn():
    train, train_labels = normal(60, 5) + 3, np.arange(60) % 4
    features, labels = normal(20, 5, seed=1) + 3, np.r_[np.arange(10) % 4, np.full(10, -1)]
    means = [train[train_labels == label].mean(axis=0) for label in range(4)]
    squares = [math.dist(x, means[y]) ** 2 for x, y in zip(train, train_labels, strict=True)]
    unit = math.sqrt(sum(squares) / 60)
    found = class_distances(features, labels, ClassStatistics.of(train, train_labels, 4))
    assert found.unit == pytest.approx(unit)
    oracle = NearestCentroid().fit(train, train_labels)
    assert found.nearest_class.tolist() == oracle.predict(features).tolist()
    for at, (point, label) in enumerate(zip(features, labels, strict=True)):
        each = [math.dist(point, mean) / unit for mean in means]
        assert found.nearest[at] == pytest.approx(min(each))
        if label < 0:
            assert np.isnan(found.own[at])
        else:
            assert found.own[at] == pytest.approx(each[label])


def test_training_samples_are_one_unit_from_their_own_mean_whatever_the_scale():
    labels = np.arange(300) % 3
    for scale in (1e-4, 1.0, 1e4):
        train = scale * normal(300, 7) + 2 * scale
        found = class_distances(train, labels, ClassStatistics.of(train, labels, 3))
        assert np.sqrt(np.mean(found.own**2)) == pytest.approx(1)


def test_classes_without_spread_have_no_unit():
    train, labels = np.repeat(np.eye(3), 2, axis=0), np.repeat(np.arange(3), 2)
    found = class_distances(train, labels, ClassStatistics.of(train, labels, 3))
    assert found.unit == 0
    assert np.isnan(found.own).all()
    assert np.isnan(found.nearest).all()


@pytest.mark.parametrize(
    ("features", "labels"),
    [
        (np.zeros((2, 5)), np.zeros(2, int)),
        (np.zeros((2, 4)), np.zeros(3, int)),
        (np.zeros((1, 4)), np.array([3])),
        (np.zeros((1, 4)), np.array([-2])),
        (np.full((1, 4), np.nan), np.array([0])),
    ],
)
def test_features_that_do_not_fit_are_refused(features, labels):
    statistics = ClassStatistics.of(normal(9, 4), np.arange(9) % 3, 3)
    with pytest.raises(InvalidArrayError):
        class_distances(features, labels, statistics)
