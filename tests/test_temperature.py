"""The fitted temperature against torch and scipy, where it is known, at its bounds, and errors."""

import math

import numpy as np
import pytest
import torch
from detector_case import CHECKPOINTS
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from ncviz import open_run
from ncviz.errors import InvalidArrayError
from ncviz.temperature import HIGHEST, LOWEST, fit_temperature


def made(seed=0, samples=200, classes=5, temperature=1.0):
    """Logits, and labels drawn from their softmax at a temperature."""
    rng = np.random.default_rng(seed)
    logits = 3 * rng.normal(size=(samples, classes))
    noise = rng.gumbel(size=logits.shape)
    return logits, (logits / temperature + noise).argmax(axis=1)


def loss(logits, labels, temperature):
    scaled = torch.tensor(logits, dtype=torch.float64) / temperature
    return torch.nn.functional.cross_entropy(scaled, torch.tensor(labels)).item()


@pytest.mark.parametrize("run", ["digits", "cifar100-resnet18"])
def test_a_trained_network_s_temperature_is_that_of_torch_and_scipy(run):
    test = open_run(CHECKPOINTS / run).epoch(60).features("test")
    found = fit_temperature(test.logits, test.labels)

    logits = torch.tensor(test.logits, dtype=torch.float64)
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature], max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        scaled = logits / log_temperature.exp()
        value = torch.nn.functional.cross_entropy(scaled, torch.tensor(test.labels).long())
        value.backward()
        return value

    optimizer.step(closure)
    assert found == pytest.approx(log_temperature.exp().item(), rel=1e-4)
    least = minimize_scalar(
        lambda t: loss(test.logits, test.labels.astype(np.int64), t), bounds=(0.5, 5)
    )
    assert found == pytest.approx(least.x, rel=1e-4)
    assert found > 1.2  # such networks are too sure of themselves


@pytest.mark.parametrize("temperature", [0.1, 1.0, 7.5])
def test_a_temperature_that_the_labels_follow_exactly_is_found(temperature):
    gap = temperature * math.log(3)  # three of four samples are of the likelier class
    logits = np.array([[gap, 0.0]] * 4 + [[5.0, 5.0 + gap]] * 4)
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 0])
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=1e-10)


def test_drawn_labels_give_back_about_their_temperature():
    logits, labels = made(samples=20_000, temperature=2.0)
    assert fit_temperature(logits, labels) == pytest.approx(2.0, rel=0.05)


@given(factor=st.floats(0.1, 10), shift=st.floats(-1e3, 1e3), seed=st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_it_scales_with_the_logits_and_does_not_see_a_shift(factor, shift, seed):
    logits, labels = made(seed)
    expected = factor * fit_temperature(logits, labels)
    assert fit_temperature(factor * (logits + shift), labels) == pytest.approx(expected, rel=1e-8)


def test_no_temperature_near_it_is_likelier():
    logits, labels = made(seed=3)
    found = fit_temperature(logits, labels)
    least = loss(logits, labels, found)
    for factor in (0.5, 0.9, 0.999, 1.001, 1.1, 2.0):
        assert loss(logits, labels, factor * found) > least


def test_without_an_optimum_it_is_a_bound():
    logits = np.array([[9.0, 0.0], [0.0, 4.0]])
    assert fit_temperature(logits, np.array([0, 1])) == LOWEST
    assert fit_temperature(logits, np.array([1, 0])) == HIGHEST
    assert fit_temperature(np.ones((3, 2)), np.array([0, 1, 1])) == 1  # every T is as good


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.ones((0, 3)), np.zeros(0, int), "the set is empty"),
        (np.ones(3), np.zeros(3, int), "Logits has shape"),
        (np.full((2, 3), np.nan), np.zeros(2, int), "NaN"),
        (np.ones((2, 3)), np.array([0, 3]), "Labels run from 0 to 3; with 3 classes"),
        (np.ones((2, 3)), np.array([0.0, 1.0]), r"expected \(2,\) integers"),
        (np.ones((2, 3)), np.array([0]), r"expected \(2,\) integers"),
    ],
)
def test_what_it_cannot_be_fitted_to_is_refused(logits, labels, message):
    with pytest.raises(InvalidArrayError, match=message):
        fit_temperature(logits, labels)
