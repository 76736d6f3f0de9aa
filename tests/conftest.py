"""Fixtures that several test files share: runs, image folders, disks that fail, a browser."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from browser import CHROMIUM, FLAGS, MARKUP, ROOT, TIMEOUT, VIEWPORT, note_complaint
from PIL import Image

from benchmarks.serving import running_app

# Spinning threads of one test starve the browser or the worker processes of another.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(autouse=True)
def _main_module_as_it_was():
    """A page that a test runs is the main module, which another test's processes would import."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


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

    def resize(self, kilobytes: int) -> None:
        self._mount("-o", f"remount,size={kilobytes}k")

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
def call(monkeypatch, capsys):
    """`call(script, *words)` runs a script here; returns exit code, output and errors."""

    def run(script, *words):
        monkeypatch.setattr(sys, "argv", [script, *map(str, words)])
        monkeypatch.setattr(sys, "path", [*sys.path])
        code = 0
        try:
            runpy.run_path(str(ROOT / "scripts" / f"{script}.py"), run_name="__main__")
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


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


@pytest.fixture(scope="session")
def checkpoints(digits_checkpoints, tmp_path_factory) -> Path:
    """The real run `digits` beside the made runs `cats` and `zoo`, whose names are markup."""
    from made_runs import add_maps, make_run

    from ncviz.store import open_run

    folder = tmp_path_factory.mktemp("browser") / "checkpoints"
    shutil.copytree(digits_checkpoints, folder)
    add_maps(open_run(folder / "digits"))
    layers = ("encoder", "projector")
    add_maps(make_run(folder, "cats", layers=layers, stages={9: ("stage1", "stage2")}))
    add_maps(
        make_run(
            folder, "zoo", classes=(f"{MARKUP}1", f"{MARKUP}2", "eel"), ood_sets={"<b>bold": "near"}
        )
    )
    return folder


@pytest.fixture
def fresh_app(checkpoints) -> Iterator[str]:
    """The address of a server that nobody has visited."""
    with running_app(checkpoints) as app:
        yield app.address


@pytest.fixture(scope="session")
def app(checkpoints) -> Iterator[str]:
    """The address of a server that all browser tests share."""
    with running_app(checkpoints) as app:
        yield app.address


@pytest.fixture(scope="module")
def chromium():
    # Its event loop would be in the way of other tests: one for each file, not for the session.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def profile(chromium):
    """A reader's browser, which keeps scripts and fonts from one tab to the next."""
    return chromium.new_context(viewport=VIEWPORT)


@pytest.fixture
def reader(chromium, profile):
    """Opens tabs; at the end no tab may have asked another machine or complained.

    `stranger` opens it in a browser of its own that has seen nothing yet.
    """
    tabs, requests, complaints = [], [], []

    def open_tab(address: str, *, stranger: bool = False):
        context = chromium.new_context(viewport=VIEWPORT) if stranger else profile
        tab = context.new_page()
        tabs.append(tab)
        tab.set_default_timeout(TIMEOUT)
        tab.on("request", lambda request: requests.append(request.url))
        tab.on("websocket", lambda websocket: requests.append(websocket.url))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("console", lambda message: note_complaint(message, complaints))
        tab.goto(address)
        # The last thing that a page draws; one without charts has no way to save them.
        last = "Source: " if "/Reference" in address else "Charts are saved as"
        tab.get_by_text(last).last.wait_for()
        return tab

    yield open_tab
    for tab in tabs:
        tab.close()
    hosts = {urlsplit(url).hostname for url in requests if not url.startswith(("data:", "blob:"))}
    assert hosts <= {"localhost"}
    assert not complaints
