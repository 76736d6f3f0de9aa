"""Which samples a reader has chosen: one state for all pages, in the address while it is short.

A sample is named by its set and its index there. The selection applies to another run only if the
identity of its samples shows that they are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

import numpy as np
import streamlit as st

from ncviz.store import Run
from ncviz.ui import loaders

SELECTED, SAMPLE = "selected", "sample"
_LONGEST = 400  # letters of a choice in the address; mail programs break longer ones
_FIRST = "_address_was_read"
_MOST = 100_000  # samples that an address may name


@dataclass(frozen=True)
class Selection:
    """Samples by set.

    Attributes
    ----------
    samples : increasing indices in each set, by its full name such as ``cifar100/test``
    words : how they were chosen, for the reader; empty where they came with the address
    sources : what the samples of each set are, see `source_of`; a set without one is not known
    """

    samples: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    words: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self.samples.values()))

    def __str__(self) -> str:
        """As the address has it: ``cifar100/test:3,17,20-25;mnist/test:4``."""
        return ";".join(
            f"{quote(name, safe='/')}:{_ranges(indices)}" for name, indices in self.samples.items()
        )

    @classmethod
    def parse(cls, text: str, run: Run | None = None) -> Selection:
        """Return what `str` wrote, of samples of `run`; parts that mean nothing are left out."""
        samples: dict[str, tuple[int, ...]] = {}
        for part in text.split(";"):
            name, _, ranges = part.rpartition(":")
            indices = _indices(ranges)
            if name and indices:
                samples[unquote(name)] = indices
        return cls(samples, sources={name: source_of(run, name) for name in samples if run})

    def rows(self, run: Run, set_name: str) -> np.ndarray:
        """Positions of the chosen samples among those of a set that `run` has cached."""
        chosen = self.samples.get(set_name, ())
        if not chosen or self.sources.get(set_name) not in (None, source_of(run, set_name)):
            return np.zeros(0, dtype=np.int64)
        return np.flatnonzero(np.isin(loaders.sample_indices(run, set_name), chosen))


def source_of(run: Run, set_name: str) -> str:
    """Return what the samples of a set are: their identity, or the run where they have none."""
    info = run.sets.get(set_name)
    return info.digest if info is not None and info.identity else run.name


def current() -> Selection:
    """The chosen samples; none at the start."""
    _read_address()
    return st.session_state.get(SELECTED, Selection())


def select(run: Run, rows: Mapping[str, Iterable[int]], words: str) -> None:
    """Choose samples by their positions among those of each set that `run` has cached."""
    samples = {}
    for name, positions in rows.items():
        found = np.unique(np.asarray(list(positions), dtype=np.int64))
        if len(found):
            indices = loaders.sample_indices(run, name)[found]
            samples[name] = tuple(sorted(map(int, indices)))
    sources = {name: source_of(run, name) for name in samples}
    st.session_state[SELECTED] = Selection(samples, words, sources)


def clear() -> None:
    """Choose no sample, and look at none."""
    st.session_state[SELECTED] = Selection()
    st.session_state[SAMPLE] = None


def look_at(run: Run, set_name: str, row: int) -> None:
    """Look closely at one sample, given by its position among those that `run` has cached."""
    index = int(loaders.sample_indices(run, set_name)[row])
    sources = {set_name: source_of(run, set_name)}
    st.session_state[SAMPLE] = Selection({set_name: (index,)}, sources=sources)


def looked_at(run: Run) -> tuple[str, int] | None:
    """The set and position of the sample that is looked at; None where `run` has it not."""
    _read_address()
    sample = st.session_state.get(SAMPLE)
    for name in sample.samples if sample else ():
        rows = sample.rows(run, name)
        if len(rows):
            return name, int(rows[0])
    return None


def look_away() -> None:
    """Look closely at no sample."""
    st.session_state[SAMPLE] = None


def keep_in_address() -> None:
    """Write both choices into the address, a long one not; comes after a page has been drawn."""
    _read_address()
    for key in (SELECTED, SAMPLE):
        text = str(st.session_state.get(key) or "")
        if text and len(text) <= _LONGEST:
            st.query_params[key] = text
        elif key in st.query_params:
            del st.query_params[key]


def in_address() -> bool:
    """Whether the address leads another reader to the chosen samples."""
    return len(str(current())) <= _LONGEST


def _read_address() -> None:
    """At the first look of a session, choose what its address names."""
    if st.session_state.get(_FIRST):
        return
    st.session_state[_FIRST] = True
    run = loaders.listing().runs.get(st.query_params.get("run", ""))
    for key in (SELECTED, SAMPLE):
        found = Selection.parse(st.query_params.get(key, ""), run)
        if found.samples:
            st.session_state[key] = found


def _ranges(indices: Iterable[int]) -> str:
    """``3,17,20-25`` of increasing numbers."""
    array = np.asarray(list(indices))
    runs = np.split(array, np.flatnonzero(np.diff(array) > 1) + 1)
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _indices(text: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        ends = (first, last or first)
        # Nine digits at most: Python refuses to read thousands of them.
        if not all(end.isascii() and end.isdigit() and len(end) <= 9 for end in ends):
            continue
        low, high = map(int, ends)
        if high - low < _MOST - len(found):
            found.update(range(low, high + 1))
    return tuple(sorted(found))
