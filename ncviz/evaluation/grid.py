"""The grid of runs, epochs, layers, detectors and OOD sets, spread over processes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm

from ncviz import collapse, detectors
from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.detectors import probe_energy
from ncviz.errors import InvalidOptionError, MissingDataError
from ncviz.metrics import DEFINITIONS, detection_metrics
from ncviz.store import Epoch, Run, open_run, write

_DETECTOR = "code:detector:"
_COLLAPSE = ("layer", "metric", "set", "value")
_DETECTION = ("layer", "detector", "set", "group", *DEFINITIONS, "id_samples", "ood_samples")


def evaluate(
    runs: Iterable[Run],
    *,
    epochs: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    jobs: int = 1,
    progress: bool = True,
) -> None:
    """Write the results of the extracted epochs of `runs`; results that are current are kept.

    Parameters
    ----------
    epochs : the epochs to evaluate; None takes all that were extracted
    names : detectors; None takes all that cached training features and logits suffice for
    jobs : processes; -1 for one on each core

    Raises
    ------
    NcvizError : a run without extracted epochs, an unknown epoch or detector, a detector that needs
        more than the cached training set, damaged features.
    """
    names = tuple(names or filter(_suffices, detectors.names()))
    for name in names:
        if not _suffices(name):
            needs = ", ".join(detectors.info(name).needs)
            raise InvalidOptionError(
                f"Detector '{name}' cannot be evaluated on the cached training set: it needs "
                f"{needs}. Leave it out."
            )
    tasks = [(epoch.run.path, epoch.number) for run in runs for epoch in _extracted(run, epochs)]
    work = Parallel(n_jobs=jobs, return_as="generator_unordered")(
        delayed(_evaluate_task)(path, number, names) for path, number in tasks
    )
    for _ in tqdm(work, total=len(tasks), unit="epoch", desc="evaluate", disable=not progress):
        pass


def _suffices(name: str) -> bool:
    """Whether the detector `name` is fitted to training samples and scores arrays."""
    info = detectors.info(name)
    return info.scores_arrays and not info.learns_held_out


def _extracted(run: Run, epochs: Sequence[int] | None) -> list[Epoch]:
    chosen = [run.epoch(number) for number in (run.epochs if epochs is None else epochs)]
    if epochs is None:
        chosen = [epoch for epoch in chosen if epoch.sets]
    without = [epoch.number for epoch in chosen if not epoch.sets]
    if without or not chosen:
        at = f" at epoch {without[0]}" if without else ""
        raise MissingDataError(f"Run {run.name} has no features{at}. {run.how_to_extract()}")
    return chosen


def _evaluate_task(path: Path, number: int, names: tuple[str, ...]) -> None:
    evaluate_epoch(open_run(path).epoch(number), names)


def evaluate_epoch(epoch: Epoch, names: Sequence[str]) -> None:
    """Write one epoch's collapse metrics, detection results and scores, unless they are current.

    Detectors that the current results have beyond `names` stay part of them.
    """
    wanted = {f"{_DETECTOR}{name}": _parameters(name) for name in names}
    current = epoch.current_results()
    if wanted.items() <= current.items():
        return
    known = {f"{_DETECTOR}{name}": _parameters(name) for name in detectors.names()}
    wanted |= dict(known.items() & current.items())
    layers = [_Layer.read(epoch, name) for name in epoch.layers]
    chosen = [name for name in detectors.names() if f"{_DETECTOR}{name}" in wanted]
    scores = {layer.name: _scores(layer, chosen) for layer in layers}
    detection = [
        row
        for layer, by_detector in scores.items()
        for detector, by_set in by_detector.items()
        for row in _detection_rows(epoch, by_set, layer=layer, detector=detector)
    ]
    write.save_results(
        epoch,
        collapse=pd.DataFrame(
            [row for layer in layers for row in _collapse_rows(layer)], columns=_COLLAPSE
        ),
        detection=pd.DataFrame(detection, columns=_DETECTION),
        scores={
            f"{layer}/{detector}/{epoch.full_name(name)}": values
            for layer, by_detector in scores.items()
            for detector, by_set in by_detector.items()
            for name, values in by_set.items()
        },
        sources=epoch.results_inputs() | wanted,
    )


def _parameters(name: str) -> str:
    return json.dumps(detectors.create(name).parameters(), sort_keys=True)


class _Layer(NamedTuple):
    """What one layer of an epoch offers to metrics and detectors."""

    name: str
    statistics: ClassStatistics
    head: Head | None
    probe: Head | None
    train: FeatureSet
    test: FeatureSet
    ood: dict[str, FeatureSet]

    @classmethod
    def read(cls, epoch: Epoch, name: str) -> _Layer:
        extracted = [ood for ood in epoch.run.ood_sets if epoch.full_name(ood) in epoch.sets]
        return cls(
            name=name,
            statistics=epoch.statistics(name),
            head=epoch.head(name) if epoch.has_head(name) else None,
            probe=epoch.probe(name) if epoch.has_probe(name) else None,
            train=epoch.features("train", name),
            test=epoch.features("test", name),
            ood={ood: epoch.features(ood, name) for ood in extracted},
        )


def _collapse_rows(layer: _Layer) -> Iterator[dict]:
    metrics = collapse.measure(layer.statistics, layer.head).to_dict()
    metrics |= collapse.spread(layer.train.features).to_dict()
    if layer.head is not None:
        metrics |= collapse.agreement(layer.train, layer.statistics, layer.head).to_dict()
    yield from _rows(metrics, layer=layer.name, set="")
    for name, samples in layer.ood.items():
        metrics = collapse.orthogonality(layer.statistics, samples.features).to_dict()
        yield from _rows(metrics, layer=layer.name, set=name)


def _rows(metrics: Mapping[str, float | None], **where: str) -> Iterator[dict]:
    for metric, value in metrics.items():
        if value is not None:
            yield {**where, "metric": metric, "value": value}


def _scores(layer: _Layer, names: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """Scores (N,) by detector and set; in float64, since a float32 rounds confidences to 1.

    A layer without a head of its own is scored by detectors that look at features alone. The
    energy of a linear probe stands beside them, at every layer that has one.
    """
    head = layer.probe if layer.head is None else layer.head
    if head is None:
        return {}
    if layer.head is None:
        names = [name for name in names if _looks_at_features_alone(name)]
    sets = {"test": layer.test, **layer.ood}
    scores = {}
    for name in names:
        detector = detectors.create(name).fit(layer.train, head, layer.statistics)
        scores[name] = {each: detector.score(samples) for each, samples in sets.items()}
    if layer.probe is not None:
        scores[probe_energy.INFO.name] = {
            each: probe_energy.score(layer.probe, samples) for each, samples in sets.items()
        }
    return scores


def _looks_at_features_alone(name: str) -> bool:
    needs = detectors.info(name).needs
    return "features" in needs and "head" not in needs


def _detection_rows(epoch: Epoch, by_set: Mapping[str, np.ndarray], **where: str) -> Iterator[dict]:
    id_scores = by_set["test"]
    for name, ood_scores in by_set.items():
        if name != "test":
            yield {
                **where,
                "set": name,
                "group": epoch.run.ood_sets[name],
                **detection_metrics(id_scores, ood_scores).to_dict(),
                "id_samples": len(id_scores),
                "ood_samples": len(ood_scores),
            }
