"""Detectors of the family "neighbours" on trained networks, against peers and known answers."""

import json
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from detector_case import (
    CASES,
    Case,
    D,
    assert_scores_match_the_slow_loop,
    linear,
    narrow,
    rotated,
    tensor,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pytorch_ood import detector as peers
from scipy.special import logsumexp, softmax
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from ncviz import detectors
from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.detectors._banked import Largest
from ncviz.errors import InvalidOptionError, MissingPackageError

NAMES = ("knn", "nnguide", "relation")
WHOLE_BANK = {"nnguide": {"share": 1.0}}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return CASES[request.param]()


def samples_of(features, classes=2):
    return FeatureSet(features, np.ones((len(features), classes)))


def fit(name, features, classes=2, **parameters):
    head = Head(np.ones((classes, features.shape[1])), np.zeros(classes))
    return detectors.create(name, **parameters).fit(samples_of(features, classes), head)


@pytest.mark.parametrize("name", NAMES)
def test_scores_match_the_slow_loop(case, name):
    assert_scores_match_the_slow_loop(case, name, samples=2)


@pytest.mark.parametrize("k", [1, 10, 50])
def test_knn_matches_pytorch_ood(case, k):
    peer = peers.KNN(None, k=k)
    peer.fit_features(tensor(case.train.features), torch.tensor(case.train.labels))
    for samples in (case.ids, case.oods):
        expected = -peer.predict_features(tensor(samples.features)).numpy()
        found = case.fit("knn", k=k).score(samples)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("k", [1, 10, 100])
def test_nnguide_matches_pytorch_ood(case, k):
    peer = peers.NNGuide(None, head=linear(case.head), k=k)
    peer.fit_features(tensor(case.train.features), torch.tensor(case.train.labels))
    for samples in (case.ids, case.oods):
        expected = -peer.predict_features(tensor(samples.features)).numpy()
        found = case.fit("nnguide", k=k, share=1.0).score(samples)
        np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("k", [1, 7, 300])
def test_knn_matches_scikit_learn(case, k):
    model = NearestNeighbors(n_neighbors=k, algorithm="kd_tree")
    distances = model.fit(normalize(case.train.features)).kneighbors(normalize(case.oods.features))
    np.testing.assert_allclose(
        case.fit("knn", k=k).score(case.oods), -distances[0][:, -1], rtol=1e-9
    )


@pytest.mark.parametrize(("power", "threshold"), [(1, 0.03), (2, 0.03), (0.5, 0.2), (1, 0)])
def test_relation_is_a_masked_sum(case, power, threshold):
    cosines = normalize(case.oods.features) @ normalize(case.train.features).T
    relation = np.maximum(cosines, 0) * (
        softmax(case.oods.logits, axis=1) @ softmax(case.train.logits, axis=1).T
    )
    expected = np.where(relation > threshold, relation**power, 0).sum(axis=1)
    found = case.fit("relation", power=power, threshold=threshold).score(case.oods)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_rotation_changes_nothing(case, name):
    found = rotated(case).fit(name).score(rotated(case).oods)
    np.testing.assert_allclose(found, case.fit(name).score(case.oods), rtol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_lengths_of_features_do_not_matter(case, name):
    lengths = np.random.default_rng(0).uniform(0.01, 100, size=(len(case.train), 1))
    train = replace(case.train, features=case.train.features * lengths)
    oods = replace(case.oods, features=1e-3 * case.oods.features)
    found = detectors.create(name).fit(train, case.head).score(oods)
    np.testing.assert_allclose(found, case.fit(name).score(case.oods), rtol=1e-8)


@pytest.mark.parametrize(("name", "rtol"), [("knn", 1e-9), ("nnguide", 1e-9), ("relation", 1e-5)])
def test_a_float32_bank_gives_the_scores_of_its_float64_copy(case, name, rtol):
    train, oods = narrow(case.train), narrow(case.oods)
    wide = replace(
        train, features=train.features.astype(np.float64), logits=train.logits.astype(np.float64)
    )
    found = detectors.create(name).fit(train, case.head).score(oods)
    expected = detectors.create(name).fit(wide, case.head).score(oods)
    np.testing.assert_allclose(found, expected, rtol=rtol)


@pytest.mark.parametrize("name", ["knn", "nnguide"])
def test_a_float32_bank_of_a_collapsed_network_is_searched_right(name):
    # Neighbours nearer to each other than products in float32 can tell.
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(size=(3, D)), 500, axis=0)
    features += 1e-5 * rng.normal(size=features.shape)
    features = features.astype(np.float32)
    queries = (features[::100] + 1e-5 * rng.normal(size=(15, D))).astype(np.float32)
    bank, unit = normalize(features.astype(np.float64)), normalize(queries.astype(np.float64))
    found = fit(name, features, k=20, **WHOLE_BANK.get(name, {})).score(samples_of(queries))
    if name == "knn":
        distances = np.linalg.norm(unit[:, None] - bank, axis=2)
        expected = -np.sort(distances, axis=1)[:, 19]
    else:
        energy = 1 + np.log(2)
        expected = energy**2 * np.sort(unit @ bank.T, axis=1)[:, -20:].mean(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_bank_is_kept_as_given_and_once(dtype):
    case = Case()
    features = case.train.features.astype(dtype)
    train = FeatureSet(features, case.train.logits)
    for name in NAMES:
        detector = detectors.create(name).fit(train, case.head)
        detector.score(case.oods)
        assert detector.bank_ is features
        assert detector.state()["bank_"] is features


def test_a_sample_of_the_bank_is_its_own_nearest_neighbour(case):
    for train in (case.train, narrow(case.train)):
        detector = detectors.create("knn", k=1).fit(train, case.head)
        np.testing.assert_array_equal(detector.score(train[:50]), 0)


def test_known_distances_on_the_unit_sphere():
    bank = np.array([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])
    samples = samples_of(np.array([[5.0, 0.0], [1.0, 1.0], [0.0, -0.1]]))
    expected = {
        1: [0, np.sqrt(2 - np.sqrt(2)), np.sqrt(2)],
        2: [np.sqrt(2), np.sqrt(2 - np.sqrt(2)), np.sqrt(2)],
        3: [2, np.sqrt(2 + np.sqrt(2)), 2],
    }
    for k, distances in expected.items():
        found = fit("knn", bank, k=k).score(samples)
        np.testing.assert_allclose(found, -np.array(distances), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_of_zeros_lie_at_the_origin(dtype):
    bank = np.array([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]], dtype)
    samples = samples_of(np.array([[0.0, 0.0], [4.0, 0.0], [-1.0, 0.0]], dtype))
    for k, distances in {1: [0, 0, 1], 2: [1, 0, 2], 3: [1, 1, 2]}.items():
        np.testing.assert_allclose(fit("knn", bank, k=k).score(samples), -np.array(distances))
    energy = 1 + np.log(2)
    guided = fit("nnguide", bank, k=3).score(samples)
    np.testing.assert_allclose(guided, energy**2 * np.array([0, 2 / 3, -2 / 3]), atol=1e-12)
    related = fit("relation", bank).score(samples)
    np.testing.assert_allclose(related, [0, 2 * 0.5, 0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_feature_of_zeros_is_nearer_than_one_at_a_wide_angle(dtype):
    wide = np.array([np.cos(1.3), np.sin(1.3)])  # at the distance 2 sin(0.65) = 1.21
    bank = np.concatenate([np.tile(wide, (200, 1)), np.zeros((200, 2))]).astype(dtype)
    samples = samples_of(np.array([[1.0, 0.0]], dtype))
    for k, distance in {50: 1, 200: 1, 250: 2 * np.sin(0.65)}.items():
        np.testing.assert_allclose(fit("knn", bank, k=k).score(samples), -distance, rtol=1e-6)


@pytest.mark.parametrize("name", ["knn", "nnguide"])
def test_k_is_cut_to_the_number_of_training_samples(case, name):
    np.testing.assert_allclose(
        case.fit(name, k=10**6).score(case.oods), case.fit(name, k=len(case.train)).score(case.oods)
    )


def test_nnguide_of_all_samples_is_a_product_of_means(case):
    energies = logsumexp(case.train.logits, axis=1)
    guide = (normalize(case.train.features) * energies[:, None]).mean(axis=0)
    expected = logsumexp(case.oods.logits, axis=1) * (normalize(case.oods.features) @ guide)
    found = case.fit("nnguide", k=len(case.train), share=1.0).score(case.oods)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


@pytest.mark.parametrize(
    ("kept", "whole", "bank", "k"),
    [
        (400, 400, 400, 80),  # fewer than 500 are all in the bank, k stays a fifth
        (1200, 1200, 500, 100),
        (50_000, 50_000, 500, 100),  # CIFAR, as published
        (1000, 50_000, 500, 100),  # a thinned run has enough of them
        (250, 50_000, 250, 50),  # and here half
        (5, 50_000, 5, 1),
        (60_000, 120_000, 1200, 100),
    ],
)
def test_nnguide_uses_the_published_bank_and_k_or_the_same_share(kept, whole, bank, k):
    features = np.random.default_rng(0).normal(size=(kept, 3))
    head = Head(np.eye(3)[:2], np.zeros(2))
    train = FeatureSet(features, head.logits(features))
    statistics = ClassStatistics.of(np.zeros((2, 3)), np.arange(2), 2)
    statistics = replace(statistics, counts=np.full(2, whole // 2))
    detector = detectors.create("nnguide").fit(train, head, statistics)
    assert (len(detector.bank_), detector.neighbours_) == (bank, k)
    assert detector.samples_used(train, statistics) == bank
    assert detector.used_parameters() == {"k": k, "share": 0.01}
    again = detectors.create("nnguide").fit(train, head, statistics)
    np.testing.assert_array_equal(again.bank_, detector.bank_)
    rows = {tuple(row) for row in features}
    assert len({tuple(row) for row in detector.bank_} & rows) == bank


@pytest.mark.parametrize(
    ("kept", "whole", "k"), [(50_000, 50_000, 50), (1000, 50_000, 1), (5000, 50_000, 5)]
)
def test_knn_uses_the_published_k_or_the_same_share(kept, whole, k):
    features = np.random.default_rng(0).normal(size=(kept, 3))
    head = Head(np.eye(3)[:2], np.zeros(2))
    statistics = ClassStatistics.of(np.zeros((2, 3)), np.arange(2), 2)
    statistics = replace(statistics, counts=np.full(2, whole // 2))
    train = FeatureSet(features, head.logits(features))
    detector = detectors.create("knn").fit(train, head, statistics)
    assert detector.used_parameters() == {"k": k}
    assert detector.samples_used(train, statistics) == kept


def test_more_neighbours_are_farther_away(case):
    scores = np.array([case.fit("knn", k=k).score(case.oods) for k in (1, 2, 5, 50, 400)])
    assert (np.diff(scores, axis=0) <= 0).all()


# What they are made of.


@given(
    values=arrays.arrays(
        np.float64, st.tuples(st.integers(1, 4), st.integers(3, 40)), elements=st.floats(-9, 9)
    ),
    count=st.integers(1, 3),
    step=st.integers(1, 40),
)
@settings(max_examples=100, deadline=None)
def test_largest_over_blocks_is_largest_of_all(values, count, step):
    largest = Largest(len(values), count, values)
    for start in range(0, values.shape[1], step):
        largest.add(slice(start, start + step), values[:, start : start + step])
    np.testing.assert_array_equal(np.sort(largest.values), np.sort(values)[:, -count:])
    np.testing.assert_array_equal(
        np.take_along_axis(values, largest.columns, axis=1), largest.values
    )
    assert all(len(set(row)) == count for row in largest.columns)


def test_similarities_are_cosines_block_by_block():
    rng = np.random.default_rng(0)
    bank, unit = rng.normal(size=(2500, 7)), normalize(rng.normal(size=(5, 7)))
    blocks = list(fit("knn", bank)._cosines(unit, np.float64))
    assert len(blocks) == 3
    expected = unit @ normalize(bank).T
    for at, cosines in blocks:
        np.testing.assert_allclose(cosines, expected[:, at], atol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_a_long_bank_takes_no_matrix_of_all_pairs(name):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40_000, 4)).astype(np.float32)
    detector = fit(name, features)
    queries = samples_of(features[:4096])
    tracemalloc.start()
    detector.score(queries)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4096 * 40_000 * 4 / 4  # bytes: a quarter of one float32 matrix of all pairs


@pytest.mark.parametrize("name", NAMES)
def test_one_training_sample_is_enough(name):
    case = Case()
    detector = detectors.create(name).fit(case.train[:1], case.head)
    assert np.isfinite(detector.score(case.oods)).all()
    assert detector.bank_.shape == (1, D)


def test_a_part_of_the_training_set_takes_the_same_share_of_neighbours():
    case = Case(train=400)
    labels = np.resize(case.train.labels, 40_000)
    everything = ClassStatistics.of(np.ones((40_000, case.head.dim)), labels, case.head.classes)
    assert detectors.create("knn").fit(case.train, case.head).neighbours_ == 50
    part = detectors.create("knn").fit(case.train, case.head, everything)
    assert part.neighbours_ == 1  # 400 of 40,000 are a hundredth
    half = detectors.create("knn").fit(
        case.train[:200],
        case.head,
        ClassStatistics.of(case.train.features, case.train.labels, case.head.classes),
    )
    assert half.neighbours_ == 25
    given = detectors.create("knn", k=7).fit(case.train, case.head, everything)
    assert given.neighbours_ == 7
    np.testing.assert_array_equal(part.score(case.oods), case.fit("knn", k=1).score(case.oods))


def test_detectors_that_share_their_training_samples_score_as_alone(case):
    fitted = {name: case.fit(name, **WHOLE_BANK.get(name, {})) for name in ("msp", *NAMES)}
    passes = []
    for name in NAMES:
        own = fitted[name]._cosines
        fitted[name]._cosines = lambda *args, own=own: passes.append(1) or own(*args)
    found = detectors.score_all(fitted, case.oods)
    assert list(found) == list(fitted)
    assert len(passes) == 1
    for name, scores in found.items():
        alone = case.fit(name, **WHOLE_BANK.get(name, {}))
        np.testing.assert_array_equal(scores, alone.score(case.oods))


def test_detectors_of_other_training_samples_do_not_share_a_pass(case):
    half = case.train[: len(case.train) // 2]
    fitted = {
        "knn": case.fit("knn"),
        "nnguide": detectors.create("nnguide").fit(half, case.head),
    }
    found = detectors.score_all(fitted, case.oods)
    for name, detector in fitted.items():
        np.testing.assert_array_equal(found[name], detector.score(case.oods))


# An index in place of the comparison with all.


@pytest.fixture(scope="module")
def large():
    """Samples enough for an index of some cells."""
    return Case(train=6000, dim=12)


@pytest.mark.parametrize("name", ["knn", "nnguide"])
def test_an_index_whose_cells_are_all_looked_at_gives_the_exact_scores(large, name):
    exact = large.fit(name, k=20, **WHOLE_BANK.get(name, {})).score(large.oods)
    detector = large.fit(name, k=20, **WHOLE_BANK.get(name, {}), probes=10_000)
    np.testing.assert_allclose(detector.score(large.oods), exact, rtol=1e-3)
    assert np.mean(np.isclose(detector.score(large.oods), exact, rtol=1e-9)) > 0.9


@pytest.mark.parametrize("name", ["knn", "nnguide"])
def test_more_probes_miss_fewer_neighbours(large, name):
    exact = large.fit(name, k=20, **WHOLE_BANK.get(name, {})).score(large.oods)
    missed = [
        np.abs(
            large.fit(name, k=20, **WHOLE_BANK.get(name, {}), probes=probes).score(large.oods)
            - exact
        ).mean()
        for probes in (1, 4, 100)
    ]
    assert missed[0] > missed[1] > missed[2]
    assert missed[2] < 0.01 * np.abs(exact).mean()


@pytest.mark.parametrize("name", ["knn", "nnguide"])
def test_where_cells_hold_too_few_all_are_compared(large, name):
    many = len(large.train) - 10
    whole = WHOLE_BANK.get(name, {})
    exact = large.fit(name, k=many, **whole).score(large.oods)
    found = large.fit(name, k=many, probes=1, **whole).score(large.oods)
    np.testing.assert_array_equal(found, exact)


def test_an_index_is_made_again_from_the_state(large):
    detector = large.fit("knn", k=20, probes=3)
    restored = detectors.restore("knn", detector.state())
    np.testing.assert_array_equal(restored.score(large.oods), detector.score(large.oods))


def test_an_index_takes_numpy_arrays_and_a_number_of_probes(large):
    with pytest.raises(InvalidOptionError, match="number of probes must be an integer"):
        detectors.create("knn", probes=0)
    example = torch.empty(0)
    detector = detectors.create("knn", probes=2)
    detector.fit(large.train.like(example), large.head.like(example))
    with pytest.raises(InvalidOptionError, match="NumPy arrays"):
        detector.score(large.oods.like(example))


def test_without_faiss_the_requirements_file_is_named(large, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingPackageError, match=r"requirements-neighbours\.txt"):
        large.fit("knn", probes=2).score(large.oods)


def test_results_state_the_index_they_were_searched_with():
    stated = json.loads(detectors.marks(["knn"])["code:detector:knn"])
    assert stated == {"k": None, "probes": None, "version": detectors.create("knn").version}
