"""Detectors of the family "logits" on trained networks, against peers and known answers."""

import math

import numpy as np
import pytest
import torch
from detector_case import (
    CASES,
    CHECKPOINTS,
    C,
    Case,
    assert_scores_match_the_slow_loop,
    tensor,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pytorch_ood import detector as peers
from scipy.special import softmax
from scipy.stats import entropy as divergence

from ncviz import detectors, open_run
from ncviz.arrays import FeatureSet, Head
from ncviz.errors import InvalidArrayError

PROBABILITIES = ("entropy", "gen", "kl_matching", "temperature_scaling")


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return CASES[request.param]()


def samples_of(logits, labels=None):
    return FeatureSet(np.zeros((len(logits), 1)), np.asarray(logits, float), labels)


def fit(name, logits, labels=None, **parameters):
    train = samples_of(logits, labels)
    classes = train.logits.shape[1]
    head = Head(np.ones((classes, 1)), np.zeros(classes))
    return detectors.create(name, **parameters).fit(train, head)


def score(name, logits, **parameters):
    return fit(name, logits, **parameters).score(samples_of(logits))


@pytest.mark.parametrize("name", ["entropy", "gen", "kl_matching"])
def test_scores_match_the_slow_loop(case, name):
    assert_scores_match_the_slow_loop(case, name)


@pytest.mark.parametrize("run", ["digits", "cifar100-resnet18"])
def test_temperature_scaling_of_held_out_samples_matches_the_slow_loop(run):
    """The loop learns from what the case calls training samples."""
    case = CASES[run.split("-")[0]]()
    test = open_run(CHECKPOINTS / run).epoch(60).features("test")[:60]
    case.train = case.see(test.features.astype(np.float64), test.labels)
    assert_scores_match_the_slow_loop(case, "temperature_scaling", samples=1, rtol=1e-6)


# pytorch-ood


def moderate(samples):
    """Logits so even that no probability is near 1e-7, where pytorch-ood cuts them."""
    logits = samples.logits - samples.logits.mean(axis=1, keepdims=True)
    logits = 6 * logits / np.abs(logits).max()
    assert softmax(logits, axis=1).min() > 1e-6
    return logits


def test_entropy_matches_pytorch_ood_and_scipy(case):
    for samples in (case.ids, case.oods):
        logits = moderate(samples)
        expected = -peers.Entropy(None).predict_logits(tensor(logits))
        np.testing.assert_allclose(score("entropy", logits), expected, rtol=1e-4)
        exact = -divergence(softmax(samples.logits, axis=1), axis=1)
        np.testing.assert_allclose(case.fit("entropy").score(samples), exact, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("top", [None, 1, 3])
def test_gen_matches_pytorch_ood(case, top):
    """It averages the terms that are summed here."""
    for samples in (case.ids, case.oods):
        logits = moderate(samples)
        peer = peers.GEN(None, gamma=0.1, M=top)
        expected = -peer.predict_logits(tensor(logits)).numpy() * (top or case.head.classes)
        found = score("gen", logits, **({"top": top} if top else {}))
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_kl_matching_matches_pytorch_ood_and_scipy(case):
    peer = peers.KLMatching(None).fit_logits(tensor(case.train.logits))
    detector = case.fit("kl_matching")
    seen = softmax(case.train.logits, axis=1)
    predicted = seen.argmax(axis=1)
    templates = np.array([seen[predicted == k].mean(axis=0) for k in np.unique(predicted)])
    for samples in (case.ids, case.oods):
        found = detector.score(samples)
        expected = -peer.predict_logits(tensor(samples.logits)).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        p = softmax(samples.logits, axis=1)
        exact = divergence(p[:, None, :], templates[None], axis=2).min(axis=1)
        np.testing.assert_allclose(found, -exact, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("run", ["digits", "cifar100-resnet18"])
def test_temperature_scaling_matches_pytorch_ood(run):
    epoch = open_run(CHECKPOINTS / run).epoch(60)
    test, ood = epoch.features("test"), epoch.features(next(iter(epoch.run.ood_sets)))
    held_out, rest = test[::2], test[1::2]
    detector = detectors.create("temperature_scaling").fit(held_out, epoch.head())
    for samples in (rest, ood):
        expected = -peers.MaxSoftmax(None, t=detector.temperature_).predict_logits(
            tensor(samples.logits)
        )
        np.testing.assert_allclose(detector.score(samples), expected, rtol=1e-4)
    peer = peers.TemperatureScaling(None)
    peer.fit_logits(tensor(held_out.logits), torch.tensor(held_out.labels).long())

    def loss(temperature):
        scaled = torch.tensor(held_out.logits) / temperature
        return torch.nn.functional.cross_entropy(scaled, torch.tensor(held_out.labels).long())

    assert loss(detector.temperature_) <= loss(peer.t.item()) + 1e-6


# Known answers


def test_uniform_logits_have_known_scores():
    logits = np.full((3, C), 2.5)
    np.testing.assert_allclose(score("entropy", logits), -math.log(C))
    np.testing.assert_allclose(score("gen", logits), -C * ((1 / C) * (1 - 1 / C)) ** 0.1)
    np.testing.assert_allclose(score("gen", logits, top=2), -2 * ((1 / C) * (1 - 1 / C)) ** 0.1)
    np.testing.assert_allclose(score("kl_matching", logits), 0, atol=1e-15)
    np.testing.assert_allclose(score("temperature_scaling", logits, temperature=3.0), 1 / C)


@pytest.mark.filterwarnings("error")
def test_certain_predictions_have_the_highest_score_and_no_warning():
    logits = 1e4 * np.eye(C)  # probabilities of exactly 0 and 1 in float64
    for name in ("entropy", "gen", "kl_matching"):
        np.testing.assert_array_equal(score(name, logits), 0)
    np.testing.assert_array_equal(score("temperature_scaling", logits, temperature=1.0), 1)


@pytest.mark.parametrize("gap", [1.0, 30.0, 40.0, 200.0])
def test_confident_predictions_are_told_apart_where_one_minus_p_is_lost(gap):
    small = math.exp(-gap)
    likely, unlikely = 1 / (1 + small), small / (1 + small)
    logits = [[gap, 0.0]]
    expected = -2 * (likely * unlikely) ** 0.1
    np.testing.assert_allclose(score("gen", logits), expected, rtol=1e-12)
    expected = -(likely * math.log1p(small) + unlikely * (gap + math.log1p(small)))
    np.testing.assert_allclose(score("entropy", logits), expected, rtol=1e-12)


def test_scores_of_ever_surer_predictions_never_tie():
    logits = np.linspace(1, 300, 50)[:, None] * np.eye(3)[:1]
    assert len(np.unique(score("msp", logits))) < 50  # they do in the probability itself
    for name in ("entropy", "gen"):
        assert (np.diff(score(name, logits)) > 0).all()


def test_gen_sums_over_all_classes_where_there_are_fewer_than_asked_for():
    logits = np.random.default_rng(0).normal(size=(5, C))
    np.testing.assert_array_equal(score("gen", logits), score("gen", logits, top=C))
    some = score("gen", logits, top=C - 1)
    assert (some > score("gen", logits)).all()


def test_kl_matching_of_a_template_is_zero_and_of_others_the_nearest_divergence():
    train = np.log([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.2, 0.6, 0.2]])
    detector = fit("kl_matching", train)
    np.testing.assert_allclose(np.exp(detector.log_templates_), [[0.6, 0.3, 0.1], [0.2, 0.6, 0.2]])
    p = np.array([[0.6, 0.3, 0.1], [0.2, 0.6, 0.2], [0.1, 0.1, 0.8]])
    expected = [0, 0, min(divergence(p[2], [0.6, 0.3, 0.1]), divergence(p[2], [0.2, 0.6, 0.2]))]
    np.testing.assert_allclose(-detector.score(samples_of(np.log(p))), expected, atol=1e-15)


def test_kl_matching_does_not_favour_a_class_that_is_never_predicted():
    """A one-hot template would give a sure prediction of that class the highest score."""
    train = np.log([[0.7, 0.2, 0.1], [0.2, 0.6, 0.2]])
    detector = fit("kl_matching", train)
    assert detector.log_templates_.shape == (2, 3)
    known, never = [8.0, 0.0, 0.0], [0.0, 0.0, 8.0]
    scores = detector.score(samples_of([known, never]))
    assert scores[1] < scores[0]


@pytest.mark.filterwarnings("error")
def test_kl_matching_of_a_probability_that_a_template_excludes_is_finite_and_lowest():
    detector = fit("kl_matching", 1e4 * np.eye(3))
    scores = detector.score(samples_of([[1e4, 0, 0], [5, 0, 0], [1, 0, 0], [0, 0, 0]]))
    assert np.isfinite(scores).all()
    assert (np.diff(scores) < 0).all()


def test_kl_matching_learns_the_same_from_many_blocks():
    logits = 3 * np.random.default_rng(1).normal(size=(3 * 8192 + 7, 4))
    whole = softmax(logits, axis=1)
    predicted = whole.argmax(axis=1)
    expected = [whole[predicted == k].mean(axis=0) for k in range(4)]
    np.testing.assert_allclose(np.exp(fit("kl_matching", logits).log_templates_), expected)


# Temperature scaling


def test_a_temperature_given_is_used_as_it_is_and_needs_no_samples():
    case = Case()
    empty = FeatureSet(case.train.features[:0], case.train.logits[:0])
    detector = detectors.create("temperature_scaling", temperature=2.0).fit(empty, case.head)
    assert detector.temperature_ == 2
    expected = softmax(case.oods.logits / 2, axis=1).max(axis=1)
    np.testing.assert_allclose(detector.score(case.oods), expected)


def test_a_fitted_temperature_is_restored_without_the_samples():
    case = Case()
    detector = case.fit("temperature_scaling")
    state = detector.state()
    assert "temperature" not in state
    restored = detectors.restore("temperature_scaling", state)
    assert restored.temperature is None
    assert restored.temperature_ == detector.temperature_


def test_temperature_scaling_says_which_samples_it_needs():
    case = Case()
    info = detectors.info("temperature_scaling")
    assert info.learns_held_out
    assert info.scores_arrays
    unlabelled = FeatureSet(case.train.features, case.train.logits)
    with pytest.raises(InvalidArrayError, match="the network was not trained on: give these"):
        detectors.create("temperature_scaling").fit(unlabelled, case.head)
    foreign = FeatureSet(case.train.features, case.train.logits, case.train.labels + C)
    with pytest.raises(InvalidArrayError, match=f"with {C} classes they must lie"):
        detectors.create("temperature_scaling").fit(foreign, case.head)


# Properties

drawn = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 5), st.just(C)), elements=st.floats(-1e3, 1e3)
)


@given(logits=drawn, gamma=st.floats(0.01, 10), top=st.integers(1, 2 * C))
@settings(max_examples=100, deadline=None)
def test_bounds(logits, gamma, top):
    slack = 1e-9
    entropy = score("entropy", logits)
    assert ((entropy <= 0) & (entropy >= -math.log(C) - slack)).all()
    gen = score("gen", logits, gamma=gamma, top=top)
    assert ((gen <= 0) & (gen >= -min(top, C) * 0.25**gamma - slack)).all()
    assert (score("kl_matching", logits) <= 0).all()


@given(logits=drawn, shift=st.floats(-100, 100), seed=st.integers(0, 100))
@settings(max_examples=60, deadline=None)
def test_neither_a_shift_nor_the_order_of_classes_matters(logits, shift, seed):
    order = np.random.default_rng(seed).permutation(C)
    train = np.random.default_rng(0).normal(size=(40, C))
    for name in PROBABILITIES:
        parameters = {"temperature": 1.5} if name == "temperature_scaling" else {}
        before = fit(name, train, **parameters).score(samples_of(logits))
        moved = samples_of(logits[:, order] + shift)
        after = fit(name, train[:, order] + shift, **parameters).score(moved)
        np.testing.assert_allclose(after, before, rtol=1e-8, atol=1e-10)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["entropy", "gen", "kl_matching"])
def test_a_single_class_is_certain(name):
    np.testing.assert_array_equal(score(name, [[3.0], [-2.0]]), 0)
