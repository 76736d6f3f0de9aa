"""A process that forks others to be killed: each takes one step of a run, on few samples.

It reads a request as a line of JSON, and answers by one. Whoever is forked has everything imported,
so that a step takes a tenth of a second.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from ncviz import data
from ncviz.caching import Sizes
from ncviz.data import ood
from ncviz.errors import StorageError
from ncviz.evaluation import evaluate, maps
from ncviz.extraction import extract
from ncviz.importing import import_features
from ncviz.store import open_run
from ncviz.training import loop, recipe, train

NAME = "digits"
SAMPLES = 60
_DIGITS = recipe("digits")
RECIPE = replace(
    _DIGITS, epochs=3, save="1,3", batch_size=20, model=replace(_DIGITS.model, width=2)
)

STEPS: dict[str, Callable[[Path], object]] = {
    "train": lambda folder: train(
        RECIPE, NAME, checkpoints=folder, resume=True, device="cpu", workers=0, progress=False
    ),
    "extract": lambda folder: extract(
        open_run(folder / NAME),
        ood=["noise"],
        sizes=Sizes(40, 20, 20),
        device="cpu",
        workers=0,
        progress=False,
    ),
    "evaluate": lambda folder: evaluate(
        [open_run(folder / NAME)], names=["msp", "knn", "odin"], progress=False
    ),
    "embed": lambda folder: maps.embed(open_run(folder / NAME), progress=False),
    "import": lambda folder: import_features(folder / "exported", folder / NAME),
}


def prepare() -> None:
    """Small data, no clock and no sync: a kill takes nothing that was written.

    A child may become a user of few rights, who need not be able to read installed packages.
    """
    load = data.load
    loop.time = SimpleNamespace(perf_counter=lambda: 0.0)
    versions = {name: version(name) for name in ("numpy", "torch", "torchvision")}
    for module in map(import_module, ("ncviz.data.record", "ncviz.importing.run")):
        module.datetime = SimpleNamespace(now=lambda zone: datetime(2000, 1, 1))
        module.version = versions.__getitem__
    maps.umap_chain = _chain
    os.fsync = lambda file: None

    def load_few(*arguments, **options):
        images = load(*arguments, **options)
        rows = np.linspace(0, len(images) - 1, SAMPLES).astype(int)
        keys = tuple(images.keys[row] for row in rows)
        return replace(images, labels=images.labels[rows], keys=keys)

    data.load = ood.load = load_few


def _chain(epochs, *, previous=None, **options):
    """In place of UMAP, which takes a minute to compile; a map depends on the one before too."""
    for features in epochs:
        plane = features[:, :2].astype(np.float32)
        previous = plane if previous is None else (previous + plane) / 2
        yield previous


def take(step: str, folder: Path, dies: dict | None, tell: int) -> None:
    """Take a step; `dies` says before or after which rename the process kills itself.

    At the end it tells which file every rename put in its place, with a digest of its content; or
    what the disk said.
    """
    rename, renamed = os.replace, []

    def counted(part, path):
        for when in ("before", "after"):
            if when == "after":
                if Path(part).is_file():
                    content = Path(part).read_bytes()
                    name = Path(path).relative_to(folder).as_posix()
                    renamed.append((name, hashlib.sha256(content).hexdigest()))
                else:
                    renamed.append(("", ""))
                rename(part, path)
            number = len(renamed) + (when == "before")
            if dies and (dies["rename"], dies["when"]) == (number, when):
                os.kill(os.getpid(), signal.SIGKILL)

    os.replace = counted
    STEPS[step](folder)
    os.write(tell, json.dumps(renamed).encode())


def forked(request: dict) -> dict:
    """Fork a process for the request and wait for its end, or kill it after some seconds."""
    reading, telling = os.pipe()
    start = time.perf_counter()
    child = os.fork()
    if not child:
        try:
            if "user" in request:
                os.setgroups([])
                os.setgid(request["user"])
                os.setuid(request["user"])
            take(request["step"], Path(request["folder"]), request.get("dies"), telling)
            os._exit(0)
        except StorageError as error:
            os.write(telling, json.dumps(str(error)).encode())
            os._exit(2)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
    os.close(telling)
    if "seconds" in request:
        time.sleep(request["seconds"])
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reading) as told:
        text = told.read()
    _, status = os.waitpid(child, 0)
    return {
        "killed": os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL,
        "code": os.waitstatus_to_exitcode(status),
        "seconds": time.perf_counter() - start,
        "told": json.loads(text) if text else [],
    }


def import_what_steps_import() -> None:
    """Steps import what they need when they need it; this process must do so before it forks."""
    reading, telling = os.pipe()
    if not os.fork():
        with tempfile.TemporaryDirectory() as folder:
            for step in ("train", "extract", "evaluate", "embed"):
                STEPS[step](Path(folder))
        with os.fdopen(telling, "w") as names:
            names.write(" ".join(sys.modules))
        os._exit(0)
    os.close(telling)
    with os.fdopen(reading) as names:
        for name in names.read().split():
            with suppress(Exception):
                import_module(name)


def main() -> None:
    torch.set_num_threads(1)
    prepare()
    import_what_steps_import()
    data.load(NAME, "train")
    gc.freeze()  # the collector of a forked process would copy what it looks at
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(forked(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
