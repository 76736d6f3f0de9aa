"""The grid of runs, epochs, layers, detectors and OOD sets, spread over processes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from tqdm import tqdm

from ncviz import detectors
from ncviz.detectors import Detector
from ncviz.errors import InvalidOptionError, MissingDataError
from ncviz.evaluation.calibration import calibration_tables, temperature_table
from ncviz.evaluation.comparisons import comparisons_table
from ncviz.evaluation.detector_tables import fitted_table, sensitivity_table
from ncviz.evaluation.layers import Layer, Scores, network_scores, score_layer
from ncviz.evaluation.spreading import Places, Work, spread
from ncviz.evaluation.tables import (
    collapse_table,
    detection_tables,
    duplicates_table,
    misclassification_table,
)
from ncviz.store import Epoch, Run, open_run, require_local, write
from ncviz.store.lock import writing
from ncviz.xp import Array


def evaluate(
    runs: Iterable[Run],
    *,
    epochs: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    jobs: int | None = None,
    dask: str | None = None,
    device: str | None = None,
    kept_samples: bool = False,
    progress: bool = True,
) -> None:
    """Write the results of the extracted epochs of `runs`; results that are current are kept.

    Each layer of an epoch is computed by itself, on one thread of BLAS: results are the same
    wherever they were computed.

    Parameters
    ----------
    epochs : the epochs to evaluate; None takes all that were extracted
    names : detectors; None takes all
    jobs : processes; -1 for one on each core, None for one
    dask : address of the scheduler of a Dask cluster, whose workers compute and write instead
    kept_samples : evaluate packed runs on the samples they keep, which replaces the results of all
        samples
    device : of torch, which computes instead of NumPy, such as ``"cuda"``; the same but for
        rounding

    Raises
    ------
    InvalidOptionError : results of a packed run are stale and `kept_samples` is not set
    NcvizError : a run without extracted epochs, an unknown epoch or detector, damaged features, a
        cluster that fails.
    """
    places = Places(jobs, dask)
    places.check()
    names = tuple(names or detectors.names())
    for name in names:
        detectors.info(name)
    if device is not None and dask is None:
        _example(device)  # which says what is wrong with it before anything is computed
    chosen = [epoch for run in runs for epoch in _extracted(run, epochs)]
    work_on = partial(_work, names=names, device=device, absolute=dask is not None)
    # Runs whose results are current can be evaluated, and printed, while somebody else writes them.
    stale = [epoch for epoch in chosen if work_on(epoch)]
    if not kept_samples:
        for epoch in stale:
            _require_unpacked(epoch)
    folders = list(dict.fromkeys(epoch.run.path for epoch in stale))
    with ExitStack() as held:
        for path in sorted(folders, key=str):
            held.enter_context(writing(path))
        work = [one for epoch in stale if (one := work_on(epoch))]
        layers = sum(len(one.parts) for one in work)
        with tqdm(
            total=layers, unit="layer", desc="evaluate", disable=not (progress and work)
        ) as bar:
            seen = [path.absolute() for path in folders]
            for left_out in spread(work, places, folders=seen, advance=bar.update):
                for reason in left_out:
                    warnings.warn(reason, stacklevel=2)


def _require_unpacked(epoch: Epoch) -> None:
    run = epoch.run
    if not run.packed:
        return
    test = f"{run.id_set}/test"
    kept = int((run.samples["set"] == test).sum())
    raise InvalidOptionError(
        f"Run {run.name} is packed: it keeps {kept:,} of the {run.sets[test].samples:,} samples of "
        f"{test} that its results were computed from, and they would be lost. Evaluate the "
        "original run and pack it again, or add --kept-samples to evaluate the kept ones."
    )


def _extracted(run: Run, epochs: Sequence[int] | None) -> list[Epoch]:
    chosen = [run.epoch(number) for number in (run.epochs if epochs is None else epochs)]
    if epochs is None:
        chosen = [epoch for epoch in chosen if epoch.sets]
    without = [epoch.number for epoch in chosen if not epoch.sets]
    if without or not chosen:
        at = f" at epoch {without[0]}" if without else ""
        raise MissingDataError(f"Run {run.name} has no features{at}. {run.how_to_extract()}")
    return chosen


class _Part(NamedTuple):
    """Results of one layer, of the epoch itself where the layer is the last, and what gave them."""

    layer: str
    tables: dict[str, pd.DataFrame]
    scores: Scores
    detectors: dict[str, Detector]
    left_out: tuple[str, ...]


def _work(epoch: Epoch, names: Sequence[str], device: str | None, *, absolute: bool) -> Work | None:
    """What writes one epoch's metrics, scores and fitted detectors; None where they are current.

    Detectors that the results have beyond `names` stay part of them, by what they are now, unless
    the features are others.
    """
    wanted = {*names, *epoch.evaluated_detectors()}
    chosen = tuple(name for name in detectors.names() if name in wanted)
    marks = detectors.marks(chosen)
    if marks.items() <= epoch.current_results().items() and epoch.has_fitted(chosen):
        return None
    require_local(epoch.run.path)
    # Taken before anything is computed: what is extracted again meanwhile makes results stale.
    sources = epoch.results_inputs() | marks
    path = epoch.run.path.absolute() if absolute else epoch.run.path
    parts = [
        partial(_evaluate_layer, path, epoch.number, each, chosen, device) for each in epoch.layers
    ]
    return Work(parts, partial(_write, path, epoch.number, chosen, sources))


def _example(device: str) -> Array:
    """A tensor on a device of torch, which is loaded where somebody asks for it."""
    import torch

    from ncviz.inference import choose_device

    return torch.empty(0, device=choose_device(device))


def _evaluate_layer(
    path: Path, number: int, name: str, chosen: Sequence[str], device: str | None
) -> _Part:
    epoch = open_run(path).epoch(number)
    layer = Layer.read(epoch, name)
    moved = layer if device is None else layer.like(_example(device))
    found = score_layer(moved, chosen)
    scores, fits, tables = found.scores, found.fits, {}
    if name == epoch.layers[-1]:
        by_network, fits_by_network = network_scores(epoch, layer, chosen)
        scores |= by_network
        fits |= fits_by_network
        tables["calibration"], tables["reliability"] = calibration_tables(layer.test)
        tables["temperature"] = temperature_table(layer, chosen)
        names = {each: epoch.full_name(each) for each in layer.sets}
        tables["duplicates"] = duplicates_table(layer, names)
    tables["collapse"], undefined = collapse_table(moved)
    correct = layer.correct
    tables["misclassification"] = misclassification_table(name, scores, correct)
    tables["detection"], tables["means"] = detection_tables(
        name, scores, epoch.run.ood_sets, correct
    )
    tables["fitted"] = fitted_table(name, fits)
    tables["sensitivity"] = sensitivity_table(
        name, scores, fits, found.variants, epoch.run.ood_sets
    )
    tables["comparisons"] = comparisons_table(name, scores, epoch.run.ood_sets)
    fitted = found.detectors if epoch.has_weights else {}
    left_out = [layer.without_features] if layer.without_features else []
    left_out += [
        f"{detector} is left out at layer {name}: {fit.left_out}"
        for detector, fit in fits.items()
        if fit.left_out
    ]
    return _Part(name, tables, scores, fitted, (*left_out, *undefined))


def _write(
    path: Path, number: int, chosen: Sequence[str], sources: Mapping[str, str], parts: list[_Part]
) -> tuple[str, ...]:
    """Write the results of an epoch; returns which detectors were left out, and why."""
    epoch = open_run(path).epoch(number)
    if epoch.has_weights:
        write.save_detectors(epoch, {part.layer: part.detectors for part in parts}, chosen)
    tables = {
        name: _joined([part.tables[name] for part in parts if name in part.tables])
        for name in parts[-1].tables
    }
    scores = {
        f"{part.layer}/{detector}/{epoch.full_name(name)}": values
        for part in parts
        for detector, by_set in part.scores.items()
        for name, values in by_set.items()
    }
    write.save_duplicates(epoch, tables.pop("duplicates"), sources)
    write.save_results(epoch, tables, scores, sources)
    write.discard_distributions(epoch)
    return tuple(reason for part in parts for reason in part.left_out)


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    # A table without rows would turn the columns of the others into objects.
    full = [table for table in tables if len(table)]
    return pd.concat(full, ignore_index=True) if full else tables[0]
