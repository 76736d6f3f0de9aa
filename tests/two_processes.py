"""What torchrun starts twice for a test: trains and extracts, or extracts until one is killed.

torchrun ... -- tests/two_processes.py CHECKPOINTS [kill]
"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ncviz.cli import run_script
from ncviz.extraction import extract, pieces
from ncviz.inference import normalise, split_evenly
from ncviz.models import ModelSpec, build
from ncviz.processes import here
from ncviz.store import layout, open_run
from ncviz.store.shards import Shards
from ncviz.training import loop, recipe, train

NAME = "digits"
RECIPE = replace(
    recipe("digits"),
    model=ModelSpec(width=4, stem="cifar"),
    epochs=2,
    batch_size=120,
    flip=True,
    crop_padding=1,
    save="1,2",
)
OPTIONS = {"device": "cpu", "progress": False}
# So many parts are left by each process before the second is killed.
SEEN = 2


def train_in_double(folder: Path):
    """The recipe's training in float64: what rounding adds in float32 grows with every step."""
    loop.normalise = lambda *arguments: normalise(*arguments).double()
    loop.build = lambda *arguments, **options: build(*arguments, **options).double()
    return train(RECIPE, NAME, checkpoints=folder, resume=True, **OPTIONS)


def see_little_at_once() -> None:
    """Batches of 50, so that small sets have many parts."""
    pieces.all_batches = lambda images: split_evenly(np.arange(len(images)), 50)


def extract_all(folder: Path):
    """Everything there is to be seen of the run in `folder`."""
    see_little_at_once()
    return extract(open_run(folder / NAME), ood=("letters", "noise"), **OPTIONS)


def die_after(parts: int) -> None:
    """Kill the second process once each of the two has left `parts` behind."""
    write, written = Shards.write, []

    def write_or_die(self, part, arrays):
        if here().rank == 1 and len(written) == parts:
            folder = self.epoch.run.path / layout.EXTRACTION
            while len(list(folder.rglob("*.safetensors"))) < 2 * parts:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        write(self, part, arrays)
        written.append(part)

    Shards.write = write_or_die


def main() -> None:
    folder = Path(sys.argv[1])
    if sys.argv[2:] == ["kill"]:
        die_after(SEEN)
    else:
        run = train_in_double(folder)
        print(f"trained {run.epochs} as one of {here().count}")
    extract_all(folder)
    print("extracted")


if __name__ == "__main__":
    run_script(main, together=True)
