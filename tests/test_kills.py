"""Scripts that are killed, or refused by a disk: the next call ends as if nothing had been."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

NOBODY = 65534
TESTS = Path(__file__).resolve().parent
# With how often each is killed at a random moment: more often where there is more to interrupt.
KILLS = {"train": 17, "extract": 14, "evaluate": 14, "embed": 5}
STEPS = tuple(KILLS)
LEFT_OVER = re.compile(r"(^|/)(\.lock|\.[^/]+\.part)$|^\.digits\.(lock|new/.*)$")


class Server:
    """The process that forks those that are killed."""

    def __init__(self):
        one_thread = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
        self.process = subprocess.Popen(
            [sys.executable, str(TESTS / "kill_server.py")],
            env={**os.environ, **one_thread, "PYTHONPATH": str(TESTS.parent)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert json.loads(self.process.stdout.readline()) == {"ready": True}

    def __call__(self, step: str, folder: Path, **how) -> dict:
        request = {"step": step, "folder": str(folder), **how}
        self.process.stdin.write(f"{json.dumps(request)}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@dataclass(frozen=True)
class Undisturbed:
    """A step that nobody killed: the folder before and after it, and how it went."""

    before: Path
    after: Path
    seconds: float
    renamed: list[tuple[str, str]]

    @property
    def known(self) -> set[tuple[str, str]]:
        """Every file there was at any time, as (name, digest of its content)."""
        return {*map(tuple, self.renamed), *digests(self.before).items()}


def digests(folder: Path) -> dict[str, str]:
    """Every file below `folder`, hidden ones too, with a digest of its content."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def server():
    one = Server()
    yield one
    one.process.stdin.close()
    assert one.process.wait(timeout=60) == 0


@pytest.fixture(scope="module")
def undisturbed(server, tmp_path_factory) -> dict[str, Undisturbed]:
    root = tmp_path_factory.mktemp("undisturbed")
    before = root / "exported"
    export(before / "exported")
    found = {}
    for step in ("import", *STEPS):
        after = shutil.copytree(before, root / step)
        done = server(step, after)
        assert done["code"] == 0
        found[step] = Undisturbed(before, after, done["seconds"], done["told"])
        before = before if step == "import" else after
    return found


def export(folder: Path) -> None:
    """Features of a network trained elsewhere, as `import` reads them."""
    rng = np.random.default_rng(0)
    (folder / "far").mkdir(parents=True)
    for name in ("train", "test", "far/noise"):
        labels = {} if "/" in name else {"labels": np.arange(40) % 4}
        features, logits = rng.normal(size=(40, 6)), rng.normal(size=(40, 4))
        np.savez(folder / f"{name}.npz", features=features, logits=logits, **labels)


def assert_nothing_half_written(folder: Path, whole: Undisturbed) -> None:
    found = digests(folder)
    left_over = {name for name in found if LEFT_OVER.search(name)}
    strange = {(name, mark) for name, mark in found.items() if name not in left_over} - whole.known
    assert not strange


def assert_the_next_call_ends_the_same(server, step: str, folder: Path, whole: Undisturbed) -> None:
    assert server(step, folder)["code"] == 0
    assert digests(folder) == digests(whole.after)


def test_steps_leave_what_they_are_meant_to(undisturbed):
    after = {step: set(digests(one.after)) for step, one in undisturbed.items()}
    epoch = "digits/epochs/0003"
    assert {"digits/training/state.safetensors", f"{epoch}/model.safetensors"} <= after["train"]
    assert f"{epoch}/network_scores/noise/test.safetensors" in after["extract"]
    assert {f"{epoch}/results/scores.safetensors", f"{epoch}/detectors.safetensors"} <= after[
        "evaluate"
    ]
    assert f"{epoch}/results/maps.safetensors" in after["embed"]
    assert not any(LEFT_OVER.search(name) for names in after.values() for name in names)


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_random_moments(server, undisturbed, tmp_path, step):
    """Up to three times one call after the other, until one may end."""
    whole = undisturbed[step]
    rng = random.Random(step)
    kills = 0
    for attempt in range(50):
        folder = shutil.copytree(whole.before, tmp_path / str(attempt))
        for _ in range(3):
            done = server(step, folder, seconds=rng.uniform(0, whole.seconds))
            assert_nothing_half_written(folder, whole)
            kills += done["killed"]
            if not done["killed"]:
                assert done["code"] == 0
                break
        assert_the_next_call_ends_the_same(server, step, folder, whole)
        shutil.rmtree(folder)
        if kills >= KILLS[step]:
            return
    raise AssertionError(f"killed {kills} times only")


@pytest.mark.parametrize("step", [*STEPS, "import"])
def test_killed_around_every_rename(server, undisturbed, tmp_path, step):
    """Before one file takes its place, after the next, before the one after that, and so on."""
    whole = undisturbed[step]
    for number in range(1, len(whole.renamed) + 1):
        folder = shutil.copytree(whole.before, tmp_path / str(number))
        when = "after" if number % 2 else "before"
        done = server(step, folder, dies={"rename": number, "when": when})
        assert done["killed"]
        assert_nothing_half_written(folder, whole)
        if step == "import" and (folder / "digits").exists():
            assert digests(folder / "digits") == digests(whole.after / "digits")
            continue
        assert_the_next_call_ends_the_same(server, step, folder, whole)
        shutil.rmtree(folder)


@pytest.mark.parametrize("step", ["train", "extract", "evaluate"])
def test_killed_again_and_again(server, undisturbed, tmp_path, step):
    """Each call gets further than the one before, however early the next one is killed."""
    whole = undisturbed[step]
    folder = shutil.copytree(whole.before, tmp_path / "run")
    for number in (2, 1, 3, 4, 6):
        server(step, folder, dies={"rename": number, "when": "after"})
        assert_nothing_half_written(folder, whole)
    assert_the_next_call_ends_the_same(server, step, folder, whole)


# Disks that refuse


def kilobytes(folder: Path) -> int:
    """What the files below `folder` take, in whole pages."""
    sizes = (path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return sum(-(-size // 4096) * 4 for size in sizes)


@pytest.mark.parametrize("step", [*STEPS, "import"])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_disk_that_fills_up(server, undisturbed, disk, step, share):
    """One error in a sentence; with more room the same call goes on to the same end."""
    whole = undisturbed[step]
    taken = kilobytes(whole.before)
    small = disk(taken + 4 + int(share * (kilobytes(whole.after) - taken)) // 4 * 4)
    folder = shutil.copytree(whole.before, small.folder / "runs")
    done = server(step, folder)
    assert done["code"] == 2
    assert re.fullmatch(r"Cannot \w+ [^:]*: No space left on device\. Free .*", done["told"])
    found = digests(folder)
    assert set(found.items()) <= whole.known
    assert set(digests(whole.before)) <= set(found)
    small.resize(taken + 100_000)
    assert_the_next_call_ends_the_same(server, step, folder, whole)


@pytest.mark.parametrize("step", [*STEPS, "import"])
def test_a_disk_turned_read_only(server, undisturbed, disk, step):
    whole = undisturbed[step]
    read_only = disk(kilobytes(whole.before) + 100_000)
    folder = shutil.copytree(whole.before, read_only.folder / "runs")
    read_only.make_read_only()
    done = server(step, folder)
    assert done["code"] == 2
    assert re.fullmatch(r"Cannot write [^:]*: Read-only file system\. Free .*", done["told"])
    assert digests(folder) == digests(whole.before)


@pytest.fixture
def open_folder():
    """A folder that any user may look into, as those of other tests are not."""
    if os.geteuid():
        pytest.skip("becoming another user takes root")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("step", [*STEPS, "import"])
def test_folders_of_somebody_else(server, undisturbed, open_folder, step):
    whole = undisturbed[step]
    folder = shutil.copytree(whole.before, open_folder / "runs")
    done = server(step, folder, user=NOBODY)
    assert done["code"] == 2
    assert re.fullmatch(r"Cannot write [^:]*: Permission denied\. Free .*", done["told"])
    assert digests(folder) == digests(whole.before)


@pytest.mark.parametrize("step", ["extract", "evaluate"])
def test_a_folder_inside_a_run_turned_read_only(server, undisturbed, open_folder, step):
    """What could be written is whole, what could not is made once it can be."""
    whole = undisturbed[step]
    folder = shutil.copytree(whole.before, open_folder / "runs")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    last = folder / "digits/epochs/0003"
    last.chmod(0o555)
    done = server(step, folder, user=NOBODY)
    assert done["code"] == 2
    assert re.fullmatch(r"Cannot write .*0003.*: Permission denied\. Free .*", done["told"])
    assert set(digests(folder).items()) <= whole.known
    last.chmod(0o755)
    assert server(step, folder, user=NOBODY)["code"] == 0
    assert digests(folder) == digests(whole.after)
