"""Detection of permuted labels and of transposed heads."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import nn

from ncviz.arrays import FeatureSet, Head
from ncviz.errors import InvalidArrayError
from ncviz.label_order import find_permutation, is_transposed, label_findings


def text_order(classes: int) -> list[int]:
    """The numbers of the classes as folders sorted as text: 0, 1, 10, 11, 2, ..."""
    return sorted(range(classes), key=str)


@pytest.fixture(scope="module")
def digits() -> tuple[FeatureSet, Head]:
    """Held-out digits with the logits of a logistic regression on their pixels."""
    x, y = load_digits(return_X_y=True)
    x, test = x / 16, np.arange(len(x)) % 4 == 0
    fitted = LogisticRegression(max_iter=200).fit(x[~test], y[~test])
    head = Head(fitted.coef_, fitted.intercept_)
    return FeatureSet(x[test], head.logits(x[test]), y[test]), head


@pytest.mark.parametrize("seed", range(3))
def test_permutation_is_found_and_is_the_true_one(digits, seed):
    samples, _ = digits
    order = np.random.default_rng(seed).permutation(10)
    true = (samples.logits.argmax(axis=1) == samples.labels).mean()
    shuffled = FeatureSet(samples.features, samples.logits, order[samples.labels])
    found = find_permutation(shuffled.labels, shuffled.logits.argmax(axis=1), 10)
    # Output c of the network is the class that is called order[c] now.
    assert found.order == tuple(order)
    assert found.relabelled_accuracy == pytest.approx(true, abs=1e-12)
    assert found.accuracy < 0.5
    names = [f"digit {c}" for c in range(10)]
    sentence = label_findings(shuffled, names)["labels"]
    assert "Labels appear to be permuted" in sentence
    assert f"in this order: {', '.join(names[c] for c in order)}." in sentence


def test_text_order_of_twelve_numbered_classes():
    labels = np.arange(180) % 12
    sorted_as_text = text_order(12)
    position = np.argsort(sorted_as_text)  # label of class c where folders are sorted as text
    found = find_permutation(position[labels], labels, 12)
    assert [sorted_as_text[label] for label in found.order] == list(range(12))
    assert (found.accuracy, found.relabelled_accuracy) == (pytest.approx(2 / 12), 1)


def test_two_exchanged_classes_of_many_are_found():
    labels = np.arange(2000) % 100
    exchanged = np.where(labels == 3, 7, np.where(labels == 7, 3, labels))
    found = find_permutation(exchanged, labels, 100)
    assert (found.order[3], found.order[7]) == (7, 3)
    assert sum(a != b for a, b in enumerate(found.order)) == 2


def test_order_agrees_with_trying_all_orders():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 50)
    predicted = np.array([2, 0, 3, 1])[labels]
    wrong = random.random(200) < 0.2
    predicted[wrong] = random.integers(0, 4, wrong.sum())
    found = find_permutation(labels, predicted, 4, confidence=0.8)
    best = max(
        permutations(range(4)), key=lambda order: (np.array(order)[predicted] == labels).sum()
    )
    assert found.order == best


@pytest.mark.parametrize("classes", [2, 3, 5, 10, 100])
@pytest.mark.parametrize("per_class", [1, 2, 5, 50])
def test_random_labels_are_not_permuted(classes, per_class):
    random = np.random.default_rng(classes * per_class)
    for _ in range(20):
        labels = np.repeat(np.arange(classes), per_class)
        predicted = random.integers(0, classes, len(labels))
        assert find_permutation(labels, predicted, classes, confidence=1.0) is None


@pytest.mark.parametrize("accuracy", [0.15, 0.3, 0.6, 0.9])
def test_networks_that_confuse_classes_are_not_permuted(accuracy):
    """Half of the errors of each class go to its neighbour, as where similar classes are mixed."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 100)
    predicted = labels.copy()
    wrong = random.random(1000) > accuracy
    near = random.random(1000) < 0.5
    predicted[wrong & near] = (labels[wrong & near] + 1) % 10
    predicted[wrong & ~near] = random.integers(0, 10, (wrong & ~near).sum())
    assert find_permutation(labels, predicted, 10, confidence=0.9) is None


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_untrained_networks_are_not_permuted(classes):
    x, y = load_digits(n_class=classes, return_X_y=True)
    images = torch.from_numpy(x / 16).float()
    for seed in range(30):
        torch.manual_seed(seed)
        body = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU())
        with torch.no_grad():
            features = body(images)
            logits = nn.Linear(16, classes)(features)
        samples = FeatureSet(features.numpy(), logits.numpy(), y)
        assert label_findings(samples, [str(c) for c in range(classes)]) == {}


def test_half_trained_networks_are_not_permuted():
    x, y = load_digits(return_X_y=True)
    images, labels = torch.from_numpy(x / 16).float(), torch.from_numpy(y)
    torch.manual_seed(0)
    body, head = nn.Sequential(nn.Linear(64, 32), nn.ReLU()), nn.Linear(32, 10)
    optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()], 0.05)
    accuracies = []
    for _ in range(150):
        features = body(images)
        logits = head(features)
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits, labels).backward()
        optimizer.step()
        samples = FeatureSet(features.detach().numpy(), logits.detach().numpy(), y)
        assert label_findings(samples, [str(c) for c in range(10)]) == {}
        accuracies.append((samples.logits.argmax(axis=1) == y).mean())
    assert accuracies[0] < 0.2 < 0.6 < accuracies[-1]


def test_few_classes_need_confidence():
    labels = np.arange(90) % 3
    predicted = (labels + 1) % 3
    assert find_permutation(labels, predicted, 3) is None
    assert find_permutation(labels, predicted, 3, confidence=0.36) is None
    assert find_permutation(labels, predicted, 3, confidence=0.95).order == (2, 0, 1)


def test_good_class_means_lower_the_bar():
    random = np.random.default_rng(1)
    labels = np.repeat(np.arange(10), 60)
    predicted = np.where(random.random(600) < 0.4, (labels + 3) % 10, random.integers(0, 10, 600))
    assert find_permutation(labels, predicted, 10, confidence=0.9) is None
    assert find_permutation(labels, predicted, 10, confidence=0.9, ncm_accuracy=0.5) is None
    assert find_permutation(labels, predicted, 10, confidence=0.2, ncm_accuracy=0.99) is None
    found = find_permutation(labels, predicted, 10, confidence=0.9, ncm_accuracy=0.99)
    assert found.order == tuple((c - 3) % 10 for c in range(10))


def test_samples_without_a_class_are_ignored(digits):
    samples, _ = digits
    labels = (samples.labels + 1) % 10
    unlabelled = np.where(np.arange(len(labels)) % 5 == 0, -1, labels)
    found = find_permutation(unlabelled, samples.logits.argmax(axis=1), 10)
    assert found.order == tuple((c + 1) % 10 for c in range(10))
    assert found.samples == np.count_nonzero(unlabelled >= 0)
    none = np.full_like(labels, -1)
    assert find_permutation(none, samples.logits.argmax(axis=1), 10) is None


def test_predictions_that_are_not_classes_are_an_error():
    with pytest.raises(InvalidArrayError, match="Labels run from 0 to 3; with 3 classes"):
        find_permutation(np.arange(4), np.arange(4), 3)


def test_transposed_head_is_found_with_and_without_logits(digits):
    samples, head = digits
    # A representation with as many features as classes: the logits themselves.
    features = samples.logits
    body = LogisticRegression(max_iter=500).fit(features, samples.labels)
    square = Head(body.coef_, body.intercept_)
    transposed = Head(np.ascontiguousarray(square.weight.T), square.bias)
    logits, names = square.logits(features), [str(c) for c in range(10)]
    assert is_transposed(features, transposed, logits=logits)
    assert not is_transposed(features, square, logits=logits)
    assert not is_transposed(samples.features, head, logits=samples.logits)  # C != D
    # Half precision and noise below the tolerance leave the answer as it is.
    assert is_transposed(features, transposed, logits=logits.astype(np.float16))
    # A random rotation makes the transposed weight useless.
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(10, 10)))[0]
    rotated = features @ rotation
    right = Head(square.weight @ rotation, square.bias)
    wrong = Head(np.ascontiguousarray(right.weight.T), right.bias)
    assert is_transposed(rotated, wrong, labels=samples.labels)
    assert not is_transposed(rotated, right, labels=samples.labels)
    found = label_findings(
        FeatureSet(rotated, wrong.logits(rotated), samples.labels), names, head=wrong
    )
    assert list(found) == ["head"]
    assert "appears to be transposed" in found["head"]


def test_untrained_square_heads_are_not_transposed():
    random = np.random.default_rng(0)
    labels = np.arange(200) % 10
    for _ in range(20):
        features = np.eye(10)[labels] + 0.1 * random.normal(size=(200, 10))
        head = Head(0.1 * random.normal(size=(10, 10)), np.zeros(10))
        assert not is_transposed(features, head, labels=labels)
