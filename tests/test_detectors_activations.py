"""Detectors of the family "activations" on trained networks, against peers and known answers."""

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
    tensor,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pytorch_ood import detector as peers
from scipy.special import logsumexp

from ncviz import detectors
from ncviz.arrays import FeatureSet, Head

NAMES = ("react", "vra", "dice", "ash_p", "ash_b", "ash_s", "scale", "lts")
SHAPING = ("ash_p", "ash_b", "ash_s", "scale", "lts")


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return CASES[request.param]()


def fit(name, features, head, **parameters):
    train = FeatureSet(np.asarray(features), head.logits(features))
    return detectors.create(name, **parameters).fit(train, head)


def score(name, features, head, **parameters):
    features = np.asarray(features, float)
    samples = FeatureSet(features, head.logits(features))
    return fit(name, features, head, **parameters).score(samples)


def energy(features, head):
    return logsumexp(head.logits(np.asarray(features, float)), axis=1)


def identity(dim):
    return Head(np.eye(dim), np.zeros(dim))


@pytest.mark.parametrize("name", NAMES)
def test_scores_match_the_slow_loop(case, name):
    assert_scores_match_the_slow_loop(case, name)


# pytorch-ood: percentiles are fractions there.


def without_ties(samples, kept):
    """Samples whose `kept`-th and next largest activations differ: which one stays is open else."""
    ordered = -np.sort(-samples.features, axis=1)
    clear = ordered[:, kept - 1] > ordered[:, kept]
    assert clear.mean() > 0.6
    return samples[clear]


@pytest.mark.parametrize("percentile", [90, 60])
def test_react_matches_pytorch_ood(case, percentile):
    peer = peers.ReAct(None, head=linear(case.head), percentile=percentile / 100)
    peer.fit_feature_maps(tensor(case.train.features), torch.tensor(case.train.labels))
    for samples in (case.ids, case.oods):
        expected = -peer.predict_feature_maps(tensor(samples.features))
        found = case.fit("react", percentile=percentile).score(samples)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("low", "high"), [(10, 90), (55, 80)])
def test_vra_matches_pytorch_ood(case, low, high):
    """Its thresholds are those of each dimension: of one, where all activations stand in one."""
    peer = peers.VRA(
        None, linear(case.head), lower_percentile=low / 100, upper_percentile=high / 100
    )
    in_one = tensor(case.train.features).reshape(-1, 1)
    peer.fit_feature_maps(in_one, torch.zeros(len(in_one)))
    for samples in (case.ids, case.oods):
        expected = -peer.predict_feature_maps(tensor(samples.features))
        detector = case.fit("vra", lower_percentile=low, upper_percentile=high)
        np.testing.assert_allclose(detector.score(samples), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("percentile", [90, 50])
def test_dice_matches_pytorch_ood(case, percentile):
    weight, bias = tensor(case.head.weight), tensor(case.head.bias)
    peer = peers.DICE(None, w=weight, b=bias, p=percentile / 100)
    peer.fit_features(tensor(case.train.features), torch.tensor(case.train.labels))
    for samples in (case.ids, case.oods):
        expected = -peer.predict_features(tensor(samples.features))
        found = case.fit("dice", percentile=percentile).score(samples)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("percentile", [90, 65])
@pytest.mark.parametrize("name", ["ash_p", "ash_b", "ash_s"])
def test_ash_matches_pytorch_ood(case, name, percentile):
    layer = linear(case.head)
    peer = peers.ASH(
        None,
        head=lambda maps: layer(maps.flatten(1)),
        variant=name.replace("_", "-"),
        percentile=percentile / 100,
    )
    dim = case.head.dim
    for samples in (case.ids, case.oods):
        samples = without_ties(samples, dim - round(dim * percentile / 100))
        expected = -peer.predict_feature_maps(tensor(samples.features)[:, :, None, None])
        found = case.fit(name, percentile=percentile).score(samples)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("percentile", [85, 65])
def test_scale_matches_pytorch_ood(case, percentile):
    layer = linear(case.head)
    peer = peers.SCALE(None, head=lambda maps: layer(maps.flatten(1)), percentile=percentile / 100)
    for samples in (case.ids, case.oods):
        expected = -peer.predict_feature_maps(tensor(samples.features)[:, :, None, None])
        found = case.fit("scale", percentile=percentile).score(samples)
        np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_lts_matches_pytorch_ood(case, share):
    peer = peers.LTS(None, head=linear(case.head), p=share)
    for samples in (case.ids, case.oods):
        expected = -peer.predict_features(tensor(samples.features))
        found = case.fit("lts", share=share).score(samples)
        np.testing.assert_allclose(found, expected, rtol=1e-4)


# Known answers


def test_what_nothing_is_removed_from_has_its_energy():
    case = Case()
    expected = case.fit("energy").score(case.oods)
    np.testing.assert_allclose(case.fit("ash_p", percentile=2).score(case.oods), expected)
    np.testing.assert_allclose(case.fit("lts", share=0.99).score(case.oods), expected)
    inside = case.see(np.clip(case.oods.features, 0.1, 0.4))
    expected = case.fit("energy").score(inside)
    np.testing.assert_allclose(case.fit("react").score(inside), expected)
    detector = case.fit("vra")
    assert detector.lower_ < 0.1
    assert detector.upper_ > 0.4
    np.testing.assert_allclose(detector.score(inside), expected)


def test_scaling_by_all_activations_is_scaling_by_e():
    case = Case()
    expected = energy(np.e * case.oods.features, case.head)
    for name in ("ash_s", "scale"):
        np.testing.assert_allclose(case.fit(name, percentile=2).score(case.oods), expected)


def test_dice_without_the_one_weight_that_is_zero_is_energy():
    head = Head(np.array([[1.0, 2.0, 3.0], [2.0, 0.0, 1.0]]), np.array([0.5, -0.5]))
    features = np.array([[1.0, 2.0, 0.5], [0.2, 0.1, 3.0]])
    np.testing.assert_allclose(score("dice", features, head, percentile=1), energy(features, head))


def test_dice_keeps_the_weights_of_the_largest_contributions():
    head = Head(np.array([[1.0, 2.0], [3.0, -4.0]]), np.array([0.0, 1.0]))
    train = np.array([[1.0, 1.0], [3.0, 1.0]])  # contributions 2, 2 and 6, -4
    detector = fit("dice", train, head, percentile=70)
    sample = np.array([[1.0, 10.0]])  # of the weights only the 3 is left
    expected = np.logaddexp(0.0, 3.0 + 1.0)
    np.testing.assert_allclose(detector.score(FeatureSet(sample, head.logits(sample))), expected)


def test_a_hand_made_sample_is_shaped_as_the_papers_say():
    h = np.array([[4.0, 1.0, 3.0, 2.0, 0.0]])
    expected = {
        "ash_p": [[4, 0, 3, 0, 0]],
        "ash_b": [[5, 0, 5, 0, 0]],  # their sum is still 10
        "ash_s": np.array([[4, 0, 3, 0, 0]]) * np.exp(10 / 7),
        "scale": h * np.exp(10 / 7),
    }
    for name, shaped in expected.items():
        found = score(name, h, identity(5), percentile=60)
        np.testing.assert_allclose(found, energy(shaped, identity(5)))
    found = score("lts", h, identity(5), share=0.4)
    np.testing.assert_allclose(found, energy(h * (10 / 7) ** 2, identity(5)))


def test_thresholds_are_percentiles_of_all_activations():
    features = np.arange(101.0).reshape(-1, 1) * np.ones(2)
    features[:, 1] += 101  # the activations 0..201
    detector = fit("vra", features, identity(2), lower_percentile=25, upper_percentile=75)
    assert (detector.lower_, detector.upper_) == (50.25, 150.75)
    assert fit("react", features, identity(2), percentile=50).threshold_ == 100.5


# Activations that a ReLU would not leave, equal ones, large ratios


@pytest.mark.parametrize("name", SHAPING)
def test_without_a_positive_activation_nothing_is_scaled(name):
    head = Head(np.eye(4), np.arange(4.0))
    zero, negative = np.zeros((1, 4)), np.array([[-1.0, -2.0, -3.0, -4.0]])
    np.testing.assert_allclose(score(name, zero, head), energy(zero, head))
    if name in ("scale", "lts"):
        np.testing.assert_allclose(score(name, negative, head), energy(negative, head))


@pytest.mark.parametrize("name", ["ash_s", "scale", "lts"])
def test_negative_activations_do_not_enter_the_sums(name):
    head = Head(np.array([[1.0, 1, 1, 0], [0, 1, 0, 0]]), np.zeros(2))  # blind to the last
    cut, whole = np.array([[4.0, 1, 2, 0]]), np.array([[4.0, 1, 2, -6.999]])
    np.testing.assert_allclose(score(name, whole, head), score(name, cut, head))


@given(features=arrays.arrays(np.float64, (4, D), elements=st.floats(-1e4, 1e4, width=16)))
@settings(max_examples=60, deadline=None)
def test_scores_are_finite_whatever_the_sign_and_as_many_are_kept_as_asked_for(features):
    case = Case(train=12, samples=1)
    samples = case.see(features)
    for name in NAMES:
        assert np.isfinite(case.fit(name).score(samples)).all()
    # The sum of what is kept is that of the largest, and ASH-B spreads the sum of all over it.
    for percentile, kept in ((90, 2), (50, 12), (10, 22)):
        largest = -np.sort(-features, axis=1)[:, :kept].sum(axis=1)
        for c in (1.0, -1.0):
            head = Head(np.full((1, D), c), np.zeros(1))
            found = score("ash_p", features, head, percentile=percentile)
            np.testing.assert_allclose(found, c * largest, atol=1e-9)
            found = score("ash_b", features, head, percentile=percentile)
            np.testing.assert_allclose(found, c * features.sum(axis=1), atol=1e-9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["ash_s", "scale"])
def test_a_factor_beyond_float64_leaves_scores_finite_and_in_order(name):
    even = np.ones((1, 2000))  # keeps 2 of 2000: exp(1000) overflows
    features = np.concatenate([even, 2 * even, 1e4 * even])
    head = Head(np.full((2, 2000), 0.5), np.zeros(2))
    scores = score(name, features, head, percentile=99.9)
    assert np.isfinite(scores).all()
    assert (np.diff(scores) > 0).all()


@pytest.mark.parametrize("name", ["ash_p", "ash_s", "ash_b"])
def test_of_equal_activations_the_first_are_kept_in_every_batch(name):
    head = Head(np.diag([1.0, 2.0, 3.0, 4.0]), np.zeros(4))
    equal = np.array([[1.0, 1.0, 1.0, 1.0]])
    marked = np.array([[1.0, 1.0, 1 - 1e-12, 1 - 1e-12]])
    found = score(name, equal, head, percentile=50)
    np.testing.assert_allclose(found, score(name, marked, head, percentile=50))
    mixed = np.concatenate([marked[:, ::-1], equal, 5 * marked])
    assert score(name, mixed, head, percentile=50)[1] == found[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_dimensions_does_not_matter(name):
    case, turned = Case(), Case()
    order = np.random.default_rng(2).permutation(D)
    turned.head = Head(case.head.weight[:, order], case.head.bias)
    turned.train = turned.see(case.train.features[:, order], case.train.labels)
    found = turned.fit(name).score(turned.see(case.oods.features[:, order]))
    np.testing.assert_allclose(found, case.fit(name).score(case.oods), rtol=1e-10)


def test_a_higher_threshold_never_lowers_what_weights_without_a_minus_see():
    case = Case()
    case.head = Head(np.abs(case.head.weight), case.head.bias)
    scores = [case.fit("react", percentile=q).score(case.oods) for q in (5, 50, 95)]
    assert (np.diff(scores, axis=0) >= 0).all()
    assert (scores[-1] <= case.fit("energy").score(case.see(case.oods.features)) + 1e-12).all()


# Training samples and memory


def test_thresholds_of_half_precision_features_are_those_of_the_same_in_single_precision():
    case = Case(train=2000)
    half = narrow(case.train)
    half = replace(half, features=half.features.astype(np.float16))
    single = replace(half, features=half.features.astype(np.float32))
    for name in ("react", "vra"):
        fitted = [detectors.create(name).fit(part, case.head) for part in (half, single)]
        for samples in (case.ids, case.oods):
            np.testing.assert_array_equal(fitted[0].score(samples), fitted[1].score(samples))


@pytest.mark.parametrize("name", ["react", "vra"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_percentiles_take_one_copy_of_the_training_features(name, order):
    rng = np.random.default_rng(0)
    features = np.asarray(rng.random((20_000, 64), np.float32), order=order)
    before = features.copy()
    train = FeatureSet(features, np.zeros((len(features), 2)))
    head = Head(np.ones((2, 64)), np.zeros(2))
    detector = detectors.create(name)
    tracemalloc.start()
    detector.fit(train, head)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * features.nbytes
    np.testing.assert_array_equal(features, before)


@pytest.mark.parametrize("name", NAMES)
def test_scoring_changes_no_sample(name):
    case = Case()
    before = case.oods.features.copy()
    case.fit(name).score(case.oods)
    np.testing.assert_array_equal(case.oods.features, before)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "lts"])
def test_the_head_is_kept_as_it_was_given(name):
    case = Case()
    head = Head(case.head.weight.astype(np.float32), case.head.bias.astype(np.float32))
    state = detectors.create(name).fit(case.train, head).state()
    assert state["weight_"].dtype == np.float32
    np.testing.assert_array_equal(state["weight_"], head.weight)
    np.testing.assert_array_equal(state["bias_"], head.bias)


def test_dice_takes_the_mean_of_the_whole_training_set_from_statistics():
    case = Case()
    part = case.train[:20]
    detector = detectors.create("dice").fit(part, case.head, case.statistics())
    np.testing.assert_allclose(detector.mean_, case.train.features.mean(axis=0))
    np.testing.assert_allclose(detector.score(case.oods), case.fit("dice").score(case.oods))


def test_a_class_that_dice_leaves_no_weight_keeps_its_bias():
    head = Head(np.array([[5.0, 5.0], [0.1, 0.1]]), np.array([0.0, 2.0]))
    features = np.array([[1.0, 1.0]])
    found = score("dice", features, head, percentile=60)
    np.testing.assert_allclose(found, np.logaddexp(10.0, 2.0))
