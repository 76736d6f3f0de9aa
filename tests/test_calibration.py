"""Reliability and calibration against slow loops, scikit-learn, simulation and exact cases."""

import math

import numpy as np
import pytest
from detector_case import CHECKPOINTS
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from ncviz import metrics, open_run
from ncviz.errors import InvalidArrayError, InvalidOptionError
from ncviz.temperature import fit_temperature
from ncviz.thresholds import calibration_half


def made(samples=200, classes=5, seed=0, sharpness=2.0):
    """Logits, and labels that mostly but not always follow them."""
    rng = np.random.default_rng(seed)
    logits = sharpness * rng.normal(size=(samples, classes))
    return logits, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)


def drawn(samples, classes=4, temperature=1.0, seed=0):
    """Logits T log p, and labels drawn from p: softmax(z / T) is calibrated exactly."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(classes), size=samples)
    labels = (p.cumsum(axis=1) < rng.random((samples, 1))).sum(axis=1)
    return temperature * np.log(p), labels


def slow_reliability(logits, labels, temperature, bins):
    """One sample after another into the bin (b / B, (b + 1) / B] of its largest probability."""
    sure, right = [[] for _ in range(bins)], [[] for _ in range(bins)]
    for z, y in zip(logits, labels, strict=True):
        powers = [math.exp((value - max(z)) / temperature) for value in z]
        p = [power / sum(powers) for power in powers]
        own = next(b for b in range(bins) if p[int(np.argmax(z))] <= (b + 1) / bins + 1e-15)
        sure[own].append(max(p))
        right[own].append(int(np.argmax(z)) == y)
    return sure, right


@given(
    seed=st.integers(0, 10**6),
    classes=st.integers(2, 6),
    bins=st.integers(1, 20),
    temperature=st.floats(0.2, 5),
)
@settings(max_examples=80, deadline=None)
def test_reliability_matches_the_slow_loop(seed, classes, bins, temperature):
    logits, labels = made(60, classes, seed)
    found = metrics.reliability(logits, labels, temperature=temperature, bins=bins)
    sure, right = slow_reliability(logits, labels, temperature, bins)
    np.testing.assert_array_equal(found.counts, [len(each) for each in sure])
    mean = [np.mean(each) if each else np.nan for each in sure]
    share = [np.mean(each) if each else np.nan for each in right]
    np.testing.assert_allclose(found.confidence, mean)
    np.testing.assert_allclose(found.accuracy, share)
    gaps = [abs(c - a) for c, a in zip(mean, share, strict=True)]
    weighted = [gap * len(each) for gap, each in zip(gaps, sure, strict=True) if each]
    assert found.calibration_error == pytest.approx(sum(weighted) / 60)
    assert found.largest_error == pytest.approx(np.nanmax(gaps))
    assert found.mean_confidence == pytest.approx(np.mean(np.concatenate(sure)))
    np.testing.assert_allclose(found.edges, [b / bins for b in range(bins + 1)])


@pytest.mark.parametrize("run", ["digits", "cifar100-resnet18"])
def test_reliability_of_a_trained_network_matches_the_slow_loop(run):
    test = open_run(CHECKPOINTS / run).epoch(60).features("test")
    logits, labels = test.logits[:500].astype(np.float64), test.labels[:500]
    found = metrics.reliability(logits, labels)
    sure, right = slow_reliability(logits, labels, 1.0, 15)
    np.testing.assert_array_equal(found.counts, [len(each) for each in sure])
    gaps = [abs(sum(s) - sum(r)) for s, r in zip(sure, right, strict=True)]
    assert found.calibration_error == pytest.approx(sum(gaps) / len(labels))
    # Half precision changes samples near an edge at most.
    half = metrics.reliability(logits.astype(np.float16), labels)
    assert half.calibration_error == pytest.approx(found.calibration_error, abs=0.01)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_calibrated_probabilities_have_almost_no_error_at_their_temperature(temperature):
    logits, labels = drawn(60_000, temperature=temperature)
    assert metrics.reliability(logits, labels, temperature=temperature).calibration_error < 0.01
    assert metrics.reliability(logits, labels, temperature=3 * temperature).calibration_error > 0.05
    assert metrics.reliability(logits, labels, temperature=temperature / 3).calibration_error > 0.05


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_the_temperature_of_drawn_labels_is_given_back(temperature):
    logits, labels = drawn(60_000, temperature=temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.03)
    half = calibration_half(labels)
    crossed = metrics.cross_fitted_temperatures(logits, labels, half)
    np.testing.assert_allclose(crossed, temperature, rtol=0.04)


def test_certainty_falls_into_the_last_bin_and_evenness_onto_its_edge():
    logits = 1e4 * np.eye(4)
    found = metrics.reliability(logits, np.array([0, 1, 2, 0]))
    assert found.counts.tolist() == [0] * 14 + [4]
    assert (found.confidence[-1], found.accuracy[-1]) == (1.0, 0.75)
    assert found.calibration_error == found.largest_error == 0.25
    assert np.isnan(found.confidence[:-1]).all()
    even = metrics.reliability(np.zeros((3, 4)), np.zeros(3, int), bins=4)
    assert even.counts.tolist() == [3, 0, 0, 0]  # a bin holds its upper edge
    assert even.mean_confidence == 0.25


def test_one_bin_compares_the_mean_confidence_with_the_accuracy():
    logits, labels = made()
    found = metrics.reliability(logits, labels, bins=1)
    accuracy = np.mean(logits.argmax(axis=1) == labels)
    expected = abs(found.mean_confidence - accuracy)
    assert found.calibration_error == pytest.approx(expected)
    many = metrics.reliability(logits, labels)
    assert many.mean_confidence == pytest.approx(found.mean_confidence)
    assert many.calibration_error >= found.calibration_error - 1e-12
    assert many.largest_error >= many.calibration_error


def test_a_temperature_is_a_division_of_the_logits():
    logits, labels = made()
    one = metrics.reliability(logits, labels, temperature=2.5)
    other = metrics.reliability(logits / 2.5, labels)
    np.testing.assert_array_equal(one.counts, other.counts)
    np.testing.assert_allclose(one.confidence, other.confidence)


def test_likelihood_matches_scikit_learn_and_survives_certainty():
    logits, labels = made()
    powers = np.exp(logits)
    expected = log_loss(labels, powers / powers.sum(axis=1, keepdims=True), labels=range(5))
    assert metrics.negative_log_likelihood(logits, labels) == pytest.approx(expected)
    assert metrics.negative_log_likelihood(np.zeros((3, 7)), np.array([0, 6, 2])) == pytest.approx(
        math.log(7)
    )
    certain = np.array([[1e4, 0.0]])
    assert metrics.negative_log_likelihood(certain, np.array([0])) == 0
    assert metrics.negative_log_likelihood(certain, np.array([1])) == 1e4


def test_the_fitted_temperature_has_the_least_negative_log_likelihood():
    logits, labels = made(sharpness=6)
    best = fit_temperature(logits, labels)
    least = metrics.negative_log_likelihood(logits / best, labels)
    for factor in (0.8, 0.99, 1.01, 1.25):
        assert metrics.negative_log_likelihood(logits / (factor * best), labels) > least


def test_a_sample_s_temperature_comes_from_the_other_half_alone():
    logits, labels = made(sharpness=6)
    half = calibration_half(labels)
    before = metrics.cross_fitted_temperatures(logits, labels, half)
    np.testing.assert_array_equal(before[half], fit_temperature(logits[~half], labels[~half]))
    np.testing.assert_array_equal(before[~half], fit_temperature(logits[half], labels[half]))
    for own in (np.flatnonzero(half)[3], np.flatnonzero(~half)[5]):
        moved, relabelled = logits.copy(), labels.copy()
        moved[own] = 30 * np.random.default_rng(1).normal(size=5)
        relabelled[own] = moved[own].argmin()
        after = metrics.cross_fitted_temperatures(moved, relabelled, half)
        mine = half == half[own]
        np.testing.assert_array_equal(after[mine], before[mine])
        assert (after[~mine] != before[~mine]).all()


@pytest.mark.parametrize(
    "measure",
    [
        metrics.reliability,
        metrics.negative_log_likelihood,
        lambda z, y: metrics.cross_fitted_temperatures(z, y, np.arange(len(z)) % 2 == 0),
    ],
)
@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.ones((0, 3)), np.zeros(0, int), "the set is empty"),
        (np.ones(3), np.zeros(3, int), "Logits has shape"),
        (np.full((2, 3), np.inf), np.zeros(2, int), "infinite"),
        (np.ones((2, 3)), np.array([0, 3]), "Labels run from 0 to 3; with 3 classes"),
        (np.ones((2, 3)), np.array([0]), r"expected \(2,\) integers"),
    ],
)
def test_what_cannot_be_measured_is_refused(measure, logits, labels, message):
    with pytest.raises(InvalidArrayError, match=message):
        measure(logits, labels)


def test_a_half_that_is_none_is_refused():
    logits, labels = made(6)
    for half in (np.ones(6, bool), np.zeros(6, bool)):
        with pytest.raises(InvalidArrayError, match="two halves"):
            metrics.cross_fitted_temperatures(logits, labels, half)
    for half in (np.array([0, 1] * 3), np.array([True, False]), [1, 0, 1, 0, 1, 0]):
        with pytest.raises(InvalidArrayError, match=r"\(6,\) bool"):
            metrics.cross_fitted_temperatures(logits, labels, half)


@pytest.mark.parametrize(
    "options",
    [{"bins": 0}, {"temperature": 0.0}, {"temperature": -1.0}, {"temperature": np.nan}],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(InvalidOptionError, match="at least one bin and a temperature above 0"):
        metrics.reliability(*made(), **options)


def test_infinite_temperature_is_refused():
    with pytest.raises(InvalidOptionError, match="temperature above 0"):
        metrics.reliability(*made(), temperature=np.inf)


def test_definitions_say_everything():
    for name, info in metrics.CALIBRATION_DEFINITIONS.items():
        assert info.name == name
        assert info.group == "calibration"
        assert all((info.label, info.definition, info.formula, info.source, info.caveat))
