"""The numbers of a run that stand beside those of a source document, read from its tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ncviz.claims import Verdict, verdict
from ncviz.correlation import Correlation, correlate
from ncviz.detectors import probe_energy
from ncviz.errors import MissingDataError, UnknownNameError
from ncviz.results.comparisons import Difference
from ncviz.results.trade_off import Basis, averaged, choose_basis
from ncviz.sources import Claim, Collapse, Detection, Quantity, Ratio, Scores, Trend
from ncviz.ui import layer_comparison, loaders
from ncviz.ui.view import View

PAIR = layer_comparison.PAIR


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


def of_layers(view: View) -> tuple[pd.DataFrame, Basis]:
    """What trends are about, for each layer of the chosen epoch, its name the index.

    Columns nc1_pinv, entropy, and where measured fpr95, auroc and transfer: means over the sets of
    the basis. Detection is by the energy of a linear probe.
    """
    table = loaders.collapse_table(view.run)
    layers = table.loc[table["epoch"] == view.epoch, "layer"].unique()
    found = {}
    for name in layers:
        of_layer = loaders.trade_off_table(view.run, name, probe_energy.INFO.name)
        found[name] = of_layer[of_layer["epoch"] == view.epoch]
    basis = choose_basis(found)
    if not found:
        return pd.DataFrame(), basis
    return pd.concat([averaged(each, basis) for each in found.values()]).set_index("layer"), basis


def difference(claim: Claim, view: View) -> Difference | None:
    """Encoder minus projector in what a claim is about; None where it was not measured."""
    return layer_comparison.differences(view.run, view.epoch).get(claim.measure)


def claim_verdict(claim: Claim, view: View) -> Verdict | None:
    """Whether the layers differ as the claim says; None where it was not measured."""
    found, collapse = difference(claim, view), layer_comparison.differences(view.run, view.epoch)
    if found is None or "nc1_pinv" not in collapse:
        return None
    nc1 = collapse["nc1_pinv"]
    smaller = claim.smaller or PAIR[int(nc1.second < nc1.first)]
    return verdict(found.estimate, "below" if smaller == PAIR[0] else "above")


def correlations(
    trend: Trend, layers: pd.DataFrame, run: str
) -> tuple[Correlation, Correlation] | None:
    """Correlation of log NC1 and of NC1 with the measure; None with too few layers."""
    if trend.measure not in layers:
        return None
    x, y = (layers[name].to_numpy(np.float64) for name in ("nc1_pinv", trend.measure))
    found = [correlate(x, y, networks=[run] * len(x), log_x=log) for log in (True, False)]
    return tuple(found) if all(found) else None


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
