"""The place of a new sample on a map, against sums written out and cases known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsRegressor

from ncviz.embedding import place
from ncviz.errors import InvalidArrayError, InvalidOptionError


@pytest.fixture
def mapped():
    """Features (60, 5) and points (60, 2)."""
    random = np.random.default_rng(0)
    return random.normal(size=(60, 5)).astype(np.float32), random.normal(size=(60, 2))


@pytest.mark.parametrize("neighbours", [1, 3, 10, 60])
def test_equals_a_loop(mapped, neighbours):
    features, points = mapped
    sample = np.random.default_rng(1).normal(size=5)
    found = place(sample, features, points, neighbours=neighbours)

    distances = [
        sum((a - b) ** 2 for a, b in zip(row, sample, strict=True)) ** 0.5 for row in features
    ]
    rows = sorted(range(60), key=distances.__getitem__)[:neighbours]
    total = sum(1 / distances[row] for row in rows)
    point = sum(points[row] / distances[row] for row in rows) / total
    apart = sum(((points[row] - point) ** 2).sum() / distances[row] for row in rows) / total
    whole = np.mean([((each - points.mean(0)) ** 2).sum() for each in points])
    assert found.neighbours.tolist() == rows
    np.testing.assert_allclose(found.point, point)
    np.testing.assert_allclose(found.spread, np.sqrt(apart / whole))


def test_equals_scikit_learn(mapped):
    features, points = mapped
    samples = np.random.default_rng(2).normal(size=(20, 5))
    oracle = KNeighborsRegressor(10, weights="distance").fit(features, points)
    found = [place(sample, features, points).point for sample in samples]
    np.testing.assert_allclose(found, oracle.predict(samples))


def test_a_mapped_sample_lies_on_its_own_point(mapped):
    features, points = mapped
    found = place(features[7], features, points)
    np.testing.assert_array_equal(found.point, points[7])
    assert found.spread == 0
    assert found.neighbours[0] == 7


def test_in_the_middle_of_two_equally_near():
    features, points = np.array([[-1.0], [1.0], [9.0]]), np.array([[0.0, 0], [4, 2], [50, 50]])
    found = place(np.zeros(1), features, points, neighbours=2)
    np.testing.assert_allclose(found.point, [2, 1])


def test_scattered_neighbours_have_a_spread_of_one():
    """Equally near to all samples: as scattered as the whole map, by definition."""
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    found = place(np.zeros(2), ring, ring[::-1], neighbours=12)
    np.testing.assert_allclose(found.point, 0, atol=1e-12)
    assert found.spread == pytest.approx(1)


def test_a_map_on_one_spot():
    assert place(np.zeros(2), np.ones((4, 2)), np.ones((4, 2))).spread == 0


def test_a_large_offset_costs_no_digits():
    random = np.random.default_rng(3)
    features, points = random.normal(size=(30, 4)), random.normal(size=(30, 2))
    sample = random.normal(size=4)
    near = place(sample, features, points)
    far = place(sample + 1e6, features + 1e6, points)
    np.testing.assert_allclose(far.point, near.point, rtol=1e-8)


@pytest.mark.parametrize(
    ("sample", "features", "points"),
    [
        (np.zeros(3), np.zeros((4, 2)), np.zeros((4, 2))),
        (np.zeros(2), np.zeros((4, 2)), np.zeros((3, 2))),
        (np.zeros(2), np.zeros((0, 2)), np.zeros((0, 2))),
        (np.zeros(2), np.zeros((4, 2)), np.zeros((4, 3))),
        (np.full(2, np.nan), np.zeros((4, 2)), np.zeros((4, 2))),
        (np.zeros(2), np.zeros((4, 2)), np.full((4, 2), np.inf)),
    ],
)
def test_what_does_not_fit_is_refused(sample, features, points):
    with pytest.raises(InvalidArrayError):
        place(sample, features, points)


def test_no_neighbour_is_refused(mapped):
    with pytest.raises(InvalidOptionError, match="at least 1 neighbour"):
        place(np.zeros(5), *mapped, neighbours=0)
