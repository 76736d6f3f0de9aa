"""Fixtures that several test files share: real, small runs, image folders, and disks that fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# Spinning threads of one test starve the browser or the worker processes of another.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def digits_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoints folder with the run `digits`: 6 epochs trained, 4 saved and evaluated."""
    from ncviz.evaluation import evaluate
    from ncviz.extraction import extract
    from ncviz.training import recipe, train

    folder = tmp_path_factory.mktemp("checkpoints")
    short = replace(recipe("digits"), epochs=6, save="1,2,4,6")
    run = train(short, "digits", checkpoints=folder, progress=False, device="cpu")
    run = extract(run, progress=False, device="cpu")
    evaluate([run], progress=False)
    return folder


@pytest.fixture
def digits_run(digits_checkpoints: Path, tmp_path: Path):
    """The run `digits`, copied, so that a test may change and damage it."""
    from ncviz.store import open_run

    return open_run(shutil.copytree(digits_checkpoints / "digits", tmp_path / "runs" / "digits"))


@pytest.fixture(scope="session")
def shapes_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with the image folder `shapes`: 3 classes of 8x8 images, 10 train, 4 test each.

    Beside it lies `specks`, an OOD set of two classes with 5 images each.
    """
    root = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for name, split, classes, count in (
        ("shapes", "train", ("bar", "cross", "dot"), 10),
        ("shapes", "test", ("bar", "cross", "dot"), 4),
        ("specks", "test", ("black", "white"), 5),
    ):
        for label, folder in enumerate(classes):
            (root / name / split / folder).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 120, (8, 8, 3))
                pixels[:, 2 * label : 2 * label + 3] += 120
                image = Image.fromarray(pixels.astype(np.uint8))
                image.save(root / name / split / folder / f"{number}.png")
    return root


@pytest.fixture
def shapes(shapes_root: Path, tmp_path: Path) -> Path:
    """`shapes_root`, copied, so that a test may change and damage it."""
    return shutil.copytree(shapes_root, tmp_path / "data")


class Disk:
    """A disk of a few kilobytes that a test can fill up or turn read-only."""

    def __init__(self, folder: Path, kilobytes: int):
        self.folder = folder
        folder.mkdir()
        self._mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs")

    def make_read_only(self) -> None:
        self._mount("-o", "remount,ro")

    def remove(self) -> None:
        subprocess.run(["umount", str(self.folder)], check=True)

    def _mount(self, *options: str) -> None:
        command = ["mount", *options, str(self.folder)]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting a disk takes root")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Disk]]:
    """`disk(kilobytes)` is a new, empty disk of that size."""
    disks: list[Disk] = []

    def make(kilobytes: int) -> Disk:
        disks.append(Disk(tmp_path / f"disk{len(disks)}", kilobytes))
        return disks[-1]

    yield make
    for one in disks:
        one.remove()


@pytest.fixture
def files_below() -> Callable[[Path], dict[str, bytes]]:
    """A function from a folder to every file below it, hidden ones too, by relative path."""

    def read(folder: Path) -> dict[str, bytes]:
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    return read
