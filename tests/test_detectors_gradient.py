"""Detectors of the family "gradient": against autograd, pytorch-ood and known answers."""

import numpy as np
import pytest
import torch
from detector_case import CASES, Case, D, assert_scores_match_the_slow_loop, linear, tensor
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pytorch_ood import detector as peers

from ncviz import detectors
from ncviz.arrays import FeatureSet, Head
from ncviz.errors import MissingDataError


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return CASES[request.param]()


def score(features, head):
    samples = FeatureSet(features, head.logits(features))
    return detectors.create("gradnorm").fit(samples, head).score(samples)


# GradNorm


def test_gradnorm_matches_differences_in_each_weight():
    # The differences themselves are right to 1e-7.
    assert_scores_match_the_slow_loop(Case(seed=1), "gradnorm", rtol=1e-6)


def test_gradnorm_matches_autograd(case):
    for samples in (case.ids[:20], case.oods[:20]):
        expected = []
        for h in torch.tensor(samples.features):
            weight = torch.tensor(case.head.weight, requires_grad=True)
            logits = weight @ h + torch.tensor(case.head.bias)
            (-logits.log_softmax(dim=0).sum()).backward()
            expected.append(weight.grad.abs().sum().item())
        np.testing.assert_allclose(case.fit("gradnorm").score(samples), expected, rtol=1e-10)


def test_gradnorm_matches_pytorch_ood(case):
    peer = peers.GradNorm(linear(case.head), param_filter=lambda name: name == "weight")
    for samples in (case.ids, case.oods):
        expected = -peer.predict(tensor(samples.features)).numpy() * case.head.classes
        np.testing.assert_allclose(case.fit("gradnorm").score(samples), expected, rtol=1e-4)


def test_gradnorm_of_an_even_prediction_and_of_a_feature_of_zeros_is_zero():
    head = Head(np.ones((4, 3)), np.zeros(4))
    np.testing.assert_allclose(score(np.array([[1.0, 2.0, 3.0]]), head), 0, atol=1e-12)
    head = Head(np.eye(4, 3), np.arange(4.0))
    assert score(np.zeros((1, 3)), head) == [0]


def test_gradnorm_of_a_certain_prediction_is_the_feature_s_length():
    head = Head(1e3 * np.eye(4), np.zeros(4))
    features = np.array([[3.0, 0, 0, 0], [1.0, 2, -4, 1]])
    np.testing.assert_allclose(score(features, head), 2 * (4 - 1) * np.array([3.0, 8.0]))


@given(
    features=arrays.arrays(np.float64, (3, D), elements=st.floats(-1e4, 1e4)),
    factor=st.floats(0.1, 10),
)
@settings(max_examples=60, deadline=None)
def test_gradnorm_is_finite_and_bounded_and_grows_with_the_features(features, factor):
    case = Case(train=12, samples=1)
    classes = case.head.classes
    detector = case.fit("gradnorm")
    samples = case.see(features)
    found = detector.score(samples)
    bound = 2 * (classes - 1) * np.abs(features).sum(axis=1)
    tiny = 1e-300  # below it, numbers have fewer digits
    assert ((found >= 0) & (found <= bound * (1 + 1e-12) + tiny)).all()
    longer = FeatureSet(factor * features, samples.logits)
    np.testing.assert_allclose(detector.score(longer), factor * found, rtol=1e-10, atol=tiny)


# ODIN


def test_odin_says_that_it_needs_the_network():
    info = detectors.info("odin")
    assert info.needs == ("network",)
    assert not info.scores_arrays
    assert not info.learns_from_samples
    assert info.defaults == {"temperature": 1000.0, "epsilon": 0.0014}
    assert all((info.label, info.family, info.formula, info.source, info.caveat))


def test_odin_refuses_to_score_arrays_and_says_who_does():
    case = Case()
    nothing = FeatureSet(case.train.features[:0], case.train.logits[:0])
    detector = detectors.create("odin").fit(nothing, case.head)
    with pytest.raises(MissingDataError, match=r"gradient with respect to the image.*extract\.py"):
        detector.score(case.ids)


def test_odin_keeps_its_parameters():
    detector = Case().fit("odin", temperature=10.0, epsilon=0.0)
    restored = detectors.restore("odin", detector.state())
    assert restored.parameters() == {"temperature": 10.0, "epsilon": 0.0}
