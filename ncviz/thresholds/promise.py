"""What a threshold promises about new ID samples, in one sentence."""

from __future__ import annotations

from ncviz.thresholds.conformal import rejected_share
from ncviz.thresholds.operating import Criterion


def promise(criterion: Criterion, samples: int) -> str:
    """Return the sentence about the share of new ID samples that a threshold rejects.

    Empty for rules that promise no share of ID samples.

    Parameters
    ----------
    samples : number of ID samples that the threshold was chosen on

    Examples
    --------
    >>> print(promise(Criterion(), 1500))
    95% of ID accepted: with 1,500 samples the true rejected share lies between 4.1% and 6.0% \
(90% confidence).
    """
    if criterion.needs_ood:
        return ""
    found = rejected_share(samples, criterion.share)
    return (
        f"{criterion}: with {samples:,} {'sample' if samples == 1 else 'samples'} the true "
        f"rejected share lies between {found.low:.1%} and {found.high:.1%} "
        f"({found.confidence:.0%} confidence)."
    )
