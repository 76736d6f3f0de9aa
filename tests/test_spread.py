"""Spread of embeddings: slow definitions, known entropies and ranks, duplicates, bad input."""

import sys
from math import gamma, log, pi

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncviz import collapse
from ncviz.errors import InvalidArrayError

FLOOR = log(1e-8)


def normal(samples, dim, seed=0):
    return np.random.default_rng(seed).normal(size=(samples, dim))


def slow_entropy(features):
    unit = [row / (np.linalg.norm(row) or 1) for row in features]
    nearest = [
        min(np.linalg.norm(unit[i] - unit[j]) for j in range(len(unit)) if j != i)
        for i in range(len(unit))
    ]
    return np.mean([log(distance + 1e-8) for distance in nearest])


def slow_rank(features):
    values = np.linalg.svd(features, compute_uv=False)
    shares = values / values.sum()
    return np.exp(-sum(q * log(q) for q in shares if q > 0))


@pytest.mark.parametrize(("samples", "dim"), [(2, 5), (40, 6), (7, 20), (60, 1)])
def test_both_match_their_definitions(samples, dim):
    features = normal(samples, dim) + 0.5
    found = collapse.spread(features)
    assert found.entropy == pytest.approx(slow_entropy(features), rel=1e-9)
    assert found.effective_rank == pytest.approx(slow_rank(features), rel=1e-9)
    assert found.to_dict() == {
        "entropy": found.entropy,
        "effective_rank": found.effective_rank,
    }


def test_blocks_change_nothing(monkeypatch):
    features = normal(50, 4)
    whole = collapse.spread(features)
    module = sys.modules["ncviz.collapse.spread"]
    monkeypatch.setattr(module, "_ENTRIES", 50 * 7)
    monkeypatch.setattr(module, "_BLOCK", 3)
    assert collapse.spread(features).to_dict() == pytest.approx(whole.to_dict(), rel=1e-12)


def test_it_is_the_quantity_of_the_training_loss():
    torch = pytest.importorskip("torch")
    from ncviz.training.losses import nearest_neighbour_entropy

    features = normal(64, 16).astype(np.float32)
    expected = nearest_neighbour_entropy(torch.from_numpy(features))
    assert collapse.spread(features).entropy == pytest.approx(float(expected), abs=1e-4)


@pytest.mark.parametrize(("dim", "entropy"), [(2, log(2 * pi)), (3, log(4 * pi))])
def test_the_stated_constants_make_it_the_entropy_of_a_uniform_sphere(dim, entropy):
    samples, d = 3000, dim - 1
    volume = pi ** (d / 2) / gamma(d / 2 + 1)
    estimate = (
        d * collapse.spread(normal(samples, dim)).entropy
        + log(volume)
        + log(samples - 1)
        + np.euler_gamma
    )
    assert estimate == pytest.approx(entropy, abs=0.1)


@given(scale=st.floats(-3, 3), seed=st.integers(0, 10))
@settings(max_examples=15, deadline=None)
def test_rotation_and_scale_change_nothing(scale, seed):
    features = normal(30, 6)
    turn = np.linalg.qr(normal(6, 6, seed))[0]
    before, after = collapse.spread(features), collapse.spread(10**scale * features @ turn)
    assert after.to_dict() == pytest.approx(before.to_dict(), rel=1e-9)


def test_the_length_of_an_embedding_matters_to_the_rank_alone():
    features = normal(30, 6)
    stretched = features * np.linspace(1, 9, 30)[:, None]
    before, after = collapse.spread(features), collapse.spread(stretched)
    assert after.entropy == pytest.approx(before.entropy, rel=1e-9)
    assert after.effective_rank != pytest.approx(before.effective_rank, rel=1e-3)


def test_duplicates_count_the_floor():
    features = normal(10, 5)
    doubled = collapse.spread(np.vstack([features, features]))
    assert doubled.entropy == pytest.approx(FLOOR)
    one_pair = np.vstack([features, 2 * features[:1]])
    assert collapse.spread(one_pair).entropy == pytest.approx(slow_entropy(one_pair))
    assert collapse.spread(one_pair).entropy < collapse.spread(features).entropy - 1


def test_entropy_keeps_its_digits_in_a_collapsed_layer():
    # All in one narrow cone, neighbours 1e-6 apart.
    features = 1 + 1e-6 * normal(60, 8)
    assert collapse.spread(features).entropy == pytest.approx(slow_entropy(features), abs=1e-6)


def test_a_dead_sample_stays_at_the_origin():
    features = np.vstack([normal(5, 4), np.zeros((1, 4))])
    assert collapse.spread(features).entropy == pytest.approx(slow_entropy(features))
    two = np.vstack([np.eye(3), np.zeros((2, 3))])
    assert collapse.spread(two).entropy == pytest.approx(2 / 5 * FLOOR)


def test_rank_of_known_spectra():
    assert collapse.spread(np.eye(7)).effective_rank == pytest.approx(7)
    line = np.outer(np.arange(1, 9), normal(1, 5)[0])
    assert collapse.spread(line).effective_rank == pytest.approx(1)
    simplex = np.repeat(np.eye(6) - 1 / 6, 4, axis=0)
    assert collapse.spread(simplex).effective_rank == pytest.approx(5, abs=1e-6)
    # Around another point than the origin, the common mean is one more direction.
    assert collapse.spread(np.repeat(np.eye(6), 4, axis=0)).effective_rank == pytest.approx(6)


def test_half_precision_is_computed_in_double():
    features = normal(40, 6).astype(np.float16)
    expected = collapse.spread(features.astype(np.float64))
    assert collapse.spread(features) == expected


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.ones((1, 4)), "at least 2"),
        (np.ones(4), r"\(4,\)"),
        (np.full((3, 4), np.nan), "NaN"),
        (np.zeros((3, 4)), "Every feature is zero"),
        (np.ones((3, 0)), "zero"),
    ],
)
def test_unusable_features_are_refused(features, message):
    with pytest.raises(InvalidArrayError, match=message):
        collapse.spread(features)
