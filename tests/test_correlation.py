"""Pearson's r and its interval."""

import numpy as np
import pytest
from scipy.stats import pearsonr

from ncviz.correlation import correlate
from ncviz.errors import InvalidArrayError

RANDOM = np.random.default_rng(0)


def test_r_and_interval_equal_their_formulas():
    x = RANDOM.normal(size=40)
    y = x + RANDOM.normal(size=40)
    found = correlate(x, y)
    r = np.corrcoef(x, y)[0, 1]
    z, error = np.arctanh(r), 1.959963984540054 / np.sqrt(40 - 3)
    assert found.r == pytest.approx(r)
    assert (found.low, found.high) == pytest.approx((np.tanh(z - error), np.tanh(z + error)))
    assert found.pairs == 40


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
@pytest.mark.parametrize("noise", [0.0, 1e-9, 0.3, 10.0])
def test_r_and_interval_are_those_of_scipy(noise, scale):
    random = np.random.default_rng(2)
    x = random.normal(size=9) * scale
    y = 3 * x + noise * scale * random.normal(size=9) + scale
    expected = pearsonr(x, y)
    found = correlate(x, y)
    assert found.r == pytest.approx(expected.statistic, abs=1e-12)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()), abs=1e-7)


def test_interval_covers_the_true_correlation_as_often_as_it_says():
    random, rho, covered = np.random.default_rng(1), 0.6, 0
    for _ in range(400):
        x = random.normal(size=25)
        y = rho * x + np.sqrt(1 - rho**2) * random.normal(size=25)
        found = correlate(x, y)
        covered += found.low <= rho <= found.high
    assert 0.92 <= covered / 400 <= 0.98


def test_exact_lines_have_an_r_of_one_and_flipped_ones_of_minus_one():
    x = np.arange(6.0)
    assert correlate(x, 3 * x + 1).r == pytest.approx(1)
    assert correlate(x, -x).r == pytest.approx(-1)


def test_pairs_with_a_nan_are_left_out():
    x, y = np.arange(8.0), np.array([0, 1, np.nan, 2, 5, 3, 6, 8.0])
    keep = np.arange(8) != 2
    assert correlate(x, y) == correlate(x[keep], y[keep])


@pytest.mark.parametrize(
    ("x", "y"), [([1, 2, 3], [3, 2, 1]), ([1, 1, 1, 1, 1], [1, 2, 3, 4, 5]), ([], [])]
)
def test_too_few_or_constant_values_have_none(x, y):
    assert correlate(np.array(x, float), np.array(y, float)) is None


def test_other_lengths_are_refused():
    with pytest.raises(InvalidArrayError, match="shapes"):
        correlate(np.arange(4), np.arange(5))


def test_the_logarithm_of_x_leaves_out_what_has_none():
    x, y = np.array([1e-3, 0.1, 1.0, 20.0, 300.0]), np.array([1.0, 2.0, 2.5, 5.0, 4.0])
    expected = correlate(np.log(x), y)
    assert correlate(x, y, log_x=True) == expected
    padded = correlate(np.r_[x, 0, -1, np.nan], np.r_[y, 9, 9, 9], log_x=True)
    assert padded == expected
