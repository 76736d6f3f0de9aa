"""A run made small enough to share: half-precision weights of chosen epochs, no training state."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ncviz.store import files, layout, seal
from ncviz.store.epoch import Epoch
from ncviz.store.folders import new_folder
from ncviz.store.remote import RemotePath, is_remote
from ncviz.store.run import Run, open_run


def pack(run: Run, folder: Path, *, weights: Sequence[int]) -> Run:
    """Copy `run` into `folder`, which must not exist yet, and return the copy.

    Features, statistics, heads, probes, results and history are copied as they are. Weights, and
    fitted detectors with them, are kept for the epochs in `weights` alone; weights in float16,
    under the fingerprint of the originals: what was computed from those stays current.

    Raises
    ------
    InvalidOptionError : `folder` exists.
    UnknownNameError : an epoch in `weights` was not saved.
    CorruptFileError : a link leads out of the folder of the runs.
    StorageError : the disk refused; nothing is left in `folder`.
    """
    kept = [run.epoch(number) for number in weights]
    for path in run.path.rglob("*"):
        files.require_inside(path)
    with new_folder(folder) as copy:
        if is_remote(run.path):
            _fetch(run, copy, weights)
        else:
            shutil.copytree(run.path, copy, ignore=partial(_left_out, run, weights))
        for epoch in kept:
            _write_half(epoch, layout.epoch_folder(copy, epoch.number) / layout.MODEL)
        seal.list_unsealed(copy)
    return open_run(folder)


def _fetch(run: Run, copy: Path, kept: Sequence[int]) -> None:
    own = _own(run, kept)
    for path in run.path.rglob("*"):
        below = path.relative_to(run.path)
        inside = {path, *path.parents}
        if path.is_file() and not inside & own and not any(p.startswith(".") for p in below.parts):
            (copy / below).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy / below)


def _left_out(run: Run, kept: Sequence[int], folder: str, names: list[str]) -> set[str]:
    own = _own(run, kept)
    return {name for name in names if name.startswith(".") or Path(folder) / name in own}


def _own(run: Run, kept: Sequence[int]) -> set[Path | RemotePath]:
    """What a run keeps to itself."""
    # Compared as whole paths: a data set may be called `training`.
    own = {run.path / layout.TRAINING, run.path / layout.EXTRACTION}
    own |= {layout.epoch_folder(run.path, number) / layout.MODEL for number in run.epochs}
    # Fitted detectors serve images that the network sees: without weights there are none.
    own |= {
        layout.epoch_folder(run.path, number) / layout.DETECTORS
        for number in run.epochs
        if number not in kept
    }
    return own


def _write_half(epoch: Epoch, path: Path) -> None:
    halved = {name: _half(array) for name, array in epoch.weights().items()}
    files.write_arrays(path, halved, extra={files.FINGERPRINT: epoch.weights_fingerprint})


def _half(array: np.ndarray) -> np.ndarray:
    # A variance beyond float16's range stays as it is; so do counters, which are integers.
    fits = array.dtype == np.float32 and np.abs(array).max(initial=0) <= np.finfo(np.float16).max
    return array.astype(np.float16) if fits else array
