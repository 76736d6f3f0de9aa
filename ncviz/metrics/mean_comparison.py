"""Paired test of the difference of two AUROCs averaged over OOD sets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ncviz.errors import InvalidArrayError
from ncviz.metrics.comparison import PairedTest, _compare, placements
from ncviz.metrics.estimates import CorrelatedEstimate, mean_estimate
from ncviz.metrics.intervals import detection_estimates


def delong_of_means(
    first_id: np.ndarray,
    first_ood: Mapping[str, np.ndarray],
    second_id: np.ndarray,
    second_ood: Mapping[str, np.ndarray],
) -> PairedTest:
    """Compare the mean AUROC over OOD sets of two scores of the SAME samples.

    DeLong's test, extended to a mean over sets that share the ID samples: an ID sample contributes
    the mean of its placements among all OOD sets, so its effect on all of them is counted once.
    OOD sets are independent of each other. With one set this is `delong`.

    Parameters
    ----------
    first_id, second_id : (N,) scores of the ID samples by both, in the same order
    first_ood, second_ood : (M,) scores of each OOD set by both, by name, in the same order

    Raises
    ------
    InvalidArrayError
        If the sets or their numbers of samples differ, there is no set, or a set has fewer than
        two samples or scores that are NaN or infinite.

    Notes
    -----
    E. R. DeLong et al., Biometrics 44, 1988.
    """
    if first_ood.keys() != second_ood.keys() or not first_ood:
        raise InvalidArrayError(
            "A paired test of means requires two scores of the same OOD sets, at least one; got "
            f"{', '.join(first_ood) or 'none'} and {', '.join(second_ood) or 'none'}."
        )
    found = []
    for ids, oods in ((first_id, first_ood), (second_id, second_ood)):
        by_set = {name: placements(ids, scores) for name, scores in oods.items()}
        known = np.mean([of_id for of_id, _ in by_set.values()], axis=0)
        found.append((known, {name: of_ood for name, (_, of_ood) in by_set.items()}))
    (one, one_ood), (two, two_ood) = found
    if one.shape != two.shape or any(len(one_ood[n]) != len(two_ood[n]) for n in one_ood):
        raise InvalidArrayError(
            "A paired test of means requires scores of the same samples; their numbers differ."
        )
    variance = np.var(one - two, ddof=1) / len(one)
    variance += (
        sum(np.var(one_ood[name] - two_ood[name], ddof=1) / len(one_ood[name]) for name in one_ood)
        / len(one_ood) ** 2
    )
    estimates = (_mean(first_id, first_ood), _mean(second_id, second_ood))
    return _compare([one], [two], float(variance), estimates, few=True)


def _mean(id_scores: np.ndarray, ood_scores: Mapping[str, np.ndarray]) -> CorrelatedEstimate:
    return mean_estimate(
        [
            detection_estimates(id_scores, scores, metrics=("auroc",), ood_name=name)["auroc"]
            for name, scores in ood_scores.items()
        ]
    )
