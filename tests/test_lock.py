"""One writer at a time: who waits for whom, what a dead writer leaves, and where no lock can be."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from made_runs import make_run
from torch import nn

from ncviz import models
from ncviz.data import Transform
from ncviz.errors import BusyError, InvalidOptionError, StorageError
from ncviz.evaluation import evaluate
from ncviz.evaluation.maps import embed
from ncviz.extraction import adopt, extract, measure_transfer
from ncviz.importing import import_features
from ncviz.models import registry
from ncviz.packing import pack
from ncviz.store import layout, open_run, write
from ncviz.store.folders import new_folder
from ncviz.store.lock import writing
from ncviz.training import recipe, train

ROOT = Path(__file__).resolve().parents[1]
HOLD = """
import os, sys, time
from contextlib import ExitStack
from pathlib import Path
from ncviz.store.folders import new_folder
from ncviz.store.lock import writing
with ExitStack() as held:
    for line in sys.stdin:
        how, path = line.split()
        if how == "fork":
            child = os.fork()
            if not child:
                time.sleep(60)
            Path(path).write_text(str(child))
            print("held", flush=True)
            continue
        part = held.enter_context({"writing": writing, "new": new_folder}[how](Path(path)))
        if how == "new":
            part.mkdir()
            (part / "half").write_text("half")
        print("held", flush=True)
"""


class Other:
    """Another process, which holds what it is told to until it is killed."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def hold(self, path: Path, how: str = "writing") -> None:
        self.process.stdin.write(f"{how} {path}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "held\n"

    def kill(self) -> None:
        self.process.kill()
        assert self.process.wait() == -signal.SIGKILL


@pytest.fixture(scope="module")
def other():
    one = Other()
    yield one
    one.process.kill()
    one.process.wait()


@pytest.fixture(scope="module")
def busy(other, tmp_path_factory):
    """A run that another process writes, named among the folders that it makes."""
    folder = tmp_path_factory.mktemp("busy")
    run = make_run(folder, "cats", results=False)
    other.hold(run.path)
    other.hold(folder / "dogs", "new")
    return run


WRITERS = {
    "train": lambda run: train(
        recipe("digits"), run.name, checkpoints=run.path.parent, resume=True, progress=False
    ),
    "extract": lambda run: extract(run, progress=False),
    "transfer": lambda run: measure_transfer(run, progress=False),
    "evaluate": lambda run: evaluate([run], progress=False),
    "embed": lambda run: embed(run, progress=False),
    "import": lambda run: import_features(run.path, run.path.parent / "dogs"),
    "pack": lambda run: pack(run, run.path.parent / "dogs", weights=()),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_second_writer_is_told_who_writes_where_and_what_to_do(busy, other, files_below, name):
    before = files_below(busy.path.parent)
    with pytest.raises(BusyError) as caught:
        WRITERS[name](busy)
    message = str(caught.value)
    process = other.process.pid
    assert f"is being written by process {process} on {socket.gethostname()}" in message
    assert f"Let it end, or stop it there with: kill {process}" in message
    assert files_below(busy.path.parent) == before


def test_adopting_into_a_folder_that_is_being_made(busy, shapes_root, monkeypatch):
    def linear(classes, image_size):
        layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, classes))
        return models.wrap(layers, head="1")

    monkeypatch.setitem(registry._builders, "linear", linear)
    with pytest.raises(BusyError, match="Folder dogs is being written"):
        adopt(
            busy.path.parent / "dogs",
            architecture="linear",
            id_set="shapes",
            weights={1: Path("weights.safetensors")},
            transform=Transform(8, (0.5,) * 3, (0.5,) * 3),
            data_root=shapes_root,
        )


def test_a_script_says_it_in_one_line(busy, call):
    code, out, err = call("extract", busy.name, "--checkpoints", busy.path.parent)
    assert (code, out) == (2, "")
    assert err.startswith("error: Run cats is being written by process ")
    assert err.count("\n") == 1


def test_results_that_are_current_take_no_lock(other, tmp_path, files_below):
    run = make_run(tmp_path, "cats")
    other.hold(run.path)
    before = files_below(run.path)
    evaluate([run], progress=False)
    assert files_below(run.path) == before
    (run.epoch(4).path / layout.SCORES).unlink()
    with pytest.raises(BusyError):
        evaluate([run], progress=False)


def test_reading_takes_no_lock(busy):
    assert open_run(busy.path).epoch(1).features("test").features.size


def test_a_killed_writer_holds_nothing_and_what_it_left_half_written_goes(tmp_path, files_below):
    run, made = tmp_path / "cats", tmp_path / "dogs"
    killed = Other()
    killed.hold(run)
    killed.hold(made, "new")
    part = run / "epochs" / ".head.safetensors.0a.part"
    part.parent.mkdir()
    part.write_text("half")
    killed.kill()
    assert {*files_below(tmp_path)} == {
        *(".dogs.lock", ".dogs.new/dogs/half"),
        *("cats/.lock", "cats/epochs/.head.safetensors.0a.part"),
    }
    with writing(run):
        (run / "new").write_text("whole")
        assert not part.exists()
    with new_folder(made) as folder:
        folder.mkdir()
        (folder / "new").write_text("whole")
    assert {*files_below(tmp_path)} == {"cats/new", "dogs/new"}


def test_a_process_that_outlives_its_killed_parent_holds_nothing(tmp_path):
    """As those that load data do for a while."""
    killed = Other()
    killed.hold(tmp_path / "cats")
    killed.hold(tmp_path / "forked", "fork")
    child = int((tmp_path / "forked").read_text())
    killed.kill()
    try:
        os.kill(child, 0)  # it is there still
        with writing(tmp_path / "cats"):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def test_blocks_inside_blocks_and_other_threads_of_the_process_go_through(tmp_path):
    entered = []

    def write():
        with writing(tmp_path / "run"):
            entered.append((tmp_path / "run" / layout.LOCK).exists())

    with writing(tmp_path / "run"):
        write()
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        assert (tmp_path / "run" / layout.LOCK).exists()
    assert entered == [True, True]
    assert not (tmp_path / "run").exists()  # nothing was written


def test_a_forked_process_has_no_lock_of_its_parent(tmp_path):
    with writing(tmp_path / "run"):
        child = os.fork()
        if not child:
            try:
                with writing(tmp_path / "run"):
                    os._exit(1)
            except BusyError:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0


def test_a_name_through_a_link_is_the_same_run(busy, tmp_path):
    (tmp_path / "link").symlink_to(busy.path)
    with pytest.raises(BusyError), writing(tmp_path / "link"):
        pass


def test_a_folder_that_has_come_meanwhile_is_kept(tmp_path):
    with new_folder(tmp_path / "a") as part:
        part.mkdir()
        (part / "mine").touch()
    with pytest.raises(InvalidOptionError, match="exists already"), new_folder(tmp_path / "a"):
        pass
    assert (tmp_path / "a" / "mine").exists()


@pytest.mark.parametrize(
    "note", [b"", b"{", b"[]", b'{"process": 1}', json.dumps("\x1b[2J").encode(), b"\xff" * 2000]
)
def test_a_note_that_says_nothing_is_no_obstacle(busy, note):
    path = busy.path / layout.LOCK
    before = path.read_bytes()
    path.write_bytes(note)
    try:
        with pytest.raises(BusyError, match="written by another process, and"), writing(busy.path):
            pass
    finally:
        path.write_bytes(before)


def test_a_read_only_folder_needs_no_lock_to_say_what_is_in_it(disk, tmp_path, files_below):
    read_only = disk(2000)
    run = make_run(read_only.folder, "cats")
    before = files_below(run.path)
    read_only.make_read_only()
    evaluate([run], progress=False)  # everything is there already
    with pytest.raises(StorageError, match="Read-only file system"), writing(run.path):
        write.save_history(run, [])
    assert files_below(run.path) == before


def test_a_file_system_without_locks_is_warned_of(tmp_path, monkeypatch):
    def refuse(file, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with pytest.warns(UserWarning, match="has no locks: see to it yourself"):  # noqa: SIM117
        with writing(tmp_path / "run"):
            (tmp_path / "run" / "new").touch()
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"new"}
