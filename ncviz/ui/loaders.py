"""What pages read from runs: cached by the files' names, times and sizes, never to be changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from ncviz import metrics, store
from ncviz.errors import MissingDataError, NcvizError, UnknownNameError
from ncviz.figures.maps import GROUPS, MapFrames, pack
from ncviz.results import sample_counts, tables
from ncviz.results.fitted import left_out_sentences
from ncviz.results.geometry import Geometry, measure_geometry
from ncviz.results.maps import MapSeries, read_maps
from ncviz.results.trade_off import layer_table
from ncviz.store import Epoch, Listing, Run, list_runs
from ncviz.thresholds import SetScores
from ncviz.ui.shared import freeze, hand_out

CURVE_POINTS = 400


def listing() -> Listing:
    """All runs of the checkpoints folder, and those that cannot be opened."""
    return list_runs()


_stamps = threading.local()


def look_again() -> None:
    """Forget which files were seen: each drawing of a page looks once, in a thread of its own."""
    _stamps.seen, _stamps.loaded = {}, {}


def stamp(folder: Path) -> str:
    """Which state the files of the run in `folder` are in, as this drawing of the page saw it."""
    seen = _stamps.__dict__.get("seen")
    if seen is None:  # a thread that draws nothing, such as one that makes a file to be saved
        return store.stamp(folder)
    if folder not in seen:
        seen[folder] = store.stamp(folder)
    return seen[folder]


def state(run: Run) -> str:
    """What is kept of a run is kept for: its files, and what `run` knows of them already."""
    return f"{stamp(run.path)} {run.known}"


def changed() -> list[str]:
    """Names of the runs whose files are in another state than this drawing of the page saw."""
    seen = _stamps.__dict__.get("seen", {})
    return [folder.name for folder, mark in seen.items() if store.stamp(folder) != mark]


@st.cache_resource(max_entries=256, show_spinner=False)
def _keep(_load: Callable, _run: Run, what: str, path: str, mark: str, arguments: tuple):
    return freeze(_load(_run, *arguments))


def kept(load: Callable, *, keep: Callable = _keep) -> Callable:
    """Keep what `load(run, *arguments)` returns for as long as the run's files stay the same.

    A drawing that asks again gets it without asking the cache, which takes a while to find it.
    `keep` is the cache; what has very many arguments takes one of its own.
    """

    @wraps(load)
    def cached(run: Run, *arguments):
        place = (load, run.path, run.known, arguments)
        loaded = _stamps.__dict__.get("loaded", {})
        if place not in loaded:
            what = f"{load.__module__}.{load.__qualname__}"
            loaded[place] = keep(load, run, what, str(run.path), state(run), arguments)
        return hand_out(loaded[place])

    return cached


@kept
def collapse_table(run: Run) -> pd.DataFrame:
    """Collapse metrics of all epochs: epoch, layer, metric, set, value."""
    return run.collapse()


@kept
def detection_table(run: Run) -> pd.DataFrame:
    """Detection metrics of all epochs: epoch, layer, detector, set, group, auroc, ..."""
    return run.detection()


@kept
def means_table(run: Run) -> pd.DataFrame:
    """Return means over near, far and all sets, of all epochs: epoch, layer, detector, ..."""
    return run.detection_means()


@kept
def duplicates_table(run: Run) -> pd.DataFrame:
    """Sets that share samples with the training samples: epoch, set, duplicates, samples."""
    return run.duplicates()


@kept
def transfer_table(run: Run) -> pd.DataFrame:
    """Transfer errors of all epochs: epoch, layer, set, probe_error, ncm_error, ..."""
    return run.transfer()


@kept
def trade_off_table(run: Run, layer: str, detector: str | None) -> pd.DataFrame:
    """Metrics of a layer, a row for each evaluated epoch, as `layer_table` makes them."""
    parts = collapse_table(run), detection_table(run), means_table(run), transfer_table(run)
    return layer_table(*parts, layer, detector)


def is_sound(run: Run) -> bool:
    """Whether the results of a run can be read, as far as there are any."""
    try:
        collapse_table(run)
        detection_table(run)
    except NcvizError:
        return False
    return True


@kept
def history(run: Run) -> pd.DataFrame:
    """One row for each epoch trained."""
    return run.history


@kept
def geometry(run: Run, epoch: int, layer: str) -> Geometry:
    """Geometry of the class means; raises MissingDataError without statistics."""
    return measure_geometry(run.epoch(epoch), layer)


@kept
def scores(run: Run, epoch: int, layer: str, detector: str, set_name: str) -> np.ndarray:
    """Return the scores (k,) of the kept samples of a set, in the order of the samples."""
    return run.epoch(epoch).scores(detector, set_name, layer).astype(np.float64)


@kept
def distribution(run: Run, epoch: int, layer: str, detector: str, set_name: str) -> np.ndarray:
    """Return the increasing scores (N,) of all evaluated samples of a set."""
    return run.epoch(epoch).distribution(detector, set_name, layer)


@kept
def computed_on(run: Run) -> str:
    """Return how many ID samples the results are computed from, and how many are kept."""
    return sample_counts.computed_on(run)


@kept
def sample_indices(run: Run, set_name: str) -> np.ndarray:
    """(N,) index in its set of each cached sample; where the run does not say, their positions."""
    try:
        samples = run.samples
    except MissingDataError:
        return _positions(run, set_name)
    return samples.loc[samples["set"] == set_name, "index"].to_numpy(np.int64)


def _positions(run: Run, set_name: str) -> np.ndarray:
    try:
        return np.arange(len(run.epoch(run.epochs[-1]).features(set_name, run.layers[-1])))
    except (MissingDataError, UnknownNameError):
        return np.zeros(0, np.int64)


@kept
def calibration_half(run: Run, epoch: int, set_name: str) -> np.ndarray:
    """Return (k,) bool, the half of a set's kept samples that thresholds are chosen on."""
    return store.read_calibration_half(run.epoch(epoch), set_name)


def set_scores(run: Run, epoch: int, layer: str, detector: str, set_name: str) -> SetScores:
    """Return the scores of a set as thresholds need them."""
    return SetScores(
        evaluated=distribution(run, epoch, layer, detector, set_name),
        kept=scores(run, epoch, layer, detector, set_name),
        calibration=calibration_half(run, epoch, set_name),
    )


@kept
def roc_curve(run: Run, epoch: int, layer: str, detector: str, set_name: str) -> metrics.Curve:
    """Return the ROC of all evaluated samples against one OOD set, thinned for drawing."""
    pair = (distribution(run, epoch, layer, detector, name) for name in ("test", set_name))
    return metrics.thin(metrics.roc_curve(*pair), CURVE_POINTS)


@kept
def precision_recall_curve(
    run: Run, epoch: int, layer: str, detector: str, set_name: str, positive: str
) -> metrics.Curve:
    """Return precision-recall of all samples against one OOD set, thinned for drawing."""
    pair = (distribution(run, epoch, layer, detector, name) for name in ("test", set_name))
    return metrics.thin(metrics.precision_recall_curve(*pair, positive=positive), CURVE_POINTS)


@kept
def maps(run: Run) -> MapSeries | None:
    """The maps of encoder and projector over the epochs; None where no epoch has current ones."""
    return read_maps(run)


@dataclass(frozen=True)
class PackedMaps:
    """What the browser draws from, a name for it, and whether the samples' scores are in it."""

    token: str
    data: bytes
    scored: bool


@kept
def packed_maps(run: Run, kind: str, detector: str | None, layer: str) -> PackedMaps:
    """One kind of map over all epochs, with NC1, predictions, and a detector's scores at `layer`.

    Takes a run that has maps.
    """
    series = maps(run)
    scored = None if detector is None else _mapped_scores(run, series, detector, layer)
    table = collapse_table(run)
    lines = [tables.metric_series(table, layer, "nc1_pinv") for layer in series.layers]
    nc1 = [[tables.at_epoch(line, epoch) for line in lines] for epoch in series.epochs]
    frames = MapFrames(
        epochs=series.epochs,
        layers=series.layers,
        points=series.points[kind],
        sets=series.sets,
        set_names=series.set_names,
        groups=[0, *(GROUPS.index(group) for group in run.ood_sets.values())],
        labels=series.labels,
        classes=run.classes,
        predicted=_predictions(run),
        nc1=np.array(nc1, dtype=np.float64),
        scores=None if scored is None else scored[0],
        percentiles=None if scored is None else scored[1],
    )
    return PackedMaps(*pack(frames), scored is not None)


@kept
def fitted_on(run: Run, epoch: int, layer: str) -> dict[str, str]:
    """Return what each detector was fitted on, in words."""
    return store.fitted_on(run.epoch(epoch), layer)


@kept
def detectors_left_out(run: Run, epoch: int, layer: str) -> list[str]:
    """Return a sentence for each detector that was left out at a layer."""
    return left_out_sentences(store.detectors_left_out(run.epoch(epoch), layer))


@kept
def _predictions(run: Run) -> np.ndarray:
    """(E, N) class that the network gives to each mapped sample."""

    def predict(epoch: Epoch, name: str) -> np.ndarray:
        return epoch.features(name, run.layers[-1]).logits.argmax(axis=1)

    series = maps(run)
    return np.array([_by_sample(series, run.epoch(n), predict) for n in series.epochs])


def _mapped_scores(
    run: Run, series: MapSeries, detector: str, layer: str
) -> tuple[np.ndarray, np.ndarray] | None:
    """Scores and percentiles (E, N) of the mapped samples; None where a part of them is missing."""

    def score(epoch: Epoch, name: str) -> np.ndarray:
        return epoch.scores(detector, name, layer)

    made, shares = [], []
    try:
        for number in series.epochs:
            epoch = run.epoch(number)
            made.append(_by_sample(series, epoch, score))
            known = epoch.distribution(detector, "test", layer)
            shares.append(metrics.percentiles(made[-1], known))
    except (MissingDataError, UnknownNameError):
        return None
    return np.array(made), np.array(shares)


def _by_sample(series: MapSeries, epoch: Epoch, read: Callable) -> np.ndarray:
    """(N,) what `read(epoch, set)` has for each mapped sample."""
    values = np.empty(len(series.sets))
    for at, name in enumerate(series.set_names):
        mine = series.sets == at
        if mine.any():
            values[mine] = read(epoch, name)[series.positions[mine]]
    return values
