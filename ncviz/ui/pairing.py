"""Samples that two runs have in common: only these are compared one by one."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ncviz.errors import NcvizError
from ncviz.store import Run
from ncviz.store.sample_sets import INPUTS, NO_IDENTITY
from ncviz.ui import loaders
from ncviz.ui.loaders import kept

MIN_SAMPLES = 2
"""Fewest samples of a set that a paired test takes."""


def _nothing() -> np.ndarray:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class SharedSamples:
    """Samples of one set that two runs keep, with scores of both.

    Attributes
    ----------
    rows, others : (M,) positions among the kept samples of the first and of the second run
    """

    rows: np.ndarray = field(default_factory=_nothing)
    others: np.ndarray = field(default_factory=_nothing)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def suffice(self) -> bool:
        """Whether there are enough for a paired test."""
        return len(self) >= MIN_SAMPLES

    def are_all_of(self, run: Run, other: Run, full_name: str) -> bool:
        """Return whether both runs keep exactly these samples, in the same order."""
        counts = {len(loaders.sample_indices(each, full_name)) for each in (run, other)}
        return counts == {len(self)} and np.array_equal(self.rows, self.others)


def full_name(run: Run, name: str) -> str:
    """Return the full name of ``"test"``, the ID test set, or of an OOD set."""
    return f"{run.id_set}/test" if name == "test" else f"{name}/test"


def shared_samples(run: Run, other: Run, name: str) -> SharedSamples:
    """Return the samples of ``"test"`` or of an OOD set that both runs keep, in one order.

    Samples are the same only if their sets have an identity that says so: the same keys, or hashes
    of the network's inputs. Equal labels do not suffice.
    """
    mine, theirs = full_name(run, name), full_name(other, name)
    if run == other:
        rows = np.arange(len(loaders.sample_indices(run, mine)))
        return SharedSamples(rows, rows)
    if mine != theirs or not _identify_the_same(run, other, mine):
        return SharedSamples()
    keys = _keys(run, mine), _keys(other, mine)
    if any(each is None for each in keys):
        return SharedSamples()
    _, rows, others = np.intersect1d(*keys, assume_unique=True, return_indices=True)
    order = np.argsort(rows)
    return SharedSamples(rows[order], others[order])


def paired_sets(run: Run, other: Run) -> list[str]:
    """Return the OOD sets of which both runs keep the same samples, as of the ID test set."""
    if not shared_samples(run, other, "test").suffice:
        return []
    common = (name for name in run.ood_sets if name in other.ood_sets)
    return [name for name in common if shared_samples(run, other, name).suffice]


def have_identity(run: Run, other: Run) -> bool:
    """Return whether the ID test samples of both runs can be told apart."""
    sets = (each.sets.get(full_name(each, "test")) for each in (run, other))
    return all(each is not None and each.identity != NO_IDENTITY for each in sets)


def why_unpaired(run: Run, other: Run) -> str:
    """Return a sentence on why no samples of two runs are paired."""
    if have_identity(run, other):
        return "The two sides scored different samples: unpaired tests."
    return (
        "The samples have no identity that shows whether both sides scored the same ones: unpaired "
        "tests. An import identifies samples by an array `keys` or `inputs`."
    )


def _identify_the_same(run: Run, other: Run, name: str) -> bool:
    mine, theirs = run.sets.get(name), other.sets.get(name)
    if mine is None or theirs is None:
        return False
    if mine.has_same_samples(theirs):
        return True
    if mine.identity != theirs.identity or mine.identity == NO_IDENTITY:
        return False
    # Hashes of inputs identify samples of different selections. Keys may be mere numbers, so all of
    # them have to agree, in any order.
    return mine.identity == INPUTS or _have_equal_keys(run, other, name)


def _have_equal_keys(run: Run, other: Run, name: str) -> bool:
    keys = _keys(run, name), _keys(other, name)
    kept_all = all(
        own is not None and len(own) == each.sets[name].samples
        for own, each in zip(keys, (run, other), strict=True)
    )
    return kept_all and np.array_equal(*map(np.sort, keys))


@kept
def _keys(run: Run, name: str) -> np.ndarray | None:
    """Return (N,) keys of the kept samples of a set; None if they are not listed or not unique."""
    try:
        samples = run.samples
    except NcvizError:
        return None
    keys = samples.loc[samples["set"] == name, "key"].to_numpy(str)
    return keys if len(np.unique(keys)) == len(keys) else None
