"""Operating points by rule, against counts; p-values, against a loop and by their guarantee."""

from __future__ import annotations

import numpy as np
import pytest

from ncviz.errors import InvalidOptionError, UnknownNameError
from ncviz.operating import RULES, p_values, threshold

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("size", [1, 7, 20, 1000])
@pytest.mark.parametrize("ties", [False, True])
def test_each_rule_keeps_its_promise_as_tightly_as_it_can(size, ties):
    known, unknown = RNG.normal(1, 1, size), RNG.normal(-1, 1, 2 * size)
    if ties:
        known, unknown = known.round(), unknown.round()
    cut = threshold("id95", known, unknown)
    assert np.mean(known >= cut) >= 0.95
    assert np.mean(known > cut) < 0.95
    cut = threshold("ood5", known, unknown)
    assert np.mean(unknown >= cut) <= 0.05 + 1e-12
    assert np.mean(unknown >= np.nextafter(cut, -np.inf)) > 0.05 - 1e-12


def test_rules_that_do_not_fit():
    with pytest.raises(UnknownNameError, match=r"'nonsense'.*Known: id95, ood5"):
        threshold("nonsense", np.ones(3), np.ones(3))
    with pytest.raises(InvalidOptionError, match="id95"):
        threshold("ood5", np.ones(3), np.empty(0))
    assert threshold("id95", np.ones(3), np.empty(0)) == 1
    assert RULES[0] == "id95"


def test_p_values_equal_a_loop():
    known, scores = RNG.normal(size=50).round(1), RNG.normal(size=30).round(1)
    expected = [(1 + sum(each <= score for each in known)) / 51 for score in scores]
    np.testing.assert_allclose(p_values(known, scores), expected)


def test_p_values_of_one_known_sample():
    np.testing.assert_allclose(p_values(np.zeros(1), [-1.0, 0.0, 1.0]), [0.5, 1, 1])


@pytest.mark.parametrize("alpha", [0.02, 0.1, 0.5])
def test_p_values_are_small_as_seldom_as_they_promise(alpha):
    """For a new sample of the same kind P(p <= alpha) is at most alpha, and near it."""
    rejected = [
        p_values(scores[1:], scores[:1])[0] <= alpha for scores in RNG.normal(size=(4000, 100))
    ]
    assert alpha - 0.03 < np.mean(rejected) < alpha + 3 * np.sqrt(alpha / 4000)
