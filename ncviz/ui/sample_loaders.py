"""What the pages read about single samples: which there are, what the network makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from ncviz import metrics, xp
from ncviz.errors import MissingDataError, UnknownNameError
from ncviz.neighbours import Gallery
from ncviz.store import Epoch, Run
from ncviz.store.sample_sets import INPUTS
from ncviz.ui import loaders
from ncviz.ui.loaders import kept
from ncviz.ui.shared import freeze

_OF_SAMPLES = 512
_GALLERIES = 12
_ABSENT = (MissingDataError, UnknownNameError)


@st.cache_resource(max_entries=_OF_SAMPLES, show_spinner=False)
def _keep(_load: Callable, _run: Run, what: str, path: str, mark: str, arguments: tuple):
    return freeze(_load(_run, *arguments))


def kept_apart(load: Callable) -> Callable:
    """As `loaders.kept`, and leaving its room to what takes longer to load."""
    return kept(load, keep=_keep)


def shown_sets(run: Run) -> list[str]:
    """Full names of the sets that are scored: the ID test set first, then the OOD sets."""
    return [f"{run.id_set}/test", *(f"{name}/test" for name in run.ood_sets)]


@kept
def samples(run: Run) -> pd.DataFrame:
    """The cached samples by their sets: set, row (position in its set), index, label, key.

    Sets that are scored come first. A run that lists no samples has those of its last epoch, by
    their positions and without keys.
    """
    try:
        listed = run.samples
    except MissingDataError:
        listed = _unlisted(run)
    hashed = [name for name, info in run.sets.items() if info.identity == INPUTS]
    listed = listed.assign(key=listed["key"].mask(listed["set"].isin(hashed), ""))
    names = [*shown_sets(run), *listed["set"].unique()]
    order = {name: at for at, name in enumerate(dict.fromkeys(names))}
    listed = listed.assign(row=listed.groupby("set").cumcount())
    listed = listed.sort_values("set", key=lambda column: column.map(order), kind="stable")
    return listed.reset_index(drop=True)[["set", "row", "index", "label", "key"]]


def _unlisted(run: Run) -> pd.DataFrame:
    parts = []
    last = run.epoch(run.epochs[-1])
    for name in last.sets:
        try:
            found = last.features(name, run.layers[-1])
        except _ABSENT:
            continue
        labels = np.full(len(found), -1) if found.labels is None else found.labels
        index = np.arange(len(found))
        parts.append(pd.DataFrame({"set": name, "index": index, "label": labels, "key": ""}))
    if not parts:
        return pd.DataFrame(columns=["set", "index", "label", "key"])
    return pd.concat(parts, ignore_index=True)


def is_known(run: Run, set_name: str) -> bool:
    """Whether the samples of a set belong to the classes of the run."""
    return set_name.partition("/")[0] == run.id_set


def class_name(run: Run, set_name: str, label: int, key: str) -> str:
    """The class of a sample: the run's own, or what the path in a foreign set says."""
    if is_known(run, set_name) and 0 <= label < len(run.classes):
        return run.classes[label]
    folders = key.split("/")[:-1]
    return folders[-1] if folders else set_name.partition("/")[0]


@dataclass(frozen=True)
class Outputs:
    """What the network says about the N samples of a set: the class, and how surely (softmax)."""

    predicted: np.ndarray
    confidence: np.ndarray


@kept_apart
def outputs(run: Run, epoch: int, set_name: str) -> Outputs | None:
    """The network's predictions at an epoch; None where there are none."""
    try:
        logits = run.epoch(epoch).features(set_name, run.layers[-1]).logits
    except _ABSENT:
        return None
    if not logits.shape[1]:
        return None
    return Outputs(logits.argmax(axis=1), xp.largest_probability(logits))


@dataclass(frozen=True)
class History:
    """A detector's scores of a set at the E epochs that have them.

    Attributes
    ----------
    scores, percentiles : (E, N) float32; percentile among the ID test samples, in [0, 1]
    accepted : (E, N) bool, at or above the threshold that accepts 95% of the ID test samples
    """

    epochs: tuple[int, ...]
    scores: np.ndarray
    percentiles: np.ndarray
    accepted: np.ndarray


@kept
def histories(run: Run, layer: str, detector: str) -> dict[str, History]:
    """Scores by the full name of a set; empty where the detector has scored nothing."""
    found: dict[str, list[tuple]] = {}
    for number in run.epochs:
        known = known_scores(run, number, layer).get(detector)
        if known is None:
            continue
        threshold = metrics.threshold_at_tpr(known)
        for name, kept_scores in scores_at(run.epoch(number), layer, detector)[detector].items():
            scores = kept_scores.astype(np.float64)
            row = (number, scores, metrics.percentiles(scores, known), scores >= threshold)
            found.setdefault(name, []).append(row)
    return {name: _history(rows) for name, rows in found.items()}


def _history(rows: Sequence[tuple]) -> History:
    # While a set is extracted anew, epochs with another number of samples cannot be followed.
    count = len(rows[-1][1])
    epochs, scores, shares, accepted = zip(
        *(row for row in rows if len(row[1]) == count), strict=True
    )
    return History(
        epochs,
        np.array(scores, np.float32),
        np.array(shares, np.float32),
        np.array(accepted),
    )


def scores_at(epoch: Epoch, layer: str, detector: str = "") -> dict[str, dict[str, np.ndarray]]:
    """`Epoch.layer_scores`; empty where nothing was evaluated."""
    try:
        return epoch.layer_scores(layer, detector)
    except _ABSENT:
        return {}


@kept_apart
def known_scores(run: Run, epoch: int, layer: str) -> dict[str, np.ndarray]:
    """Return the increasing scores (n,) of all ID test samples by detector."""
    found, name = run.epoch(epoch), f"{run.id_set}/test"
    return {
        detector: found.distribution(detector, "test", layer)
        for detector, by_set in scores_at(found, layer).items()
        if name in by_set
    }


def scored_layer(run: Run, epoch: int, layer: str, detector: str | None) -> str | None:
    """`layer` if the detector has scored it at the epoch, else the last of the run's that it has.

    None where it has scored none.
    """
    for each in dict.fromkeys((layer, *reversed(run.layers))) if detector else ():
        known = histories(run, each, detector).get(f"{run.id_set}/test")
        if known is not None and epoch in known.epochs:
            return each
    return None


def gallery(run: Run, epoch: int, layer: str, *, training: bool) -> Gallery:
    """The cached training samples, or those of the ID test set and the OOD sets."""
    sets = (f"{run.id_set}/train",) if training else tuple(shown_sets(run))
    mark = loaders.state(run)
    return _gallery(run.epoch(epoch), str(run.path), epoch, layer, sets, mark)


@st.cache_resource(max_entries=_GALLERIES, show_spinner=False)
def _gallery(
    _epoch: Epoch, path: str, number: int, layer: str, sets: tuple[str, ...], mark: str
) -> Gallery:
    return freeze(read_gallery(_epoch, layer, sets))


def feature(run: Run, epoch: int, layer: str, set_name: str, row: int) -> np.ndarray:
    """(D,) features of one cached sample.

    Raises
    ------
    MissingDataError : the epoch does not have them.
    """
    training = set_name == f"{run.id_set}/train"
    found = gallery(run, epoch, layer, training=training)
    number = found.set_names.index(set_name) if set_name in found.set_names else -1
    at = np.flatnonzero((found.sets == number) & (found.positions == row))
    if not len(at):
        raise MissingDataError(
            f"Epoch {epoch} of {run.name} has no features of {set_name}. {run.how_to_extract()}"
        )
    return found.features[at[0]]


def read_gallery(epoch: Epoch, layer: str, sets: Sequence[str]) -> Gallery:
    """The cached samples of `sets` (full names) at `layer`, as far as these were extracted.

    Raises
    ------
    MissingDataError : none was extracted.
    """
    if epoch.run.without_features:
        raise MissingDataError(epoch.run.without_features)
    names = tuple(name for name in sets if name in epoch.sets)
    if not names:
        raise MissingDataError(
            f"Epoch {epoch.number} of {epoch.run.name} has no features of {', '.join(sets)}. "
            f"{epoch.run.how_to_extract()}"
        )
    found = [epoch.features(name, layer) for name in names]
    sizes = [len(samples) for samples in found]
    return Gallery(
        features=np.concatenate([samples.features for samples in found]),
        set_names=names,
        sets=np.repeat(np.arange(len(names)), sizes),
        positions=np.concatenate([np.arange(size) for size in sizes]),
        labels=np.concatenate(
            [
                np.full(len(each), -1) if each.labels is None else each.labels.astype(np.int64)
                for each in found
            ]
        ),
        keys=np.concatenate(
            [_keys(epoch, name, size) for name, size in zip(names, sizes, strict=True)]
        ),
    )


def _keys(epoch: Epoch, name: str, size: int) -> np.ndarray:
    try:
        samples = epoch.run.samples
    except MissingDataError:
        return np.full(size, "", dtype=object)
    keys = samples.loc[samples["set"] == name, "key"].to_numpy(dtype=object)
    # Features without their list of samples still tell how near they are.
    return keys if len(keys) == size else np.full(size, "", dtype=object)
