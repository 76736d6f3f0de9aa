"""Make a run of exported features: python scripts/import_features.py SOURCE --run NAME."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without an installation

from ncviz.caching import Sizes
from ncviz.cli import run_script
from ncviz.importing import import_features
from ncviz.store import run_folder


@dataclass(frozen=True)
class Options:
    """A run of the features and logits of a network that was trained elsewhere.

    SOURCE holds train.EXT, test.EXT, near/NAME.EXT and far/NAME.EXT, perhaps head.EXT and
    classes.txt; or a numbered folder with these for each epoch. EXT is npz, npy, safetensors,
    parquet or csv; docs/bring-your-own.md says what is in them.
    """

    source: tyro.conf.Positional[Path]
    """folder of the exported files"""
    run: str
    """name of the new run"""
    id_set: str | None = None
    """what to call the in-distribution data set (default: the run's name); runs that know the same
    data are compared"""
    epoch: int = 1
    """number of the epoch, where SOURCE has no folder for each"""
    samples: tyro.conf.OmitArgPrefixes[Sizes] = field(default_factory=Sizes)
    checkpoints: Path | None = None
    """folder of the runs (default: NCVIZ_CHECKPOINTS, or ./checkpoints)"""
    verbose: bool = False
    """show the traceback of an error"""


def main() -> None:
    options = tyro.cli(Options, prog="python scripts/import_features.py")
    run = import_features(
        options.source,
        run_folder(options.run, options.checkpoints),
        id_set=options.id_set,
        epoch=options.epoch,
        sizes=options.samples,
    )
    sets = ", ".join(f"{name} ({group})" for name, group in run.ood_sets.items()) or "none"
    print(f"{run.path}: epochs {', '.join(map(str, run.epochs))}; OOD sets: {sets}")
    print(f"Next: python scripts/evaluate.py {run.name}")
    print(f"Then: python scripts/embed.py {run.name}")


if __name__ == "__main__":
    run_script(main, interrupted="Nothing was imported.")
