"""Work in parts, spread over processes of this machine or of a cluster, with the same results.

A part runs on one thread of BLAS wherever it runs: BLAS rounds differently for each number of
threads, and processes that share a machine must not take all its cores each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from joblib import Parallel, delayed

from ncviz.errors import InvalidOptionError
from ncviz.threads import single_products


class Work(NamedTuple):
    """Parts that can be computed anywhere, in any order and more than once.

    Attributes
    ----------
    parts : functions without arguments that another process can be sent
    finish : takes what the parts return, in their order; it may run where none of them ran
    """

    parts: Sequence[Callable[[], Any]]
    finish: Callable[[list], Any]


class Places(NamedTuple):
    """Where work is done: in `jobs` processes of this machine, or by the workers of a cluster.

    Attributes
    ----------
    jobs : -1 for one on each core, None for one process
    dask : address of the scheduler of a Dask cluster
    """

    jobs: int | None = None
    dask: str | None = None

    def check(self) -> None:
        """Raises InvalidOptionError unless it is one or the other."""
        if self.dask is not None and self.jobs is not None:
            raise InvalidOptionError(
                "--jobs are processes of this machine and --dask is a cluster: choose one of them."
            )
        if self.jobs == 0:
            raise InvalidOptionError("--jobs is 0; it must be at least 1, or -1 for every core.")


def spread(
    work: Sequence[Work],
    places: Places,
    *,
    folders: Sequence[Path] = (),
    advance: Callable[[], object] = lambda: None,
) -> Iterator[Any]:
    """What `finish` of each work returns, as it comes.

    Parameters
    ----------
    folders : runs that every worker of a cluster must see under the same path
    advance : called after each part

    Raises
    ------
    ClusterError : see `ncviz.evaluation.cluster`.
    NcvizError : what a part or `finish` raised, wherever it ran.
    """
    places.check()
    if places.dask is None:
        yield from _here(work, places.jobs or 1, advance)
    elif work:
        from ncviz.evaluation.cluster import spread_over

        yield from spread_over(places.dask, work, folders, advance)


def _here(work: Sequence[Work], jobs: int, advance: Callable[[], object]) -> Iterator[Any]:
    tasks = [
        delayed(_numbered)(at, position, part)
        for at, one in enumerate(work)
        for position, part in enumerate(one.parts)
    ]
    made: dict[int, dict[int, Any]] = {}
    for at, position, part in Parallel(n_jobs=jobs, return_as="generator_unordered")(tasks):
        advance()
        found = made.setdefault(at, {})
        found[position] = part
        if len(found) == len(work[at].parts):
            del made[at]
            yield work[at].finish([found[position] for position in sorted(found)])


def _numbered(at: int, position: int, part: Callable[[], Any]) -> tuple[int, int, Any]:
    with single_products():
        return at, position, part()
