"""Correlations of metrics: slow loops, scipy, known values, and when there is an interval."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from ncviz.correlation import MIN_NETWORKS, correlate
from ncviz.errors import InvalidArrayError


def own(values) -> range:
    """Every pair from a network of its own."""
    return range(len(values))


def slow_r(x, y) -> float:
    """Pearson's r by its formula, sample by sample."""
    n = len(x)
    mean_x, mean_y = sum(x) / n, sum(y) / n
    top = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    below = sum((a - mean_x) ** 2 for a in x) * sum((b - mean_y) ** 2 for b in y)
    return top / math.sqrt(below)


def slow_ranks(values) -> list[float]:
    """Ranks by counting; ties share the mean of theirs."""
    return [
        sum(other < value for other in values) + (sum(o == value for o in values) + 1) / 2
        for value in values
    ]


def made(seed: int, count: int, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x = np.exp(random.normal(size=count))
    y = np.log(x) + random.normal(size=count)
    return (np.round(x, 0) + 1, np.round(y, 0)) if ties else (x, y)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("count", [4, 9, 40])
def test_all_numbers_equal_slow_loops_and_scipy(count, ties):
    x, y = made(count, count, ties=ties)
    found = correlate(x, y, networks=own(x))
    assert found.r == pytest.approx(slow_r(x, y), abs=1e-12)
    assert found.r == pytest.approx(pearsonr(x, y).statistic, abs=1e-12)
    assert found.spearman == pytest.approx(slow_r(slow_ranks(x), slow_ranks(y)), abs=1e-12)
    assert found.spearman == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    rest = []
    for left_out in range(count):
        pairs = [(a, b) for at, (a, b) in enumerate(zip(x, y, strict=True)) if at != left_out]
        if len({a for a, _ in pairs}) > 1 and len({b for _, b in pairs}) > 1:
            rest.append(slow_r(*zip(*pairs, strict=True)))
    assert found.leave_one_out == pytest.approx((min(rest), max(rest)), abs=1e-12)
    assert found.pairs == count


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
@pytest.mark.parametrize("noise", [0.0, 1e-9, 0.3, 10.0])
def test_interval_across_networks_is_that_of_scipy(noise, scale):
    random = np.random.default_rng(2)
    x = random.normal(size=12) * scale
    y = 3 * x + noise * scale * random.normal(size=12) + scale
    expected = pearsonr(x, y)
    found = correlate(x, y, networks=own(x))
    assert found.r == pytest.approx(expected.statistic, abs=1e-12)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()), abs=1e-7)
    assert found.no_interval == ""


def test_interval_covers_the_true_correlation_as_often_as_it_says():
    random, rho, covered = np.random.default_rng(1), 0.6, 0
    for _ in range(1000):
        x = random.normal(size=MIN_NETWORKS)
        y = rho * x + np.sqrt(1 - rho**2) * random.normal(size=MIN_NETWORKS)
        found = correlate(x, y, networks=own(x))
        covered += found.low <= rho <= found.high
    assert 0.93 <= covered / 1000 <= 0.97


@pytest.mark.parametrize(
    ("networks", "reason"),
    [
        (["a"] * 12, "1 network; an interval needs 10"),
        (["a"] * 6 + ["b"] * 6, "2 networks; an interval needs 10"),
        (range(9), "9 networks; an interval needs 10"),
        ([*range(11), 0], "several points of one network are not independent"),
    ],
)
def test_without_ten_independent_networks_there_is_no_interval(networks, reason):
    x, y = made(0, len(networks))
    found = correlate(x, y, networks=networks)
    assert found.no_interval == reason
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.networks == len(set(networks))


def test_networks_count_only_where_their_pairs_do():
    x, y = made(0, 12)
    y[:3] = np.nan
    found = correlate(x, y, networks=own(x))
    assert (found.pairs, found.networks) == (9, 9)
    assert found.no_interval


def test_the_logarithm_changes_r_but_no_rank():
    x = np.array([0.1, 1.0, 10.0, 100.0, 1000.0])
    y = np.arange(5.0)
    plain, logged = (correlate(x, y, networks=own(x), log_x=log) for log in (False, True))
    assert logged.r == pytest.approx(1)
    assert plain.r == pytest.approx(slow_r(x, y))
    assert plain.r < 0.8
    assert plain.spearman == pytest.approx(1)
    assert logged.spearman == pytest.approx(1)


def test_one_point_can_make_a_correlation():
    x, y = np.array([1.0, 2, 1, 2, 50]), np.array([1.0, 1, 2, 2, 50])
    found = correlate(x, y, networks=["a"] * 5)
    assert found.r > 0.99
    assert found.leave_one_out[0] == pytest.approx(0, abs=1e-12)


def test_exact_lines_have_an_r_of_one_and_flipped_ones_of_minus_one():
    x = np.arange(6.0)
    for sign in (1, -1):
        found = correlate(x, sign * 3 * x + 1, networks=own(x))
        assert (found.r, found.spearman, *found.leave_one_out) == pytest.approx((sign,) * 4)


def test_pairs_with_a_nan_are_left_out():
    x, y = np.arange(14.0), made(3, 14)[1]
    y[2] = np.nan
    keep = np.arange(14) != 2
    assert correlate(x, y, networks=own(x)) == correlate(x[keep], y[keep], networks=range(13))


def test_the_logarithm_leaves_out_what_has_none():
    x, y = made(4, 12)
    expected = correlate(np.log(x), y, networks=own(x))
    padded = np.r_[x, 0, -1, np.nan]
    found = correlate(padded, np.r_[y, 9, 9, 9], networks=own(padded), log_x=True)
    assert found == expected


@pytest.mark.parametrize(
    ("x", "y"), [([1, 2, 3], [3, 2, 1]), ([1, 1, 1, 1, 1], [1, 2, 3, 4, 5]), ([], [])]
)
def test_too_few_or_constant_values_have_none(x, y):
    assert correlate(np.array(x, float), np.array(y, float), networks=own(x)) is None


@pytest.mark.parametrize("networks", [range(4), range(5)])
def test_other_lengths_are_refused(networks):
    with pytest.raises(InvalidArrayError, match="shapes"):
        correlate(np.arange(4), np.arange(5), networks=networks)
    with pytest.raises(InvalidArrayError, match="networks"):
        correlate(np.arange(6), np.arange(6), networks=networks)
