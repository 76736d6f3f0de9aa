"""Selective classification: the risk of accepting samples from the highest confidence downwards."""

from __future__ import annotations

import numpy as np

from ncviz.definitions import MetricInfo, by_name
from ncviz.errors import InvalidArrayError
from ncviz.metrics.ranking import require_scores


def aurc(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Return the area under the risk-coverage curve; lower is better.

    The risk at k is the share of failures among the k most confident samples. AURC is its mean over
    k = 1 to N. Samples of equal confidence are accepted in random order and the mean over all their
    orders is returned, so the order of the input does not matter.

    Parameters
    ----------
    confidence : (N,) finite numbers, N >= 1, higher = more confident
    correct : (N,) bool, False for failures

    Raises
    ------
    InvalidArrayError
        If shapes differ, `correct` is not bool, or confidences are empty, NaN or infinite.

    References
    ----------
    Geifman and El-Yaniv, NeurIPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> aurc(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, True, False]))
    0.0625
    """
    failures = _accepted_failures(confidence, correct)
    return float(np.mean(failures / np.arange(1, len(failures) + 1)))


def augrc(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Return the area under the generalized risk-coverage curve; lower is better.

    The generalized risk at k is the number of failures among the k most confident samples divided
    by N. AUGRC is its mean over k = 1 to N: the average risk of undetected failures. Ties are
    handled as in `aurc`.

    Parameters
    ----------
    confidence : (N,) finite numbers, N >= 1, higher = more confident
    correct : (N,) bool, False for failures

    Raises
    ------
    InvalidArrayError
        As for `aurc`.

    References
    ----------
    Traub et al., NeurIPS 2024 (arXiv 2407.01032).

    Examples
    --------
    >>> import numpy as np
    >>> augrc(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, True, False]))
    0.0625
    """
    failures = _accepted_failures(confidence, correct)
    return float(np.mean(failures) / len(failures))


def ood_risks(
    id_scores: np.ndarray, ood_scores: np.ndarray, id_correct: np.ndarray | None = None
) -> dict[str, float]:
    """Return AURC and AUGRC of ID and OOD samples together, by the names in `RISK_DEFINITIONS`.

    Accepted OOD samples are failures. In selective classification with OOD detection (SCOD),
    misclassified ID samples are failures as well.

    Parameters
    ----------
    id_scores, ood_scores : (N,), (M,) finite numbers, at least one of each, higher = more ID
    id_correct : (N,) bool, whether each ID sample is classified correctly; None if unknown, which
        makes the SCOD values NaN

    Raises
    ------
    InvalidArrayError
        As for `aurc`.
    """
    ids, oods = require_scores(id_scores, "ID"), require_scores(ood_scores, "OOD")
    scores = np.concatenate([ids, oods])
    rejected = np.zeros(len(oods), bool)
    correct = np.concatenate([np.ones(len(ids), bool), rejected])
    found = {"aurc": aurc(scores, correct), "augrc": augrc(scores, correct)}
    if id_correct is None:
        return found | {"scod_aurc": float("nan"), "scod_augrc": float("nan")}
    _require_correct(id_correct, ids)
    correct = np.concatenate([id_correct, rejected])
    return found | {"scod_aurc": aurc(scores, correct), "scod_augrc": augrc(scores, correct)}


def _accepted_failures(confidence: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """(N,) expected failures among the k most confident samples, for k = 1 to N."""
    confidence = require_scores(confidence, "Confidence")
    _require_correct(correct, confidence)
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    # Within a group of equal confidence the expected number of failures grows linearly.
    ends = np.r_[np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, len(ordered)]
    failures = np.cumsum(~np.asarray(correct)[order])
    return np.interp(np.arange(1, len(ordered) + 1), np.r_[0, ends], np.r_[0, failures[ends - 1]])


def _require_correct(correct: np.ndarray, confidence: np.ndarray) -> None:
    correct = np.asarray(correct)
    if correct.shape != confidence.shape or correct.dtype != bool:
        raise InvalidArrayError(
            "Whether predictions are correct must be one true or false for each sample, "
            f"({len(confidence):,},) bool; got {correct.shape} {correct.dtype}."
        )


_RISK = r"\tfrac1n\sum_{k=1}^{n}\tfrac1k\sum_{i\le k} w_i"
_GENERALIZED_RISK = r"\tfrac1{n^2}\sum_{k=1}^{n}\sum_{i\le k} w_i"
_GEIFMAN = "Geifman and El-Yaniv, NeurIPS 2017"
_TRAUB = "Traub et al., NeurIPS 2024 (arXiv 2407.01032)"
_OOD_FAILURES = "Failures are OOD samples; errors of the classifier do not count."
_ALL_FAILURES = "Failures are OOD samples and misclassified ID samples."
_ID_FAILURES = "Failures are misclassified ID samples; there are no OOD samples."
_SIZES = "Depends on the numbers of samples of both sets. Ties are accepted in random order."
_AURC = (
    "Share of failures among the accepted samples, averaged over all numbers of accepted samples."
)
_AUGRC = (
    "Accepted failures as a share of all samples, averaged over all numbers of accepted samples."
)


def _info(name: str, label: str, definition: str, failures: str, caveat: str) -> MetricInfo:
    generalized = "augrc" in name
    return MetricInfo(
        name,
        label,
        "detection",
        f"{definition} {failures}",
        _GENERALIZED_RISK if generalized else _RISK,
        None,
        "",
        "lower",
        _TRAUB if generalized else _GEIFMAN,
        caveat,
    )


RISK_DEFINITIONS: dict[str, MetricInfo] = by_name(
    (
        _info("aurc", "AURC (OOD)", _AURC, _OOD_FAILURES, _SIZES),
        _info(
            "augrc",
            "AUGRC (OOD)",
            _AUGRC,
            _OOD_FAILURES,
            "A linear function of AUROC for given numbers of samples.",
        ),
        _info("scod_aurc", "AURC (SCOD)", _AURC, _ALL_FAILURES, _SIZES),
        _info("scod_augrc", "AUGRC (SCOD)", _AUGRC, _ALL_FAILURES, _SIZES),
    ),
    needs="scores of ID and of OOD samples; with SCOD also predictions and labels of ID samples",
)
"""Risks of selective classification with OOD samples, as `ood_risks` names them."""

MISCLASSIFICATION_DEFINITIONS: dict[str, MetricInfo] = by_name(
    (
        _info(
            "misclassification_aurc",
            "AURC (misclassification)",
            _AURC,
            _ID_FAILURES,
            "A network with fewer errors has a lower value, however it ranks them.",
        ),
        _info(
            "misclassification_augrc",
            "AUGRC (misclassification)",
            _AUGRC,
            _ID_FAILURES,
            "A network with fewer errors has a lower value, however it ranks them.",
        ),
    ),
    needs="scores, predictions and labels of ID samples",
)
"""Risks of selective classification without OOD samples: how well a score finds errors."""
