"""Detectors of the family "means" on trained networks, against peers and known answers."""

import math

import numpy as np
import pytest
import torch
from detector_case import (
    CASES,
    C,
    Case,
    D,
    assert_scores_match_the_slow_loop,
    linear,
    rotated,
    tensor,
    without_class,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_ood import detector as peers

from ncviz import detectors
from ncviz.arrays import FeatureSet, Head

NAMES = ("she", "fdbd", "nci")


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return CASES[request.param]()


def peer_scores(name, case, samples):
    layer = linear(case.head)
    peer = {
        "she": lambda: peers.SHE(None, head=layer),
        "fdbd": lambda: peers.fDBD(None, head=layer),
        "nci": lambda: peers.NCI(None, head=layer, alpha=1e-4),
    }[name]()
    peer.fit_features(tensor(case.train.features), torch.tensor(case.train.labels))
    return -peer.predict_features(tensor(samples.features)).numpy()


@pytest.mark.parametrize("name", NAMES)
def test_scores_match_the_slow_loop(case, name):
    assert_scores_match_the_slow_loop(case, name)


@pytest.mark.parametrize("name", NAMES)
def test_scores_match_pytorch_ood(case, name):
    factor = case.head.classes - 1 if name == "fdbd" else 1  # it averages where OpenOOD sums
    for samples in (case.ids, case.oods):
        expected = factor * peer_scores(name, case, samples)
        np.testing.assert_allclose(
            case.fit(name).score(samples), expected, rtol=1e-4, atol=1e-4 * np.ptp(expected)
        )


@pytest.mark.parametrize(("name", "parameters"), [("she", {}), ("fdbd", {}), ("nci", {"alpha": 0})])
def test_a_rotation_changes_nothing(case, name, parameters):
    found = rotated(case).fit(name, **parameters).score(rotated(case).oods)
    np.testing.assert_allclose(found, case.fit(name, **parameters).score(case.oods), rtol=1e-8)


@given(factor=st.floats(1e-3, 1e3))
@settings(max_examples=20, deadline=None)
def test_what_the_scale_of_features_changes(factor):
    """SHE grows with its square; fDBD and NCI without alpha do not see it."""
    case, scaled = Case(train=120, samples=10), Case(train=120, samples=10)
    scaled.head = Head(case.head.weight / factor, case.head.bias)  # the logits stay
    scaled.train = scaled.see(factor * case.train.features, case.train.labels)
    oods = scaled.see(factor * case.oods.features)
    for name, parameters, growth in (
        ("she", {}, factor**2),
        ("fdbd", {}, 1),
        ("nci", {"alpha": 0}, 1 / factor),  # by the length of W's rows alone
    ):
        expected = growth * case.fit(name, **parameters).score(case.oods)
        np.testing.assert_allclose(scaled.fit(name, **parameters).score(oods), expected, rtol=1e-6)


# SHE.


def mislabelled(case, label):
    """No training sample of the class `label` is classified correctly."""
    features, labels = case.train.features.copy(), case.train.labels
    features[labels == label] = case.train.features[labels == (label + 1) % C][
        : sum(labels == label)
    ]
    case.train = case.see(features, labels)
    return case


def test_she_takes_correctly_classified_samples_alone():
    case = Case(seed=3)
    case.head = Head(case.head.weight, np.array([2.0, -2.0, 0, 0, 0, 0]))
    case.train = case.see(case.train.features, case.train.labels)
    wrong = case.train.logits.argmax(axis=1) != case.train.labels
    assert wrong.any()
    kept = case.train[~wrong]
    np.testing.assert_allclose(
        case.fit("she").patterns_,
        [kept.features[kept.labels == c].mean(axis=0) for c in range(C)],
    )


def test_she_takes_all_of_a_class_that_is_never_classified_correctly():
    case = mislabelled(Case(), 2)
    assert not (case.train.logits.argmax(axis=1)[case.train.labels == 2] == 2).any()
    own = case.train.features[case.train.labels == 2].mean(axis=0)
    np.testing.assert_allclose(case.fit("she").patterns_[2], own)
    whole = case.statistics()
    whole.means[2] += 1
    np.testing.assert_allclose(case.fit("she", whole).patterns_[2], own + 1)


def test_she_takes_the_mean_of_all_for_a_class_without_samples():
    case = without_class(Case(), 2)
    np.testing.assert_allclose(case.fit("she").patterns_[2], case.train.features.mean(axis=0))


# fDBD.


def test_fdbd_of_two_classes_is_a_distance_to_a_plane():
    head = Head(np.array([[3.0, 0.0], [0.0, 4.0]]), np.array([5.0, 0.0]))  # the plane 3x - 4y = -5
    features = np.array([[0.0, 0.0], [2.0, 0.0]])  # mean: (1, 0)
    detector = detectors.create("fdbd").fit(FeatureSet(features, head.logits(features)), head)
    samples = np.array([[1.0, 2.0], [4.0, 0.0], [1.0, 7.0]])
    distances = [0, 17 / 5, 20 / 5]
    expected = np.divide(distances, [2, 3, 7])
    found = detector.score(FeatureSet(samples, head.logits(samples)))
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("rounding", [0, 1e-9])
def test_fdbd_leaves_out_classes_without_a_boundary(rounding):
    case = Case()
    weight, bias = case.head.weight.copy(), case.head.bias.copy()
    weight[4], bias[4] = weight[1] * (1 + rounding), bias[1] - 0.5  # never the largest logit
    case.head = Head(weight, bias)
    case.train = case.see(case.train.features, case.train.labels)
    samples = case.see(case.oods.features)
    found = case.fit("fdbd").score(samples)
    assert np.isfinite(found).all()
    distance = np.linalg.norm(samples.features - case.train.features.mean(axis=0), axis=1)
    for sample, logits, score, length in zip(
        samples.features[:30], samples.logits, found, distance, strict=False
    ):
        own = logits.argmax()
        others = set(range(C)) - {own} - ({4} if own == 1 else set())
        total = sum(
            (logits[own] - logits[c]) / math.dist(case.head.weight[own], case.head.weight[c])
            for c in others
        )
        assert score == pytest.approx(total / length, rel=1e-6), sample
    assert (samples.logits[:30].argmax(axis=1) == 1).any()


def test_fdbd_fitted_again_forgets_the_earlier_head():
    case = Case()
    detector = case.fit("fdbd")
    detector.score(case.oods)
    case.head = Head(2 * case.head.weight, case.head.bias)
    again = detector.fit(case.train, case.head)
    np.testing.assert_array_equal(again.score(case.oods), case.fit("fdbd").score(case.oods))


@pytest.mark.parametrize("name", ["fdbd", "nci"])
def test_a_sample_at_the_training_mean_has_a_score(name):
    case = Case()
    detector = case.fit(name)
    length = 1e-4 * np.abs(detector.mean_).sum() if name == "nci" else 0.0
    assert detector.score(case.see(detector.mean_[None])) == pytest.approx([length])


# NCI.


def test_nci_of_a_collapsed_network_is_the_length_of_the_row():
    means = 3 * np.eye(C, D)
    head = Head(2 * (means - means.mean(axis=0)), np.zeros(C))  # self-dual, up to the scale
    train = FeatureSet(means, head.logits(means))
    found = detectors.create("nci", alpha=0.01).fit(train, head).score(train)
    np.testing.assert_allclose(found, np.linalg.norm(head.weight, axis=1) + 0.01 * 3)
