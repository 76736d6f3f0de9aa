"""The grid of runs, epochs, layers, detectors and OOD sets, spread over processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from joblib import Parallel, delayed
from tqdm import tqdm

from ncviz import detectors
from ncviz.definitions import CODE
from ncviz.errors import MissingDataError
from ncviz.evaluation.calibration import calibration_tables, temperature_table
from ncviz.evaluation.layers import Layer, network_scores, score_layer
from ncviz.evaluation.tables import collapse_table, detection_tables
from ncviz.store import Epoch, Run, open_run, write
from ncviz.store.lock import writing

# Counted up when results consist of other tables or columns, or are computed in another way.
_TABLES = {f"{CODE}tables": "3"}


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
        detectors.info(name)
    tasks = [(epoch.run.path, epoch.number) for run in runs for epoch in _extracted(run, epochs)]
    with ExitStack() as held:
        for path in sorted({path for path, _ in tasks}):
            held.enter_context(writing(path))
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
        at = f" at epoch {without[0]}" if without else ""
        raise MissingDataError(f"Run {run.name} has no features{at}. {run.how_to_extract()}")
    return chosen


def _evaluate_task(path: Path, number: int, names: tuple[str, ...]) -> None:
    evaluate_epoch(open_run(path).epoch(number), names)


def evaluate_epoch(epoch: Epoch, names: Sequence[str]) -> None:
    """Write one epoch's metrics, scores and fitted detectors, unless they are current.

    Detectors that the current results have beyond `names` stay part of them.
    """
    current = epoch.current_results()
    kept = detectors.marks(detectors.names()).items() & current.items()
    wanted = _TABLES | detectors.marks(names) | dict(kept)
    chosen = [
        name for name in detectors.names() if detectors.marks([name]).items() <= wanted.items()
    ]
    if wanted.items() <= current.items() and epoch.has_fitted(chosen):
        return
    layers = [Layer.read(epoch, name) for name in epoch.layers]
    scored = {layer.name: score_layer(layer, chosen) for layer in layers}
    scores = {name: each.scores for name, each in scored.items()}
    last = layers[-1]
    scores[last.name] |= network_scores(epoch, last, chosen)
    detection, means = detection_tables(scores, epoch.run.ood_sets)
    calibration, reliability = calibration_tables(last.test)
    tables = {
        "collapse": collapse_table(layers),
        "detection": detection,
        "means": means,
        "calibration": calibration,
        "reliability": reliability,
        "temperature": temperature_table(last),
    }
    if epoch.has_weights:
        write.save_detectors(epoch, {name: each.detectors for name, each in scored.items()}, chosen)
    by_name = {
        f"{layer}/{detector}/{epoch.full_name(name)}": values
        for layer, by_detector in scores.items()
        for detector, by_set in by_detector.items()
        for name, values in by_set.items()
    }
    write.save_results(epoch, tables, by_name, epoch.results_inputs() | wanted)
