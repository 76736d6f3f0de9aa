"""Make a run of exported features: python scripts/import_features.py SOURCE --run NAME."""

from __future__ import annotations

import shlex
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without an installation

from ncviz.cli import run_script
from ncviz.importing import ClassOrder, ReadOptions, import_features
from ncviz.store import run_folder, seed_fields


@dataclass(frozen=True)
class Options:
    """A run of the features and logits of a network that was trained elsewhere.

    SOURCE holds train.EXT, test.EXT, near/NAME.EXT and far/NAME.EXT, perhaps head.EXT and
    classes.txt; or a numbered folder with these for each epoch. EXT is npz, npy, safetensors,
    parquet or csv; docs/bring-your-own.md describes the arrays and columns.
    """

    source: tyro.conf.Positional[Path]
    """folder of the exported files"""
    run: str
    """name of the new run"""
    id_set: str | None = None
    """name of the in-distribution data set (default: the run's name); samples of two runs are
    compared only where their data sets have the same name"""
    epoch: int = 1
    """number of the epoch, where SOURCE has no folder for each"""
    columns: str | None = None
    """name of the array of features, or prefix of its columns: PREFIX0, PREFIX1, ... (default:
    features, feature_0, embedding_0, 0, ...)"""
    classes: Path | None = None
    """file of class names in the order of the logits, one per line (default: SOURCE/classes.txt)"""
    class_order: ClassOrder | None = None
    """how class names were sorted, where labels are text and no file lists them: natural (2 before
    10) or text (10 before 2)"""
    seed_group: str | None = None
    """name for everything in the training except the seed; runs with the same name and other seeds
    form a seed group"""
    seed: int | None = None
    """seed of the training, for --seed-group"""
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
        seed=seed_fields(options.seed_group, options.seed),
        options=ReadOptions(options.columns, options.classes, options.class_order),
        progress=True,
        note=warnings.warn,
    )
    print(f"{run.path}: epochs {', '.join(map(str, run.epochs))}; {len(run.classes)} classes")
    for name, samples in run.samples.groupby("set", sort=False):
        group = run.ood_sets.get(str(name).partition("/")[0], "ID")
        print(f"  {name} ({group}): {len(samples):,} samples read, all kept")
    print(f"Next: python scripts/evaluate.py {shlex.quote(run.name)}")
    if not run.without_features:
        print(f"Then: python scripts/embed.py {shlex.quote(run.name)}")


if __name__ == "__main__":
    run_script(main, interrupted="Nothing was imported.")
