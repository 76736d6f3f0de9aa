"""Make a small copy of a run for sharing: python scripts/pack.py RUN --to FOLDER."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without an installation

from ncviz.cli import run_script
from ncviz.packing import PackedSizes, pack
from ncviz.store import open_run, run_folder


@dataclass(frozen=True)
class Options:
    """Keep the results of all samples, a few samples for inspection, and weights of some epochs."""

    run: tyro.conf.Positional[str]
    """name of the run"""
    to: Path
    """checkpoints folder that the copy goes into"""
    weights: tuple[int, ...] | None = None
    """epochs whose weights are kept, in float16 (default: the last that has weights)"""
    samples: tyro.conf.OmitArgPrefixes[PackedSizes] = field(default_factory=PackedSizes)
    checkpoints: Path | None = None
    """folder of the runs (default: NCVIZ_CHECKPOINTS, or ./checkpoints)"""
    verbose: bool = False
    """show the traceback of an error"""


def main() -> None:
    options = tyro.cli(Options, prog="python scripts/pack.py")
    run = open_run(run_folder(options.run, options.checkpoints))
    weights = run.weighted_epochs[-1:] if options.weights is None else options.weights
    packing = pack(run, options.to / run.name, weights=weights, sizes=options.samples)
    before, after = (_megabytes(each.path) for each in (run, packing.run))
    print(
        f"{packing.run.path}: {after:,.1f} MB instead of {before:,.1f} MB, "
        + (f"weights of epochs {', '.join(map(str, weights))}" if weights else "no weights")
    )
    print(
        "ROC curves drawn from the stored quantiles differ by at most "
        f"{packing.curve_difference:.4f} from those of all scores."
    )
    for name, reason in packing.left_out.items():
        print(f"{name} cannot score new images: {reason}.")


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    run_script(main)
