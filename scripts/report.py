"""One HTML file that shows a run and needs no network: python scripts/report.py RUN."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without an installation

from ncviz import report
from ncviz.cli import run_script
from ncviz.store import open_run, run_folder


@dataclass(frozen=True)
class Options:
    """Write all figures, tables and definitions of a run, and where its numbers come from."""

    run: tyro.conf.Positional[str]
    """name of the run"""
    epoch: int | None = None
    """saved epoch to look at (default: the last)"""
    layer: str | None = None
    """layer to look at (default: the one under the network's head)"""
    detector: str | None = None
    """detector whose scores are drawn (default: energy, where the layer has it)"""
    out: Path | None = None
    """file to write, replaced if it exists (default: RUN-report.html in the current folder)"""
    theme: report.Theme = "system"
    """colours; system follows the reader's"""
    checkpoints: Path | None = None
    """folder of the runs (default: NCVIZ_CHECKPOINTS, or ./checkpoints)"""
    verbose: bool = False
    """show the traceback of an error"""


def main() -> None:
    options = tyro.cli(Options, prog="python scripts/report.py")
    run = open_run(run_folder(options.run, options.checkpoints))
    study = report.choose(run, epoch=options.epoch, layer=options.layer, detector=options.detector)
    path = options.out or Path(f"{run.name}-report.html")
    report.save(study, path, theme=options.theme)
    size = path.stat().st_size / 1e6
    print(f"{path}: {size:.1f} MB, {study.shown}; open it in a browser, no network is needed")


if __name__ == "__main__":
    run_script(main, interrupted="Nothing was written.")
