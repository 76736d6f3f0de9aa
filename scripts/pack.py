"""Copy a run for sharing, weights in half precision: python scripts/pack.py RUN --to FOLDER."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without an installation

from ncviz.cli import run_script
from ncviz.store import open_run, run_folder
from ncviz.store.pack import pack


@dataclass(frozen=True)
class Options:
    """Copy a run without its training state, and with the weights of chosen epochs alone."""

    run: tyro.conf.Positional[str]
    """name of the run"""
    to: Path
    """checkpoints folder that the copy goes into"""
    weights: tuple[int, ...] | None = None
    """epochs whose weights are kept, in float16 (default: the last)"""
    checkpoints: Path | None = None
    """folder of the runs (default: NCVIZ_CHECKPOINTS, or ./checkpoints)"""
    verbose: bool = False
    """show the traceback of an error"""


def main() -> None:
    options = tyro.cli(Options, prog="python scripts/pack.py")
    run = open_run(run_folder(options.run, options.checkpoints))
    weights = run.epochs[-1:] if options.weights is None else options.weights
    copy = pack(run, options.to / run.name, weights=weights)
    size = sum(path.stat().st_size for path in copy.path.rglob("*") if path.is_file())
    print(f"{copy.path}: {size / 1e6:.1f} MB, weights of epochs {', '.join(map(str, weights))}")


if __name__ == "__main__":
    run_script(main)
