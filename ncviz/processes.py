"""The processes that torchrun started for one script: who is who, what they share, who speaks."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ncviz.errors import InvalidOptionError, ProcessLostError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

# What torchrun tells each process it starts.
_RANK, _COUNT, _LOCAL = "RANK", "WORLD_SIZE", "LOCAL_RANK"
_VARIABLES = (_RANK, _COUNT, _LOCAL, "MASTER_ADDR", "MASTER_PORT")
# One process may fetch a data set or fit probes while the others wait for it.
_PATIENCE = timedelta(hours=1)
_LOST = re.compile(r"gloo|nccl|connection (closed|reset|refused)|broken pipe|timed? ?out", re.I)


@dataclass(frozen=True)
class Processes:
    """One process and its place among those that work together.

    Attributes
    ----------
    rank : of this process, from 0
    count : of all processes, on all machines
    local_rank : of this process on its machine: the number of its GPU
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that prints, and writes what there is one of."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        return self.count > 1

    def own(self, items: Sequence[T]) -> Sequence[T]:
        """Every `count`-th of `items`, so that each belongs to one process."""
        return items[self.rank :: self.count]

    def part(self, size: int) -> slice:
        """The run of `size` things in a row that is this process's: sizes differ by one at most."""
        return slice(size * self.rank // self.count, size * (self.rank + 1) // self.count)

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """`tensor` itself, each value replaced by its sum over all processes."""
        if self.several:
            import torch

            torch.distributed.all_reduce(tensor)
        return tensor

    def wait(self) -> None:
        """Go on once every process is here."""
        if self.several:
            import torch

            self.sum(torch.zeros(1))  # on the CPU, where waiting may take long

    @contextmanager
    def one_before_others(self) -> Iterator[None]:
        """The first process of each machine passes alone, then the others: they find its files."""
        if self.local_rank:
            self.wait()
        yield
        if not self.local_rank:
            self.wait()


def here() -> Processes:
    """This process, from torchrun's environment variables; without them one that is alone.

    Raises
    ------
    InvalidOptionError : a variable holds no number that fits.
    """
    if not all(os.environ.get(name) for name in _VARIABLES):
        return Processes()
    rank, count, local = (os.environ[name] for name in (_RANK, _COUNT, _LOCAL))
    if not (rank + count + local).isdecimal() or not int(local) <= int(rank) < int(count):
        raise InvalidOptionError(
            f"The environment says {_RANK}={rank}, {_LOCAL}={local}, {_COUNT}={count}, which no "
            f"process can be. Start the script by torchrun, or without these variables."
        )
    return Processes(int(rank), int(count), int(local))


def require_alone() -> None:
    """Raise InvalidOptionError if torchrun started several processes, which would write alike."""
    if here().several:
        raise InvalidOptionError(
            f"torchrun started {here().count} processes of a script that works as one: it is for "
            "train.py and extract.py. Start this one with python; --help says how it spreads work."
        )


def join(device: torch.device) -> Processes:
    """This process, able to talk to the others: by gloo on the CPU and by nccl between GPUs."""
    processes = here()
    if not processes.several:
        return processes
    import torch
    from torch import distributed

    if device.type == "cuda":
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
            store=distributed.PrefixStore("collectives", _store()),
            rank=processes.rank,
            world_size=processes.count,
            timeout=_PATIENCE,
        )
    return processes


def leave(code: int = 0) -> None:
    """End this process's part; with another `code` than 0 the process itself, by that code."""
    if "torch" not in sys.modules or not here().several:
        if code:
            sys.exit(code)
        return
    from torch import distributed

    if code:
        # Python would wait for, or trip over, collectives that the others never answer.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    if distributed.is_initialized():
        # Whoever left at once would cut off those who still hear the last word.
        _say_and_hear("left", here().count)
        distributed.destroy_process_group()


@contextmanager
def quiet_but_first() -> Iterator[None]:
    """What all processes but the first print goes nowhere."""
    with ExitStack() as stack:
        if not here().first:
            nowhere = stack.enter_context(Path(os.devnull).open("w"))
            stack.enter_context(redirect_stdout(nowhere))
            stack.enter_context(redirect_stderr(nowhere))
        yield


@contextmanager
def noticing_lost_ones() -> Iterator[None]:
    """Say in our words what a collective says when another process has gone.

    Raises
    ------
    ProcessLostError : in place of torch's error.
    """
    try:
        yield
    except RuntimeError as error:
        if not (here().several and _LOST.search(str(error))):
            raise
        raise ProcessLostError(
            "Another of the processes that work together has gone: it was killed, ran out of "
            "memory, or its machine cannot be reached. What was finished is kept; give the same "
            "command again (a training with --resume)."
        ) from error


def may_speak() -> bool:
    """Whether this process is the first to stop: of an error that all meet, one tells."""
    processes = here()
    if not processes.several:
        return True
    try:
        return _first_to_call(_store())
    except RuntimeError:  # the place where they meet is gone as well
        return processes.first


def _say_and_hear(word: str, count: int) -> None:
    """Go on once `count` processes have come here, without talking to each other."""
    if _store().add(word, 1) == count:
        _store().set(f"all {word}", "")
    _store().wait([f"all {word}"], _PATIENCE)


def _first_to_call(store: Any) -> bool:
    return store.add("stopped", 1) == 1


@cache
def _store() -> Any:
    """Where processes meet before, and after, they talk: kept by torchrun, which outlives them."""
    from torch import distributed

    store, _, _ = next(distributed.rendezvous("env://", timeout=_PATIENCE))
    return distributed.PrefixStore(
        f"ncviz{os.environ.get('TORCHELASTIC_RESTART_COUNT', '')}", store
    )
