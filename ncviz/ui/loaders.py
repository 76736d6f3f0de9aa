"""What pages read from runs: cached by the files' names, times and sizes, never to be changed."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from ncviz import collapse, metrics
from ncviz.errors import NcvizError
from ncviz.figures import Order
from ncviz.store import Listing, Run, list_runs

CURVE_POINTS = 400


def listing() -> Listing:
    """All runs of the checkpoints folder, and those that cannot be opened."""
    return list_runs()


_stamps = threading.local()


def look_again() -> None:
    """Forget which files were seen: each drawing of a page looks once, in a thread of its own."""
    _stamps.seen = {}


def stamp(folder: Path) -> str:
    """A digest of the name, time and size of every file below `folder`."""
    seen = _stamps.__dict__.setdefault("seen", {})
    if folder not in seen:
        seen[folder] = _stamp(folder)
    return seen[folder]


def _stamp(folder: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(folder.rglob("*")):
        try:
            state = path.stat()
        except FileNotFoundError:  # a temporary file of a writer, renamed by now
            continue
        digest.update(f"{path}|{state.st_mtime_ns}|{state.st_size};".encode())
    return digest.hexdigest()


@st.cache_resource(max_entries=256, show_spinner=False)
def _keep(_load: Callable, _run: Run, what: str, path: str, mark: str, arguments: tuple):
    return _load(_run, *arguments)


def _kept(load: Callable) -> Callable:
    """Keep what `load(run, *arguments)` returns for as long as the run's files stay the same."""

    @wraps(load)
    def cached(run: Run, *arguments):
        return _keep(load, run, load.__name__, str(run.path), stamp(run.path), arguments)

    return cached


@_kept
def collapse_table(run: Run) -> pd.DataFrame:
    """Collapse metrics of all epochs: epoch, layer, metric, set, value."""
    return run.collapse()


@_kept
def detection_table(run: Run) -> pd.DataFrame:
    """Detection metrics of all epochs: epoch, layer, detector, set, group, auroc, ..."""
    return run.detection()


def is_sound(run: Run) -> bool:
    """Whether the results of a run can be read, as far as there are any."""
    try:
        collapse_table(run)
        detection_table(run)
    except NcvizError:
        return False
    return True


@_kept
def history(run: Run) -> pd.DataFrame:
    """One row for each epoch trained."""
    return run.history


@dataclass(frozen=True)
class Geometry:
    """Class means against the simplex ETF, at one epoch and layer.

    Attributes
    ----------
    gram, ideal : (C, C) cosines of the centred class means, and of the simplex ETF
    means : (C,) lengths of the centred class means
    weights : (C,) lengths of the head's rows, or None where the layer has no head
    samples : number of training samples behind the class means
    """

    gram: np.ndarray
    ideal: np.ndarray
    means: np.ndarray
    weights: np.ndarray | None
    samples: int


@_kept
def geometry(run: Run, epoch: int, layer: str) -> Geometry:
    """Geometry of the class means; raises MissingDataError without statistics."""
    saved = run.epoch(epoch)
    statistics = saved.statistics(layer)
    weights = None
    if saved.has_head(layer):
        weights = np.linalg.norm(saved.head(layer).weight.astype(np.float64), axis=1)
    gram = collapse.gram(statistics)
    return Geometry(
        gram=_read_only(gram),
        ideal=_read_only(collapse.ideal_gram(len(gram))),
        means=_read_only(collapse.class_mean_norms(statistics)),
        weights=weights,
        samples=statistics.samples,
    )


@_kept
def class_order(run: Run, epoch: int, layer: str, kind: str) -> Order:
    """Classes by ``"name"``, by ``"cluster"`` or by ``"superclass"``."""
    if kind == "cluster":
        return Order(collapse.cluster_order(geometry(run, epoch, layer).gram))
    names = np.array(run.classes)
    if kind == "superclass" and run.superclasses:
        groups = np.array(run.superclasses)
        rows = np.lexsort((names, groups))
        return Order(rows, tuple(groups[rows]))
    return Order(np.argsort(names, kind="stable"))


@_kept
def scores(run: Run, epoch: int, layer: str, detector: str, set_name: str) -> np.ndarray:
    """(N,) scores of a set; ``"test"`` is the ID test set."""
    return _read_only(run.epoch(epoch).scores(detector, set_name, layer).astype(np.float64))


@_kept
def roc_curve(run: Run, epoch: int, layer: str, detector: str, set_name: str) -> metrics.Curve:
    """ROC against one OOD set, thinned for drawing."""
    pair = (scores(run, epoch, layer, detector, name) for name in ("test", set_name))
    return metrics.thin(metrics.roc_curve(*pair), CURVE_POINTS)


@_kept
def precision_recall_curve(
    run: Run, epoch: int, layer: str, detector: str, set_name: str, positive: str
) -> metrics.Curve:
    """Precision-recall against one OOD set, thinned for drawing."""
    pair = (scores(run, epoch, layer, detector, name) for name in ("test", set_name))
    return metrics.thin(metrics.precision_recall_curve(*pair, positive=positive), CURVE_POINTS)


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
