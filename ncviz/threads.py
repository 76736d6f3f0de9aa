"""Blocks of work on all cores, with results that do not depend on how many there are."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Found = TypeVar("Found")

# What BLAS would take if nobody held it to one thread; None while nobody does. The limit is one of
# the whole process, and so is this.
_spare: int | None = None


@contextmanager
def single_products() -> Iterator[int]:
    """Hold BLAS to one thread; yields how many threads it leaves to others.

    A product that BLAS splits among threads is rounded in another way for each number of them. On
    one thread it comes out the same in every process, however many share the machine.
    """
    global _spare
    if _spare is not None:
        yield _spare
        return
    controller = ThreadpoolController()
    blas = [
        library["num_threads"] for library in controller.info() if library["user_api"] == "blas"
    ]
    _spare = max(blas, default=os.cpu_count() or 1)
    try:
        with controller.limit(limits=1, user_api="blas"):
            yield _spare
    finally:
        _spare = None


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
