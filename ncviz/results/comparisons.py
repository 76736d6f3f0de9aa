"""Differences between two layers of one network, or two networks, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ncviz import metrics
from ncviz.errors import MissingDataError
from ncviz.estimates import Estimate, difference_of_independent
from ncviz.results.trade_off import DETECTION, ENDS, Basis, averaged, choose_basis, layer_table
from ncviz.store import Run

PAIRED_AUROC = "DeLong's test of the mean over the sets, paired on the same samples"
PAIRED_FPR95 = "both intervals combined by their correlation on the same samples (MOVER)"
UNPAIRED = "unpaired, from both intervals"
UNPAIRED_TRANSFER = "unpaired, from Wilson's intervals of the stored errors"
NO_INTERVAL = "no interval: computed on training samples, not on drawn test samples"


@dataclass(frozen=True)
class Place:
    """A layer of a run at an epoch."""

    run: Run
    epoch: int
    layer: str


@dataclass(frozen=True)
class Difference:
    """A measure at two places.

    Attributes
    ----------
    first, second : the measure on all evaluated samples, averaged over `sets`
    estimate : first minus second with the 95% interval, on the samples that `method` can use
    sets : the sets that both places were measured on; empty for measures of the training set
    method : where the interval comes from, or why there is none
    """

    measure: str
    first: float
    second: float
    estimate: Estimate
    sets: tuple[str, ...]
    method: str


def compare(
    one: Place, two: Place, measures: Sequence[str], *, detector: str
) -> dict[str, Difference]:
    """Compare two places in each measure that both have.

    Layers and epochs of one run are compared on the same test samples. Networks are compared by
    unpaired intervals, which are conservative where both score the same samples.

    Parameters
    ----------
    measures : of ``"fpr95"``, ``"auroc"``, ``"transfer"``, and names of collapse metrics
    detector : whose scores the detection metrics use

    Returns
    -------
    dict
        The differences by measure, without those that were not measured at both places.
    """
    rows, basis = rows_of((one, two), detector)
    found = {}
    for measure in measures:
        values = [float(row.get(measure, np.nan)) for row in rows]
        if not np.isfinite(values).all():
            continue
        estimate, method = _estimate(one, two, measure, rows, basis, detector)
        sets = {"transfer": basis.transfer, **dict.fromkeys(DETECTION, basis.ood)}
        found[measure] = Difference(measure, *values, estimate, sets.get(measure, ()), method)
    return found


def rows_of(places: Sequence[Place], detector: str) -> tuple[list[pd.Series], Basis]:
    """Return the metrics of places over the sets that all of them share, and these sets."""
    tables = {
        f"{at.run.name} · {at.layer} {n}": _table(at, detector) for n, at in enumerate(places)
    }
    basis = choose_basis(tables)
    rows = [averaged(table, basis) for table in tables.values()]
    return [row.iloc[0] if len(row) else pd.Series(dtype=float) for row in rows], basis


def _table(place: Place, detector: str) -> pd.DataFrame:
    epoch = place.run.epoch(place.epoch)
    parts = [epoch.collapse(), epoch.detection(), epoch.detection_means()]
    try:
        parts.append(epoch.transfer())
    except MissingDataError:
        parts.append(pd.DataFrame(columns=["layer", "set", "probe_error", "test_samples"]))
    parts = [part.assign(epoch=place.epoch) for part in parts]
    return layer_table(*parts, place.layer, detector)


def _estimate(
    one: Place,
    two: Place,
    measure: str,
    rows: Sequence[pd.Series],
    basis: Basis,
    detector: str,
) -> tuple[Estimate, str]:
    difference = float(rows[0][measure] - rows[1][measure])
    if measure not in (*DETECTION, "transfer"):
        return Estimate(difference), NO_INTERVAL
    if measure in DETECTION and one.run == two.run:
        try:
            return _paired(one, two, measure, basis.ood, detector)
        except MissingDataError:
            pass  # scores were not kept
    ends = [[float(row.get(f"{measure}_{end}", np.nan)) for end in ENDS] for row in rows]
    parts = [Estimate(float(row[measure]), *both) for row, both in zip(rows, ends, strict=True)]
    method = UNPAIRED_TRANSFER if measure == "transfer" else UNPAIRED
    return difference_of_independent(*parts), method


def _paired(
    one: Place, two: Place, measure: str, sets: Sequence[str], detector: str
) -> tuple[Estimate, str]:
    scores = [
        {
            name: place.run.epoch(place.epoch)
            .scores(detector, name, place.layer)
            .astype(np.float64)
            for name in ("test", *sets)
        }
        for place in (one, two)
    ]
    known = [each.pop("test") for each in scores]
    if measure == "auroc":
        test = metrics.delong_of_means(known[0], scores[0], known[1], scores[1])
        return Estimate(test.difference, test.low, test.high), PAIRED_AUROC
    means = [
        metrics.mean_estimate(
            [
                metrics.detection_estimates(ids, oods[name], metrics=(measure,), ood_name=name)[
                    measure
                ]
                for name in sets
            ]
        )
        for ids, oods in zip(known, scores, strict=True)
    ]
    found = metrics.difference_estimate(*means)
    return Estimate(found.value, found.low, found.high), PAIRED_FPR95
