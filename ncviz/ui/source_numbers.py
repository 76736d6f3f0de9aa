"""The numbers of a run that stand beside those of a source document, read from its tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ncviz.correlation import Correlation, correlate
from ncviz.detectors import probe_energy
from ncviz.errors import MissingDataError, UnknownNameError
from ncviz.sources import Claim, Collapse, Detection, Quantity, Ratio, Scores, Trend
from ncviz.ui import loaders
from ncviz.ui.view import View

PAIR = ("encoder", "projector")


@dataclass(frozen=True)
class Span:
    """The smallest and the largest of many numbers."""

    low: float
    high: float


def beside(view: View, quantity: Quantity, ood_set: str | None) -> float | Span | None:
    """`quantity` at what the page looks at; None where it was not measured."""
    match quantity:
        case Collapse(metric, layer):
            return _collapse(view, metric, layer or view.layer)
        case Ratio(metric, above, below):
            values = [_collapse(view, metric, layer) for layer in (above, below)]
            return values[0] / values[1] if all(values) else None
        case Detection(name, metric):
            rows = detection(view, name, ood_set)
            return _only(rows[metric]) if len(rows) else None
        case Scores(name, known):
            return _span(view, name, "test" if known else ood_set)


def detection(view: View, detector: str, ood_set: str | None) -> pd.DataFrame:
    """The row of the detection table for a detector and an OOD set; empty where there is none."""
    table = loaders.detection_table(view.run)
    return table[
        (table["epoch"] == view.epoch)
        & (table["layer"] == view.layer)
        & (table["detector"] == detector)
        & (table["set"] == ood_set)
    ]


def of_layers(view: View) -> pd.DataFrame:
    """What claims are about, for each layer of the chosen epoch, its name the index.

    Columns nc1_pinv, entropy, and where measured fpr95 and transfer: means over sets, the first of
    the energy of a linear probe.
    """
    table = loaders.collapse_table(view.run)
    layers = table.loc[table["epoch"] == view.epoch, "layer"].unique()
    if not len(layers):
        return pd.DataFrame()
    parts = [loaders.trade_off_table(view.run, name, probe_energy.INFO.name) for name in layers]
    found = pd.concat(parts)
    return found[found["epoch"] == view.epoch].set_index("layer")


def pair(layers: pd.DataFrame, measure: str) -> tuple[float, float] | None:
    """A measure at encoder and projector; None where one of them has none."""
    if measure not in layers or not set(PAIR) <= set(layers.index):
        return None
    values = layers.loc[list(PAIR), measure].to_numpy(np.float64)
    return tuple(map(float, values)) if np.isfinite(values).all() else None


def holds(claim: Claim, layers: pd.DataFrame) -> bool | None:
    """Whether the layers differ the way the claim says; None where that was not measured."""
    found, collapse = pair(layers, claim.measure), pair(layers, "nc1_pinv")
    if found is None or collapse is None or found[0] == found[1]:
        return None
    smaller = PAIR.index(claim.smaller) if claim.smaller else int(np.argmin(collapse))
    return int(np.argmin(found)) == smaller


def correlation(trend: Trend, layers: pd.DataFrame) -> Correlation | None:
    """Pearson's r of log NC1 with the measure over the layers; None with too few of them."""
    if trend.measure not in layers:
        return None
    x, y = (layers[name].to_numpy(np.float64) for name in ("nc1_pinv", trend.measure))
    return correlate(x, y, log_x=True)


def _collapse(view: View, metric: str, layer: str) -> float | None:
    table = loaders.collapse_table(view.run)
    rows = table[
        (table["epoch"] == view.epoch)
        & (table["layer"] == layer)
        & (table["metric"] == metric)
        & (table["set"] == "")
    ]
    return _only(rows["value"])


def _only(column: pd.Series) -> float | None:
    values = column.to_numpy(np.float64, na_value=np.nan)
    return float(values[0]) if len(values) and np.isfinite(values[0]) else None


def _span(view: View, detector: str, set_name: str | None) -> Span | None:
    if set_name is None:
        return None
    try:
        found = loaders.distribution(view.run, view.epoch, view.layer, detector, set_name)
    except (MissingDataError, UnknownNameError):
        return None
    return Span(float(found.min()), float(found.max())) if len(found) else None
