"""A packed copy of a run: results of all samples, and a few samples for inspection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ncviz.caching import Size, stratified_sample
from ncviz.errors import CorruptFileError, InvalidOptionError, MissingDataError
from ncviz.metrics import ScoreDistribution, roc_curve
from ncviz.packing.refit import refit, states_to_keep
from ncviz.store import Epoch, Run, files, open_run, thinning
from ncviz.store.folders import new_folder
from ncviz.store.write import save_detectors

MAX_STATE_BYTES = 4_000_000
"""Size in bytes from which the fitted state of a detector is left out of a packed run."""


@dataclass(frozen=True)
class PackedSizes:
    """Number of samples that a packed run keeps of each set, for maps, tables and images."""

    train_samples: Size = 500
    """training samples"""
    test_samples: Size = 700
    """ID test samples"""
    ood_samples: Size = 160
    """samples of each OOD set"""

    def __post_init__(self) -> None:
        for name, size in vars(self).items():
            if not (size in (None, "all") or (isinstance(size, int) and size >= 2)):
                raise InvalidOptionError(f"{name} is {size!r}; it must be at least 2, or 'all'.")


class Packing(NamedTuple):
    """A packed copy, and how well it stands for the run.

    Attributes
    ----------
    run : the copy
    curve_difference : largest distance between an ROC curve of all scores and the one drawn from
        the order statistics that the copy keeps, in units of the axes
    left_out : detectors whose fitted state was left out, with the reason, by layer and name
    """

    run: Run
    curve_difference: float
    left_out: Mapping[str, str]


def pack(
    run: Run,
    folder: Path,
    *,
    weights: Sequence[int],
    sizes: PackedSizes = PackedSizes(),
    progress: bool = True,
) -> Packing:
    """Copy `run` into `folder` with all of its results and some of its samples.

    Tables are copied as they are. Of the scores of all samples, the copy keeps order statistics
    from which densities and curves are drawn. Features and scores are kept for a stratified subset
    of samples, taken from the mapped ones where there are maps. Weights become float16. Where they
    are kept, so are fitted detectors; those that hold training samples (KNN, NNGuide, Relation) are
    refitted to the kept ones, with the scores of all samples as calibration.

    Parameters
    ----------
    folder : must not exist yet
    weights : epochs whose weights are kept
    sizes : number of samples kept

    Raises
    ------
    InvalidOptionError
        If `folder` exists.
    UnknownNameError
        If an epoch in `weights` was not saved.
    MissingDataError
        If an epoch in `weights` has none, or an epoch has features but no current results, so that
        nothing would remain of them.
    CorruptFileError
        If a file is damaged, or a link leads out of the folder of the runs.
    StorageError
        If the disk refuses; nothing is left in `folder`.
    """
    for number in weights:
        _ = run.epoch(number).weights_fingerprint
    for path in run.path.rglob("*"):
        files.require_inside(path)
    difference, left_out = 0.0, {}
    with new_folder(folder) as part:
        samples, rows, positions = _kept_samples(run, sizes)
        copy = thinning.copy_run(run, part, samples)
        for number in tqdm(run.epochs, desc=f"pack {run.name}", unit="epoch", disable=not progress):
            epoch, with_weights = run.epoch(number), number in weights
            thinning.copy_network(epoch, copy, weights=with_weights, change=_to_float16)
            thinning.copy_statistics(epoch, copy, _unchanged if with_weights else _to_float32)
            if not epoch.sets:
                continue
            _require_listed(epoch, rows)
            thinning.thin_samples(epoch, copy, rows)
            thinning.thin_maps(epoch, copy, positions)
            if run.packed:
                thinning.copy_packed(epoch, copy, detectors=with_weights)
                continue
            found, reasons = _pack_scores(epoch, copy, rows, with_weights)
            difference, left_out = max(difference, found), {**left_out, **reasons}
    return Packing(open_run(folder), difference, left_out)


def _kept_samples(run: Run, sizes: PackedSizes):
    """Return the kept samples, their rows in each set, and their rows in the list of samples."""
    try:
        samples = run.samples
    except MissingDataError:
        raise MissingDataError(
            f"Run {run.name} has no list of samples, so there is nothing to pack. "
            f"{run.how_to_extract()}"
        ) from None
    mapped = _mapped_rows(run)
    rows, positions = {}, []
    for name, table in samples.groupby("set", sort=False):
        split = name.removeprefix(f"{run.id_set}/")
        size = getattr(sizes, f"{split}_samples" if split in ("train", "test") else "ood_samples")
        at = np.flatnonzero(samples["set"] == name)
        candidates = np.flatnonzero(np.isin(at, mapped))
        if not isinstance(size, int) or len(candidates) < min(size, len(at)):
            candidates = np.arange(len(at))
        chosen = candidates[stratified_sample(table["label"].to_numpy()[candidates], size)]
        rows[name] = chosen
        positions.append(at[chosen])
    kept = np.sort(np.concatenate(positions))
    return samples.iloc[kept].reset_index(drop=True), rows, kept


def _require_listed(epoch: Epoch, rows: Mapping[str, np.ndarray]) -> None:
    for name in epoch.sets:
        if name not in rows:
            raise CorruptFileError(
                f"Epoch {epoch.number} of {epoch.run.name} has features of {name}, which the run's "
                f"list of samples lacks. {epoch.run.how_to_extract()}"
            )


def _mapped_rows(run: Run) -> np.ndarray:
    for number in reversed(run.epochs):
        try:
            return run.epoch(number).maps(run.layers[-1]).rows
        except MissingDataError:
            continue
    return np.empty(0, int)


def _pack_scores(
    epoch: Epoch, copy: Run, rows: Mapping[str, np.ndarray], with_weights: bool
) -> tuple[float, dict[str, str]]:
    """Write order statistics and fitted detectors.

    Returns
    -------
    difference, left_out : as `Packing` has them
    """
    evaluated = _scores_by_name(epoch)
    refitted: dict[str, np.ndarray] = {}
    left_out: dict[str, str] = {}
    if with_weights and epoch.has_weights:
        train_rows = rows[f"{epoch.run.id_set}/train"]
        fitted = {}
        for layer in epoch.layers:
            fitted[layer], reasons = states_to_keep(epoch, layer, MAX_STATE_BYTES)
            left_out |= {f"{layer}/{name}": reason for name, reason in reasons.items()}
            refitted_here, scores = refit(epoch, layer, train_rows)
            fitted[layer] |= refitted_here
            refitted |= scores
        save_detectors(
            open_run(copy.path).epoch(epoch.number),
            fitted,
            tuple(epoch.evaluated_detectors()),
            left_out=left_out,
        )
    thinning.save_distributions(epoch, copy, evaluated, refitted)
    return curve_difference(epoch, evaluated), left_out


def _scores_by_name(epoch: Epoch) -> dict[str, np.ndarray]:
    return {
        f"{layer}/{detector}/{name}": scores
        for layer in epoch.layers
        for detector, by_set in epoch.layer_scores(layer).items()
        for name, scores in by_set.items()
    }


def curve_difference(epoch: Epoch, scores: Mapping[str, np.ndarray]) -> float:
    """Return the largest distance of an ROC curve drawn from order statistics to the exact one.

    Parameters
    ----------
    scores : (N,) scores by layer, detector and full name of the set, joined by slashes
    """
    test, largest = epoch.full_name("test"), 0.0
    drawn = {name: ScoreDistribution.of(each).expand() for name, each in scores.items()}
    for name in scores:
        layer, detector, set_name = name.split("/", 2)
        known = f"{layer}/{detector}/{test}"
        if set_name == test or known not in scores:
            continue
        exact = roc_curve(scores[known], scores[name])
        other = roc_curve(drawn[known], drawn[name])
        largest = max(largest, _distance(exact, other))
    return largest


def _distance(exact, other) -> float:
    """Return how far `other` is from `exact` at most, along the direction (-1, 1).

    A rotation by 45 degrees makes both monotone curves functions of x + y.
    """
    at = np.linspace(0, 2, 2001)
    return float(
        np.abs(
            np.interp(at, exact.x + exact.y, exact.y - exact.x)
            - np.interp(at, other.x + other.y, other.y - other.x)
        ).max()
        / np.sqrt(2)
    )


def _unchanged(_name: str, array: np.ndarray) -> np.ndarray:
    return array


def _to_float32(_name: str, array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _to_float16(_name: str, array: np.ndarray) -> np.ndarray:
    # A variance beyond float16's range stays as it is; so do counters, which are integers.
    fits = array.dtype == np.float32 and np.abs(array).max(initial=0) <= np.finfo(np.float16).max
    return array.astype(np.float16) if fits else array
