"""Train a classifier and save chosen epochs of it: python scripts/train.py RECIPE --run NAME."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without an installation

from ncviz.cli import run_script
from ncviz.data import ClassOptions
from ncviz.training import RECIPES, Recipe, recipe, train

PROGRAM = "python scripts/train.py"


@dataclass(frozen=True)
class Options:
    """Train a recipe as a run in the checkpoints folder, or resume it."""

    run: str
    """name of the run: its folder in the checkpoints folder"""
    settings: tyro.conf.OmitArgPrefixes[Recipe]
    data_root: Path | None = None
    """folder of the data sets (default: NCVIZ_DATA, or ./data)"""
    order: tyro.conf.OmitArgPrefixes[ClassOptions] = field(default_factory=ClassOptions)
    checkpoints: Path | None = None
    """folder of the runs (default: NCVIZ_CHECKPOINTS, or ./checkpoints)"""
    resume: bool = False
    """go on after the last finished epoch, if there is one"""
    download: bool = False
    """fetch the data set if it is not there and torchvision has it"""
    skip_corrupt: bool = False
    """leave out images that cannot be decoded, naming them, instead of stopping"""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N"""
    workers: int = 4
    """processes that decode images where a set does not fit in memory"""
    verbose: bool = False
    """show the traceback of an error"""


def overview() -> str:
    """How the script is called, and the recipes there are."""
    width = max(map(len, RECIPES))
    lines = [
        f"  {one.name:<{width}}  {one.data}, {one.model.backbone} of width {one.model.width}, "
        f"{one.epochs} epochs of {one.optimizer} at {one.learning_rate:g}, {one.schedule}"
        for one in RECIPES.values()
    ]
    return "\n".join(
        [
            f"usage: {PROGRAM} RECIPE --run NAME [OPTIONS]",
            "",
            "Train a recipe as a run in the checkpoints folder, or resume it.",
            f"Every setting of a recipe is an option: {PROGRAM} RECIPE --help",
            "",
            "recipes:",
            *lines,
        ]
    )


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        asked = bool({"-h", "--help"} & set(sys.argv))
        print(overview(), file=sys.stdout if asked else sys.stderr)
        sys.exit(0 if asked else 2)
    settings = recipe(sys.argv[1])
    options = tyro.cli(
        Options,
        prog=f"{PROGRAM} {settings.name}",
        args=sys.argv[2:],
        default=Options(run=tyro.MISSING, settings=settings),
    )
    run = train(
        options.settings,
        options.run,
        data_root=options.data_root,
        checkpoints=options.checkpoints,
        class_order=options.order.order(),
        resume=options.resume,
        download=options.download,
        skip_corrupt=options.skip_corrupt,
        device=options.device,
        workers=options.workers,
    )
    accuracy = ", ".join(
        f"{split} {value:.4f}" for split, value in run.description["accuracy"].items()
    )
    print(f"{run.path}: epochs {', '.join(map(str, run.epochs))}; accuracy: {accuracy}")
    print(f"Next: python scripts/extract.py {run.name}")


if __name__ == "__main__":
    run_script(main, interrupted="Go on with --resume.", together=True)
