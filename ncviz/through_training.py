"""Samples through training: on which side of a threshold they are, how far from class means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ncviz.arrays import ClassStatistics, require_matrix
from ncviz.errors import InvalidArrayError
from ncviz.linalg import squared_distances


@dataclass(frozen=True)
class SideChanges:
    """How N samples moved over the saved epochs.

    Attributes
    ----------
    crossings : (N,) how often a sample is on the other side than at the saved epoch before
    first, last : (N,) bool, accepted as known at the first and at the last epoch
    largest : (N,) the change of percentile, with its sign, of the largest step from one saved epoch
        to the next; 0 where there is a single epoch
    at : (N,) position of the epoch that this step led to
    """

    crossings: np.ndarray
    first: np.ndarray
    last: np.ndarray
    largest: np.ndarray
    at: np.ndarray

    def order(self) -> np.ndarray:
        """(N,) samples by crossings, then by their largest change; the most changed one first."""
        return np.lexsort((-np.abs(self.largest), -self.crossings))


def side_changes(accepted: np.ndarray, percentiles: np.ndarray) -> SideChanges:
    """Count how often each sample changed sides of a threshold.

    Parameters
    ----------
    accepted : (E, N) bool, whether a sample's score is at or above the epoch's threshold
    percentiles : (E, N) 0..1, place of a sample's score among those of the ID test samples

    Raises
    ------
    InvalidArrayError : the shapes differ, or there is no epoch.
    """
    accepted = np.asarray(accepted, dtype=bool)
    percentiles = np.asarray(percentiles, dtype=np.float64)
    if accepted.ndim != 2 or accepted.shape != percentiles.shape or not len(accepted):
        raise InvalidArrayError(
            f"Sides have shape {accepted.shape} and percentiles {percentiles.shape}; expected the "
            "same (E, N) with at least one epoch."
        )
    samples = np.arange(accepted.shape[1])
    crossings = (accepted[1:] != accepted[:-1]).sum(axis=0)
    if len(accepted) == 1:
        largest, at = np.zeros(len(samples)), np.zeros(len(samples), np.int64)
    else:
        steps = np.diff(percentiles, axis=0)
        step = np.abs(steps).argmax(axis=0)
        largest, at = steps[step, samples], step + 1
    return SideChanges(crossings, accepted[0], accepted[-1], largest, at)


@dataclass(frozen=True)
class ClassDistances:
    """How far N samples are from class means, in units of the spread within classes.

    Attributes
    ----------
    own : (N,) to the mean of the sample's own class; NaN where it has none
    nearest : (N,) to the nearest class mean
    nearest_class : (N,) whose mean that is
    unit : the unit: root mean square distance of training samples to their own class mean
    """

    own: np.ndarray
    nearest: np.ndarray
    nearest_class: np.ndarray
    unit: float


def class_distances(
    features: np.ndarray, labels: np.ndarray, statistics: ClassStatistics
) -> ClassDistances:
    """Euclidean distances of samples to the class means of the training set.

    As the classes collapse every distance shrinks. In units of the root mean square distance of
    training samples to their own class mean, a typical training sample stays at 1 throughout, so
    that what remains is how unusual a sample is. Where the classes have no spread at all the
    distances are NaN.

    Parameters
    ----------
    features : (N, D)
    labels : (N,) class, -1 where the sample belongs to none
    statistics : of the training set at the same layer, each class with samples

    Raises
    ------
    InvalidArrayError : the shapes do not fit each other, or a class has no samples.
    """
    features, labels = np.asarray(features), np.asarray(labels)
    statistics.require_every_class()
    require_matrix(features, "Features")
    if labels.shape != features.shape[:1] or features.shape[1] != statistics.dim:
        raise InvalidArrayError(
            f"Features have shape {features.shape} and labels {labels.shape}; expected "
            f"(N, {statistics.dim}) and (N,), from the same layer as the statistics."
        )
    if len(labels) and not -1 <= labels.min() <= labels.max() < statistics.classes:
        raise InvalidArrayError(
            f"Labels run from {labels.min()} to {labels.max()}; expected classes in "
            f"0..{statistics.classes - 1}, or -1 for none."
        )
    unit = float(np.sqrt(statistics.squares.sum() / statistics.samples))
    scale = unit if unit > 0 else np.nan
    distances = np.sqrt(squared_distances(features.astype(np.float64), statistics.means)) / scale
    rows = np.arange(len(features))
    nearest = distances.argmin(axis=1)
    own = np.where(labels >= 0, distances[rows, labels], np.nan)
    return ClassDistances(own, distances[rows, nearest], nearest, unit)
