"""Under torchrun: two processes train and extract what one does, and one may be killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from two_processes import NAME, SEEN, extract_all, see_little_at_once, train_in_double

from ncviz.extraction import pieces
from ncviz.store import open_run, write
from ncviz.store.shards import Shards
from ncviz.training import loop

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).with_name("two_processes.py")


def torchrun(*words: str | Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node=2", "--", SCRIPT, *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(autouse=True)
def as_under_torchrun(monkeypatch):
    """One thread, since another number may round otherwise, and what two_processes.py changes."""
    for owner, name in ((pieces, "all_batches"), (loop, "normalise"), (loop, "build")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    """A folder with the run that two processes trained and extracted, and what they said."""
    folder = tmp_path_factory.mktemp("together")
    return folder, torchrun(folder)


@pytest.fixture
def trained(together, tmp_path) -> Path:
    """The same run as the training left it."""
    folder, _ = together
    left_out = ("extraction", "features", "network_scores", "samples*", "stat*", "probes*")
    shutil.copytree(folder, tmp_path / "runs", ignore=shutil.ignore_patterns(*left_out))
    run = open_run(tmp_path / "runs" / NAME)
    write.update_description(run, ood_sets={})
    return tmp_path / "runs"


def test_one_process_prints(together):
    _, done = together
    assert done.returncode == 0, done.stderr
    assert done.stdout == "trained (1, 2) as one of 2\nextracted\n"


def assert_same_training(run, other):
    columns = [name for name in other.history if name != "seconds"]
    np.testing.assert_allclose(run.history[columns], other.history[columns], rtol=1e-9)
    weights, expected = (one.epoch(2).weights() for one in (run, other))
    assert weights.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(
            weights[name], array, atol=1e-9 * np.abs(array).max(), err_msg=name
        )


def test_two_processes_make_the_training_of_one(together, tmp_path):
    assert_same_training(open_run(together[0] / NAME), train_in_double(tmp_path))


def test_a_training_that_one_process_began_is_finished_by_two(together, tmp_path, monkeypatch):
    """And the other way round: the state is of no number of processes."""
    begun, whole = open_run(shutil.copytree(together[0], tmp_path / "runs") / NAME), together[0]
    states, save = [], write.save_training_state
    with monkeypatch.context() as patch:
        patch.setattr(write, "save_training_state", lambda run, state: states.append(state))
        train_in_double(tmp_path / "alone")
    ours, theirs = states[-1], write.load_training_state(open_run(whole / NAME))
    assert ours.arrays.keys() == theirs.arrays.keys()
    for name, array in ours.arrays.items():
        np.testing.assert_allclose(
            theirs.arrays[name], array, atol=1e-9 * max(1, np.abs(array).max())
        )
    save(begun, states[0])
    resumed = train_in_double(tmp_path / "runs")
    assert_same_training(resumed, open_run(whole / NAME))


def test_two_processes_see_what_one_sees(together, trained, files_below):
    alone = extract_all(trained)
    run = open_run(together[0] / NAME)
    for number in run.epochs:
        statistics, expected = (one.epoch(number).statistics() for one in (run, alone))
        np.testing.assert_array_equal(statistics.counts, expected.counts)
        for part in ("means", "scatter", "squares"):
            array = getattr(expected, part)
            np.testing.assert_allclose(
                getattr(statistics, part), array, rtol=1e-12, atol=1e-12 * np.abs(array).max()
            )
        for name in ("train", "test", "letters", "noise"):
            features, others = (one.epoch(number).features(name) for one in (run, alone))
            np.testing.assert_array_equal(features.features, others.features)
            np.testing.assert_array_equal(features.labels, others.labels)
        for name in ("test", "letters", "noise"):
            scores, others = (one.epoch(number).network_scores(name) for one in (run, alone))
            np.testing.assert_array_equal(scores["odin"], others["odin"])
    extracted = files_below(run.path / "epochs")
    assert extracted == files_below(alone.path / "epochs")  # to the byte, probes included
    assert not (run.path / "extraction").exists()


def test_what_a_killed_process_lacks_is_seen_alone(together, trained, files_below, monkeypatch):
    done = torchrun(trained, "kill")
    assert done.returncode == 1
    see_little_at_once()
    assert "extracted" not in done.stdout
    left = sorted((trained / NAME / "extraction").rglob("*.safetensors"))
    parts = len(pieces.all_batches(range(1012)))
    # The one that lived may have seen all of its own.
    assert 2 * SEEN <= len(left) <= parts - (parts // 2 - SEEN)
    # Within the run, beside the place of what is made of them: no half has a final name.
    run = open_run(trained / NAME)
    assert run.epoch(1).sets == ()
    read = []

    def note(self, part, seen=Shards.read):
        arrays = seen(self, part)
        read.append((self.epoch.number, self.name, part, arrays is not None))
        return arrays

    seen = []
    see = pieces.TrainingSet._see_part

    def count(self, network, batches, *rest):
        seen.append((self.epoch.number, batches[0][0]))
        return see(self, network, batches, *rest)

    monkeypatch.setattr(Shards, "read", note)
    monkeypatch.setattr(pieces.TrainingSet, "_see_part", count)
    extract_all(trained)
    reused = {entry[:3] for entry in read if entry[3]}
    assert len(reused) == len(left)
    assert len(seen) == 2 * parts - len(left)
    assert files_below(run.path / "epochs") == files_below(together[0] / NAME / "epochs")
    assert not (run.path / "extraction").exists()
