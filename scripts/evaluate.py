"""Evaluate runs: python scripts/evaluate.py RUN... [--jobs N | --dask ADDRESS] [--json]."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without an installation

from ncviz.cli import run_script
from ncviz.errors import InvalidOptionError
from ncviz.evaluation import as_json, as_text, evaluate, over_seeds, side_by_side
from ncviz.store import list_runs, open_run, run_folder


@dataclass(frozen=True)
class Options:
    """Write the results of every epoch, layer, detector and OOD set, and print the last epoch's.

    Results that are current are kept, so a second call only prints.
    """

    runs: tyro.conf.Positional[tuple[str, ...]]
    """names of one or more runs"""
    epochs: tuple[int, ...] | None = None
    """saved epochs to evaluate (default: all that were extracted)"""
    detectors: tuple[str, ...] | None = None
    """detectors to evaluate (default: all)"""
    jobs: int | None = None
    """processes; -1 for one on each core (default: one)"""
    dask: str | None = None
    """address of the scheduler of a Dask cluster whose workers compute instead"""
    device: str | None = None
    """compute with torch on this device, such as cuda (default: with NumPy)"""
    kept_samples: bool = False
    """evaluate packed runs on the samples they keep; this replaces the results of all samples"""
    intervals: bool = False
    """print the 95 % interval of each result of detection"""
    json: bool = False
    """print all results of all epochs as JSON instead of tables of the last"""
    checkpoints: Path | None = None
    """folder of the runs (default: NCVIZ_CHECKPOINTS, or ./checkpoints)"""
    verbose: bool = False
    """show the traceback of an error"""


def main() -> None:
    options = tyro.cli(Options, prog="python scripts/evaluate.py")
    if not options.runs:
        known = ", ".join(list_runs(options.checkpoints).runs) or "none"
        raise InvalidOptionError(f"Name at least one run to evaluate. There are: {known}.")
    runs = [open_run(run_folder(name, options.checkpoints)) for name in options.runs]
    evaluate(
        runs,
        epochs=options.epochs,
        names=options.detectors,
        jobs=options.jobs,
        dask=options.dask,
        device=options.device,
        kept_samples=options.kept_samples,
    )
    if options.json:
        print(json.dumps([as_json(run) for run in runs], allow_nan=False))
    else:
        last = max(options.epochs) if options.epochs else None
        texts = (as_text(run, last, intervals=options.intervals) for run in runs)
        print("\n\n".join(texts))
        print(f"\n{side_by_side(runs, last)}")
        if text := over_seeds(runs, last):
            print(f"\n{text}")


if __name__ == "__main__":
    run_script(main)
