"""Several processes: who is who, who speaks, how a batch is split, and what comes out together."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import distributed
from torch.nn.functional import cross_entropy

from ncviz import cli, processes
from ncviz.errors import InvalidOptionError, NcvizError, ProcessLostError
from ncviz.inference import choose_device, split_evenly
from ncviz.models import ModelSpec, build
from ncviz.processes import Processes, here
from ncviz.training import Recipe, loop
from ncviz.training.batch_norm import use_whole_batch

RECIPE = Recipe(name="x", batch_size=8, crop_padding=2)


@pytest.fixture
def second_of_two(monkeypatch):
    """The environment that torchrun gives the second of two processes, and their meeting place."""
    for name, value in {
        "RANK": "1",
        "WORLD_SIZE": "2",
        "LOCAL_RANK": "1",
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": "29500",
    }.items():
        monkeypatch.setenv(name, value)
    store = distributed.HashStore()
    monkeypatch.setattr(processes, "_store", lambda: store)
    return store


# Who is who


def test_without_torchrun_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    alone = processes.join(torch.device("cpu"))
    assert alone == Processes(0, 1, 0)
    assert alone.first
    assert not alone.several
    alone.wait()
    assert alone.sum(torch.ones(2)).tolist() == [1, 1]
    assert not distributed.is_initialized()


def test_torchrun_says_who_is_who(second_of_two):
    assert here() == Processes(rank=1, count=2, local_rank=1)
    assert not here().first


@pytest.mark.parametrize(
    ("name", "value"), [("RANK", "2"), ("RANK", "x"), ("WORLD_SIZE", "-1"), ("LOCAL_RANK", "2")]
)
def test_an_environment_that_makes_no_sense_is_named(second_of_two, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidOptionError, match=f"{name}={value}.*torchrun"):
        here()


def test_each_process_takes_the_gpu_of_its_number(second_of_two, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("auto", "cuda"):
        assert choose_device(name) == torch.device("cuda:1")
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(InvalidOptionError, match="2 processes cannot share 'cuda:0'"):
        choose_device("cuda:0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InvalidOptionError, match="no more processes on a machine than"):
        choose_device("auto")


# Who speaks


def run_as(main, monkeypatch, *, together=True):
    """`run_script` of a process that ends without ending this one."""
    monkeypatch.setattr(os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as ended:
        cli.run_script(main, together=together)
    return ended.value.code


def fail():
    print("what all of them print")
    raise InvalidOptionError("The batch is too small.")


def test_of_an_error_that_all_meet_one_tells(second_of_two, monkeypatch, capsys):
    assert [run_as(fail, monkeypatch) for _ in range(2)] == [2, 2]
    assert capsys.readouterr() == ("", "error: The batch is too small.\n")


def test_an_interruption_is_told_once(second_of_two, monkeypatch, capsys):
    def interrupt():
        raise KeyboardInterrupt

    assert [run_as(interrupt, monkeypatch) for _ in range(2)] == [130, 130]
    assert capsys.readouterr().err.count("interrupted: ") == 1


def test_where_they_cannot_meet_the_first_tells(second_of_two, monkeypatch, capsys):
    def gone():
        raise RuntimeError("connection refused")

    monkeypatch.setattr(processes, "_store", gone)
    assert run_as(fail, monkeypatch) == 2
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert run_as(fail, monkeypatch) == 2
    assert capsys.readouterr().err == "error: The batch is too small.\n"


@pytest.mark.parametrize(
    "said",
    [
        "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:545] Read error: reset by peer",
        "NCCL error in: ProcessGroupNCCL.cpp:1970, remote process exited",
        "Connection closed by peer [10.0.0.2]:3141",
    ],
)
def test_a_process_that_has_gone_is_one_clear_line(second_of_two, monkeypatch, capsys, said):
    def meet():
        raise RuntimeError(said)

    assert run_as(meet, monkeypatch) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: Another of the processes that work together has gone")
    assert told.count("\n") == 1
    assert issubclass(ProcessLostError, NcvizError)


def test_other_errors_stay_what_they_are(second_of_two, monkeypatch, capsys):
    def fault():
        print("silence", file=sys.stderr)
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    assert run_as(fault, monkeypatch) == cli.FAULT
    told = capsys.readouterr().err
    assert "silence" not in told
    assert told.splitlines()[-1].startswith("fault: RuntimeError: mat1 and mat2")


def test_a_script_that_works_as_one_process_is_not_started_as_two(
    second_of_two, monkeypatch, capsys
):
    called = []
    assert run_as(lambda: called.append(1), monkeypatch, together=False) == 2
    assert capsys.readouterr().err.startswith("error: torchrun started 2 processes of a script")
    assert not called


# Splitting


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_parts_of_a_batch_are_all_of_it_in_order(count):
    members = [Processes(rank, count, rank) for rank in range(count)]
    for size in (0, 1, 6, 7, 64, 255):
        rows = np.arange(size)
        parts = [rows[one.part(size)] for one in members]
        assert np.concatenate(parts).tolist() == rows.tolist()
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        own = np.concatenate([one.own(rows) for one in members])
        assert sorted(own) == rows.tolist()


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("recipe", [RECIPE, replace(RECIPE, flip=False)], ids=["flip", "crop"])
def test_images_are_augmented_as_in_one_process(count, recipe):
    images = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (11, 6, 6, 3), dtype=np.uint8)
    )
    whole = loop.augment(images, recipe, np.random.default_rng(3))
    parts = [Processes(rank, count, rank).part(11) for rank in range(count)]
    found = [
        loop.augment(images[part], recipe, np.random.default_rng(3), of=11, part=part)
        for part in parts
    ]
    assert torch.equal(torch.cat(found), whole)


def test_parts_that_differ_in_size_weigh_by_it():
    """The mean over processes of what each takes the gradient of is the loss of the batch."""
    logits, labels = torch.randn(11, 4), torch.arange(11) % 4
    members = [Processes(rank, 3, rank) for rank in range(3)]
    losses = [
        loop.weigh(cross_entropy(logits[one.part(11)], labels[one.part(11)]), part, 11, one)
        for one in members
        for part in [len(labels[one.part(11)])]
    ]
    assert float(sum(losses) / 3) == pytest.approx(float(cross_entropy(logits, labels)), rel=1e-6)


def test_a_batch_too_small_for_the_processes_is_refused():
    # 30 images in batches of at most 8: the smallest has 7.
    assert min(map(len, split_evenly(np.arange(30), 8))) == 7
    loop.require_shares(RECIPE, 30, Processes(0, 3, 0))
    with pytest.raises(InvalidOptionError, match=r"Batches of 7 images .* 4 processes.*at most 3"):
        loop.require_shares(RECIPE, 30, Processes(0, 4, 0))


def test_the_whole_batch_gives_what_one_process_gives(monkeypatch):
    """The rows that processes gather, faked: mean and variance of the batch, and its gradient."""
    torch.manual_seed(0)
    spec = ModelSpec(width=4, stem="cifar")
    plain, whole = (build(spec, classes=3, image_size=8).double() for _ in range(2))
    whole.load_state_dict(plain.state_dict())
    use_whole_batch(whole, torch.device("cpu"))
    images, labels = torch.randn(9, 3, 8, 8).double(), torch.arange(9) % 3
    monkeypatch.setattr(distributed, "get_world_size", lambda: 1)
    monkeypatch.setattr(distributed, "get_rank", lambda: 0)
    monkeypatch.setattr(distributed, "all_gather", lambda rows, own: rows[0].copy_(own))
    monkeypatch.setattr(distributed, "all_reduce", lambda tensor: None)
    for network in (plain, whole):
        cross_entropy(network.train()(images).logits, labels).backward()
    for one, other in zip(plain.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-9, atol=1e-12)
    assert plain.state_dict().keys() == whole.state_dict().keys()
    for one, other in zip(plain.buffers(), whole.buffers(), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-12, atol=1e-12)
    evaluated = [network.eval()(images).logits for network in (plain, whole)]
    torch.testing.assert_close(*evaluated, rtol=1e-12, atol=1e-12)
