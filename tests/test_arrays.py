"""FeatureSet, Head and ClassStatistics: right sums in any order, and clear refusals."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncviz.arrays import ClassStatistics, FeatureSet, Head, require_finite
from ncviz.errors import InvalidArrayError

C, D = 4, 6
FIELDS = ("counts", "means", "scatter", "squares")


def labelled(samples=60, seed=0):
    """Features whose mean is far from zero, with classes of different sizes."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(C, size=samples, p=[0.5, 0.3, 0.15, 0.05])
    features = 10 + 3 * labels[:, None] + rng.normal(size=(samples, D))
    return features, labels


def slow_statistics(features, labels, classes):
    """The definitions, one sample at a time."""
    dim = features.shape[1]
    counts, means = np.zeros(classes, int), np.zeros((classes, dim))
    scatter, squares = np.zeros((dim, dim)), np.zeros(classes)
    for c in range(classes):
        own = [h for h, y in zip(features, labels, strict=True) if y == c]
        counts[c] = len(own)
        if own:
            means[c] = sum(own) / len(own)
        for h in own:
            scatter += np.outer(h - means[c], h - means[c])
            squares[c] += sum((h - means[c]) ** 2)
    return ClassStatistics(counts, means, scatter, squares)


def assert_same(one, other, rtol=1e-11):
    for field in FIELDS:
        np.testing.assert_allclose(
            getattr(one, field), getattr(other, field), rtol=rtol, atol=rtol, err_msg=field
        )


def test_statistics_match_the_slow_loop():
    features, labels = labelled()
    assert_same(ClassStatistics.of(features, labels, C), slow_statistics(features, labels, C))


def test_a_class_without_samples_has_zero_mean_and_is_named():
    features, labels = labelled()
    statistics = ClassStatistics.of(features, labels, C + 2)
    assert_same(statistics, slow_statistics(features, labels, C + 2))
    with pytest.raises(InvalidArrayError, match=r"2 of 6 classes have no sample \(labels 4, 5\)"):
        statistics.require_every_class()


@given(order=st.permutations(range(30)), cuts=st.sets(st.integers(1, 29), max_size=6))
@settings(max_examples=40, deadline=None)
def test_neither_order_nor_batches_matter(order, cuts):
    features, labels = labelled(30)
    batches = np.split(np.array(order), sorted(cuts))
    parts = [ClassStatistics.of(features[rows], labels[rows], C) for rows in batches]
    streamed, merged = ClassStatistics.empty(C, D), ClassStatistics.empty(C, D)
    for rows in batches:
        streamed.update(features[rows], labels[rows])
    for part in reversed(parts):
        merged.merge(part)
    whole = ClassStatistics.of(features, labels, C)
    assert_same(streamed, whole)
    assert_same(merged, whole)


def test_moments_match_numpy():
    features, labels = labelled()
    statistics = ClassStatistics.of(features, labels, C)
    np.testing.assert_allclose(statistics.mean, features.mean(axis=0))
    np.testing.assert_allclose(statistics.total_covariance, np.cov(features.T, ddof=0), rtol=1e-10)
    residuals = features - statistics.means[labels]
    np.testing.assert_allclose(
        statistics.within_covariance, residuals.T @ residuals / len(features), rtol=1e-10
    )
    assert (statistics.samples, statistics.classes, statistics.dim) == (60, C, D)


def test_nc1_survives_a_collapse_that_defeats_one_pass_float32():
    rng = np.random.default_rng(1)
    classes, dim, per_class = 20, 32, 500
    labels = np.tile(np.arange(classes), per_class)
    means = rng.normal(size=(classes, dim)) + 8  # as after a ReLU: far from zero
    noise = 1e-3 * rng.normal(size=(len(labels), dim))
    features = (means[labels] + noise).astype(np.float32)

    exact = features.astype(np.longdouble)
    exact_means = np.stack([exact[labels == c].mean(axis=0) for c in range(classes)])
    within = np.sum((exact - exact_means[labels]) ** 2) / len(labels)
    between = np.sum((exact_means - exact_means.mean(axis=0)) ** 2) / classes
    expected = float(within / between)
    assert expected == pytest.approx(1e-6, rel=0.2)

    statistics = ClassStatistics.empty(classes, dim)
    for rows in np.array_split(rng.permutation(len(labels)), 7):
        statistics.update(features[rows], labels[rows])
    centred = statistics.means - statistics.means.mean(axis=0)
    nc1 = np.trace(statistics.within_covariance) / (np.sum(centred**2) / classes)
    assert nc1 == pytest.approx(expected, rel=1e-6)

    sums = np.stack([features[labels == c].sum(axis=0) for c in range(classes)])
    second = features.T @ features
    one_pass = np.trace(second - sums.T @ sums / np.float32(per_class)) / len(labels) / between
    assert abs(one_pass / expected - 1) > 0.2


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (np.full((2, D), np.nan), [0, 1], "12 values that are NaN"),
        (np.ones((2, D + 1)), [0, 1], f"7 columns; these statistics hold {D}"),
        (np.ones(D), [0], "shape"),
        (np.ones((2, D)), [0], r"expected \(2,\) integers"),
        (np.ones((2, D)), [0.0, 1.0], "float64"),
        (np.ones((2, D)), [0, C], f"run from 0 to {C}"),
        (np.ones((2, D)), [-1, 0], "run from -1 to 0"),
    ],
)
def test_a_refused_batch_leaves_the_sums_as_they_were(features, labels, message):
    statistics = ClassStatistics.of(*labelled(), C)
    before = copy.deepcopy(statistics)
    with pytest.raises(InvalidArrayError, match=message):
        statistics.update(features, np.array(labels))
    assert_same(statistics, before, rtol=0)


def test_a_refused_merge_leaves_the_sums_as_they_were():
    statistics = ClassStatistics.of(*labelled(), C)
    before = copy.deepcopy(statistics)
    with pytest.raises(InvalidArrayError, match="cannot be merged"):
        statistics.merge(ClassStatistics.empty(C + 1, D))
    assert_same(statistics, before, rtol=0)


def test_an_empty_batch_adds_nothing():
    statistics = ClassStatistics.of(*labelled(), C)
    before = copy.deepcopy(statistics)
    statistics.update(np.empty((0, D)), np.empty(0, int))
    assert_same(statistics, before, rtol=0)


def test_float16_features_are_summed_in_float64():
    features = np.full((5000, D), 60000, np.float16)  # their float16 sum is infinite
    statistics = ClassStatistics.of(features, np.zeros(5000, int), 1)
    np.testing.assert_array_equal(statistics.means, np.full((1, D), 60000.0))
    assert statistics.means.dtype == np.float64


def test_finite_values_whose_sum_overflows_are_finite():
    require_finite(np.full(3, 1e308), "Large numbers")


@pytest.mark.parametrize(
    ("features", "logits", "labels", "message"),
    [
        (np.ones(3), np.ones((3, 2)), None, "Features has shape"),
        (np.ones((3, 4)), np.ones((2, 2)), None, "Logits has shape"),
        (np.ones((3, 4)), np.ones((3, 2)), np.zeros(2, int), "Labels have shape"),
        (np.ones((3, 4)), np.array([[1.0, np.inf]] * 3), None, "Logits holds 3 values"),
    ],
)
def test_feature_set_refuses_what_does_not_fit(features, logits, labels, message):
    with pytest.raises(InvalidArrayError, match=message):
        FeatureSet(features, logits, labels)


def test_feature_set_takes_rows_and_labels_of_other_classes():
    samples = FeatureSet(np.arange(6.0).reshape(3, 2), np.ones((3, 2)), np.array([700, -1, 5]))
    part = samples[[2, 0]]
    np.testing.assert_array_equal(part.features, [[4, 5], [0, 1]])
    np.testing.assert_array_equal(part.labels, [5, 700])
    assert (len(samples), len(part)) == (3, 2)


def test_head_gives_logits_and_refuses_what_does_not_fit():
    head = Head(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([0.5, -1.0]))
    np.testing.assert_array_equal(head.logits(np.array([[3.0, 4.0]])), [[3.5, 7.0]])
    with pytest.raises(InvalidArrayError, match=r"this head takes \(N, 2\)"):
        head.logits(np.ones((1, 3)))
    with pytest.raises(InvalidArrayError, match="Head bias has shape"):
        Head(np.ones((2, 3)), np.ones(3))
