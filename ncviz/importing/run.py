"""From a folder of exported features to a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from ncviz.arrays import ClassStatistics, FeatureSet
from ncviz.caching import PROBE_SAMPLES, fit_probes, halve, stratified_sample
from ncviz.errors import InvalidArrayError, InvalidOptionError
from ncviz.importing.checks import slices
from ncviz.importing.folder import epoch_folders, files_of_epoch
from ncviz.importing.read import DEFAULTS, Export, RawSet, ReadOptions, read_export
from ncviz.label_order import label_findings
from ncviz.store import LOGITS, Run, checksums, open_run, write
from ncviz.store.folders import new_folder
from ncviz.store.layout import is_plain

LAYER = "encoder"
_STEPS = 3  # of an epoch besides reading files


def import_features(
    source: Path,
    folder: Path,
    *,
    id_set: str | None = None,
    epoch: int = 1,
    options: ReadOptions = DEFAULTS,
    seed: Mapping[str, Any] | None = None,
    progress: bool = False,
    note: Callable[[str], None] = lambda sentence: None,
) -> Run:
    """Write a run in `folder` from the features and logits in `source`; all samples are kept.

    Parameters
    ----------
    source : holds train.EXT, test.EXT, near/NAME.EXT, far/NAME.EXT and perhaps head.EXT and
        classes.txt; or one numbered folder with these for each epoch
    folder : of the run, which must not exist yet
    id_set : name of the in-distribution data set; the run's name if None. Samples of two runs are
        compared only where their data sets have the same name.
    epoch : number of the epoch where `source` has no numbered folders
    options : names of arrays and the order of classes
    seed : what `seed_fields` returns, for a run of a seed group
    progress : show a progress bar
    note : called with each sentence about what was ignored, is missing or looks wrong

    Returns
    -------
    Run : ready for evaluation

    Raises
    ------
    NcvizError
        If something is missing, damaged or inconsistent, or `folder` exists. Nothing is left in
        `folder` then.
    """
    id_set = folder.name if id_set is None else id_set
    if not is_plain(id_set):
        raise InvalidOptionError(f"{id_set!r} cannot be the name of a data set: no slashes.")
    epochs = epoch_folders(source, epoch)
    with new_folder(folder) as part, _bar(epochs, options, progress) as bar:

        def step(what: str) -> None:
            bar.set_postfix_str(what)
            bar.update()

        run, first, notes = None, None, {}
        for number, where in epochs.items():
            export = read_export(where, source, options, step)
            notes |= dict.fromkeys(export.notes)
            if first is None:
                run, first = _start(part, export, id_set, seed or {}), export
            else:
                _require_same(export, first, where)
            _write_epoch(run, number, export, step)
        findings = _findings(export)
        write.update_description(
            run,
            imported=datetime.now(UTC).isoformat(timespec="seconds"),
            **({"findings": findings} if findings else {}),
        )
    for sentence in (*notes, *findings.values()):
        note(sentence)
    return open_run(folder)


def _bar(epochs: dict[int, Path], options: ReadOptions, shown: bool) -> tqdm:
    """Return a progress bar over the files and the further steps of all epochs."""
    files = 0
    for where in epochs.values():
        files += len(files_of_epoch(where, options.columns)[0])
    total = files + _STEPS * len(epochs)
    bar = tqdm(total=total, unit="step", desc="import", disable=not shown, mininterval=0)
    bar.refresh()
    return bar


def _full_name(name: str, id_set: str) -> str:
    return f"{id_set}/{name}" if name in ("train", "test") else f"{name}/test"


def _start(folder: Path, export: Export, id_set: str, seed: Mapping[str, Any]) -> Run:
    """Create the run without epochs."""
    for name in export.groups:
        if not is_plain(name) or name == id_set:
            raise InvalidOptionError(
                f"{export.sets[name].origin}: '{name}' cannot be the name of an OOD set here. "
                "Rename the file, or the ID set with --id-set."
            )
    run = write.create_run(folder, _description(export, id_set, seed))
    parts = [
        pd.DataFrame(
            {
                "set": _full_name(name, id_set),
                "index": np.arange(len(one)),
                "label": _labels(one),
                "key": one.keys or "",
            }
        )
        for name, one in export.sets.items()
    ]
    identities = {_full_name(name, id_set): one.identity for name, one in export.sets.items()}
    return write.save_samples(run, pd.concat(parts, ignore_index=True), identities=identities)


def _description(export: Export, id_set: str, seed: Mapping[str, Any]) -> dict[str, Any]:
    ordered = sorted(export.groups.items(), key=lambda item: item[1] != "near")
    return {
        "recipe": {"name": "imported", **seed},
        "id_set": id_set,
        "classes": export.classes,
        "layers": [LAYER if export.has_features else LOGITS],
        "ood_sets": dict(ordered),
        "data": {
            _full_name(name, id_set): checksums.of_arrays({"labels": _labels(one)})
            for name, one in export.sets.items()
        },
        "train_samples": len(export.sets["train"]),
        "test_samples": len(export.sets["test"]),
        "versions": {"numpy": version("numpy")},
        "transform": {},
    }


def _labels(one: RawSet) -> np.ndarray:
    """Return (N,) int64, -1 where there are none."""
    return np.full(len(one), -1) if one.labels is None else one.labels


def _require_same(export: Export, first: Export, where: Path) -> None:
    """Require the same sets, samples and classes in every epoch, to follow samples over epochs."""
    if export.groups != first.groups:
        other = sorted(set(export.groups.items()) ^ set(first.groups.items()))[0][0]
        raise InvalidOptionError(
            f"{where} and the epoch before have different OOD sets: see '{other}'. Every epoch "
            "needs the same."
        )
    if export.has_features != first.has_features:
        raise InvalidArrayError(
            f"{where} has {'features' if export.has_features else 'only logits'}, unlike the first "
            "epoch; every epoch needs the same arrays."
        )
    if export.classes != first.classes:
        raise InvalidArrayError(
            f"{where} has {len(export.classes)} classes, the first epoch {len(first.classes)}; "
            "every epoch needs the same."
        )
    for name, one in export.sets.items():
        other = first.sets[name]
        if not np.array_equal(_labels(one), _labels(other)) or one.keys != other.keys:
            raise InvalidArrayError(
                f"{one.origin} has other samples or labels than {other.origin}; every epoch must "
                "show the same samples in the same order."
            )


def _write_epoch(run: Run, number: int, export: Export, step: Callable[[str], None]) -> None:
    step("features")
    # Without a head, an empty file of heads makes the epoch part of the run.
    write.save_heads(run, number, {} if export.head is None else {LAYER: export.head})
    run = open_run(run.path)  # the saved epochs are cached
    epoch = run.epoch(number)
    for name, one in export.sets.items():
        full_name = _full_name(name, run.id_set)
        write.save_features(epoch, full_name, _stored(one), epoch.feature_sources(full_name))
    step("class statistics")
    train = export.sets["train"]
    labels, classes = _labels(train), len(export.classes)
    statistics, probes = {}, {}
    if export.has_features:
        statistics[LAYER] = _statistics(train, classes)
    write.save_statistics(epoch, statistics, epoch.feature_sources("train"))
    test = export.sets["test"]
    if export.has_features and test.labels is not None:
        found = {LAYER: _statistics(test, classes)}
        write.save_statistics(epoch, found, epoch.feature_sources("test"), set_name="test")
    step("linear probe")
    if export.has_features:
        rows = stratified_sample(labels, PROBE_SAMPLES)
        probes = fit_probes({LAYER: _single(train.features[rows])}, labels[rows], classes)
    write.save_probes(epoch, probes, epoch.probe_sources())


def _statistics(one: RawSet, classes: int) -> ClassStatistics:
    statistics = ClassStatistics.empty(classes, one.features.shape[1])
    for rows in slices(len(one)):
        statistics.update(one.features[rows], one.labels[rows])
    return statistics


def _stored(one: RawSet) -> dict[str, np.ndarray]:
    arrays = {} if one.features is None else {LAYER: halve(_single(one.features))}
    if one.logits is not None:
        arrays[LOGITS] = _single(one.logits)
    if one.labels is not None:
        arrays["labels"] = one.labels.astype(np.int32)
    return arrays


def _single(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, np.float32)


def _findings(export: Export) -> dict[str, str]:
    """Return sentences on labels or a head that look wrong, from the test set or else train."""
    test = export.sets["test"]
    one = test if test.labels is not None else export.sets["train"]
    logits = one.logits
    features = logits if one.features is None else one.features
    if logits is None:
        logits = export.head.logits(_single(features))
    samples = FeatureSet(_single(features), _single(logits), one.labels)
    return label_findings(samples, export.classes, head=export.head)
