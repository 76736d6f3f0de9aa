"""Work in parts on a Dask cluster: whatever fails ends in a sentence, and nothing waits forever.

Dask runs again what a worker that died had, on another one. It knows nothing of ncviz: whether all
workers run this code and see the same runs is asked of them before.
"""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from threadpoolctl import threadpool_limits

from ncviz.errors import ClusterError
from ncviz.optional import optional
from ncviz.store import mark_of_run

if TYPE_CHECKING:
    from distributed import Client, Future

    from ncviz.evaluation.spreading import Work

ANSWER = 10.0
"""seconds that scheduler and workers have to answer"""
LOADING = 60.0
"""seconds that workers have to load ncviz, perhaps over a network"""
ALONE = 30.0
"""seconds that a cluster may be without a single worker"""
LOOK = 1.0
"""seconds between two looks at a cluster where nothing gets done"""

# Functions cannot be sent between two of these that differ, not even one that asks for the others.
_CARRIERS = ("python", "dask", "distributed", "cloudpickle")
# Where one of these differs, numbers may.
_PACKAGES = ("numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "safetensors")
# Of mallopt, in glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_FOLDER = Path(__file__).resolve().parents[1]


def _digest() -> str:
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(_FOLDER.rglob("*.py")):
        digest.update(f"{path.relative_to(_FOLDER).as_posix()};".encode() + path.read_bytes())
    return digest.hexdigest()


_CODE = _digest()
"""identifies the code of ncviz as it was when this process began to use it"""


class Surroundings(NamedTuple):
    """What a process runs and sees.

    Attributes
    ----------
    versions : of the packages that results depend on
    code : a digest of ncviz itself
    runs : by folder, a mark of the run there; None where there is none
    """

    versions: dict[str, str]
    code: str
    runs: dict[str, str | None]


def look_around(folders: Sequence[Path]) -> Surroundings:
    """The surroundings of this process."""
    runs = {str(folder): mark_of_run(folder) for folder in folders}
    return Surroundings({name: version(name) for name in _PACKAGES}, _CODE, runs)


def spread_over(
    address: str, work: Sequence[Work], folders: Sequence[Path], advance: Callable[[], object]
) -> Iterator[Any]:
    """What `finish` of each work returns, as it comes; all of it runs on the workers at `address`.

    Raises
    ------
    MissingPackageError : dask.distributed is not installed.
    ClusterError : the scheduler cannot be reached, or no longer; there are no workers, or no more;
        one of them runs other versions or does not see a run; a part brought down several of them.
    NcvizError : what a part or `finish` raised.
    """
    optional("distributed", what="--dask", requirements="requirements-cluster.txt")
    with _connected(address) as client:
        _require_workers(client, address)
        here = look_around(folders)
        _require_alike(client, address, here)
        yield from _gather(client, address, work, here, advance)


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    from distributed import Client
    from distributed.versions import VersionMismatchWarning

    try:
        # A client that waits for a port which takes connections and says nothing cannot be closed.
        _within(2 * ANSWER, lambda: asyncio.run(_greet(address)))
        with warnings.catch_warnings():
            # A table; the versions are compared below, and one that differs is an error.
            warnings.simplefilter("ignore", VersionMismatchWarning)
            client = Client(address, timeout=ANSWER, set_as_default=False)
    except Exception as error:  # where something else than Dask answers, of any type
        reason = " ".join(str(error).split()) or f"no answer within {ANSWER:.0f} seconds"
        raise ClusterError(
            f"No Dask scheduler answers at {address} ({reason}). Start one with `dask scheduler`, "
            "and give the address that it prints."
        ) from error
    try:
        yield client
    finally:
        client.close(timeout=1)


async def _greet(address: str) -> None:
    from distributed import Security, rpc

    options = Security().get_connection_args("client")
    async with rpc(address, connection_args=options, timeout=ANSWER) as scheduler:
        await asyncio.wait_for(scheduler.identity(), ANSWER)


def _require_workers(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=ANSWER)
    except TimeoutError as error:
        raise ClusterError(
            f"The Dask scheduler at {address} has no workers. Start some with: "
            f"dask worker {address}"
        ) from error


def _require_alike(client: Client, address: str, here: Surroundings) -> None:
    """Raises ClusterError unless every worker runs and sees what this process does."""
    versions = _ask(address, client.get_versions)
    ours = versions["client"]["packages"]
    for place, found in (("scheduler", versions["scheduler"]), *versions["workers"].items()):
        for name in _CARRIERS:
            _require_same(place, name, found["packages"].get(name), ours[name])
    _ask(address, lambda: _require_loaded(client, address), seconds=LOADING)
    folders = [Path(run) for run in here.runs]
    answers = _ask(
        address, lambda: client.run(look_around, folders, on_error="return"), seconds=LOADING
    )
    for worker, found in answers.items():
        if isinstance(found, OSError):
            continue  # it is gone; one that comes instead is looked at before it does anything
        if not isinstance(found, Surroundings):
            raise _without_ncviz(f"Worker {worker}", found)
        _compare(worker, found, here)


def _require_loaded(client: Client, address: str) -> None:
    # It reads what workers are sent, and so must find the functions that are named in there.
    try:
        client.run_on_scheduler(look_around, [])
    except OSError:
        raise
    except Exception as error:
        raise _without_ncviz(f"The scheduler at {address}", error) from error


def _without_ncviz(place: str, error: object) -> ClusterError:
    return ClusterError(
        f"{place} cannot load ncviz ({error}). Start it where `python -c 'import ncviz'` works: in "
        "the same environment, with the checkout in PYTHONPATH."
    )


def _compare(worker: str, found: Surroundings, here: Surroundings) -> None:
    for name, ours in here.versions.items():
        _require_same(worker, name, found.versions.get(name), ours)
    if found.code != here.code:
        raise ClusterError(
            f"Worker {worker} runs other code of ncviz than this process. Bring its checkout to "
            "the same state, and start it again."
        )
    for folder, mark in here.runs.items():
        _require_seen(worker, folder, found.runs[folder], mark)


def _require_same(place: str, name: str, theirs: str | None, ours: str) -> None:
    if theirs != ours:
        raise ClusterError(
            f"The versions of {name} differ: {theirs} at {place}, {ours} here. Install the same on "
            "all machines, and start scheduler and workers again."
        )


def _require_seen(worker: str, folder: str, found: str | None, mark: str | None) -> None:
    if found is None:
        raise ClusterError(
            f"Worker {worker} does not see the run {folder}. Every worker must see the runs under "
            "the path that they have here: share the folder, or name it with --checkpoints."
        )
    if found != mark:
        raise ClusterError(
            f"Worker {worker} sees another run at {folder} than this process does. Share one "
            "folder between all machines."
        )


def _gather(
    client: Client,
    address: str,
    work: Sequence[Work],
    here: Surroundings,
    advance: Callable[[], object],
) -> Iterator[Any]:
    done: SimpleQueue[Future] = SimpleQueue()
    # Dask forgets what no future asks for: parts once they are done and only `finish` wants them.
    waiting: dict[str, Future] = {}
    last: set[str] = set()
    for one in work:
        parts = [client.submit(_call, part, here, pure=False) for part in one.parts]
        end = client.submit(_finish, one.finish, parts, here, pure=False)
        last.add(end.key)
        waiting |= {future.key: future for future in (*parts, end)}
    for future in waiting.values():
        future.add_done_callback(done.put)
    alone = 0.0
    while waiting:
        try:
            future = done.get(timeout=LOOK)
        except Empty:
            alone = 0.0 if _ask(address, client.nthreads) else alone + LOOK
            if alone >= ALONE:
                raise ClusterError(
                    f"All workers of the Dask cluster at {address} are gone, and none came back "
                    f"within {ALONE:.0f} seconds. What was finished is kept: start workers, and "
                    "run the same command again."
                ) from None
            continue
        waiting.pop(future.key)
        _raise_error(address, future)
        if future.key in last:
            yield future.result()
        else:
            advance()


def _raise_error(address: str, future: Future) -> None:
    from distributed import KilledWorker

    if future.status == "finished":
        return
    if future.status != "error":
        raise ClusterError(
            f"The Dask cluster at {address} dropped the work. What was finished is kept: start "
            "the cluster again, and run the same command."
        )
    error = future.exception()
    if isinstance(error, KilledWorker):
        raise ClusterError(
            f"{error.allowed_failures + 1} workers died one after the other of the same part, the "
            f"last at {error.last_worker.address}: most likely their memory is too small for it. "
            "What was finished is kept: give them more, and run the same command again."
        ) from error
    raise error


def _call(part: Callable[[], Any], here: Surroundings) -> Any:
    """A part, on a worker."""
    _prepare(here)
    return part()


def _finish(finish: Callable[[list], Any], parts: list, here: Surroundings) -> Any:
    """What puts parts together, on a worker."""
    _prepare(here)
    return finish(parts)


def _prepare(here: Surroundings) -> None:
    from distributed import get_worker

    # Never set back: another thread of this worker may be at a part.
    threadpool_limits(1, user_api="blas")
    _keep_freed_memory()
    # A worker may have joined after all were asked.
    if here not in _alike:
        _compare(get_worker().address, look_around([Path(run) for run in here.runs]), here)
        _alike.append(here)


@cache
def _keep_freed_memory() -> None:
    # Dask has its workers give every freed array back to the kernel (MALLOC_TRIM_THRESHOLD_), which
    # clears it anew for the next one: intervals took three times as long. These are the largest
    # values that glibc comes to by itself.
    with suppress(AttributeError, OSError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, 2**26)
        mallopt(_MMAP_THRESHOLD, 2**25)


_alike: list[Surroundings] = []
"""of the processes that sent this worker something, those that it runs and sees the same as"""


def _ask(address: str, question: Callable[[], Any], *, seconds: float | None = None) -> Any:
    """The answer to a question to scheduler or workers, who have `seconds` for it (ANSWER)."""
    try:
        return _within(seconds or ANSWER, question)
    except ClusterError:
        raise
    except Exception as error:
        raise ClusterError(
            f"The Dask cluster at {address} does not answer any more ({error}). What was finished "
            "is kept: start the cluster again, and run the same command."
        ) from error


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """What `call` returns; TimeoutError where it does not return in time, whatever Dask waits for.

    A port that takes connections and says nothing would be waited for without an end.
    """
    found: dict[str, Any] = {}

    def run() -> None:
        try:
            found["answer"] = call()
        except Exception as error:
            found["error"] = error

    # Python does not wait for such a thread at its end.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if "error" in found:
        raise found["error"]
    if "answer" not in found:
        raise TimeoutError(f"no answer within {seconds:.0f} seconds")
    return found["answer"]
