"""Where to cut a score: by the share of ID kept, by the share of OOD caught, or by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ncviz import metrics
from ncviz.ui import controls

MODES = ("ID", "OOD", "score")


def choose_threshold(id_scores: np.ndarray, ood_scores: Sequence[np.ndarray]) -> float:
    """The sidebar's threshold control; samples at or above the result are accepted as ID."""
    mode = controls.switch(
        "Threshold set by",
        MODES,
        key="cut",
        help="ID: accept this share of the ID test set. OOD: reject this share of the "
        "chosen OOD sets. At 95 % these are the two meanings of FPR95. score: cut where you like.",
    )
    if mode == "ID":
        share = controls.share("Share of ID accepted", key="accept")
        return metrics.threshold_at_tpr(id_scores, share)
    pooled = np.concatenate(ood_scores)
    if mode == "OOD":
        share = controls.share("Share of OOD rejected", key="reject")
        # The lowest score that has this share at or below it; the next number above rejects it.
        return float(np.nextafter(-metrics.threshold_at_tpr(-pooled, share), np.inf))
    low, high = (float(end) for end in np.quantile(np.r_[id_scores, pooled], (0.001, 0.999)))
    if high <= low:
        low, high = low - 1, high + 1
    default = metrics.threshold_at_tpr(id_scores, 0.95)
    return controls.number("Accept scores from", low, high, key="score", default=default)


def confusion(
    id_name: str,
    points: Mapping[str, metrics.OperatingPoint],
    groups: Mapping[str, str],
) -> pd.DataFrame:
    """Who lands on which side: one row for the ID set, one for each OOD set."""
    first = next(iter(points.values()))
    rows = [
        _row(f"{id_name} (test)", "ID", first.id_accepted, first.id_rejected, wrong=1 - first.tpr)
    ]
    rows += [
        _row(name, f"{groups[name]} OOD", point.ood_accepted, point.ood_rejected, wrong=point.fpr)
        for name, point in points.items()
    ]
    return pd.DataFrame(rows)


def _row(name: str, kind: str, accepted: int, rejected: int, *, wrong: float) -> dict[str, str]:
    return {
        "Set": name,
        "Kind": kind,
        "Samples": f"{accepted + rejected:,}",
        "Accepted as ID": f"{accepted:,}",
        "Rejected as OOD": f"{rejected:,}",
        "On the wrong side": f"{100 * wrong:.1f} %",
    }
