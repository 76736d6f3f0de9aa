"""Intervals of shares, means and differences, and verdicts on claims."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from ncviz.claims import Verdict, verdict
from ncviz.errors import InvalidArrayError
from ncviz.estimates import (
    Estimate,
    difference_of_independent,
    mean_of_dependent,
    mean_of_independent,
    wilson,
)
from ncviz.shared_sets import shared, why_none


@pytest.mark.parametrize("samples", [1, 7, 300, 10_000])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_wilson_equals_scipy(samples, level):
    for count in sorted({0, 1, samples // 3, samples - 1, samples}):
        expected = binomtest(count, samples).proportion_ci(level, method="wilson")
        found = wilson(count / samples, samples, level=level)
        assert (found.low, found.high) == pytest.approx(tuple(expected), abs=1e-12)
        assert found.low <= found.value <= found.high
        assert found.high > found.low


def test_wilson_solves_its_equation():
    """Its ends are the shares that a score test just does not reject."""
    found = wilson(0.3, 40)
    for end in (found.low, found.high):
        assert abs(0.3 - end) / math.sqrt(end * (1 - end) / 40) == pytest.approx(1.959964, abs=1e-5)


@pytest.mark.parametrize(("share", "samples"), [(0.5, 0), (-0.1, 5), (1.1, 5), (math.nan, 5)])
def test_wilson_rejects_what_is_not_a_share(share, samples):
    with pytest.raises(InvalidArrayError, match="share from 0 to 1"):
        wilson(share, samples)


def test_difference_equals_newcombes_published_example():
    """R. G. Newcombe 1998, table II, (a): 56/70 against 48/80, method 10."""
    found = difference_of_independent(wilson(56 / 70, 70), wilson(48 / 80, 80))
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_intervals_of_means_and_differences_cover_the_truth():
    random, covered, trials = np.random.default_rng(0), np.zeros(2), 2000
    shares, sizes = (0.1, 0.3, 0.6), (60, 200, 400)
    for _ in range(trials):
        parts = [wilson(random.binomial(n, p) / n, n) for p, n in zip(shares, sizes, strict=True)]
        mean = mean_of_independent(parts)
        covered[0] += mean.low <= np.mean(shares) <= mean.high
        gap = difference_of_independent(parts[0], parts[1])
        covered[1] += gap.low <= shares[0] - shares[1] <= gap.high
    assert (covered / trials > 0.935).all()
    assert (covered / trials < 0.97).all()


def test_mean_of_one_estimate_is_that_estimate():
    one = wilson(0.2, 50)
    for combined in (mean_of_independent([one]), mean_of_dependent([one])):
        assert (combined.value, combined.low, combined.high) == pytest.approx(
            (one.value, one.low, one.high)
        )


def test_mean_of_dependent_estimates_is_at_least_as_wide_as_of_independent_ones():
    parts = [wilson(0.2, 50), wilson(0.5, 80), wilson(0.9, 30)]
    narrow, wide = mean_of_independent(parts), mean_of_dependent(parts)
    assert wide.value == narrow.value
    assert wide.low < narrow.low < narrow.high < wide.high


def test_without_an_interval_of_a_part_there_is_none_of_the_whole():
    parts = [wilson(0.2, 50), Estimate(0.4)]
    for combine in (mean_of_independent, mean_of_dependent):
        assert combine(parts).value == pytest.approx(0.3)
        assert not combine(parts).has_interval
    assert not difference_of_independent(*parts).has_interval


@pytest.mark.parametrize("combine", [mean_of_independent, mean_of_dependent])
def test_mean_of_nothing_is_an_error(combine):
    with pytest.raises(InvalidArrayError, match="at least one"):
        combine([])


@pytest.mark.parametrize(
    ("low", "high", "above", "below"),
    [
        (0.1, 0.3, Verdict.SUPPORTED, Verdict.CONTRADICTED),
        (-0.3, -0.1, Verdict.CONTRADICTED, Verdict.SUPPORTED),
        (-0.1, 0.3, Verdict.UNDECIDED, Verdict.UNDECIDED),
        (0.0, 0.3, Verdict.UNDECIDED, Verdict.UNDECIDED),
        (-0.3, 0.0, Verdict.UNDECIDED, Verdict.UNDECIDED),
        (math.nan, 0.3, Verdict.UNTESTED, Verdict.UNTESTED),
        (-math.inf, math.inf, Verdict.UNTESTED, Verdict.UNTESTED),
    ],
)
def test_verdict_needs_an_interval_that_excludes_zero(low, high, above, below):
    estimate = Estimate(0.2 if above is Verdict.SUPPORTED else -0.2, low, high)
    assert verdict(estimate, "above") is above
    assert verdict(estimate, "below") is below


def test_large_differences_without_an_interval_are_not_tested():
    assert verdict(Estimate(0.9), "above") is Verdict.UNTESTED


def test_verdict_rarely_calls_luck_a_difference():
    """Two equal error rates: each side is claimed in at most 2.5% of the trials, and some."""
    random = np.random.default_rng(0)
    found = [
        verdict(
            difference_of_independent(
                *(wilson(random.binomial(200, 0.3) / 200, 200) for _ in range(2))
            ),
            "above",
        )
        for _ in range(2000)
    ]
    for wrong in (Verdict.SUPPORTED, Verdict.CONTRADICTED):
        assert 0.012 < found.count(wrong) / 2000 < 0.038


def test_shared_sets_are_those_of_every_entry():
    measured = {"a": ["x", "y", "z"], "b": ["z", "y"], "c": []}
    assert shared(measured) == ("y", "z")
    assert why_none(measured, "OOD set") == ""
    assert shared({}) == shared({"a": []}) == ()
    assert why_none({"a": [], "b": []}, "OOD set") == ""


def test_without_shared_sets_the_reason_names_them():
    measured = {"a": ["x"], "b": ["y"]}
    assert shared(measured) == ()
    said = why_none(measured, "OOD set")
    assert "no OOD set" in said
    assert "a: x; b: y" in said
