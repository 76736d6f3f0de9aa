"""DeLong's test of mean AUROCs: against a slow loop and known cases."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from ncviz.errors import InvalidArrayError
from ncviz.metrics import delong, delong_of_means

SIZES = {"near": 25, "far": 40, "farther": 31}


def made(seed: int, known: int = 60, shift: float = 0.4, times: int = 1):
    """Two correlated scores of the same samples."""
    random = np.random.default_rng(seed)

    def pair(count: int, mean: float) -> tuple[np.ndarray, np.ndarray]:
        base = random.normal(mean, 1, count)
        return base + random.normal(size=count), base + random.normal(0, 0.5, count)

    ids = pair(known, 1 + shift)
    oods = {name: pair(times * count, at / 3) for at, (name, count) in enumerate(SIZES.items())}
    one, two = ({name: both[at] for name, both in oods.items()} for at in (0, 1))
    return ids[0], one, ids[1], two


def win(a: float, b: float) -> float:
    return float(a > b) + 0.5 * float(a == b)


def slow_variance(first_id, first_ood, second_id, second_ood) -> float:
    """Covariances of all mean AUROCs, placement by placement."""
    sets = list(first_ood)
    gaps = []
    for at in range(len(first_id)):
        of_sets = [
            np.mean([win(first_id[at], x) for x in first_ood[s]])
            - np.mean([win(second_id[at], x) for x in second_ood[s]])
            for s in sets
        ]
        gaps.append(np.mean(of_sets))
    variance = np.var(gaps, ddof=1) / len(gaps)
    for s in sets:
        gaps = [
            np.mean([win(x, first_ood[s][at]) for x in first_id])
            - np.mean([win(x, second_ood[s][at]) for x in second_id])
            for at in range(len(first_ood[s]))
        ]
        variance += np.var(gaps, ddof=1) / len(gaps) / len(sets) ** 2
    return variance


def test_p_value_equals_a_slow_loop():
    scores = made(0)
    found = delong_of_means(*scores)
    deviation = np.sqrt(slow_variance(*scores))
    expected = 2 * norm.cdf(-abs(found.difference) / deviation)
    assert found.p_value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("known", "times", "least", "most"), [(60, 1, 1.05, 1.25), (400, 6, 1.0, 1.05)]
)
def test_interval_approaches_the_normal_one_from_above(known, times, least, most):
    """Few samples widen it: Student quantiles and the variance of the variance."""
    scores = made(0, known=known, times=times)
    found = delong_of_means(*scores)
    reach = norm.ppf(0.975) * np.sqrt(slow_variance(*scores))
    assert least < (found.high - found.low) / 2 / reach < most


def test_with_one_set_it_is_delongs_test():
    first_id, first, second_id, second = made(1)
    expected = delong(first_id, first["far"], second_id, second["far"])
    found = delong_of_means(first_id, {"far": first["far"]}, second_id, {"far": second["far"]})
    assert found == expected


def test_equal_scores_have_no_difference():
    first_id, first, *_ = made(3)
    found = delong_of_means(first_id, first, first_id, first)
    assert (found.difference, found.p_value) == (0, 1)
    assert (found.low, found.high) == pytest.approx((0, 0), abs=0.02)


def test_interval_covers_the_truth():
    """Both scores are equally good, so the true difference is 0."""
    random, covered = np.random.default_rng(4), 0
    for _ in range(600):
        scores = [
            (random.normal(1, 1, 200), {n: random.normal(0, 1, m) for n, m in SIZES.items()})
            for _ in range(2)
        ]
        found = delong_of_means(*scores[0], *scores[1])
        covered += found.low <= 0 <= found.high
    assert 0.92 <= covered / 600 <= 0.975


def test_other_sets_or_sizes_are_refused():
    first_id, first, second_id, second = made(5)
    for sets in ({}, {"near": second["near"]}):
        with pytest.raises(InvalidArrayError, match="same OOD sets"):
            delong_of_means(first_id, first, second_id, sets)
    with pytest.raises(InvalidArrayError, match="at least one"):
        delong_of_means(first_id, {}, second_id, {})
    with pytest.raises(InvalidArrayError, match="numbers differ"):
        delong_of_means(first_id, first, second_id[1:], second)
    with pytest.raises(InvalidArrayError, match="numbers differ"):
        delong_of_means(first_id, first, second_id, {**second, "near": second["near"][1:]})
