"""Copies of a run's files with fewer samples, under the digests that results record."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ncviz.metrics import ScoreDistribution
from ncviz.store import files, layout
from ncviz.store.epoch import REFITTED, Epoch
from ncviz.store.run import Run, open_run
from ncviz.store.write import update_description

Change = Callable[[str, np.ndarray], np.ndarray]


def copy_run(run: Run, folder: Path, samples: pd.DataFrame) -> Run:
    """Start a packed copy of `run` in `folder`: description, history and the kept samples."""
    files.make_folder(folder)
    for name in (layout.DESCRIPTION, layout.HISTORY):
        if (run.path / name).exists():
            _copy(run.path / name, folder / name)
    if len(samples):
        files.write_table(folder / layout.SAMPLES, samples)
    return update_description(open_run(folder), packed=True)


def copy_network(epoch: Epoch, copy: Run, *, weights: bool, change: Change) -> None:
    """Copy heads, probes and result tables of an epoch, and its weights where asked for.

    `change` narrows arrays of weights; files that depend on the weights stay current.
    """
    folder = layout.epoch_folder(copy.path, epoch.number)
    for path in _files_below(epoch.path):
        name = path.relative_to(epoch.path).as_posix()
        if name in (layout.HEAD, layout.PROBES) or name.endswith(".parquet"):
            _copy(path, folder / name)
    if weights and epoch.has_weights:
        change_arrays(epoch.path / layout.MODEL, folder / layout.MODEL, change)


def copy_statistics(epoch: Epoch, copy: Run, change: Change) -> None:
    """Copy the class statistics of an epoch, its arrays narrowed by `change`."""
    folder = layout.epoch_folder(copy.path, epoch.number)
    for split in ("train", "test"):
        path = layout.statistics_file(epoch.path, split)
        if path.exists():
            change_arrays(path, layout.statistics_file(folder, split), change)


def thin_samples(epoch: Epoch, copy: Run, rows: Mapping[str, np.ndarray]) -> None:
    """Copy features and scores of the samples `rows` of each set, by its full name."""
    folder = layout.epoch_folder(copy.path, epoch.number)
    for name in epoch.sets:
        chosen = rows[name]
        for locate in (layout.feature_file, layout.network_scores_file):
            path = locate(epoch.path, name)
            if path.exists():
                change_arrays(path, locate(folder, name), lambda _, each, at=chosen: each[at])
    path = epoch.path / layout.SCORES
    if path.exists():
        change_arrays(
            path,
            folder / layout.SCORES,
            lambda name, each: each[rows[name.split("/", 2)[2]]],
        )


def thin_maps(epoch: Epoch, copy: Run, rows: np.ndarray) -> None:
    """Copy the maps of the samples at `rows` of the list of samples, which is increasing."""
    path = epoch.path / layout.MAPS
    if not path.exists():
        return
    mapped = files.read_arrays(path, ["rows"])["rows"]
    kept = np.isin(mapped, rows)

    def thin(name: str, each: np.ndarray) -> np.ndarray:
        if name == "rows":
            return np.searchsorted(rows, each[kept]).astype(each.dtype)
        return each[kept] if len(each) == len(mapped) else each

    change_arrays(path, layout.epoch_folder(copy.path, epoch.number) / layout.MAPS, thin)


def save_distributions(
    epoch: Epoch,
    copy: Run,
    evaluated: Mapping[str, np.ndarray],
    refitted: Mapping[str, np.ndarray],
) -> None:
    """Write the order statistics of the scores of all samples.

    Parameters
    ----------
    evaluated : (N,) scores by layer, detector and full name of the set, joined by slashes
    refitted : the same, by detectors that were refitted to the kept training samples
    """
    named = {**evaluated, **{f"{REFITTED}/{name}": each for name, each in refitted.items()}}
    arrays = {}
    for name, scores in named.items():
        distribution = ScoreDistribution.of(scores)
        # Values were scores: their own precision holds them.
        arrays[name] = distribution.values.astype(scores.dtype)
        arrays[f"ranks/{'/'.join(name.split('/')[-2:])}"] = distribution.ranks.astype(np.int32)
    path = layout.epoch_folder(copy.path, epoch.number) / layout.DISTRIBUTIONS
    files.write_arrays(path, arrays, sources=files.sources_of(epoch.path / layout.SCORES))


def copy_packed(epoch: Epoch, copy: Run, *, detectors: bool) -> None:
    """Copy what only a packed run has: distributions, and its detectors where asked for."""
    folder = layout.epoch_folder(copy.path, epoch.number)
    for name in (layout.DISTRIBUTIONS, *((layout.DETECTORS,) if detectors else ())):
        if (epoch.path / name).exists():
            _copy(epoch.path / name, folder / name)


def change_arrays(source: Path, target: Path, change: Change) -> None:
    """Write the arrays of `source` as `change(name, array)` returns them, under its own digest."""
    header = files.read_header(source)
    arrays = {name: change(name, each) for name, each in files.map_arrays(source).items()}
    files.write_arrays(
        target,
        arrays,
        sources=json.loads(header[files.SOURCES]),
        extra={name: header[name] for name in header if name not in files.OWN_TEXTS},
    )


def _files_below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not any(
            part.startswith(".") for part in path.relative_to(folder).parts
        ):
            yield path


def _copy(source: Path, target: Path) -> None:
    with files.storage_errors(target):
        files.make_folder(target.parent)
        shutil.copyfile(source, target)
