"""Would the network know these images: python scripts/score.py RUN IMAGE... [--csv]."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without an installation

from ncviz.cli import run_script
from ncviz.evaluation.verdicts import print_verdicts
from ncviz.metrics import DEFAULT_TPR
from ncviz.store import open_run, run_folder
from ncviz.thresholds import RULES, Costs, Criterion


@dataclass(frozen=True)
class Options:
    """Score images by every detector of a run, and say which ones the network would know.

    PNG, JPEG, WebP, BMP, TIFF or GIF (first frame). Nothing is written to disk. The exit code is
    0 if every image was scored, 1 if some file could not be read (each has its line on stderr, and
    its reason in the CSV file), 2 if nothing was scored because of a wrong option or a missing run.
    """

    run: tyro.conf.Positional[str]
    """name of the run"""
    images: tyro.conf.Positional[tuple[Path, ...]]
    """image files, and folders whose files are taken in natural order"""
    epoch: int | None = None
    """saved epoch with weights (default: the last)"""
    detector: tuple[str, ...] = ()
    """detectors to ask; the verdict shown is the first one's (default: all, energy first)"""
    layer: str | None = None
    """layer to look at (default: the one under the network's head)"""
    rule: str = RULES[0].name
    """threshold rule: ID (accept --share of the ID test set), OOD (reject --share of the OOD
    samples), accuracy (best balanced accuracy) or cost (lowest expected cost, from --cost-ratio and
    --ood-share)"""
    share: float = DEFAULT_TPR
    """share of ID accepted (rule ID) or of OOD rejected (rule OOD)"""
    cost_ratio: float = 1.0
    """cost of accepting an OOD image, in units of rejecting an ID image"""
    ood_share: float = 0.5
    """expected share of OOD among the images"""
    csv: bool = False
    """print CSV with every detector's score, p-value and verdict instead of a table"""
    checkpoints: Path | None = None
    """folder of the runs (default: NCVIZ_CHECKPOINTS, or ./checkpoints)"""
    verbose: bool = False
    """show the traceback of an error"""


def main() -> None:
    options = tyro.cli(Options, prog="python scripts/score.py")
    unread = print_verdicts(
        open_run(run_folder(options.run, options.checkpoints)),
        options.images,
        epoch=options.epoch,
        layer=options.layer,
        names=options.detector,
        criterion=Criterion(
            options.rule, options.share, Costs(options.cost_ratio, options.ood_share)
        ),
        csv=options.csv,
    )
    sys.exit(1 if unread else 0)


if __name__ == "__main__":
    run_script(main, interrupted="Images printed so far are scored.")
