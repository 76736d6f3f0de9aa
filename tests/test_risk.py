"""AURC and AUGRC: a slow twin over all orders of ties, torch-uncertainty's values, exact cases."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncviz import metrics
from ncviz.errors import InvalidArrayError

tied = st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=6)


def slow(confidence, correct):
    """AURC and AUGRC by counting, on average over all orders of equal confidences."""
    samples = list(zip(confidence, correct, strict=True))
    areas = []
    for order in permutations(samples):
        if any(one[0] < other[0] for one, other in pairwise(order)):
            continue
        wrong = [sum(not c for _, c in order[:k]) for k in range(1, len(order) + 1)]
        risks = [count / k for k, count in enumerate(wrong, start=1)]
        areas.append((np.mean(risks), np.mean(wrong) / len(order)))
    return np.mean(areas, axis=0)


@given(samples=tied)
@settings(max_examples=60, deadline=None)
def test_risks_are_means_over_all_orders_of_ties(samples):
    confidence, correct = (np.array(each) for each in zip(*samples, strict=True))
    found = metrics.aurc(confidence, correct), metrics.augrc(confidence, correct)
    assert found == pytest.approx(slow(confidence, correct), abs=1e-12)


def test_risks_do_not_depend_on_the_order_of_the_input():
    rng = np.random.default_rng(0)
    confidence, correct = rng.integers(0, 5, 200).astype(float), rng.random(200) < 0.8
    order = rng.permutation(200)
    for area in (metrics.aurc, metrics.augrc):
        assert area(confidence, correct) == pytest.approx(area(confidence[order], correct[order]))


def test_analytic_cases():
    confidence = np.arange(10.0)
    right, wrong = np.ones(10, bool), np.zeros(10, bool)
    assert metrics.aurc(confidence, right) == metrics.augrc(confidence, right) == 0
    assert metrics.aurc(confidence, wrong) == 1
    assert metrics.augrc(confidence, wrong) == pytest.approx(11 / 20)
    # One failure, found first or last.
    last, first = confidence > 0, confidence < 9
    assert metrics.aurc(confidence, last) == pytest.approx(1 / 100)
    assert metrics.augrc(confidence, last) == pytest.approx(1 / 100)
    assert metrics.aurc(confidence, first) == pytest.approx(np.mean(1 / np.arange(1, 11)))
    assert metrics.augrc(confidence, first) == pytest.approx(1 / 10)
    # A constant confidence finds nothing: the risk is the error rate everywhere.
    assert metrics.aurc(np.ones(10), last) == pytest.approx(1 / 10)


# Probabilities of numpy.random.default_rng(0), three classes, as AURC and AUGRC of
# torch-uncertainty 0.13.0 have them: by the trapezoid rule between coverages 1 / N and 1.
@pytest.mark.parametrize(
    ("count", "aurc", "augrc"),
    [
        (5, 0.8291666669150194, 0.47500000024835265),
        (50, 0.6147089653330399, 0.31795918303788107),
        (2000, 0.6671957016479202, 0.3357262380788002),
    ],
)
def test_risks_are_those_of_torch_uncertainty(count, aurc, augrc):
    rng = np.random.default_rng(0)
    for size in (5, 50, 2000):
        probabilities = rng.random((size, 3))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        labels = rng.integers(0, 3, size)
        if size == count:
            break
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    first, errors = 1.0 - correct[confidence.argmax()], 1 - correct.mean()

    def trapezoid(area, start, end):
        return (count * area - (start + end) / 2) / (count - 1)

    found = metrics.aurc(confidence, correct)
    assert trapezoid(found, first, errors) == pytest.approx(aurc, abs=1e-6)
    found = metrics.augrc(confidence, correct)
    assert trapezoid(found, first / count, errors) == pytest.approx(augrc, abs=1e-6)


def test_ood_risks_count_accepted_ood_samples_and_errors():
    ids, oods = np.array([4.0, 3, 1]), np.array([2.0, 0])
    correct = np.array([True, False, True])
    found = metrics.ood_risks(ids, oods, correct)
    assert set(found) == set(metrics.RISK_DEFINITIONS)
    assert found["aurc"] == pytest.approx(np.mean([0, 0, 1 / 3, 1 / 4, 2 / 5]))
    assert found["augrc"] == pytest.approx(np.mean([0, 0, 1, 1, 2]) / 5)
    assert found["scod_aurc"] == pytest.approx(np.mean([0, 1 / 2, 2 / 3, 2 / 4, 3 / 5]))
    assert found["scod_augrc"] == pytest.approx(np.mean([0, 1, 2, 2, 3]) / 5)
    unknown = metrics.ood_risks(ids, oods)
    assert unknown["aurc"] == found["aurc"]
    assert np.isnan(unknown["scod_aurc"])


def test_augrc_of_ood_is_a_linear_function_of_auroc():
    rng = np.random.default_rng(0)
    pairs = []
    for shift in (0, 0.5, 1, 3):
        ids, oods = rng.normal(shift, 1, 80), rng.normal(0, 1, 50)
        auroc = metrics.detection_metrics(ids, oods).auroc
        pairs.append((auroc, metrics.ood_risks(ids, oods)["augrc"]))
    slopes = np.diff([y for _, y in pairs]) / np.diff([x for x, _ in pairs])
    assert slopes == pytest.approx(np.full(3, -80 * 50 / 130**2))


@pytest.mark.parametrize("correct", [np.ones(2, bool), np.ones(3), np.ones((3, 1), bool)])
def test_unusable_predictions_are_refused(correct):
    with pytest.raises(InvalidArrayError, match="one true or false for each sample"):
        metrics.aurc(np.ones(3), correct)
    with pytest.raises(InvalidArrayError, match="one true or false for each sample"):
        metrics.ood_risks(np.ones(3), np.ones(2), correct)
    with pytest.raises(InvalidArrayError, match=r"Confidence scores.*NaN"):
        metrics.augrc(np.array([1.0, np.nan]), np.ones(2, bool))
