"""How far confidence can be believed at an epoch, and what temperature does to detectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from ncviz import detectors
from ncviz.arrays import FeatureSet
from ncviz.evaluation.layers import Layer
from ncviz.metrics import (
    Reliability,
    cross_fitted_temperatures,
    detection_metrics,
    negative_log_likelihood,
    reliability,
)
from ncviz.temperature import fit_temperature
from ncviz.thresholds import calibration_half

TEMPERATURES = tuple(float(f"{10**power:.3g}") for power in np.arange(-1, 3.01, 1 / 3))
"""what logits are divided by to see how detectors depend on it: 0.1 to 1000, 1 among them"""

_CALIBRATION = (
    *("temperature", "accuracy", "confidence", "ece", "nll", "ece_scaled", "nll_scaled"),
    "samples",
)
_RELIABILITY = ("scaled", "low", "high", "confidence", "accuracy", "count")
_TEMPERATURE = ("detector", "set", "temperature", "auroc", "fpr95")


def calibration_tables(test: FeatureSet) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Calibration (one row) and reliability (a row for each bin) on the ID test set.

    The temperature that a sample is scaled by was fitted to the half of the set that it is not in.
    Without labels, or with a class alone, both are empty.
    """
    if test.labels is None or len(test) < 2:
        return pd.DataFrame(columns=_CALIBRATION), pd.DataFrame(columns=_RELIABILITY)
    logits = test.logits.astype(np.float64)
    temperatures = cross_fitted_temperatures(logits, test.labels, calibration_half(test.labels))
    scaled = logits / temperatures[:, None]
    before, after = (reliability(each, test.labels) for each in (logits, scaled))
    row = {
        "temperature": fit_temperature(logits, test.labels),
        "accuracy": float((logits.argmax(axis=1) == test.labels).mean()),
        "confidence": before.mean_confidence,
        "ece": before.calibration_error,
        "nll": negative_log_likelihood(logits, test.labels),
        "ece_scaled": after.calibration_error,
        "nll_scaled": negative_log_likelihood(scaled, test.labels),
        "samples": len(test),
    }
    bins = [row for flag, each in ((False, before), (True, after)) for row in _bins(each, flag)]
    return pd.DataFrame([row], columns=_CALIBRATION), pd.DataFrame(bins, columns=_RELIABILITY)


def _bins(found: Reliability, scaled: bool) -> Iterator[dict]:
    for at, count in enumerate(found.counts):
        if count:
            yield {
                "scaled": scaled,
                "low": found.edges[at],
                "high": found.edges[at + 1],
                "confidence": found.confidence[at],
                "accuracy": found.accuracy[at],
                "count": int(count),
            }


def temperature_table(layer: Layer, names: Sequence[str]) -> pd.DataFrame:
    """AUROC and FPR95 of those in `names` that look at logits alone, from logits over temperature.

    Empty where the layer has neither a head nor a probe to fit them to.
    """
    rows = []
    head = layer.classifier
    alone = [name for name in names if detectors.info(name).needs == ("logits",)]
    for name in alone if head is not None else ():
        detector = detectors.create(name).fit(layer.train, head, layer.statistics)
        for temperature in TEMPERATURES:
            scores = {
                each: detector.score(_divided(samples, temperature))
                for each, samples in layer.sets.items()
            }
            for each in layer.ood:
                found = detection_metrics(scores["test"], scores[each])
                row = {"detector": name, "set": each, "temperature": temperature}
                rows.append({**row, "auroc": found.auroc, "fpr95": found.fpr95})
    return pd.DataFrame(rows, columns=_TEMPERATURE)


def _divided(samples: FeatureSet, temperature: float) -> FeatureSet:
    return FeatureSet(samples.features, samples.logits.astype(np.float64) / temperature)
