"""Detectors of the family "subspace" on trained networks, against peers and known answers."""

from decimal import localcontext

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
)
from detector_oracles.subspace import regret
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pytorch_ood import detector as peers
from scipy.special import logsumexp
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from ncviz import detectors
from ncviz.arrays import FeatureSet, Head
from ncviz.detectors.subspace import _regret


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return CASES[request.param]()


@pytest.mark.parametrize("name", ["residual", "vim", "pnml", "neco"])
def test_scores_match_the_slow_loop(case, name):
    assert_scores_match_the_slow_loop(case, name, samples=3, rtol=1e-7)


def test_vim_matches_pytorch_ood(case):
    head = case.head
    peer = peers.ViM(None, d=head.dim // 2, w=tensor(head.weight), b=tensor(head.bias))
    peer.fit_features(tensor(case.train.features), torch.tensor(case.train.labels))
    for samples in (case.ids, case.oods):
        expected = -np.asarray(peer.predict_features(tensor(samples.features)))
        # Its float32 second moment mixes directions of nearly equal variance at the edge of D'.
        tolerance = 1e-3 * np.ptp(expected)
        np.testing.assert_allclose(case.fit("vim").score(samples), expected, atol=tolerance)


def test_pnml_matches_pytorch_ood(case):
    # It divides by log C and clamps probabilities at 1e-12.
    peer = peers.PNML(None, head=linear(case.head))
    peer.fit_features(tensor(case.train.features), torch.tensor(case.train.labels))
    for samples in (case.ids, case.oods):
        outlier = np.asarray(peer.predict_features(tensor(samples.features)))
        expected = -outlier * np.log(case.head.classes)
        np.testing.assert_allclose(case.fit("pnml").score(samples), expected, rtol=1e-3, atol=1e-5)


# Residual.


@pytest.mark.parametrize("dim", [None, 5])
def test_residual_is_what_a_singular_value_decomposition_leaves(case, dim):
    detector = case.fit("residual", dim=dim)
    axes = np.linalg.svd(case.train.features - detector.origin_)[2][detector.principal_dim_ :]
    expected = -np.linalg.norm((case.oods.features - detector.origin_) @ axes.T, axis=1)
    np.testing.assert_allclose(detector.score(case.oods), expected, rtol=1e-8)
    at_origin = case.head.weight @ detector.origin_ + case.head.bias  # what W cannot undo remains
    np.testing.assert_allclose(case.head.weight.T @ at_origin, 0, atol=1e-10)


@pytest.mark.parametrize("dim", [None, 5, 10_000])
def test_vim_adds_the_energy_to_the_residual(case, dim):
    residual, vim = case.fit("residual", dim=dim), case.fit("vim", dim=dim)
    np.testing.assert_array_equal(residual.residual_axes_, vim.residual_axes_)
    np.testing.assert_array_equal(residual.origin_, vim.origin_)
    expected = logsumexp(case.oods.logits, axis=1) + vim.alpha_ * residual.score(case.oods)
    np.testing.assert_allclose(vim.score(case.oods), expected)


@pytest.mark.parametrize(("asked", "used"), [(None, D // 2), (7, 7), (500, D - 1)])
def test_residual_always_leaves_a_direction(asked, used):
    detector = Case().fit("residual", dim=asked)
    assert detector.principal_dim_ == used
    assert detector.residual_axes_.shape == (D, D - used)


def test_residual_takes_all_directions_that_no_training_sample_has():
    case = Case()
    features = case.train.features * (np.arange(D) < 3)
    case.head = Head(case.head.weight, np.zeros(C))  # the origin stays at 0
    case.train = case.see(features, case.train.labels)
    detector = case.fit("residual")
    assert detector.principal_dim_ == 3
    expected = -np.linalg.norm(case.oods.features[:, 3:], axis=1)
    np.testing.assert_allclose(detector.score(case.oods), expected)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("residual", {}), ("vim", {}), ("pnml", {}), ("neco", {"scale": False})],
)
def test_a_rotation_changes_nothing(case, name, parameters):
    turned = rotated(case)
    found = turned.fit(name, **parameters).score(turned.oods)
    np.testing.assert_allclose(found, case.fit(name, **parameters).score(case.oods), rtol=1e-6)


# NECO.


def official_neco(case, samples, *, scaler, dim, network):
    """The authors' recipe step by step, the denominators of mixed spaces included."""
    train, features = case.train.features, samples.features
    if scaler:
        standard = StandardScaler().fit(train)
        train, features = standard.transform(train), standard.transform(features)
    coordinates = PCA(case.head.dim).fit(train).transform(features)
    raw = samples.features if network in ("deit", "swin") else features
    score = np.linalg.norm(coordinates[:, :dim], axis=1) / np.linalg.norm(raw, axis=1)
    return score if network == "resnet" else score * samples.logits.max(axis=1)


@pytest.mark.parametrize("dim", [3, 20])
@pytest.mark.parametrize("network", ["resnet", "vit"])
def test_neco_is_the_official_recipe(case, dim, network):
    expected = official_neco(case, case.oods, scaler=True, dim=dim, network=network)
    detector = case.fit("neco", dim=dim, multiply_by_max_logit=network != "resnet")
    np.testing.assert_allclose(detector.score(case.oods), expected, rtol=1e-7)


@pytest.mark.parametrize(("scaler", "network"), [(False, "resnet"), (False, "vit"), (True, "swin")])
def test_neco_differs_from_the_official_recipe_by_its_mixed_denominators_alone(
    case, scaler, network
):
    # Official: a length in the centred (and scaled) space over one in the raw space.
    official = official_neco(case, case.oods, scaler=scaler, dim=5, network=network)
    detector = case.fit("neco", dim=5, scale=scaler, multiply_by_max_logit=network != "resnet")
    centred = (case.oods.features - detector.mean_) / detector.scale_
    mixed = np.linalg.norm(centred, axis=1) / np.linalg.norm(case.oods.features, axis=1)
    assert not np.allclose(mixed, 1)
    np.testing.assert_allclose(detector.score(case.oods) * mixed, official, rtol=1e-7)


# pNML.


def test_pnml_on_the_network_s_own_logits(case):
    detector = case.fit("pnml", normalise=False)
    samples = case.oods[:3]
    lengths = np.linalg.norm(samples.features, axis=1)
    unit = samples.features / lengths[:, None]
    train = case.train.features / np.linalg.norm(case.train.features, axis=1, keepdims=True)
    leverage = np.einsum("nd,de,ne->n", unit, np.linalg.pinv(train.T @ train), unit)
    expected = [-regret(z, q / (1 + q)) for z, q in zip(samples.logits, leverage, strict=True)]
    np.testing.assert_allclose(detector.score(samples), expected, rtol=1e-7)


@given(
    logits=arrays.arrays(np.float64, (3, C), elements=st.floats(-60, 60)),
    exponent=st.floats(1e-6, 0.999),
)
@settings(max_examples=60, deadline=None)
def test_the_regret_is_right_however_sure_the_head_is(logits, exponent):
    with localcontext(prec=80):
        expected = [regret(z, exponent) for z in logits]
    np.testing.assert_allclose(_regret(logits, np.full(3, exponent)), expected, rtol=1e-9)


@given(
    logits=arrays.arrays(np.float64, (3, C), elements=st.floats(-1e5, 1e5)),
    exponents=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
@settings(max_examples=100, deadline=None)
def test_the_regret_grows_with_the_exponent_from_nothing_to_log_c(logits, exponents):
    less, more = (_regret(logits, np.full(3, each)) for each in sorted(exponents))
    assert (less >= 0).all()
    assert (more >= less * (1 - 1e-12)).all()
    assert (more <= np.log(C) + 1e-12).all()
    np.testing.assert_array_equal(_regret(logits, np.zeros(3)), 0)


def test_pnml_does_not_see_the_length_of_features(case):
    longer = case.see(7 * case.oods.features)
    detector = case.fit("pnml")
    np.testing.assert_allclose(detector.score(longer), detector.score(case.oods), rtol=1e-9)


def test_pnml_leverage_of_known_directions():
    features = np.repeat(np.eye(3), [4, 1, 0], axis=0)  # q of an axis: one over its samples
    head = Head(np.array([[1.0, 0, 0], [0, 1, 0]]), np.zeros(2))
    detector = detectors.create("pnml").fit(FeatureSet(features, head.logits(features)), head)
    samples = FeatureSet(5 * np.eye(3), head.logits(np.eye(3)))
    unseen = 0.0  # no training sample has the third direction
    exponents = np.array([0.25 / 1.25, 1 / 2, unseen])
    expected = [-regret(z, g) for z, g in zip(head.logits(np.eye(3)), exponents, strict=True)]
    np.testing.assert_allclose(detector.score(samples), expected, atol=1e-15)
