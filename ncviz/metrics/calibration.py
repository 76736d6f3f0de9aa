"""Whether a classifier that is 80 % sure is right 80 % of the time: reliability and its error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ncviz import xp
from ncviz.arrays import require_labels, require_matrix
from ncviz.definitions import MetricInfo, by_name
from ncviz.errors import InvalidArrayError, InvalidOptionError
from ncviz.temperature import fit_temperature


@dataclass(frozen=True)
class Reliability:
    """Samples binned by their largest probability, in bins of equal width.

    Attributes
    ----------
    edges : (B + 1,) from 0 to 1; a bin holds its upper edge
    confidence : (B,) mean of the largest probability in a bin, NaN where it is empty
    accuracy : (B,) share of right predictions in a bin, NaN where it is empty
    counts : (B,) samples in a bin
    """

    edges: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    counts: np.ndarray

    @property
    def calibration_error(self) -> float:
        """Mean distance of confidence from accuracy, weighted by the bins' samples (ECE)."""
        filled = self.counts > 0
        gaps = np.abs(self.confidence - self.accuracy)[filled]
        return float(gaps @ self.counts[filled] / self.counts.sum())

    @property
    def largest_error(self) -> float:
        """The largest distance of confidence from accuracy in any bin (MCE)."""
        return float(np.nanmax(np.abs(self.confidence - self.accuracy)))

    @property
    def mean_confidence(self) -> float:
        """Mean of the largest probability over all samples."""
        filled = self.counts > 0
        return float(self.confidence[filled] @ self.counts[filled] / self.counts.sum())


def reliability(
    logits: np.ndarray, labels: np.ndarray, *, temperature: float = 1.0, bins: int = 15
) -> Reliability:
    """Confidence against accuracy of softmax(z / T) (Guo et al., ICML 2017).

    Parameters
    ----------
    logits : (N, C) of samples that the network was not trained on, N >= 1
    labels : (N,) integers in 0..C-1

    Raises
    ------
    InvalidArrayError : shapes that do not fit, no sample, labels out of range, NaN or infinite
    InvalidOptionError : bins not above 0, or temperature not a finite number above 0
    """
    if bins < 1 or not 0 < temperature < np.inf:
        raise InvalidOptionError(
            f"Reliability takes at least one bin and a temperature above 0; got {bins} and "
            f"{temperature}."
        )
    logits, labels = _checked(logits, labels)
    largest = xp.largest_probability(logits / temperature)
    right = logits.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    # Bins are open below and closed above, so that certainty falls into the last one.
    own = np.clip(np.searchsorted(edges, largest, side="left") - 1, 0, bins - 1)
    counts = np.bincount(own, minlength=bins)
    sums = [np.bincount(own, weights=each, minlength=bins) for each in (largest, right)]
    empty = np.full(bins, np.nan)
    confidence, accuracy = (
        np.divide(each, counts, out=empty.copy(), where=counts > 0) for each in sums
    )
    return Reliability(edges, confidence, accuracy, counts)


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean of -log softmax(z)_y over samples with logits (N, C) and labels (N,)."""
    logits, labels = _checked(logits, labels)
    return float(-xp.log_softmax(logits)[np.arange(len(labels)), labels].mean())


def cross_fitted_temperatures(
    logits: np.ndarray, labels: np.ndarray, half: np.ndarray
) -> np.ndarray:
    """(N,) the temperature for each sample, fitted to the half of the samples that it is not in.

    Parameters
    ----------
    half : (N,) bool, which of two halves a sample belongs to; both must have samples

    Raises
    ------
    InvalidArrayError : as for `reliability`, or `half` is not what it should be
    """
    logits, labels = _checked(logits, labels)
    half = np.asarray(half)
    # Integers would select samples instead of masking them.
    if half.shape != labels.shape or half.dtype != bool or half.all() or not half.any():
        raise InvalidArrayError(
            f"The two halves to fit temperatures to must be given as ({len(labels)},) bool with "
            f"samples in both; got {half.shape} {half.dtype}, {np.count_nonzero(half):,} of them "
            "in the first half."
        )
    inside, outside = (fit_temperature(logits[rows], labels[rows]) for rows in (half, ~half))
    return np.where(half, outside, inside)


def _checked(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    require_matrix(logits, "Logits")
    require_labels(labels, len(logits), logits.shape[1])
    if not len(logits):
        raise InvalidArrayError("Calibration is measured on labelled samples; the set is empty.")
    return logits, labels


CALIBRATION_DEFINITIONS: dict[str, MetricInfo] = by_name(
    (
        MetricInfo(
            "temperature",
            "Temperature",
            "calibration",
            "What the logits must be divided by for the probabilities to fit held-out labels best. "
            "Above 1 the network is too sure of itself, below 1 not sure enough.",
            r"\arg\min_T\ -\tfrac1N\sum_i \log\operatorname{softmax}(z_i/T)_{y_i}",
            1.0,
            "1",
            "none",
            "Guo et al., ICML 2017",
            "Fitted to all of the ID test sample. Errors after scaling take, for each sample, the "
            "temperature of the half that it is not in; detection takes that of one half for all.",
        ),
        MetricInfo(
            "ece",
            "Calibration error (ECE)",
            "calibration",
            "How far the confidence of the network is from its accuracy, on average over 15 bins "
            "of confidence.",
            r"\sum_b \tfrac{n_b}{N}\,\left|\operatorname{conf}_b-\operatorname{acc}_b\right|",
            0.0,
            "0",
            "lower",
            "Guo et al., ICML 2017",
            "Depends on the number of bins, and is never 0 on a finite sample.",
        ),
        MetricInfo(
            "nll",
            "Negative log-likelihood",
            "calibration",
            "Mean of minus the logarithm of the probability given to the true class.",
            r"-\tfrac1N\sum_i \log\operatorname{softmax}(z_i)_{y_i}",
            0.0,
            "0",
            "lower",
            "Standard",
            "One sample that the network is sure of and wrong about can outweigh many.",
        ),
    ),
    needs="logits and labels of ID samples",
)
"""What is said about the confidence of a network, by name."""
