"""Writing a run folder: what training, extraction and evaluation leave behind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ncviz.arrays import ClassStatistics, Head
from ncviz.detectors import Detector
from ncviz.embedding import MapQuality
from ncviz.errors import CorruptFileError, InvalidOptionError
from ncviz.store import files, fitted, layout, parts, sample_sets
from ncviz.store.description import FORMAT, sealed
from ncviz.store.epoch import Epoch
from ncviz.store.run import Run, open_run


def create_run(folder: Path, description: Mapping[str, Any]) -> Run:
    """Start a run in `folder`, which must not hold one yet."""
    if layout.holds_run(folder):
        raise InvalidOptionError(
            f"{folder} holds a run already. Continue it with --resume, "
            "or choose another --run NAME."
        )
    files.write_json(
        folder / layout.DESCRIPTION,
        sealed({"format": FORMAT, "name": folder.name, **description}),
    )
    return open_run(folder)


def update_description(run: Run, **changes: Any) -> Run:
    """Write `changes` into the run's description and return the run with them."""
    description = sealed({**run.description, **changes})
    if description != run.description:
        files.write_json(run.path / layout.DESCRIPTION, description)
    return replace(run, description=description)


def save_history(run: Run, rows: list[dict[str, float]]) -> None:
    """Write the history: one row for each epoch trained."""
    files.write_csv(run.path / layout.HISTORY, pd.DataFrame(rows))


def save_network(
    run: Run, epoch: int, weights: Mapping[str, np.ndarray], heads: Mapping[str, Head]
) -> None:
    """Save an epoch: the network's weights and the head of each layer that has one."""
    save_weights(run, epoch, weights)
    # The head comes last: an epoch counts as saved once it is there.
    save_heads(run, epoch, heads)


def save_weights(run: Run, epoch: int, weights: Mapping[str, np.ndarray]) -> None:
    """Save the weights of an epoch, which becomes part of the run with `save_heads`."""
    files.write_arrays(layout.epoch_folder(run.path, epoch) / layout.MODEL, weights)


def save_heads(run: Run, epoch: int, heads: Mapping[str, Head]) -> None:
    """Save the head of each layer; makes the epoch part of the run."""
    files.write_arrays(layout.epoch_folder(run.path, epoch) / layout.HEAD, parts.head_arrays(heads))


def save_samples(
    run: Run,
    samples: pd.DataFrame,
    *,
    identities: Mapping[str, str] | None = None,
    available: Mapping[str, int] | None = None,
) -> Run:
    """Write the samples that the run is evaluated on, and return the run that describes them.

    Parameters
    ----------
    samples : set, index, label and key of every sample, in the order of the features
    identities : by full name of a set, what its keys are (`SetInfo.identity`); by default
        ``"keys"`` where every sample has one
    available : by full name of a set, how many samples the whole set holds; by default those listed
    """
    files.write_table(run.path / layout.SAMPLES, samples)
    sets = sample_sets.describe(samples, identities=identities, available=available)
    return update_description(run, sets=sets)


def save_features(epoch: Epoch, set_name: str, arrays: Mapping[str, np.ndarray], sources) -> None:
    """Write one set's features by layer, and its labels; layers that follow from others are not."""
    kept = {name: array for name, array in arrays.items() if name not in epoch.run.derived_layers}
    files.write_arrays(layout.feature_file(epoch.path, set_name), kept, sources=sources)


def save_statistics(
    epoch: Epoch,
    statistics: Mapping[str, ClassStatistics],
    sources: Mapping[str, str],
    *,
    set_name: str = "train",
) -> None:
    """Write the class statistics of each layer, of the whole training or test set."""
    arrays = parts.statistics_arrays(statistics)
    files.write_arrays(layout.statistics_file(epoch.path, set_name), arrays, sources=sources)


def save_probes(epoch: Epoch, probes: Mapping[str, Head], sources: Mapping[str, str]) -> None:
    """Write the linear probe of each layer, fitted to ID training features."""
    files.write_arrays(epoch.path / layout.PROBES, parts.head_arrays(probes), sources=sources)


def save_network_scores(
    epoch: Epoch, set_name: str, scores: Mapping[str, np.ndarray], sources: Mapping[str, str]
) -> None:
    """Write one set's scores (N,) by the detectors that take the network, by name."""
    files.write_arrays(layout.network_scores_file(epoch.path, set_name), scores, sources=sources)


def save_results(
    epoch: Epoch,
    tables: Mapping[str, pd.DataFrame],
    scores: Mapping[str, np.ndarray],
    sources: Mapping[str, str],
) -> None:
    """Write the results of an epoch with the fingerprints of what they were computed from.

    `tables` holds a table for each name in `layout.TABLES`.
    """
    files.write_arrays(epoch.path / layout.SCORES, scores, sources=sources)
    for name, path in layout.TABLES.items():
        files.write_table(epoch.path / path, tables[name], sources=sources)


def discard_distributions(epoch: Epoch) -> None:
    """Remove the score distributions of a packed epoch that was re-evaluated."""
    path = epoch.path / layout.DISTRIBUTIONS
    with files.storage_errors(path):
        path.unlink(missing_ok=True)


def save_duplicates(epoch: Epoch, table: pd.DataFrame, sources: Mapping[str, str]) -> None:
    """Write which sets share samples with the training samples; no file where none does."""
    path = epoch.path / layout.DUPLICATES
    if len(table):
        files.write_table(path, table, sources=sources)
    else:
        with files.storage_errors(path):
            path.unlink(missing_ok=True)


def save_detectors(
    epoch: Epoch,
    detectors: Mapping[str, Mapping[str, Detector]],
    chosen: Sequence[str],
    *,
    left_out: Mapping[str, str] | None = None,
) -> None:
    """Write the state of fitted detectors, by layer and name, of those `chosen`.

    `left_out` holds, by layer and name joined by a slash, why the state of others is not written.
    """
    fitted.write(epoch, detectors, chosen, left_out or {})


def save_transfer(epoch: Epoch, table: pd.DataFrame, sources: Mapping[str, str]) -> None:
    """Write the transfer errors of an epoch: a row for each layer and set."""
    files.write_table(epoch.path / layout.TRANSFER, table, sources=sources)


def save_maps(
    epoch: Epoch,
    rows: np.ndarray,
    points: Mapping[str, Mapping[str, np.ndarray]],
    sources: Mapping[str, str],
    quality: Mapping[str, Mapping[str, MapQuality]] | None = None,
) -> str:
    """Write the mapped samples, their points and the maps' quality, both by layer and kind.

    Returns a fingerprint of the file.
    """
    arrays = {
        f"{layer}/{kind}": array for layer, maps in points.items() for kind, array in maps.items()
    }
    arrays |= parts.quality_arrays(quality or {})
    return files.write_arrays(epoch.path / layout.MAPS, {"rows": rows, **arrays}, sources=sources)


class TrainingState(NamedTuple):
    """Everything a training needs to go on: arrays by name, and plain values."""

    arrays: dict[str, np.ndarray]
    values: dict[str, Any]


def save_training_state(run: Run, state: TrainingState) -> None:
    """Write the state after an epoch, in one file, so that no half of it can be newer."""
    extra = {"values": json.dumps(state.values)}
    files.write_arrays(run.path / layout.TRAINING_STATE, state.arrays, extra=extra)


def load_training_state(run: Run) -> TrainingState | None:
    """The state to resume from, or None where no epoch was finished yet."""
    path = run.path / layout.TRAINING_STATE
    if not path.exists():
        return None
    mend = f"Delete the folder {run.path} and train again."
    header = files.read_header(path, mend=mend)
    try:
        values = json.loads(header["values"])
    except (KeyError, ValueError, RecursionError) as error:
        raise CorruptFileError(f"{path} is no state of a training. {mend}") from error
    return TrainingState(files.read_arrays(path, mend=mend), values)
