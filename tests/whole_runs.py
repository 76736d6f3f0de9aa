"""A small run that has every kind of file, and a reader of everything in a run, for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from made_runs import add_maps, add_samples, make_run

from ncviz import detectors
from ncviz.arrays import ClassStatistics
from ncviz.evaluation import evaluate
from ncviz.store import Run, layout, marks, open_run, thinning, write

CLASSES = ("cat", "dog", "fox")
EPOCH = 4


def make_whole_run(checkpoints: Path, name: str = "whole") -> Run:
    """A run of one epoch with weights, features, network scores, results, maps and a state."""
    run = make_run(
        checkpoints, name, classes=CLASSES, epochs=(EPOCH,), dim=5, results=False, features=True
    )
    epoch = run.epoch(EPOCH)
    rng = np.random.default_rng(1)
    write.save_network(
        run, EPOCH, {"conv": rng.normal(size=(4, 3)).astype("f4")}, {"encoder": epoch.head()}
    )
    add_samples(run)
    test = epoch.features("test")
    statistics = {"encoder": ClassStatistics.of(test.features, test.labels, len(CLASSES))}
    write.save_statistics(epoch, statistics, {}, set_name="test")
    for set_name in ("made/test", "letters/test", "noise/test"):
        scores = {"odin": rng.normal(size=len(epoch.features(set_name)))}
        sources = epoch.feature_sources(set_name) | detectors.marks(["odin"])
        write.save_network_scores(epoch, set_name, scores, sources)
    evaluate([run], progress=False)
    add_maps(run)
    table = {"layer": "encoder", "set": "letters", "probe_error": 0.25, "ncm_error": 0.5}
    counts = {"train_samples": 100, "test_samples": 50}
    sources = {"weights": epoch.weights_fingerprint} | marks.of_transfer()
    write.save_transfer(epoch, pd.DataFrame([table | counts]), sources)
    state = write.TrainingState({"momentum": np.ones(3, "f4")}, {"epoch": EPOCH})
    write.save_training_state(run, state)
    return open_run(run.path)


def add_distributions(run: Run) -> None:
    """Write the distributions of scores, which only packed runs have."""
    epoch = run.epoch(EPOCH)
    scores = {
        f"encoder/{detector}/{name}": values
        for detector, by_set in epoch.layer_scores("encoder").items()
        for name, values in by_set.items()
    }
    thinning.save_distributions(epoch, run, scores, {})


def readers(run: Run) -> dict[str, Callable[[], object]]:
    """Everything that can be read of the run's one epoch, by name; `run` may be damaged by now."""
    epoch = run.epoch(EPOCH)
    found: dict[str, Callable[[], object]] = {
        "history": lambda: run.history,
        "samples": lambda: run.samples,
        "state": lambda: write.load_training_state(run),
        "weights": epoch.weights,
        "head": epoch.head,
        "probe": epoch.probe,
        "statistics": epoch.statistics,
        "test_statistics": lambda: epoch.statistics(set="test"),
        "maps": epoch.maps,
        "layers": lambda: epoch.layers,
        "scores": lambda: epoch.layer_scores("encoder"),
        "distribution": lambda: epoch.distribution("energy", "test"),
        "detector names": epoch.detectors,
        "judges": epoch.judges,
    }
    for name in ("made/train", "made/test", "letters/test", "noise/test"):
        found[f"features of {name}"] = lambda name=name: epoch.features(name)
        found[f"network scores of {name}"] = lambda name=name: epoch.network_scores(name)
    tables = {"detection_means" if name == "means" else name for name in layout.TABLES}
    for name in (*sorted(tables), "transfer"):
        found[name] = getattr(epoch, name)
    for name in detectors.names():
        if detectors.info(name).scores_arrays and detectors.info(name).learns_from_samples:
            found[f"detector {name}"] = lambda name=name: epoch.detector(name).state()
    return found


def readers_of(run: Run, path: Path) -> dict[str, Callable[[], object]]:
    """Those of them that read the file `path` first."""
    return {name: read for name, read in readers(run).items() if name.startswith(_concerned(path))}


def _concerned(path: Path) -> tuple[str, ...]:
    """Prefixes of the names of the readers that read a file first."""
    inside = path.as_posix().partition(f"epochs/{EPOCH:04d}/")[2]
    for start, names in {
        "features/": ("features", "judges", "maps"),
        "network_scores/": ("network",),
        "model": ("weights", "features of made/test"),
        "head": ("head", "features of made/test", "detector names"),
        "statistics": ("statistics", "layers"),
        "test_statistics": ("test_statistics",),
        "probes": ("probe", "detector names"),
        "detectors": ("detector ", "judges"),
        "results/scores": ("scores", "judges"),
        "results/distributions": ("distribution",),
        "results/maps": ("maps",),
        "results/means": ("detection_means",),
        "results/": (Path(inside).stem,),
    }.items():
        if inside.startswith(start):
            return names
    return {"samples": ("samples", "features"), "state": ("state",), "history": ("history",)}.get(
        path.stem, ("head",)
    )
