"""The confusion matrix: against a loop, scikit-learn and cases one can count by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as oracle

from ncviz.errors import InvalidArrayError
from ncviz.metrics import confusion_matrix


@pytest.mark.parametrize(("samples", "classes"), [(0, 2), (1, 3), (500, 2), (2000, 17)])
def test_it_agrees_with_scikit_learn_and_with_a_loop(samples, classes):
    random = np.random.default_rng(samples)
    labels, predicted = random.integers(0, classes, (2, samples))
    found = confusion_matrix(labels, predicted, classes)
    slow = np.zeros((classes, classes), int)
    for label, guess in zip(labels, predicted, strict=True):
        slow[label, guess] += 1
    np.testing.assert_array_equal(found, slow)
    if samples:
        expected = oracle.confusion_matrix(labels, predicted, labels=range(classes))
        np.testing.assert_array_equal(found, expected)
    assert found.sum() == samples


def test_rows_are_true_and_columns_predicted_classes():
    found = confusion_matrix(np.array([0, 0, 0, 2]), np.array([0, 1, 1, 0]), 3)
    assert found.tolist() == [[1, 2, 0], [0, 0, 0], [1, 0, 0]]


def test_samples_of_no_class_are_left_out():
    found = confusion_matrix(np.array([-1, 0, 5]), np.array([1, 1, 1]), 2)
    assert found.tolist() == [[0, 1], [0, 0]]


@pytest.mark.parametrize(
    ("labels", "predicted", "words"),
    [
        ([0, 1], [0], "2 labels do not fit 1"),
        ([0.0], [0], "Labels must be one-dimensional integers"),
        ([0], [[0]], "Predicted classes must be one-dimensional"),
        ([0], [2], "must lie in 0..1; they reach from 2 to 2"),
        ([0], [-1], "must lie in 0..1"),
    ],
)
def test_what_makes_no_sense_is_refused(labels, predicted, words):
    with pytest.raises(InvalidArrayError, match=words):
        confusion_matrix(np.array(labels), np.array(predicted), 2)
