"""How long evaluation takes for 40 epochs: in one process, in two, and on two Dask workers.

    python benchmarks/grid.py [--run cifar100-resnet18-controlled] [--epochs 40] [--json FILE]

The run is a shipped one, whose saved epochs are taken in turns until there are 40, without results.
What is timed is one call of `evaluate`: reading features, fitting and scoring every detector at
every layer, metrics with 95 % intervals against every OOD set, means over sets, collapse metrics,
calibration, and writing all of it. Starting the two processes belongs to it; starting the Dask
cluster does not. The three leave the same bytes, or this fails.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without an installation

from bench import Row, Table, run, timed
from distributed import LocalCluster

from ncviz.evaluation import evaluate
from ncviz.store import Run, layout, open_run

CHECKPOINTS = Path(__file__).resolve().parents[1] / "checkpoints"
PROCESSES = 2


def main() -> None:
    run(tables, __doc__, options)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", default="cifar100-resnet18-controlled")
    parser.add_argument("--epochs", type=int, default=40)


def tables(given: argparse.Namespace) -> Iterator[Table]:
    with tempfile.TemporaryDirectory() as folder:
        made = without_results(open_run(CHECKPOINTS / given.run), Path(folder), given.epochs)
        one, results = evaluated(made)
        two, of_two = evaluated(made, jobs=PROCESSES)
        with LocalCluster(
            n_workers=PROCESSES, threads_per_worker=1, dashboard_address=":0"
        ) as cluster:
            workers, of_workers = evaluated(made, dask=cluster.scheduler_address)
        if not results == of_two == of_workers:
            raise SystemExit("Results depend on where they were computed.")
        yield table(made, one, two, workers)


def table(made: Run, one: float, two: float, workers: float) -> Table:
    """Times beside that of one process, and beside that divided by the processes."""
    detection = open_run(made.path).detection()
    layers = detection.groupby("epoch")["layer"].nunique().sum()
    title = (
        f"{len(made.epochs)} epochs of {made.name}: {layers} layers, {len(detection):,} results of "
        f"{detection['detector'].nunique()} detectors against {detection['set'].nunique()} OOD sets"
    )
    found = Table(title, theirs="one process")
    found.rows.append(Row("one process", one, note=f"{one / layers:.2f} s for a layer of an epoch"))
    aim = {"bound": one / PROCESSES, "theirs": one, "note": "the bound is an even share"}
    found.rows.append(Row(f"--jobs {PROCESSES}", two, **aim))
    found.rows.append(Row(f"--dask, {PROCESSES} workers", workers, **aim))
    return found


def without_results(shipped: Run, folder: Path, count: int) -> Run:
    """A run of `count` epochs in `folder`, the saved ones of a shipped run in turns."""
    path = folder / shipped.name
    kept = (layout.EPOCHS, layout.SEALS)
    shutil.copytree(shipped.path, path, ignore=lambda _, names: {*kept} & {*names})
    for at in range(count):
        source = layout.epoch_folder(shipped.path, shipped.epochs[at % len(shipped.epochs)])
        shutil.copytree(source, layout.epoch_folder(path, at + 1))
    forget_results(open_run(path))
    return open_run(path)


def forget_results(made: Run) -> None:
    for number in made.epochs:
        epoch = layout.epoch_folder(made.path, number)
        for name in (*layout.TABLES.values(), layout.SCORES, layout.DETECTORS):
            (epoch / name).unlink(missing_ok=True)


def evaluated(made: Run, **where: int | str) -> tuple[float, dict[str, bytes]]:
    """Seconds that an evaluation from the start takes, and what it wrote."""
    forget_results(made)
    seconds, _ = timed(lambda: evaluate([made], **where), best_of=1)
    written = {
        f"{number}/{name}": (layout.epoch_folder(made.path, number) / name).read_bytes()
        for number in made.epochs
        for name in (*layout.TABLES.values(), layout.SCORES)
    }
    return seconds, written


if __name__ == "__main__":
    main()
