"""Map what every saved epoch sees into the plane: python scripts/embed.py RUN."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without an installation

from ncviz.cli import run_script
from ncviz.embedding.maps import MIN_DISTANCE, NEIGHBOURS
from ncviz.evaluation.maps import LIMIT, embed
from ncviz.store import open_run, run_folder


@dataclass(frozen=True)
class Options:
    """UMAP maps and linear views of all extracted epochs; goes on where it stopped."""

    run: tyro.conf.Positional[str]
    """name of the run"""
    samples: int = LIMIT
    """most samples of the ID test set and the OOD sets together"""
    neighbours: int = NEIGHBOURS
    """of UMAP: how much of its surroundings a sample is placed by"""
    min_distance: float = MIN_DISTANCE
    """of UMAP: how close samples may lie in the map, 0..1"""
    seed: int = 0
    """of UMAP"""
    checkpoints: Path | None = None
    """folder of the runs (default: NCVIZ_CHECKPOINTS, or ./checkpoints)"""
    verbose: bool = False
    """show the traceback of an error"""


def main() -> None:
    options = tyro.cli(Options, prog="python scripts/embed.py")
    run = open_run(run_folder(options.run, options.checkpoints))
    embed(
        run,
        limit=options.samples,
        seed=options.seed,
        neighbours=options.neighbours,
        min_distance=options.min_distance,
    )
    print(f"{run.path}: maps of {len(run.epochs)} epochs and the layers {', '.join(run.layers)}")


if __name__ == "__main__":
    run_script(main)
