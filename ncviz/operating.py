"""Where to cut a score by a named rule, and how unusual a score is among known ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ncviz.errors import InvalidOptionError, UnknownNameError
from ncviz.metrics import threshold_at_tpr

RULES = ("id95", "ood5")
"""id95: accept 95 % of the ID test set. ood5: accept at most 5 % of the OOD samples."""
_SHARE = 0.95


def threshold(rule: str, known: np.ndarray, unknown: np.ndarray) -> float:
    """The operating point: samples with a score of at least this count as known.

    Parameters
    ----------
    rule : one of `RULES`
    known, unknown : (N,), (M,) scores of ID and OOD samples, higher = more in-distribution

    Raises
    ------
    UnknownNameError : no such rule.
    InvalidOptionError : a rule about OOD samples where there are none.
    """
    if rule not in RULES:
        raise UnknownNameError("rule", rule, RULES)
    if rule == "id95":
        return threshold_at_tpr(known, _SHARE)
    if not len(unknown):
        raise InvalidOptionError(
            f"Rule '{rule}' is about OOD samples, and there are none. Use the rule id95."
        )
    # The lowest score that has this share at or below it; the next number above rejects it.
    return float(np.nextafter(-threshold_at_tpr(-unknown, _SHARE), np.inf))


def p_values(known: np.ndarray, scores: Sequence[float] | np.ndarray) -> np.ndarray:
    """Conformal p-values (B,) of scores, small where hardly any known score is as low.

    (1 + number of known scores that are as low or lower) / (1 + N). For a sample from where the
    known ones come from, which is none of them, P(p <= a) <= a for every a (Vovk et al., 2005).

    Parameters
    ----------
    known : (N,) scores of samples that no detector was fitted to
    scores : (B,)
    """
    return (1 + np.searchsorted(np.sort(known), scores, side="right")) / (1 + len(known))
