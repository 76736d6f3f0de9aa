"""Write what every saved epoch of a run sees: python scripts/extract.py RUN [--ood NAME ...]."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without an installation

from ncviz.cli import run_script
from ncviz.duplicates import in_lines
from ncviz.extraction import Sizes, extract, measure_transfer
from ncviz.results.words import left_out_lines
from ncviz.store import open_run, run_folder


@dataclass(frozen=True)
class Options:
    """Features, logits and statistics of a run's saved epochs; goes on where it stopped."""

    run: tyro.conf.Positional[str]
    """name of the run"""
    ood: tuple[str, ...] | None = None
    """OOD sets or suites of them (default: the run's, or else the partners of its ID set that are
    on this machine); without a name: none"""
    epochs: tuple[int, ...] | None = None
    """saved epochs to extract (default: all with weights)"""
    stages: bool = False
    """also extract the pooled output of each stage inside the backbone, as layers stage1, ..."""
    keep_overlap: bool = False
    """use all classes of OOD sets (default: those that are classes of the ID set are left out)"""
    samples: tyro.conf.OmitArgPrefixes[Sizes] = field(default_factory=Sizes)
    transfer: bool = False
    """also measure transfer to the labelled OOD sets that have a train split: probe, class means"""
    data_root: Path | None = None
    """folder of the data sets (default: NCVIZ_DATA, or ./data)"""
    checkpoints: Path | None = None
    """folder of the runs (default: NCVIZ_CHECKPOINTS, or ./checkpoints)"""
    download: bool = False
    """fetch data sets that are not there and that torchvision has"""
    skip_corrupt: bool = False
    """leave out images that cannot be decoded, naming them, instead of stopping"""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N"""
    workers: int = 4
    """processes that decode images where a set does not fit in memory"""
    verbose: bool = False
    """show the traceback of an error"""


def main() -> None:
    options = tyro.cli(Options, prog="python scripts/extract.py")
    run = extract(
        open_run(run_folder(options.run, options.checkpoints)),
        ood=options.ood,
        epochs=options.epochs,
        stages=options.stages,
        keep_overlap=options.keep_overlap,
        sizes=options.samples,
        data_root=options.data_root,
        download=options.download,
        skip_corrupt=options.skip_corrupt,
        device=options.device,
        workers=options.workers,
    )
    if options.transfer:
        measured = measure_transfer(
            run,
            epochs=options.epochs,
            data_root=options.data_root,
            device=options.device,
            workers=options.workers,
        )
        print(f"Transfer measured on {', '.join(measured)}")
    sets = ", ".join(f"{name} ({group})" for name, group in run.ood_sets.items()) or "none"
    print(f"{run.path}: epochs {', '.join(map(str, run.epochs))}; OOD sets: {sets}")
    for line in (*left_out_lines(run), *in_lines(run.image_duplicates)):
        print(line)
    print(f"Next: python scripts/evaluate.py {run.name}")


if __name__ == "__main__":
    run_script(main, together=True)
