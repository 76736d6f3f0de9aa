"""Detection of labels in another order than the outputs of the network, and of transposed heads.

The rule: one-to-one relabellings of the network's outputs are compared with the labels as they are.
A relabelling is fitted to one half of the samples by the Hungarian algorithm and evaluated on the
other half, then the halves are exchanged, so a relabelling of random predictions gains nothing.
Labels appear to be permuted if all of these hold on the held-out samples:

- The relabelling removes more than half of the errors. More than a third suffices where
  nearest-class-mean accuracy is at least 0.9, the network's accuracy is at most twice that of
  chance, and its mean confidence is at least 0.5.
- The gain is more than four standard errors (McNemar's statistic).
- With at most seven classes, the mean confidence is nearer to the relabelled accuracy than to
  chance. An untrained network, whose confidence is near chance, can map a few well separated
  classes one to one by accident.

Bad, half-trained and untrained networks confuse classes, but not one to one, so they do not meet
the first condition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ncviz import xp
from ncviz.arrays import FeatureSet, Head, require_labels
from ncviz.errors import InvalidArrayError
from ncviz.literal import readable
from ncviz.thresholds import calibration_half

MAX_CLASSES = 5_000
"""above, the confusion matrix of all pairs of classes is too large and nothing is detected"""
SAME_LOGITS = 0.01
"""largest difference between equal logits, as a share of the largest one: half precision is less"""

_ERROR_SHARE, _ERROR_SHARE_WITH_MEANS = 1 / 2, 2 / 3
_STANDARD_ERRORS = 4
_FEW_CLASSES = 7
_GOOD_MEANS, _NEAR_CHANCE, _CONFIDENT = 0.9, 2, 0.5
_MAX_NAMES, _MAX_NAME_LENGTH = 20, 60


@dataclass(frozen=True)
class Permutation:
    """The one-to-one relabelling of a network's outputs that agrees best with the labels.

    Attributes
    ----------
    order : (C,) for each output of the network, the class that it appears to stand for
    accuracy : share of samples that are classified correctly with the labels as they are
    relabelled_accuracy : the same with relabelled outputs, on samples that the relabelling was not
        fitted to
    samples : number of samples with a label
    """

    order: tuple[int, ...]
    accuracy: float
    relabelled_accuracy: float
    samples: int

    def describe(self, names: Sequence[str]) -> str:
        """Return the finding as sentences with class names."""
        shown = [readable(names[each], _MAX_NAME_LENGTH) for each in self.order[:_MAX_NAMES]]
        listed = ", ".join(shown)
        if len(self.order) > _MAX_NAMES:
            listed += f", ... ({len(self.order) - _MAX_NAMES} more)"
        return (
            f"Labels appear to be permuted: accuracy is {self.accuracy:.3f} on {self.samples:,} "
            f"samples, but {self.relabelled_accuracy:.3f} if the outputs of the network are these "
            f"classes, in this order: {listed}."
        )


def find_permutation(
    labels: np.ndarray,
    predicted: np.ndarray,
    classes: int,
    *,
    confidence: float | None = None,
    ncm_accuracy: float | None = None,
) -> Permutation | None:
    """Return the best relabelling if the labels appear to be permuted, else None.

    Parameters
    ----------
    labels : (N,) integers; samples with a label outside 0 to C-1 are ignored
    predicted : (N,) integers from 0 to C-1, the largest logit of each sample
    classes : C
    confidence : mean of the largest softmax probability; without it nothing is found among seven
        classes or fewer
    ncm_accuracy : accuracy of the nearest class mean on the same samples, if known

    Raises
    ------
    InvalidArrayError : `predicted` are not N integers from 0 to C-1.

    Notes
    -----
    The module's docstring states the rule. The assignment is that of `linear_sum_assignment` on the
    confusion matrix; of equally good ones, it keeps the most classes as they are.

    Examples
    --------
    >>> labels = np.arange(60) % 3
    >>> find_permutation(labels, (labels + 1) % 3, 3, confidence=0.99).order
    (2, 0, 1)
    >>> find_permutation(labels, labels, 3, confidence=0.99) is None
    True
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    require_labels(predicted, len(labels), classes)
    known = (labels >= 0) & (labels < classes)
    labels, predicted = labels[known], predicted[known]
    if len(labels) < 2 or classes > MAX_CLASSES:
        return None
    half = calibration_half(labels)
    relabelled = np.empty_like(predicted)
    for fitted, held_out in ((half, ~half), (~half, half)):
        order = _best_order(labels[fitted], predicted[fitted], classes)
        relabelled[held_out] = order[predicted[held_out]]
    before, after = predicted == labels, relabelled == labels
    near_means = (
        (ncm_accuracy or 0) >= _GOOD_MEANS
        and before.mean() <= _NEAR_CHANCE / classes
        and (confidence or 0) >= _CONFIDENT
    )
    share = _ERROR_SHARE_WITH_MEANS if near_means else _ERROR_SHARE
    if not _is_far_above(before, after, share) or not _is_learned(after, classes, confidence):
        return None
    order = _best_order(labels, predicted, classes)
    return Permutation(
        tuple(map(int, order)), float(before.mean()), float(after.mean()), len(labels)
    )


def is_transposed(
    features: np.ndarray,
    head: Head,
    *,
    labels: np.ndarray | None = None,
    logits: np.ndarray | None = None,
) -> bool:
    """Return whether the weight of a head with C = D appears to be transposed.

    With `logits`, they are compared with W h + b and Wᵀ h + b. Without, the accuracy of both is
    compared by the rule for permuted labels.

    Parameters
    ----------
    features : (N, D)
    head : weight (C, D), bias (C,)
    labels : (N,) integers; samples with a label outside 0 to C-1 are ignored
    logits : (N, C) of the network itself
    """
    if head.classes != head.dim or not len(features):
        return False
    other = Head(np.ascontiguousarray(head.weight.T), head.bias)
    as_given, transposed = head.logits(features), other.logits(features)
    if logits is not None:
        scale = SAME_LOGITS * max(float(np.abs(logits).max(initial=0)), 1e-30)
        differs = np.abs(as_given - logits).max(initial=0) > scale
        return bool(differs and np.abs(transposed - logits).max(initial=0) <= scale)
    if labels is None:
        return False
    known = (labels >= 0) & (labels < head.classes)
    before, after = (each[known].argmax(axis=1) == labels[known] for each in (as_given, transposed))
    confidence = mean_confidence(transposed)
    return _is_far_above(before, after, _ERROR_SHARE) and _is_learned(
        after, head.classes, confidence
    )


def label_findings(
    samples: FeatureSet, names: Sequence[str], *, head: Head | None = None
) -> dict[str, str]:
    """Return what appears to be wrong with labels or head as sentences, by what they are about.

    Parameters
    ----------
    samples : features (N, D), logits (N, C) and labels (N,) of ID samples, best those of the test
        set. Without labels nothing is found.
    names : of the C classes
    head : the linear head that the logits come from, if there is one; checked for a transposed
        weight where C = D

    Returns
    -------
    dict : empty, or ``{"labels": sentences}`` or ``{"head": sentences}``
    """
    if samples.labels is None or not len(samples):
        return {}
    if head is not None and is_transposed(samples.features, head, labels=samples.labels):
        return {
            "head": "The weight of the head appears to be transposed: with as many classes as "
            "features both fit, and the transposed weight classifies far more samples correctly. "
            "Export the weight with a row for each class."
        }
    found = find_permutation(
        samples.labels,
        samples.logits.argmax(axis=1),
        len(names),
        confidence=mean_confidence(samples.logits),
        ncm_accuracy=_ncm_accuracy(samples.features, samples.labels, len(names)),
    )
    return {} if found is None else {"labels": found.describe(names)}


def mean_confidence(logits: np.ndarray) -> float:
    """Return the mean of the largest softmax probability of each row of `logits` (N, C)."""
    if not len(logits):
        raise InvalidArrayError("The mean confidence of no samples is undefined; give logits.")
    return float(xp.largest_probability(np.asarray(logits)).mean())


def _best_order(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return (C,) the class assigned to each output."""
    from scipy.optimize import linear_sum_assignment  # only here: slow to import

    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (predicted, labels), 1)
    # Ties keep the class as it is. All ties together weigh less than one sample.
    confusion[np.diag_indices(classes)] += 0.5 / classes
    return linear_sum_assignment(confusion, maximize=True)[1]


def _is_far_above(before: np.ndarray, after: np.ndarray, share: float) -> bool:
    """Return whether less than `share` of the errors remain, by more than chance explains."""
    gained, lost = np.count_nonzero(after & ~before), np.count_nonzero(before & ~after)
    few_errors = np.count_nonzero(~after) < share * np.count_nonzero(~before)
    return bool(few_errors and gained - lost >= _STANDARD_ERRORS * np.sqrt(gained + lost))


def _is_learned(after: np.ndarray, classes: int, confidence: float | None) -> bool:
    if classes > _FEW_CLASSES:
        return True
    return confidence is not None and confidence > (1 / classes + after.mean()) / 2


def _ncm_accuracy(features: np.ndarray, labels: np.ndarray, classes: int) -> float:
    """Return the nearest-class-mean accuracy, means and samples from different halves."""
    known = (labels >= 0) & (labels < classes)
    features, labels = features[known].astype(np.float64), labels[known]
    half, correct = calibration_half(labels), 0
    for fitted, held_out in ((half, ~half), (~half, half)):
        present, inverse = np.unique(labels[fitted], return_inverse=True)
        if not len(present):
            return 0.0
        sums = np.zeros((len(present), features.shape[1]))
        np.add.at(sums, inverse, features[fitted])
        means = sums / np.bincount(inverse)[:, None]
        distances = (means**2).sum(axis=1) - 2 * features[held_out] @ means.T
        correct += np.count_nonzero(present[distances.argmin(axis=1)] == labels[held_out])
    return correct / len(labels)
