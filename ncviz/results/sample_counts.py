"""How many samples the results of a run are computed from, and how many are kept for inspection."""

from __future__ import annotations

from ncviz.errors import MissingDataError
from ncviz.store import Run


def computed_on(run: Run) -> str:
    """Return the counts of ID samples in one phrase; empty where the run does not state them.

    For example "computed on 10,000 test and 50,000 training samples; 700 kept for inspection", or
    "computed on 1,500 of 10,000 test samples" where extraction took a part of the set.
    """
    parts = []
    for split, word in (("test", "test"), ("train", "training")):
        info = run.sets.get(f"{run.id_set}/{split}")
        if info is None or not info.samples:
            continue
        whole = "" if info.samples == info.available else f" of {info.available:,}"
        parts.append(f"{info.samples:,}{whole} {word}")
    if not parts:
        return ""
    kept = f"; {_kept(run):,} kept for inspection" if run.packed else ""
    return f"computed on {' and '.join(parts)} samples{kept}"


def _kept(run: Run) -> int:
    """Number of ID test samples that a packed run keeps."""
    try:
        samples = run.samples
    except MissingDataError:
        return 0
    return int((samples["set"] == f"{run.id_set}/test").sum())
