"""Blocks of work on all cores, with results that do not depend on how many there are."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Found = TypeVar("Found")


class _Hold:
    """The one limit of the process, for as long as anybody asks for it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._holders = 0
        self._limit = None
        self._controller, self._modules = None, 0
        self.spare = 1

    def take(self) -> int:
        """Hold BLAS to one thread; returns how many it would take."""
        with self._lock:
            if not self._holders:
                controller = self._known_libraries()
                blas = [each.num_threads for each in controller.lib_controllers]
                self.spare = max(blas, default=cores())
                self._limit = controller.limit(limits=1, user_api="blas")
            self._holders += 1
            return self.spare

    def _known_libraries(self) -> ThreadpoolController:
        # Looking through all libraries of the process takes longer than scoring a few samples, and
        # only an import can have brought in another.
        if len(sys.modules) != self._modules:
            self._controller = ThreadpoolController().select(user_api="blas")
            self._modules = len(sys.modules)
        return self._controller

    def give_back(self) -> None:
        """Let BLAS take what it took before, if nobody else holds it."""
        with self._lock:
            self._holders -= 1
            if not self._holders:
                self._limit.restore_original_limits()


_HOLD = _Hold()


def cores() -> int:
    """How many cores the process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def single_products() -> Iterator[int]:
    """Hold BLAS to one thread; yields how many threads it leaves to others.

    A product that BLAS splits among threads is rounded in another way for each number of them. On
    one thread it comes out the same in every process, however many share the machine. The limit is
    one of the whole process.
    """
    threads = _HOLD.take()
    try:
        yield threads
    finally:
        _HOLD.give_back()


def spread(work: Callable[[Item], Found], items: Iterable[Item]) -> Iterator[Found]:
    """`work` of each item, in their order, on as many threads as BLAS would take.

    At most twice as many results as threads are held at a time.
    """
    items = list(items)
    if len(items) < 2:
        yield from map(work, items)
        return
    with single_products() as threads:
        if threads < 2:
            yield from map(work, items)
            return
        with ThreadPoolExecutor(threads) as pool:
            running: deque = deque()
            for item in items:
                running.append(pool.submit(work, item))
                if len(running) >= 2 * threads:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
