"""Threshold rules against every threshold tried, p-values against their definition and promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, kstest

from ncviz.errors import InvalidArrayError, InvalidOptionError, UnknownNameError
from ncviz.metrics import operating_point
from ncviz.thresholds import RULES, Costs, calibration_half, choose, guarantee, p_values
from ncviz.thresholds.operating import threshold_at_fpr

tied = st.lists(st.integers(-4, 4), min_size=1, max_size=45).map(lambda s: np.array(s, float))


def every_threshold(*scores):
    """Every cut that tells scores apart, lowest first; the last accepts nothing."""
    return [*sorted(set(np.concatenate(scores))), np.inf]


def rates(ids, oods, threshold):
    return np.mean(ids >= threshold), np.mean(oods >= threshold)


def balanced(ids, oods, threshold):
    kept, let_in = rates(ids, oods, threshold)
    return (kept + 1 - let_in) / 2


def expected_cost(ids, oods, threshold, ratio, ood_share):
    """Mean cost over a stream: an ID turned away costs 1, an OOD let in costs the ratio."""
    kept, let_in = rates(ids, oods, threshold)
    return (1 - ood_share) * (1 - kept) + ood_share * ratio * let_in


# Rules


@given(ids=tied)
@settings(max_examples=150, deadline=None)
def test_id95_is_the_highest_threshold_that_keeps_19_of_20(ids):
    found = choose("id95", ids)
    kept = [t for t in every_threshold(ids) if 20 * np.sum(ids >= t) >= 19 * len(ids)]
    assert found.value == max(kept)
    assert found.rule == "id95"
    assert choose("id95", ids, np.zeros(3)) == found  # it looks at no OOD


@given(ids=tied, oods=tied)
@settings(max_examples=150, deadline=None)
def test_ood5_accepts_all_that_it_may(ids, oods):
    found = choose("ood5", ids, oods)
    allowed = [t for t in every_threshold(ids, oods) if 20 * np.sum(oods >= t) <= len(oods)]
    lowest = min(allowed)
    np.testing.assert_array_equal(found.accepts(ids), ids >= lowest)
    np.testing.assert_array_equal(found.accepts(oods), oods >= lowest)
    # No lower one would do: it stands just above an OOD score.
    below = np.nextafter(found.value, -np.inf)
    assert 20 * np.sum(oods >= below) > len(oods)


@given(ids=tied, oods=tied)
@settings(max_examples=150, deadline=None)
def test_accuracy_is_the_best_of_every_threshold(ids, oods):
    found = choose("accuracy", ids, oods).value
    tried = {t: balanced(ids, oods, t) for t in every_threshold(ids, oods)}
    assert found in tried
    assert tried[found] == pytest.approx(max(tried.values()), abs=1e-12)
    lower = [value for t, value in tried.items() if t < found]
    assert all(value < tried[found] - 1e-12 for value in lower)


@given(ids=tied, oods=tied, ratio=st.floats(0.05, 50), share=st.floats(0.01, 0.99))
@settings(max_examples=150, deadline=None)
def test_cost_is_the_least_of_every_threshold(ids, oods, ratio, share):
    costs = Costs(ratio, share)
    found = choose("cost", ids, oods, costs=costs).value
    tried = {t: expected_cost(ids, oods, t, ratio, share) for t in every_threshold(ids, oods)}
    assert tried[found] == pytest.approx(min(tried.values()), abs=1e-12)
    kept, let_in = rates(ids, oods, found)
    assert costs.of(let_in, kept) == pytest.approx(tried[found])


@given(ids=tied, oods=tied)
@settings(max_examples=150, deadline=None)
def test_equal_costs_and_as_many_ood_as_id_are_the_accuracy_rule(ids, oods):
    by_cost = choose("cost", ids, oods, costs=Costs(1.0, 0.5)).value
    by_accuracy = choose("accuracy", ids, oods).value
    assert balanced(ids, oods, by_cost) == pytest.approx(balanced(ids, oods, by_accuracy))
    assert choose("cost", ids, oods).value == by_cost  # these are the defaults
    assert by_cost == by_accuracy


def test_of_equal_costs_the_lowest_threshold_is_taken_though_rounding_tells_them_apart():
    # Right: (1/2 + 2/3) / 2 at 0 and (5/6 + 1/3) / 2 at -1, both 7/12.
    ids, oods = np.array([0.0, 0, 0, -1, -1, -2]), np.array([0.0, -1, -2])
    assert choose("accuracy", ids, oods).value == -1
    assert choose("cost", ids, oods).value == -1


@pytest.mark.filterwarnings("error")
def test_where_only_accepting_nothing_keeps_a_rule_the_threshold_is_infinite():
    ids, oods = np.arange(10.0), np.arange(10.0) + 100
    found = choose("cost", ids, oods, costs=Costs(ood_share=0.6))
    assert found.value == np.inf
    assert not found.accepts(np.r_[ids, oods]).any()
    # With as many OOD as ID, accepting everything is as good.
    assert choose("accuracy", ids, oods).value == 0
    found = choose("cost", oods, ids, costs=Costs(ratio=1e6, ood_share=0.99))
    assert found.value == 100  # perfect scores need no such thing
    largest = np.finfo(float).max
    assert choose("ood5", ids, np.array([largest])).value == np.inf


def test_a_dear_mistake_moves_the_threshold_up_and_rare_ood_moves_it_down():
    rng = np.random.default_rng(0)
    ids, oods = rng.normal(1, 1, 500), rng.normal(0, 1, 400)
    by_ratio = [choose("cost", ids, oods, costs=Costs(r)).value for r in (0.1, 0.5, 1, 2, 10)]
    by_share = [
        choose("cost", ids, oods, costs=Costs(1, s)).value for s in (0.01, 0.2, 0.5, 0.8, 0.99)
    ]
    for values in (by_ratio, by_share):
        assert np.isfinite(values).any()
        assert (np.diff(values) >= 0).all()
        assert values[0] < values[-1]


def test_twenty_ood_let_one_in_and_of_equal_ones_none():
    oods = np.arange(20.0)
    for count in (20, 40, 60, 100, 1000):
        accepted = choose("ood5", oods, np.arange(float(count))).accepts(np.arange(float(count)))
        assert accepted.sum() == count // 20
    assert choose("ood5", oods, oods[:19]).accepts(oods[:19]).sum() == 0
    assert choose("ood5", oods, np.r_[oods[:18], 19.0, 19.0]).accepts(19.0) == np.False_
    assert threshold_at_fpr(oods, 0.0) == np.nextafter(19.0, np.inf)


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_a_rule_does_to_samples_what_its_operating_point_says(rule):
    rng = np.random.default_rng(0)
    ids, oods = rng.normal(1, 1, 200).round(1), rng.normal(0, 1, 100).round(1)
    found = choose(rule, ids, oods)
    point = operating_point(ids, oods, found.value)
    assert point.id_accepted == found.accepts(ids).sum()
    assert point.ood_accepted == found.accepts(oods).sum()
    assert all((RULES[0].label, RULES[0].explanation))


def test_rules_that_cannot_be_followed_are_refused():
    ones = np.ones(3)
    with pytest.raises(UnknownNameError, match="'best'"):
        choose("best", ones, ones)
    for rule in RULES:
        if rule.needs_ood:
            with pytest.raises(InvalidArrayError, match=f"'{rule.name}' looks at OOD.*'id95'"):
                choose(rule.name, ones)
            with pytest.raises(InvalidArrayError, match=r"OOD scores.*NaN"):
                choose(rule.name, ones, np.array([np.nan]))
        with pytest.raises(InvalidArrayError, match=r"ID scores.*at least 1"):
            choose(rule.name, np.empty(0), ones)
    for share in (-0.1, 1.0, np.nan):
        with pytest.raises(InvalidOptionError, match=r"\[0, 1\)"):
            threshold_at_fpr(ones, share)
    for ratio, share in [(0, 0.5), (np.inf, 0.5), (np.nan, 0.5), (1, 0), (1, 1), (1, np.nan)]:
        with pytest.raises(InvalidOptionError, match="above 0 and the share of OOD between"):
            Costs(ratio, share)


# p-values


@given(calibration=tied, scores=tied)
@settings(max_examples=150, deadline=None)
def test_p_values_match_their_definition(calibration, scores):
    expected = [(1 + sum(c <= s for c in calibration)) / (len(calibration) + 1) for s in scores]
    np.testing.assert_allclose(p_values(calibration, scores), expected, rtol=1e-15)


@given(calibration=tied, scores=tied)
@settings(max_examples=80, deadline=None)
def test_p_values_rise_with_the_score_and_have_a_smallest(calibration, scores):
    found = p_values(calibration, np.sort(scores))
    assert (np.diff(found) >= 0).all()
    n = len(calibration)
    assert ((found >= 1 / (n + 1)) & (found <= 1)).all()
    ends = p_values(calibration, np.array([calibration.min() - 1, calibration.max()]))
    np.testing.assert_allclose(ends, [1 / (n + 1), 1])
    assert p_values(calibration, np.empty(0)).shape == (0,)


@pytest.mark.parametrize(("n", "alpha"), [(19, 0.05), (99, 0.05), (60, 0.1), (30, 0.02)])
def test_id_samples_are_rejected_as_often_as_promised_on_average(n, alpha):
    rng = np.random.default_rng(0)
    rejected = [
        np.mean(p_values(rng.normal(size=n), rng.normal(size=50)) <= alpha) for _ in range(4000)
    ]
    error = np.std(rejected) / np.sqrt(len(rejected))
    assert np.mean(rejected) == pytest.approx(guarantee(n, alpha).average, abs=4 * error + 1e-12)
    assert guarantee(n, alpha).average <= alpha + 1e-12


def test_the_share_rejected_follows_the_beta_law_over_calibration_sets():
    """Of uniform scores the share below the threshold of a calibration set is the threshold."""
    rng = np.random.default_rng(0)
    n, alpha, rank = 60, 0.1, 6
    fine = np.linspace(0, 1, 20_001)
    shares = [np.mean(p_values(rng.random(n), fine) <= alpha) for _ in range(1500)]
    assert kstest(shares, beta(rank, n + 1 - rank).cdf).pvalue > 0.05
    promise = guarantee(n, alpha, confidence=0.9)
    inside = np.mean([promise.low <= share <= promise.high for share in shares])
    assert inside == pytest.approx(0.9, abs=0.025)
    assert promise.average == pytest.approx(rank / (n + 1))


def test_p_values_of_id_samples_are_uniform_without_ties_and_larger_with():
    rng = np.random.default_rng(1)
    n = 9
    clear = [p_values(rng.normal(size=n), rng.normal(size=1))[0] for _ in range(5000)]
    counts = np.bincount(np.rint(10 * np.array(clear)).astype(int), minlength=11)[1:]
    np.testing.assert_allclose(counts / 5000, 0.1, atol=0.02)
    equal = [
        p_values(rng.integers(3, size=n).astype(float), rng.integers(3, size=1).astype(float))[0]
        for _ in range(5000)
    ]
    for alpha in np.arange(1, 11) / 10:
        assert np.mean(np.array(equal) <= alpha + 1e-9) <= alpha + 0.02
    assert np.mean(np.array(equal) <= 0.1 + 1e-9) < 0.05  # ties make it strictly cautious


def test_a_guarantee_has_known_values():
    assert guarantee(19, 0.05).average == 0.05  # rounding does not cost the rank
    assert guarantee(18, 0.05) == guarantee(18, 0.01)  # too few samples to reject any
    assert (guarantee(18, 0.05).average, guarantee(18, 0.05).high) == (0.0, 0.0)
    one = guarantee(19, 0.05, confidence=0.8)  # Beta(1, 19): P(share <= x) = 1 - (1 - x)^19
    assert one.low == pytest.approx(1 - 0.9 ** (1 / 19))
    assert one.high == pytest.approx(1 - 0.1 ** (1 / 19))
    assert one.confidence == 0.8


def test_a_guarantee_tightens_with_samples_and_widens_with_confidence():
    widths = [guarantee(n, 0.05).high - guarantee(n, 0.05).low for n in (99, 999, 9999)]
    assert widths[0] > 2 * widths[1] > 4 * widths[2]
    narrow, wide = guarantee(99, 0.05, 0.5), guarantee(99, 0.05, 0.99)
    assert wide.low < narrow.low < narrow.average < narrow.high < wide.high
    averages = [guarantee(99, alpha).average for alpha in np.linspace(0.01, 0.99, 50)]
    assert (np.diff(averages) >= 0).all()


def test_p_values_and_guarantees_refuse_what_they_cannot_take():
    with pytest.raises(InvalidArrayError, match=r"Calibration scores.*at least 1"):
        p_values(np.empty(0), np.ones(2))
    with pytest.raises(InvalidArrayError, match=r"Calibration scores.*NaN"):
        p_values(np.array([np.nan]), np.ones(2))
    with pytest.raises(InvalidArrayError, match=r"New scores.*infinite"):
        p_values(np.ones(2), np.array([np.inf]))
    for n, alpha, confidence in [(0, 0.1, 0.9), (5, 0, 0.9), (5, 1, 0.9), (5, 0.1, 1), (5, 0.1, 0)]:
        with pytest.raises(InvalidOptionError, match="between 0 and 1; got"):
            guarantee(n, alpha, confidence)


# Halves


@given(
    labels=st.lists(st.integers(0, 5), max_size=60).map(lambda s: np.array(s, int)),
    seed=st.integers(0, 50),
)
@settings(max_examples=150, deadline=None)
def test_halves_are_disjoint_and_even_in_every_class_and_in_all(labels, seed):
    half = calibration_half(labels, seed)
    assert (half.dtype, half.shape) == (np.dtype(bool), labels.shape)
    assert abs(half.sum() - (~half).sum()) <= 1
    for label in np.unique(labels):
        own = labels == label
        assert abs((half & own).sum() - (~half & own).sum()) <= 1
    np.testing.assert_array_equal(calibration_half(labels, seed), half)


def test_which_half_a_sample_is_in_is_random_and_hangs_on_the_seed():
    labels = np.arange(400) % 4
    halves = np.array([calibration_half(labels, seed) for seed in range(200)])
    assert len(np.unique(halves, axis=0)) == 200
    # Every sample is in about half of them: 4.5 standard errors of a share of 200.
    assert abs(halves.mean(axis=0) - 0.5).max() < 4.5 * 0.5 / np.sqrt(200)
    together = halves[:, 0] == halves[:, 4]  # two of the same class
    assert 0.35 < together.mean() < 0.65
    np.testing.assert_array_equal(calibration_half(labels), halves[0])
