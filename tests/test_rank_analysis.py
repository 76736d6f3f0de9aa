"""Friedman's test with Conover-Holm: oracle, slow cliques, published example, exact cases."""

from itertools import combinations

import numpy as np
import pytest
import scikit_posthocs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import friedmanchisquare

from ncviz.errors import InvalidArrayError
from ncviz.metrics import LEVEL, holm, rank_analysis

# Conover, Practical Nonparametric Statistics, 3rd edition, example 1 of section 5.8: the ranks that
# twelve homeowners give four grasses, 1 for the least preferred.
GRASSES = [
    *([4, 3, 2, 1], [4, 2, 3, 1], [3, 1.5, 1.5, 4], [3, 1, 2, 4], [4, 2, 1, 3], [2, 2, 2, 4]),
    *([1, 3, 2, 4], [2, 4, 1, 3], [3.5, 1, 2, 3.5], [4, 1, 3, 2], [4, 2, 3, 1], [3.5, 1, 2, 3.5]),
]


def slow_ranks(values, higher):
    """Mean rank of each row over the columns, by counting who is better."""
    sign = 1 if higher else -1
    ranks = np.zeros(values.shape)
    for (k, b), value in np.ndenumerate(values):
        others = sign * values[:, b]
        ranks[k, b] = 1 + (others > sign * value).sum() + ((others == sign * value).sum() - 1) / 2
    return ranks.mean(axis=1)


def slow_cliques(different):
    """Every maximal set of detectors without a significant pair, by looking at all sets."""
    size = len(different)
    free = [
        set(group)
        for count in range(1, size + 1)
        for group in combinations(range(size), count)
        if not any(different[a, b] for a, b in combinations(group, 2))
    ]
    return {frozenset(one) for one in free if not any(one < other for other in free)}


def values_of(rng, detectors, blocks, *, levels, spread):
    """Tied values with a trend over the detectors."""
    noise = rng.integers(levels, size=(detectors, blocks))
    return (noise + spread * np.arange(detectors)[:, None]).astype(float)


@given(
    seed=st.integers(0, 10**6),
    detectors=st.integers(3, 7),
    blocks=st.integers(3, 9),
    levels=st.integers(1, 8),
    spread=st.integers(0, 3),
    higher=st.booleans(),
)
@settings(max_examples=120, deadline=None)
def test_rank_analysis_matches_scikit_posthocs(seed, detectors, blocks, levels, spread, higher):
    rng = np.random.default_rng(seed)
    values = values_of(rng, detectors, blocks, levels=levels, spread=spread)
    found = rank_analysis(values, higher_is_better=higher)
    np.testing.assert_allclose(found.ranks, slow_ranks(values, higher))
    assert found.blocks == blocks
    if (values == values[0]).all():
        assert (found.statistic, found.p_value) == (0, 1)
        return
    expected = friedmanchisquare(*values)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert {frozenset(group) for group in found.cliques} == slow_cliques(found.different)
    best = [found.ranks[list(group)].min() for group in found.cliques]
    assert best == sorted(best)
    maximum = blocks * (detectors - 1)
    if found.statistic > maximum - 1e-6:
        return  # all blocks rank alike: the oracle divides by zero
    with np.errstate(all="ignore"):
        oracle = scikit_posthocs.posthoc_conover_friedman(values.T, p_adjust="holm").to_numpy()
    np.testing.assert_allclose(found.p_corrected, oracle, atol=1e-9)


def test_rank_analysis_matches_the_textbook():
    found = rank_analysis(np.array(GRASSES).T, higher_is_better=False)
    np.testing.assert_allclose(12 * found.ranks, [38, 23.5, 24.5, 34])
    assert found.statistic == pytest.approx(8.0973, abs=1e-4)
    assert found.p_value == pytest.approx(0.0440, abs=1e-4)
    # The textbook's least significant difference of rank sums at 5% is 11.49, uncorrected.
    sums = 12 * found.ranks
    gaps = {pair: abs(sums[pair[0]] - sums[pair[1]]) for pair in combinations(range(4), 2)}
    significant = {pair for pair, gap in gaps.items() if gap > 11.49}
    assert significant == {(0, 1), (0, 2)}
    smallest = sorted(gaps, key=gaps.get, reverse=True)[:2]
    raw = [found.p_corrected[pair] / factor for pair, factor in zip(smallest, (6, 5), strict=True)]
    assert max(raw) < 0.05
    assert holm(raw + [1.0] * 4)[0] == pytest.approx(found.p_corrected[smallest[0]])


def test_blocks_that_all_rank_alike_separate_every_pair():
    values = np.arange(4.0)[:, None] + np.zeros(5)
    found = rank_analysis(values, higher_is_better=True)
    assert found.ranks.tolist() == [4, 3, 2, 1]
    assert found.cliques == ((3,), (2,), (1,), (0,))


def test_equal_detectors_form_one_clique():
    found = rank_analysis(np.ones((5, 4)), higher_is_better=True)
    assert found.ranks.tolist() == [3] * 5
    assert not found.significant
    assert found.cliques == ((0, 1, 2, 3, 4),)


def test_no_pair_differs_where_friedmans_test_finds_nothing():
    rng = np.random.default_rng(0)
    found = rank_analysis(rng.random((6, 5)), higher_is_better=True)
    assert found.p_value > LEVEL
    assert not found.different.any()
    assert len(found.cliques) == 1


def test_ranks_of_random_detectors_rarely_differ():
    """Without a true difference Friedman's test rejects in at most about 5% of draws."""
    rng = np.random.default_rng(1)
    draws = [rank_analysis(rng.random((8, 12)), higher_is_better=True) for _ in range(300)]
    share = np.mean([found.different.any() for found in draws])
    assert share < 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)


def test_a_constant_shift_of_a_block_changes_nothing():
    rng = np.random.default_rng(2)
    values = rng.random((5, 6))
    shifted = values * 3 + rng.random(6)
    one, other = (rank_analysis(each, higher_is_better=True) for each in (values, shifted))
    np.testing.assert_array_equal(one.p_corrected, other.p_corrected)
    flipped = rank_analysis(-values, higher_is_better=False)
    np.testing.assert_array_equal(one.ranks, flipped.ranks)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((2, 9)), "at least 3 detectors and 3 blocks; got 2 and 9"),
        (np.ones((9, 2)), "at least 3 detectors and 3 blocks; got 9 and 2"),
        (np.ones(9), "expected"),
        (np.full((3, 3), np.nan), "a number for each detector"),
    ],
)
def test_rank_analysis_rejects_too_little(values, message):
    with pytest.raises(InvalidArrayError, match=message):
        rank_analysis(values, higher_is_better=True)
