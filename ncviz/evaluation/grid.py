"""The grid of runs, epochs, layers, detectors and OOD sets, spread over processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm

from ncviz import collapse, detectors
from ncviz.errors import MissingDataError
from ncviz.metrics import detection_metrics
from ncviz.store import Epoch, Run, open_run, write

# Counted up when a metric or a detector changes its values, so that older results are made anew.
VERSION = "1"


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
    names : detectors; None takes all
    jobs : processes; -1 for one on each core

    Raises
    ------
    NcvizError : a run without extracted epochs, an unknown epoch or detector, damaged features.
    """
    names = tuple(names or detectors.names())
    for name in names:
        detectors.create(name)
    tasks = [(epoch.run.path, epoch.number) for run in runs for epoch in _extracted(run, epochs)]
    work = Parallel(n_jobs=jobs, return_as="generator_unordered")(
        delayed(_evaluate_task)(path, number, names) for path, number in tasks
    )
    for _ in tqdm(work, total=len(tasks), unit="epoch", desc="evaluate", disable=not progress):
        pass


def _extracted(run: Run, epochs: Sequence[int] | None) -> list[Epoch]:
    chosen = [run.epoch(number) for number in (run.epochs if epochs is None else epochs)]
    if epochs is None:
        chosen = [epoch for epoch in chosen if epoch.sets]
    without = [epoch.number for epoch in chosen if not epoch.sets]
    if without or not chosen:
        raise MissingDataError(
            f"Run {run.name} has no features"
            + (f" at epoch {without[0]}" if without else "")
            + f". Run: python scripts/extract.py {run.name}"
        )
    return chosen


def _evaluate_task(path: Path, number: int, names: tuple[str, ...]) -> None:
    evaluate_epoch(open_run(path).epoch(number), names)


def evaluate_epoch(epoch: Epoch, names: Sequence[str]) -> None:
    """Write one epoch's collapse metrics, detection results and scores, unless they are current."""
    sources = {**epoch.fingerprints(), "code:version": VERSION, "code:detectors": ",".join(names)}
    if epoch.has_results(sources):
        return
    ood_names = [name for name in epoch.run.ood_sets if epoch.full_name(name) in epoch.sets]
    collapse_rows, detection_rows, scores = [], [], {}
    for layer in epoch.run.layers:
        statistics = epoch.statistics(layer)
        head = epoch.head(layer) if epoch.has_head(layer) else None
        train, test = epoch.features("train", layer), epoch.features("test", layer)
        ood = {name: epoch.features(name, layer) for name in ood_names}
        metrics = collapse.measure(statistics, head).to_dict()
        if head is not None:
            metrics |= collapse.agreement(train, statistics, head).to_dict()
        collapse_rows += _rows(metrics, layer=layer, set="")
        for name, one in ood.items():
            nc5 = collapse.orthogonality(statistics, one.features).to_dict()
            collapse_rows += _rows(nc5, layer=layer, set=name)
        if head is None:
            continue
        for name in names:
            detector = detectors.create(name).fit(train, head, statistics)
            id_scores = detector.score(test)
            scores[f"{layer}/{name}/{epoch.full_name('test')}"] = id_scores.astype(np.float32)
            for ood_name, one in ood.items():
                ood_scores = detector.score(one)
                scores[f"{layer}/{name}/{epoch.full_name(ood_name)}"] = ood_scores.astype(
                    np.float32
                )
                detection_rows.append(
                    {
                        "layer": layer,
                        "detector": name,
                        "set": ood_name,
                        "group": epoch.run.ood_sets[ood_name],
                        **detection_metrics(id_scores, ood_scores).to_dict(),
                        "id_samples": len(id_scores),
                        "ood_samples": len(ood_scores),
                    }
                )
    write.save_results(
        epoch,
        collapse=pd.DataFrame(collapse_rows),
        detection=pd.DataFrame(detection_rows),
        scores=scores,
        sources=sources,
    )


def _rows(metrics: dict[str, float | None], **where: str) -> list[dict]:
    return [
        {**where, "metric": metric, "value": value}
        for metric, value in metrics.items()
        if value is not None
    ]
