"""DeLong's and McNemar's tests, Holm's correction and ranks: definitions, oracles, exact cases."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, kstest, norm

from ncviz import metrics
from ncviz.errors import InvalidArrayError

sizes = st.tuples(st.integers(2, 12), st.integers(2, 12))


def paired(ids=150, oods=90, seed=0, shift=1.0, decimals=1, own=1.0):
    """Two scores of the same samples: a part that they share, and noise of their own."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(shift, 1, ids), rng.normal(0, 1, oods)
    return [
        (part + own * rng.normal(size=len(part))).round(decimals)
        for _ in range(2)
        for part in shared
    ]


def slow_placements(ids, oods):
    """The structural components V10 (N,) and V01 (M,), by comparing every pair."""
    wins = [[float(a > b) + 0.5 * float(a == b) for b in oods] for a in ids]
    above = [sum(row) / len(oods) for row in wins]
    below = [sum(row[j] for row in wins) / len(ids) for j in range(len(oods))]
    return np.array(above), np.array(below)


def slow_covariance(scores):
    """(K, K) covariance S10 / N + S01 / M of the AUROCs of K scores [(ids, oods), ...]."""
    parts = [slow_placements(*pair) for pair in scores]
    total = np.zeros((len(parts), len(parts)))
    for side in (0, 1):
        for r in range(len(parts)):
            for s in range(len(parts)):
                one, other = parts[r][side], parts[s][side]
                products = [
                    (a - one.mean()) * (b - other.mean()) for a, b in zip(one, other, strict=True)
                ]
                total[r, s] += sum(products) / (len(one) - 1) / len(one)
    return total


def assert_is_test_of(found, difference, variance):
    deviation = np.sqrt(variance)
    assert found.difference == pytest.approx(difference, abs=1e-12)
    assert -1 <= found.low <= difference <= found.high <= 1
    assert found.p_value == pytest.approx(2 * norm.cdf(-abs(difference) / deviation), rel=1e-8)


@given(sizes=sizes, seed=st.integers(0, 10**6), levels=st.integers(2, 6))
@settings(max_examples=150, deadline=None)
def test_delong_matches_the_covariance_of_structural_components(sizes, seed, levels):
    rng = np.random.default_rng(seed)
    a_id, b_id = rng.integers(levels, size=(2, sizes[0])).astype(float)
    a_ood, b_ood = rng.integers(levels, size=(2, sizes[1])).astype(float)
    covariance = slow_covariance([(a_id, a_ood), (b_id, b_ood)])
    found = metrics.delong(a_id, a_ood, b_id, b_ood)
    first, second = (slow_placements(*pair)[0].mean() for pair in ((a_id, a_ood), (b_id, b_ood)))
    assert (found.first, found.second) == (pytest.approx(first), pytest.approx(second))
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    if variance > 1e-10:
        assert_is_test_of(found, first - second, variance)
    else:
        assert found.p_value == (1.0 if abs(first - second) < 1e-9 else 0.0)
    assert metrics.auroc_variance(a_id, a_ood) == pytest.approx(covariance[0, 0], abs=1e-14)


def test_unpaired_adds_the_variances():
    a_id, a_ood, b_id, b_ood = paired()
    found = metrics.unpaired(a_id, a_ood, b_id[:80], b_ood[:50])
    variance = metrics.auroc_variance(a_id, a_ood) + metrics.auroc_variance(b_id[:80], b_ood[:50])
    assert_is_test_of(found, found.first - found.second, variance)
    covariance = slow_covariance([(a_id, a_ood)])
    assert metrics.auroc_variance(a_id, a_ood) == pytest.approx(covariance[0, 0], rel=1e-10)


def test_aurocs_are_those_of_the_detection_metrics():
    a_id, a_ood, b_id, b_ood = paired()
    for compare in (metrics.delong, metrics.unpaired):
        found = compare(a_id, a_ood, b_id, b_ood)
        assert found.first == pytest.approx(metrics.detection_metrics(a_id, a_ood).auroc)
        assert found.second == pytest.approx(metrics.detection_metrics(b_id, b_ood).auroc)


def test_the_spread_is_that_of_paired_draws():
    found, differences = [], []
    for seed in range(300):
        a_id, a_ood, b_id, b_ood = paired(200, 150, seed=seed)
        test = metrics.delong(a_id, a_ood, b_id, b_ood)
        found.append((test.high - test.low) / 2 / norm.ppf(0.975))
        differences.append(test.difference)
    assert np.mean(found) == pytest.approx(np.std(differences), rel=0.15)
    # Without the pairing it would be far wider: the samples are the same.
    apart = metrics.unpaired(a_id, a_ood, b_id, b_ood)
    assert apart.high - apart.low > 1.3 * (test.high - test.low)


def test_the_variance_is_that_of_aurocs_over_samples_drawn_anew():
    rng = np.random.default_rng(0)
    aurocs, variances = [], []
    for _ in range(1500):
        ids, oods = rng.normal(1, 1, 60), rng.normal(0, 1, 40)
        aurocs.append(metrics.detection_metrics(ids, oods).auroc)
        variances.append(metrics.auroc_variance(ids, oods))
    assert np.mean(variances) == pytest.approx(np.var(aurocs), rel=0.1)


def test_the_variance_of_a_hand_made_case():
    # Placements: ID 1/2, 1, 1 of OOD below; OOD 1 and 2/3 of ID above.
    ids, oods = np.array([1.0, 3.0, 4.0]), np.array([0.0, 2.0])
    expected = np.var([0.5, 1, 1], ddof=1) / 3 + np.var([1, 2 / 3], ddof=1) / 2
    assert metrics.auroc_variance(ids, oods) == pytest.approx(expected)


def test_p_values_are_uniform_where_there_is_no_difference():
    p_paired, p_unpaired = [], []
    for seed in range(1500):
        a_id, a_ood, b_id, b_ood = paired(seed=seed, decimals=16)
        c_id, c_ood, _, _ = paired(seed=10_000 + seed, decimals=16)
        p_paired.append(metrics.delong(a_id, a_ood, b_id, b_ood).p_value)
        p_unpaired.append(metrics.unpaired(a_id, a_ood, c_id, c_ood).p_value)
    for values in (p_paired, p_unpaired):
        assert kstest(values, "uniform").pvalue > 0.01
        assert 0.03 < np.mean(np.array(values) < 0.05) < 0.07


def test_the_interval_excludes_zero_where_the_test_is_significant():
    """Two scores that agree closely: their difference is known far better than either AUROC."""
    for seed in range(40):
        a_id, a_ood, _, _ = paired(400, 160, seed=seed, shift=1.8, own=0.3)
        noise = np.random.default_rng(1000 + seed)
        b_id, b_ood = (part + noise.normal(0, 0.3, len(part)) for part in (a_id, a_ood))
        found = metrics.delong(a_id, a_ood, b_id, b_ood)
        assert (found.p_value < 0.05) == (found.low > 0 or found.high < 0)


def test_the_interval_of_a_difference_covers_it():
    covered, repeats = 0, 400
    for seed in range(repeats):
        a_id, a_ood, b_id, b_ood = paired(400, 160, seed=seed, shift=1.8, own=0.15, decimals=16)
        found = metrics.delong(a_id, a_ood, b_id, b_ood)
        covered += found.low <= 0 <= found.high
    assert 0.92 <= covered / repeats <= 0.98


def test_a_true_difference_is_found():
    a_id, a_ood, _, _ = paired(500, 500, decimals=4, own=0.1)
    noise = np.random.default_rng(1)
    b_id, b_ood = a_id + noise.normal(0, 2, 500), a_ood + noise.normal(0, 2, 500)
    found = metrics.delong(a_id, a_ood, b_id, b_ood)
    assert found.p_value < 1e-6
    assert found.low > 0


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_swapping_turns_the_difference_round_and_only_order_counts(seed):
    a_id, a_ood, b_id, b_ood = paired(30, 20, seed=seed)
    one = metrics.delong(a_id, a_ood, b_id, b_ood)
    other = metrics.delong(b_id, b_ood, a_id, a_ood)
    assert other.difference == pytest.approx(-one.difference)
    assert (other.low, other.high) == (pytest.approx(-one.high), pytest.approx(-one.low))
    assert other.p_value == pytest.approx(one.p_value)
    assert metrics.delong(np.exp(a_id), np.exp(a_ood), b_id, b_ood) == one


def test_equal_and_perfect_scores():
    a_id, a_ood, _, _ = paired()
    same = metrics.delong(a_id, a_ood, 3 * a_id - 1, 3 * a_ood - 1)
    assert (same.difference, same.p_value) == (0.0, 1.0)
    assert (same.low, same.high) == pytest.approx((0.0, 0.0), abs=0.02)
    high, low = np.arange(5.0) + 10, np.arange(4.0)
    for compare in (metrics.delong, metrics.unpaired):
        both = compare(high, low, high + 1, low - 1)
        assert (both.first, both.second, both.p_value) == (1.0, 1.0, 1.0)
        against = compare(high, low, -high, -low)
        assert (against.difference, against.p_value) == (1.0, 0.0)
    assert metrics.auroc_variance(high, low) == 0
    assert metrics.auroc_variance(np.ones(5), np.ones(4)) == 0


# Ranks


def slow_ranks(values, higher_is_better):
    """Mean over sets of one plus the number of better scores plus half of the other equal ones."""
    means = []
    for k in range(len(values)):
        found = []
        for s in range(values.shape[1]):
            own = values[k, s]
            if np.isnan(own):
                continue
            others = [values[j, s] for j in range(len(values)) if j != k]
            better = sum((v > own) if higher_is_better else (v < own) for v in others)
            found.append(1 + better + sum(v == own for v in others) / 2)
        means.append(np.mean(found) if found else np.nan)
    return means


@pytest.mark.filterwarnings("error")
@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(1, 6), st.integers(1, 5)),
    higher=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_ranks_match_counting_with_ties_and_gaps(seed, shape, higher):
    rng = np.random.default_rng(seed)
    values = rng.integers(4, size=shape).astype(float)
    values[rng.random(shape) < 0.25] = np.nan
    found = metrics.ranks(values, higher_is_better=higher)
    np.testing.assert_allclose(found, slow_ranks(values, higher))


def test_ranks_of_a_hand_made_table():
    values = np.array([[0.9, 0.5], [0.8, 0.5], [0.9, np.nan], [np.nan, np.nan]])
    np.testing.assert_allclose(
        metrics.ranks(values, higher_is_better=True), [1.5, 2.25, 1.5, np.nan]
    )
    np.testing.assert_allclose(
        metrics.ranks(values, higher_is_better=False), [2.0, 1.25, 2.5, np.nan]
    )


# McNemar's test


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
@settings(max_examples=150, deadline=None)
def test_mcnemar_counts_the_samples_that_one_alone_gets_right(pairs):
    first, second = np.array(pairs, bool).T
    found = metrics.mcnemar(first, second)
    alone = [sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)]
    assert found.first == pytest.approx(sum(a for a, _ in pairs) / len(pairs))
    assert found.second == pytest.approx(sum(b for _, b in pairs) / len(pairs))
    assert found.difference == pytest.approx(found.first - found.second)
    expected = binomtest(alone[0], sum(alone), 0.5).pvalue if sum(alone) else 1.0
    assert found.p_value == pytest.approx(expected)
    samples = len(pairs) + 2
    shares = [(count + 0.5) / samples for count in alone]
    middle = shares[0] - shares[1]
    reach = norm.ppf(0.975) * np.sqrt((sum(shares) - middle**2) / samples)
    assert found.low == pytest.approx(max(middle - reach, -1))
    assert found.high == pytest.approx(min(middle + reach, 1))
    other = metrics.mcnemar(second, first)
    assert (other.low, other.high) == pytest.approx((-found.high, -found.low))


@pytest.mark.parametrize("samples", [60, 400])
def test_nineteen_of_twenty_intervals_hold_the_true_difference_in_accuracy(samples):
    rng = np.random.default_rng(0)
    cells, repeats = [0.7, 0.12, 0.05, 0.13], 2000  # both, first alone, second alone, neither
    held = luck = 0
    for _ in range(repeats):
        drawn = rng.choice(4, size=samples, p=cells)
        found = metrics.mcnemar(drawn <= 1, (drawn == 0) | (drawn == 2))
        held += found.low <= 0.07 <= found.high
        drawn = rng.choice(4, size=samples, p=[0.7, 0.1, 0.1, 0.1])
        luck += metrics.mcnemar(drawn <= 1, (drawn == 0) | (drawn == 2)).p_value < 0.05
    assert 0.935 <= held / repeats <= 0.975
    assert luck / repeats <= 0.06  # an exact test errs on the safe side


def test_networks_that_agree_are_not_told_apart():
    right = np.arange(100) < 80
    found = metrics.mcnemar(right, right)
    assert (found.first, found.difference, found.p_value) == (0.8, 0.0, 1.0)
    assert -found.low == pytest.approx(found.high)
    assert 0 < found.high < 0.03


def test_what_is_no_answer_for_each_sample_is_refused():
    right = np.ones(3, bool)
    for bad in (np.ones(4, bool), np.ones((3, 1), bool)):
        with pytest.raises(InvalidArrayError, match="same samples"):
            metrics.mcnemar(right, bad)
    with pytest.raises(InvalidArrayError, match=r"\(0,\)"):
        metrics.mcnemar(right[:0], right[:0])
    with pytest.raises(InvalidArrayError, match="true or false"):
        metrics.mcnemar(right, np.ones(3))


# Holm's correction


@given(st.lists(st.floats(0, 1), max_size=6))
@settings(max_examples=150, deadline=None)
def test_holm_is_bonferroni_on_every_group_of_tests(values):
    """The closed test: a difference is found if every group of tests that holds it finds one."""
    everyone = range(len(values))
    groups = [g for size in range(1, len(values) + 1) for g in combinations(everyone, size)]
    expected = [
        max(min(1.0, len(g) * min(values[k] for k in g)) for g in groups if test in g)
        for test in everyone
    ]
    np.testing.assert_allclose(metrics.holm(values), expected)


def test_holm_of_a_textbook_example():
    np.testing.assert_allclose(metrics.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert len(metrics.holm([])) == 0


@pytest.mark.parametrize("bad", [[0.5, np.nan], [-0.1], [1.5], [[0.5]]])
def test_what_is_no_p_value_is_refused(bad):
    with pytest.raises(InvalidArrayError, match="from 0 to 1"):
        metrics.holm(bad)


# Errors


def test_scores_of_other_samples_are_refused():
    with pytest.raises(InvalidArrayError, match="same samples; got 3 and 4 ID, 5 and 5 OOD"):
        metrics.delong(np.ones(3), np.ones(5), np.ones(4), np.ones(5))
    with pytest.raises(InvalidArrayError, match="same samples; got 3 and 3 ID, 5 and 2 OOD"):
        metrics.delong(np.ones(3), np.ones(5), np.ones(3), np.ones(2))
    with pytest.raises(InvalidArrayError, match="same samples"):
        metrics.delong(np.float64(1), np.ones(5), np.ones(3), np.ones(5))


@pytest.mark.parametrize("compare", [metrics.delong, metrics.unpaired])
def test_unusable_scores_are_refused(compare):
    ones = np.ones(4)
    with pytest.raises(InvalidArrayError, match="got 1 ID and 4 OOD"):
        compare(np.ones(1), ones, np.ones(1), ones)
    with pytest.raises(InvalidArrayError, match="got 4 ID and 1 OOD"):
        compare(ones, np.ones(1), ones, np.ones(1))
    with pytest.raises(InvalidArrayError, match=r"OOD scores.*NaN"):
        compare(ones, np.full(4, np.nan), ones, ones)
    with pytest.raises(InvalidArrayError, match=r"ID scores.*at least 1"):
        compare(np.empty(0), ones, np.empty(0), ones)
