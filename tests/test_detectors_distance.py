"""Detectors of the family "distance" on trained networks, against peers and known answers."""

import numpy as np
import pytest
import torch
from detector_case import CASES, Case, assert_scores_match_the_slow_loop, rotated
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_ood import detector as peers
from sklearn.covariance import EmpiricalCovariance

from ncviz import detectors
from ncviz.arrays import FeatureSet, Head

NAMES = ("mahalanobis", "relative_mahalanobis")


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return CASES[request.param]()


@pytest.fixture
def float64_tensors():
    """Tensors that a peer makes by itself, in float64: its inverses lose digits in float32."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(usual)


@pytest.mark.parametrize("name", NAMES)
def test_scores_match_the_slow_loop(case, name):
    assert_scores_match_the_slow_loop(case, name)


@pytest.mark.parametrize(
    ("name", "peer", "factor"),
    [("mahalanobis", peers.Mahalanobis, 2), ("relative_mahalanobis", peers.RMD, 1)],
)
@pytest.mark.usefixtures("float64_tensors")
def test_scores_match_pytorch_ood(case, name, peer, factor):
    # It sums scatter in place of averaging it, halves a distance, and returns outlier scores.
    fitted = peer(None).fit_features(
        torch.tensor(case.train.features), torch.tensor(case.train.labels)
    )
    for samples in (case.ids, case.oods):
        outlier = np.asarray(fitted.predict_features(torch.tensor(samples.features)))
        expected = -factor * len(case.train) * outlier
        # Its ridge of 1e-6 on the scatter is all that differs.
        np.testing.assert_allclose(case.fit(name).score(samples), expected, rtol=1e-5, atol=1e-5)


def test_relative_mahalanobis_matches_scikit_learn(case):
    means = case.statistics().means
    within = EmpiricalCovariance(assume_centered=True)
    within.fit(case.train.features - means[case.train.labels])
    nearest = np.min([within.mahalanobis(case.oods.features - mean) for mean in means], axis=0)
    background = EmpiricalCovariance().fit(case.train.features).mahalanobis(case.oods.features)
    found = case.fit("relative_mahalanobis").score(case.oods)
    np.testing.assert_allclose(found, background - nearest, rtol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_a_rotation_changes_nothing(case, name):
    found = rotated(case).fit(name).score(rotated(case).oods)
    np.testing.assert_allclose(found, case.fit(name).score(case.oods), rtol=1e-6)


@given(factor=st.floats(1e-6, 1e6), shift=st.floats(-10, 10))
@settings(max_examples=25, deadline=None)
def test_relative_mahalanobis_does_not_see_scale_or_shift(factor, shift):
    case, moved = Case(train=120, samples=10), Case(train=120, samples=10)
    moved.train = moved.see(factor * (case.train.features + shift), case.train.labels)
    samples = moved.see(factor * (case.oods.features + shift))
    found = moved.fit("relative_mahalanobis").score(samples)
    np.testing.assert_allclose(
        found, case.fit("relative_mahalanobis").score(case.oods), rtol=1e-5, atol=1e-7
    )


def test_relative_mahalanobis_of_known_spreads():
    corners = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])  # covariance: the identity
    apart = np.array([7.0, 0])
    features = np.concatenate([corners + apart, corners - apart])  # total variance: 50 and 1
    head = Head(np.eye(2), np.zeros(2))
    train = FeatureSet(features, head.logits(features), np.repeat([0, 1], 4))
    detector = detectors.create("relative_mahalanobis").fit(train, head)
    sample = np.array([[7.0, 3.0], [0.0, 0.0], [17.0, 0.0]])
    expected = [49 / 50 + 9 - 9, -49, 289 / 50 - 100]
    np.testing.assert_allclose(detector.score(FeatureSet(sample, sample)), expected)


def test_both_share_what_they_learn_about_classes(case):
    mahalanobis, relative = (case.fit(name).state() for name in NAMES)
    assert mahalanobis.keys() < relative.keys()
    for key, value in mahalanobis.items():
        np.testing.assert_array_equal(relative[key], value)
