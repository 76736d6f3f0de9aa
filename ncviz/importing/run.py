"""From a folder of exported features to a run: statistics of all samples, features of some."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ncviz.arrays import ClassStatistics
from ncviz.caching import PROBE_SAMPLES, Sizes, fit_probes, halve, stratified_sample
from ncviz.data.images import index_key
from ncviz.errors import InvalidArrayError, InvalidOptionError
from ncviz.importing.read import Export, RawSet, epoch_folders, read_classes, read_export, slices
from ncviz.store import Run, open_run, write
from ncviz.store.files import fingerprint
from ncviz.store.folders import new_folder
from ncviz.store.layout import is_plain

LAYER = "encoder"


def import_features(
    source: Path,
    folder: Path,
    *,
    id_set: str | None = None,
    epoch: int = 1,
    sizes: Sizes = Sizes(),
) -> Run:
    """Make a run in `folder` of the features and logits in `source`.

    Parameters
    ----------
    source : holds train.EXT, test.EXT, near/NAME.EXT, far/NAME.EXT and perhaps head.EXT and
        classes.txt; or one numbered folder with these for each epoch
    folder : of the run, which must not exist yet
    id_set : what the in-distribution data set is called; the run's name if None. Runs are compared
        where they know the same data, so a name that all imports shared would mix them up.
    epoch : number of the epoch where `source` has no numbered folders
    sizes : most samples whose features are kept; statistics cover every training sample

    Returns
    -------
    Run : ready for evaluation

    Raises
    ------
    NcvizError : something is missing, damaged or inconsistent, or `folder` exists. Nothing is left
        in `folder` then.
    """
    id_set = folder.name if id_set is None else id_set
    if not is_plain(id_set):
        raise InvalidOptionError(f"{id_set!r} cannot be the name of a data set: no slashes.")
    with new_folder(folder) as part:
        run, first = None, None
        for number, where in epoch_folders(source, epoch).items():
            export = read_export(where)
            if first is None:
                run, chosen = _start(part, source, export, id_set, sizes)
                first = export
            else:
                _require_same(export, first, where)
            _write_epoch(run, number, export, chosen)
        write.update_description(run, imported=datetime.now(UTC).isoformat(timespec="seconds"))
    return open_run(folder)


def _full_name(name: str, id_set: str) -> str:
    return f"{id_set}/{name}" if name in ("train", "test") else f"{name}/test"


def _start(
    folder: Path, source: Path, export: Export, id_set: str, sizes: Sizes
) -> tuple[Run, dict[str, np.ndarray]]:
    """The run without epochs, and which rows of each set are kept."""
    for name in export.groups:
        if not is_plain(name) or name == id_set:
            raise InvalidOptionError(
                f"{export.sets[name].origin}: '{name}' cannot be the name of an OOD set here. "
                "Rename the file, or the ID set with --id-set."
            )
    run = write.create_run(folder, _description(source, export, id_set))
    most = {"train": sizes.train_samples, "test": sizes.test_samples}
    chosen = {
        name: stratified_sample(_labels(one), most.get(name, sizes.ood_samples))
        for name, one in export.sets.items()
    }
    parts = [
        pd.DataFrame(
            {
                "set": _full_name(name, id_set),
                "index": rows,
                "label": _labels(export.sets[name])[rows],
                "key": [index_key(row) for row in rows],
            }
        )
        for name, rows in chosen.items()
    ]
    write.save_samples(run, pd.concat(parts, ignore_index=True))
    return run, chosen


def _description(source: Path, export: Export, id_set: str) -> dict[str, Any]:
    ordered = sorted(export.groups.items(), key=lambda item: item[1] != "near")
    return {
        "recipe": {"name": "imported"},
        "id_set": id_set,
        "classes": read_classes(source, export.classes),
        "layers": [LAYER],
        "ood_sets": dict(ordered),
        "data": {
            _full_name(name, id_set): fingerprint({"labels": _labels(one)})
            for name, one in export.sets.items()
        },
        "train_samples": len(export.sets["train"].features),
        "test_samples": len(export.sets["test"].features),
        "versions": {"numpy": version("numpy")},
        "transform": {},
    }


def _labels(one: RawSet) -> np.ndarray:
    """(N,) int64, -1 where there are none."""
    if one.labels is None:
        return np.full(len(one.features), -1)
    return one.labels.astype(np.int64)


def _require_same(export: Export, first: Export, where: Path) -> None:
    """The same sets, samples and classes in every epoch, so that a sample can be followed."""
    if export.groups != first.groups:
        other = sorted(set(export.groups.items()) ^ set(first.groups.items()))[0][0]
        raise InvalidOptionError(
            f"{where} and the epoch before have different OOD sets: see '{other}'. Every epoch "
            "needs the same."
        )
    if export.classes != first.classes:
        raise InvalidArrayError(
            f"{where} has {export.classes} classes, the first epoch {first.classes}."
        )
    for name, one in export.sets.items():
        if not np.array_equal(_labels(one), _labels(first.sets[name])):
            raise InvalidArrayError(
                f"{one.origin} has other samples or labels than {first.sets[name].origin}; every "
                "epoch must show the same samples in the same order."
            )


def _write_epoch(run: Run, number: int, export: Export, chosen: Mapping[str, np.ndarray]) -> None:
    # Without a head, an empty file of heads makes the epoch part of the run.
    write.save_heads(run, number, {} if export.head is None else {LAYER: export.head})
    run = open_run(run.path)  # which epochs it has is remembered from before
    epoch = run.epoch(number)
    for name, one in export.sets.items():
        full_name = _full_name(name, run.id_set)
        arrays = _kept(one, chosen[name])
        write.save_features(epoch, full_name, arrays, epoch.feature_sources(full_name))
    train = export.sets["train"]
    labels, classes = _labels(train), export.classes
    statistics = ClassStatistics.empty(classes, train.features.shape[1])
    for rows in slices(len(labels)):
        statistics.update(train.features[rows], labels[rows])
    write.save_statistics(epoch, {LAYER: statistics}, epoch.feature_sources("train"))
    rows = stratified_sample(labels, PROBE_SAMPLES)
    probes = fit_probes({LAYER: _single(train.features[rows])}, labels[rows], classes)
    write.save_probes(epoch, probes, epoch.probe_sources())


def _kept(one: RawSet, rows: np.ndarray) -> dict[str, np.ndarray]:
    arrays = {LAYER: halve(_single(one.features[rows]))}
    if one.logits is not None:
        arrays["logits"] = _single(one.logits[rows])
    if one.labels is not None:
        arrays["labels"] = one.labels[rows].astype(np.int32)
    return arrays


def _single(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, np.float32)
