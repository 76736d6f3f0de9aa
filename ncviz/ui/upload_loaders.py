"""What the Upload page keeps for all its readers: networks, and what their detectors say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ncviz.errors import MissingDataError
from ncviz.store import Epoch, Run
from ncviz.thresholds import Criterion
from ncviz.ui import loaders

# Importing them loads torch, which a page without an image does without.
if TYPE_CHECKING:
    from ncviz.inference.scorer import Scorer

_NETWORKS = 6


def scorer(run: Run, epoch: int, layer: str) -> Scorer:
    """The network of an epoch with its fitted detectors, the same for all readers."""
    return _scorer(run.epoch(epoch), str(run.path), epoch, layer, loaders.state(run))


@st.cache_resource(max_entries=_NETWORKS, show_spinner="Loading the network and its detectors")
def _scorer(_epoch: Epoch, path: str, number: int, layer: str, mark: str) -> Scorer:
    from ncviz.inference.scorer import Scorer

    return Scorer.load(_epoch, layer)


def thresholds(run: Run, epoch: int, layer: str, criterion: Criterion) -> dict[str, float]:
    """Return the threshold of every detector."""
    place = (str(run.path), epoch, layer, loaders.state(run))
    return _thresholds(scorer(run, epoch, layer), place, criterion)


@st.cache_resource(max_entries=64, show_spinner=False)
def _thresholds(_scorer: Scorer, place: tuple, criterion: Criterion) -> dict[str, float]:
    reference = _scorer.reference
    return {name: reference.threshold(name, criterion).value for name in reference.names}


def judges(run: Run, epoch: int, layer: str) -> tuple[str, ...]:
    """Detectors that can be asked, in the registry's order; none where nothing was evaluated."""
    return _judges(run.epoch(epoch), str(run.path), epoch, layer, loaders.state(run))


@st.cache_resource(max_entries=64, show_spinner=False)
def _judges(_epoch: Epoch, path: str, number: int, layer: str, mark: str) -> tuple[str, ...]:
    try:
        return _epoch.judges(layer)
    except MissingDataError:
        return ()
