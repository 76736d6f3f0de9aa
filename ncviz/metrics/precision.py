"""When a metric and its interval are approximate: few samples, or a value near 0 or 1."""

from __future__ import annotations

MIN_SAMPLES = 100
"""Samples of the smaller set below which results are marked."""
MIN_EVENTS = 5
"""Samples that must be on either side: 5 of the smaller set of 300 is a value below 0.983."""
MARK = "≈"
"""Mark in front of a marked value."""
EXPLANATION = (
    f"{MARK} approximate: fewer than {MIN_SAMPLES} samples in a set, or a value so close to 0 or 1 "
    f"that fewer than {MIN_EVENTS} samples of the smaller set decide it."
)
"""Explanation of the mark for captions."""


def reliability_note(value: float, id_samples: int, ood_samples: int) -> str:
    """Return why a metric between 0 and 1 is approximate; empty where it is not.

    Parameters
    ----------
    value : the metric, such as an AUROC or FPR95
    id_samples, ood_samples : numbers of samples that it was computed from

    Examples
    --------
    >>> reliability_note(0.9, 10_000, 300)
    ''
    >>> reliability_note(0.9, 1_500, 30)
    'small sample: 30'
    >>> reliability_note(0.99, 1_500, 300)
    'extreme value: fewer than 5 of 300 samples decide it'
    """
    fewest = min(id_samples, ood_samples)
    if fewest < MIN_SAMPLES:
        return f"small sample: {fewest:,}"
    if fewest * min(value, 1 - value) < MIN_EVENTS:
        return f"extreme value: fewer than {MIN_EVENTS} of {fewest:,} samples decide it"
    return ""
