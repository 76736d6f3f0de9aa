"""Threshold rules against every threshold tried, p-values against their definition and promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, kstest

from ncviz.errors import InvalidArrayError, InvalidOptionError, UnknownNameError
from ncviz.metrics import operating_point, threshold_at_tpr
from ncviz.thresholds import (
    ID_95,
    RULES,
    Costs,
    Criterion,
    SetScores,
    calibration_half,
    choose,
    choose_threshold,
    guarantee,
    p_values,
    promise,
    rejected_share,
)
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
def test_id_rule_is_the_highest_threshold_that_keeps_19_of_20(ids):
    found = choose("ID", ids)
    kept = [t for t in every_threshold(ids) if 20 * np.sum(ids >= t) >= 19 * len(ids)]
    assert found.value == max(kept)
    assert found.rule == "ID"
    assert choose("ID", ids, np.zeros(3)) == found  # it looks at no OOD


@given(ids=tied, oods=tied)
@settings(max_examples=150, deadline=None)
def test_ood_rule_accepts_all_that_it_may(ids, oods):
    found = choose("OOD", ids, oods)
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
    assert choose("OOD", ids, np.array([largest])).value == np.inf


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
        accepted = choose("OOD", oods, np.arange(float(count))).accepts(np.arange(float(count)))
        assert accepted.sum() == count // 20
    assert choose("OOD", oods, oods[:19]).accepts(oods[:19]).sum() == 0
    assert choose("OOD", oods, np.r_[oods[:18], 19.0, 19.0]).accepts(19.0) == np.False_
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
            with pytest.raises(InvalidArrayError, match=f"'{rule.name}' needs OOD.*'ID'"):
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


# All samples, kept samples, halves


def set_scores(middle: float, evaluated: int, kept: int, seed: int) -> SetScores:
    """Scores of a packed run: more samples were evaluated than are kept."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(middle, 1, evaluated)
    return SetScores(np.sort(scores), scores[:kept], np.arange(kept) % 2 == 0)


def test_a_rule_without_ood_takes_all_evaluated_id_samples():
    known, unknown = set_scores(2, 3000, 200, 0), set_scores(0, 900, 50, 1)
    for share in (0.5, 0.95, 1.0):
        found = choose_threshold(Criterion("ID", share), known, [unknown]).value
        assert found == threshold_at_tpr(known.evaluated, share)
        assert found == choose_threshold(Criterion("ID", share), known).value
    assert choose_threshold(ID_95, known).value != threshold_at_tpr(known.chosen_on, 0.95)


@pytest.mark.parametrize("rule", [rule.name for rule in RULES if rule.needs_ood])
def test_a_rule_with_ood_takes_one_half_of_the_kept_samples_and_leaves_the_other(rule):
    known = set_scores(2, 3000, 200, 0)
    unknown = [set_scores(0, 900, 50, seed) for seed in (1, 2)]
    criterion = Criterion(rule, 0.8, Costs(2.0, 0.3))
    found = choose_threshold(criterion, known, unknown)
    pooled = np.concatenate([each.kept[::2] for each in unknown])
    assert found == choose(rule, known.kept[::2], pooled, share=0.8, costs=Costs(2.0, 0.3))
    for each in (known, *unknown):
        np.testing.assert_array_equal(each.judged_on(halves=True), each.kept[1::2])
        np.testing.assert_array_equal(each.kept[each.listed(halves=True)], each.kept[1::2])
        assert each.judged_on(halves=False) is each.evaluated
        assert each.listed(halves=False).all()
    with pytest.raises(InvalidArrayError, match=f"'{rule}' needs OOD"):
        choose_threshold(criterion, known)


def test_the_share_of_ood_rejected_is_kept_for_any_share():
    oods = np.arange(200.0)
    for share in (0.5, 0.8, 0.95, 1.0):
        found = choose("OOD", oods, oods, share=share)
        assert np.mean(~found.accepts(oods)) == pytest.approx(share)


def test_criteria_are_named_and_checked():
    assert str(ID_95) == "95% of ID accepted"
    assert str(Criterion("OOD", 0.805)) == "80.5% of OOD rejected"
    assert [Criterion(rule.name).needs_ood for rule in RULES] == [False, True, True, True]
    for share in (0, -0.1, 1.01, np.nan):
        with pytest.raises(InvalidOptionError, match=r"\(0, 1\]"):
            Criterion("ID", share)
    with pytest.raises(UnknownNameError, match="'best'"):
        Criterion("best")
    with pytest.raises(InvalidArrayError, match="3 kept samples have 2"):
        SetScores(np.ones(5), np.ones(3), np.ones(2, bool))


# What a threshold promises


@pytest.mark.parametrize(("n", "share"), [(40, 0.95), (100, 0.9), (333, 0.95)])
def test_the_rejected_share_lies_in_the_range_as_often_as_promised(n, share):
    """Of uniform scores the true rejected share is the threshold itself."""
    rng = np.random.default_rng(0)
    promised = rejected_share(n, share)
    cuts = np.array([threshold_at_tpr(rng.random(n), share) for _ in range(4000)])
    inside = np.mean((promised.low <= cuts) & (cuts <= promised.high))
    assert 0.89 <= inside <= 0.97  # one range for two neighbouring order statistics
    assert np.mean(cuts > promised.high) == pytest.approx(0.05, abs=0.012)
    assert np.mean(cuts) == pytest.approx(promised.average, rel=0.02)
    assert promised.low == guarantee(n, 1 - share).low  # that of the test p <= 1 - share


def test_the_promise_is_a_sentence_with_its_numbers():
    assert promise(ID_95, 1500) == (
        "95% of ID accepted: with 1,500 samples the true rejected share lies between 4.1% and "
        "6.0% (90% confidence)."
    )
    assert "with 1 sample the" in promise(ID_95, 1)
    assert promise(Criterion("accuracy"), 1500) == ""
    assert rejected_share(10, 1.0).low == 0
    for n, share in ((0, 0.95), (5, 0), (5, 1.1)):
        with pytest.raises(InvalidOptionError, match=r"\(0, 1\]"):
            rejected_share(n, share)
