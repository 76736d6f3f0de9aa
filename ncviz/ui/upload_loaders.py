"""What the Upload page keeps for all its readers: networks, samples and their pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from ncviz.errors import MissingDataError, NcvizError
from ncviz.store import Epoch, Run
from ncviz.thresholds import Costs
from ncviz.ui import loaders

# Importing them loads torch, which a page without an image does without.
if TYPE_CHECKING:
    from ncviz.inference.neighbours import Gallery
    from ncviz.inference.scorer import Scorer

_NETWORKS, _PICTURES = 6, 2000


def scorer(run: Run, epoch: int, layer: str) -> Scorer:
    """The network of an epoch with its fitted detectors, the same for all readers."""
    return _scorer(run.epoch(epoch), str(run.path), epoch, layer, loaders.stamp(run.path))


@st.cache_resource(max_entries=_NETWORKS, show_spinner="Loading the network and its detectors")
def _scorer(_epoch: Epoch, path: str, number: int, layer: str, mark: str) -> Scorer:
    from ncviz.inference.scorer import Scorer

    return Scorer.load(_epoch, layer)


def thresholds(run: Run, epoch: int, layer: str, rule: str, costs: Costs) -> dict[str, float]:
    """The operating point of every detector by `rule`."""
    place = (str(run.path), epoch, layer, loaders.stamp(run.path))
    return _thresholds(scorer(run, epoch, layer), place, rule, costs)


@st.cache_resource(max_entries=64, show_spinner=False)
def _thresholds(_scorer: Scorer, place: tuple, rule: str, costs: Costs) -> dict[str, float]:
    reference = _scorer.reference
    return {name: reference.threshold(name, rule, costs) for name in reference.names}


def gallery(run: Run, epoch: int, layer: str, *, training: bool) -> Gallery:
    """The cached training samples, or those of the ID test set and the OOD sets."""
    sets = (f"{run.id_set}/train",)
    if not training:
        sets = (f"{run.id_set}/test", *(f"{name}/test" for name in run.ood_sets))
    mark = loaders.stamp(run.path)
    return _gallery(run.epoch(epoch), str(run.path), epoch, layer, sets, mark)


@st.cache_resource(max_entries=2 * _NETWORKS, show_spinner=False)
def _gallery(
    _epoch: Epoch, path: str, number: int, layer: str, sets: tuple[str, ...], mark: str
) -> Gallery:
    from ncviz.inference.neighbours import read_gallery

    return read_gallery(_epoch, layer, sets)


def judges(run: Run, epoch: int, layer: str) -> tuple[str, ...]:
    """Detectors that can be asked, in the registry's order; none where nothing was evaluated."""
    return _judges(run.epoch(epoch), str(run.path), epoch, layer, loaders.stamp(run.path))


@st.cache_resource(max_entries=64, show_spinner=False)
def _judges(_epoch: Epoch, path: str, number: int, layer: str, mark: str) -> tuple[str, ...]:
    try:
        return _epoch.judges(layer)
    except MissingDataError:
        return ()


def picture(set_name: str, key: str) -> np.ndarray | str:
    """The picture of a cached sample as RGB, or why there is none."""
    from ncviz.data import data_root

    if not key:
        return "The run does not say which image this is."
    return _picture(set_name, key, str(data_root()))


@st.cache_resource(max_entries=_PICTURES, show_spinner=False)
def _picture(set_name: str, key: str, root: str) -> np.ndarray | str:
    from ncviz.data import open_image

    name, _, split = set_name.partition("/")
    try:
        image = open_image(name, split, key, root=Path(root))
    except NcvizError as error:
        return str(error)
    image.thumbnail((256, 256))
    return np.asarray(image)
