"""Evaluation on a Dask cluster: the results of one process, whatever dies; what fails, says so."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from made_runs import make_run

from ncviz.errors import (
    ClusterError,
    CorruptFileError,
    InvalidOptionError,
    MissingPackageError,
)
from ncviz.evaluation import cluster, evaluate
from ncviz.evaluation.spreading import Places, Work, spread
from ncviz.store import mark_of_run, open_run, write

distributed = pytest.importorskip("distributed")
ROOT = Path(__file__).resolve().parents[1]


class Cluster:
    """A scheduler in this process, and workers that are processes of their own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.local = distributed.LocalCluster(
            n_workers=0, processes=False, protocol="tcp://", dashboard_address=":0"
        )
        self.address = self.local.scheduler_address
        self.processes: list[subprocess.Popen] = []

    @property
    def scheduler(self):
        return self.local.scheduler

    def have(self, count: int) -> None:
        """Start workers until there are `count`."""
        # One that was killed may not be gone yet.
        wait_until(lambda: len(self.alive()) == len(self.scheduler.workers))
        for _ in range(count - len(self.alive())):
            self.start()
        wait_until(lambda: len(self.scheduler.workers) == count)

    def start(self) -> None:
        command = [sys.executable, "-m", "distributed.cli.dask_worker", self.address]
        options = ["--no-nanny", "--no-dashboard", "--nthreads", "1", "--death-timeout", "60"]
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        process = subprocess.Popen(
            [*command, *options],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "2"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)

    def alive(self) -> list[subprocess.Popen]:
        return [one for one in self.processes if one.poll() is None]

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        self.local.close()


def wait_until(true, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    found = Cluster(tmp_path_factory.mktemp("elsewhere"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of three epochs and two layers, with results by one process."""
    return make_run(tmp_path_factory.mktemp("made"), "two", layers=("encoder", "projector"))


@pytest.fixture
def bare(made, tmp_path):
    """The same run without results."""
    folder = shutil.copytree(made.path, tmp_path / "two")
    for results in folder.glob("epochs/*/results"):
        shutil.rmtree(results)
    return open_run(folder)


@pytest.fixture
def hurried(monkeypatch):
    for name, seconds in (("ANSWER", 2.0), ("ALONE", 0.4), ("LOOK", 0.2)):
        monkeypatch.setattr(cluster, name, seconds)


def again(run, **options):
    evaluate([run], progress=False, **options)


# What workers are sent: they import this module


def double(value):
    return 2 * value


def die(unless_there: Path):
    os.kill(os.getpid(), signal.SIGKILL)


def sleep():
    time.sleep(60)


def fail():
    raise CorruptFileError("x.safetensors is damaged.")


def run_out():
    raise ZeroDivisionError("a fault")


def over(dask, parts, finish=sum, folders=()):
    return list(spread([Work(parts, finish)], Places(dask=dask.address), folders=folders))


# Results


def test_a_cluster_that_loses_a_worker_gives_the_same_results(dask, made, bare, files_below):
    dask.have(2)
    with distributed.Client(dask.address, set_as_default=False) as client:
        pids = client.run(os.getpid)
    thread = threading.Thread(target=again, args=(bare,), kwargs={"dask": dask.address})
    thread.start()
    # It is at work, and holds a part that nobody has put together yet.
    address, victim = next(iter(dask.scheduler.workers.items()))
    wait_until(lambda: victim.processing and victim.has_what)
    os.kill(pids[address], signal.SIGKILL)
    assert thread.is_alive()
    thread.join(300)
    assert not thread.is_alive()
    assert address not in dask.scheduler.workers
    assert files_below(bare.path) == files_below(made.path)


def test_parts_come_in_their_order_and_leave_nothing_behind(dask):
    dask.have(1)
    seen = []
    parts = [partial(double, value) for value in range(20)]
    work = [Work(parts, list), Work(parts[:3], sum), Work([], len)]
    found = list(spread(work, Places(dask=dask.address), advance=lambda: seen.append(1)))
    assert sorted(found, key=str) == sorted([[2 * n for n in range(20)], 6, 0], key=str)
    assert len(seen) == 23
    wait_until(lambda: not dask.scheduler.tasks)


def test_results_that_are_current_ask_nobody(made):
    again(made, dask="tcp://nowhere.invalid:1")


# What fails


def test_an_error_on_a_worker_is_the_same_error_here(dask, bare):
    dask.have(1)
    with pytest.raises(CorruptFileError, match=r"x.safetensors is damaged"):
        over(dask, [fail])
    with pytest.raises(ZeroDivisionError, match="a fault"):
        over(dask, [run_out])
    path = bare.epoch(4).path / "features/noise/test.safetensors"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(CorruptFileError, match=r"0004/features/noise/test\.safetensors"):
        again(bare, dask=dask.address)


def test_a_worker_that_runs_something_else_is_refused(dask, bare, monkeypatch):
    dask.have(1)
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "_CODE", "another")
        with pytest.raises(ClusterError, match=r"Worker tcp://.* runs other code of ncviz"):
            again(bare, dask=dask.address)
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "version", lambda name: "0.1")
        with pytest.raises(
            ClusterError, match=r"versions of numpy differ: .* at tcp://.*, 0.1 here"
        ):
            again(bare, dask=dask.address)
    with monkeypatch.context() as patch:
        ours = {"client": {"packages": {"python": "3.0", "dask": "1"}}}
        theirs = {"scheduler": {"packages": {"python": "3.1", "dask": "1"}}, "workers": {}}
        patch.setattr(distributed.Client, "get_versions", lambda self: ours | theirs)
        with pytest.raises(ClusterError, match=r"of python differ: 3\.1 at scheduler, 3\.0 here"):
            again(bare, dask=dask.address)


def test_a_worker_that_sees_no_run_or_another_is_refused(dask, bare, tmp_path, monkeypatch):
    dask.have(1)
    here = tmp_path / "here"
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "mark_of_run", lambda folder: "a run that this process sees")
        with pytest.raises(ClusterError, match=f"does not see the run {here}.*share the folder"):
            over(dask, [partial(double, 1)], folders=[here])
        with pytest.raises(ClusterError, match=f"sees another run at {bare.path}"):
            over(dask, [partial(double, 1)], folders=[bare.path])


def test_a_worker_that_joins_later_is_looked_at_too(dask, tmp_path):
    dask.have(1)
    here = cluster.look_around([])._replace(runs={str(tmp_path): "a run"})
    with (
        distributed.Client(dask.address, set_as_default=False) as client,
        pytest.raises(ClusterError, match=f"tcp://.* does not see the run {tmp_path}"),
    ):
        client.submit(cluster._call, sleep, here).result(timeout=60)


def test_a_part_that_brings_down_workers_is_given_up(dask, tmp_path, monkeypatch):
    dask.have(1)
    monkeypatch.setattr(dask.scheduler, "allowed_failures", 0)
    with pytest.raises(
        ClusterError, match=r"1 workers died .* of the same part, the last at tcp://"
    ):
        over(dask, [partial(die, tmp_path)])


def test_workers_that_are_all_gone_are_not_waited_for(dask, tmp_path, hurried):
    dask.have(1)
    with pytest.raises(ClusterError, match=r"All workers .* are gone"):
        over(dask, [partial(die, tmp_path)])
    with pytest.raises(ClusterError, match=r"has no workers. Start some with: dask worker tcp://"):
        over(dask, [partial(double, 1)])


@contextmanager
def deaf_port():
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_scheduler_that_is_not_there_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(cluster, "ANSWER", 0.5)
    with deaf_port() as port:
        for address in ("tcp://127.0.0.1:1", f"tcp://127.0.0.1:{port}", "nonsense://x", "a b"):
            start = time.monotonic()
            with pytest.raises(ClusterError, match=f"No Dask scheduler answers at {address}"):
                list(spread([Work([], len)], Places(dask=address)))
            assert time.monotonic() - start < 10


def test_a_scheduler_that_goes_away_is_not_waited_for(tmp_path, hurried):
    own = Cluster(tmp_path)
    try:
        own.have(1)
        timer = threading.Timer(1, own.local.close)
        timer.start()
        with pytest.raises(ClusterError, match=r"does not answer any more|dropped the work"):
            over(own, [sleep])
        timer.join()
    finally:
        own.close()


def test_a_scheduler_that_cannot_load_ncviz_is_told(dask, tmp_path):
    """It is a process of its own, elsewhere; the other tests have theirs in this one."""
    note = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--no-dashboard"]
    options = ["--host", "tcp://127.0.0.1", "--port", "0", "--scheduler-file", str(note)]
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    own = Cluster.__new__(Cluster)
    own.folder, own.processes = tmp_path, []
    scheduler = subprocess.Popen(
        [*command, *options], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: note.exists() and note.stat().st_size, 60)
        own.address = json.loads(note.read_text())["address"]
        own.start()
        with pytest.raises(
            ClusterError, match=r"The scheduler at .* cannot load ncviz.*PYTHONPATH"
        ):
            over(own, [partial(double, 1)])
    finally:
        for process in (scheduler, *own.processes):
            process.kill()
            process.wait()


def test_without_dask_it_says_what_to_install(bare, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingPackageError, match=r"pip install -r requirements-cluster.txt"):
        again(bare, dask="tcp://127.0.0.1:1")


def test_jobs_and_a_cluster_together_are_refused(made):
    with pytest.raises(InvalidOptionError, match="choose one"):
        again(made, jobs=2, dask="tcp://127.0.0.1:1")
    with pytest.raises(InvalidOptionError, match="--jobs is 0"):
        again(made, jobs=0)


def test_a_run_has_a_mark_of_its_own(made, bare):
    assert mark_of_run(made.path) == mark_of_run(bare.path)
    other = write.update_description(bare, ood_sets={"noise": "far"})
    assert mark_of_run(other.path) != mark_of_run(made.path)
    assert mark_of_run(made.path.parent) is None
