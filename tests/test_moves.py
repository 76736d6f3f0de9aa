"""Percentiles of samples by two scores: counting, invariances, exact cases, errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncviz import metrics
from ncviz.errors import InvalidArrayError

few = st.integers(-3, 3)
scores = st.lists(st.tuples(few, few), max_size=15)
known = st.lists(few, min_size=1, max_size=15)


def slow_share(score, others):
    """The share of others that are lower, an equal one counting one half."""
    return sum(1.0 if o < score else 0.5 if o == score else 0.0 for o in others) / len(others)


@given(pairs=scores, first_known=known, second_known=known)
@settings(max_examples=150, deadline=None)
def test_moves_match_counting_sample_by_sample(pairs, first_known, second_known):
    first, second = (np.array([pair[k] for pair in pairs], float) for k in (0, 1))
    found = metrics.moves(first, second, np.array(first_known), np.array(second_known))
    changes = []
    for at, (a, b) in enumerate(pairs):
        assert found.first[at] == pytest.approx(slow_share(a, first_known))
        assert found.second[at] == pytest.approx(slow_share(b, second_known))
        changes.append(found.first[at] - found.second[at])
    np.testing.assert_allclose(found.change, changes)
    # Selection by hand: the farthest of those left, the first of equals.
    left, order = list(range(len(pairs))), []
    while left:
        order.append(max(left, key=lambda at: (abs(changes[at]), -at)))
        left.remove(order[-1])
    assert found.largest().tolist() == order
    assert found.largest(2).tolist() == order[:2]


def test_only_the_order_of_scores_counts():
    rng = np.random.default_rng(0)
    first, second, ids = rng.normal(size=(3, 40))
    plain = metrics.moves(first, second, ids, ids)
    stretched = metrics.moves(first, np.exp(5 * second) + 3, ids, np.exp(5 * ids) + 3)
    np.testing.assert_allclose(plain.change, stretched.change)


def test_samples_that_swap_ends_move_by_all_of_it():
    ids = np.arange(10.0)
    found = metrics.moves(np.array([-1.0, 99, 4.5]), np.array([99.0, -1, 4.5]), ids, ids)
    np.testing.assert_array_equal(found.change, [-1, 1, 0])
    assert found.largest().tolist() == [0, 1, 2]


def test_ids_of_different_numbers_are_each_held_against_their_own():
    found = metrics.moves(np.array([1.0]), np.array([1.0]), np.array([0.0, 2]), np.array([0.0]))
    assert (found.first[0], found.second[0]) == (0.5, 1.0)


def test_what_are_no_scores_of_the_same_samples_is_refused():
    ones = np.ones(3)
    with pytest.raises(InvalidArrayError, match="same samples; got 3 and 2 scores"):
        metrics.moves(ones, ones[:2], ones, ones)
    with pytest.raises(InvalidArrayError, match=r"ID scores.*at least 1"):
        metrics.moves(ones, ones, ones, ones[:0])
    with pytest.raises(InvalidArrayError, match="NaN"):
        metrics.moves(ones * np.nan, ones, ones, ones)
    assert len(metrics.moves(ones[:0], ones[:0], ones, ones).change) == 0
