"""One process at a time writes a run: a lock that the kernel takes back when its holder ends."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from ncviz.errors import BusyError, StorageError
from ncviz.processes import here
from ncviz.store import files, layout
from ncviz.store.remote import require_local
from ncviz.store.run import Run, open_run

_TAKEN = {errno.EACCES, errno.EAGAIN}
_CANNOT_LOCK = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_NOT_PERMITTED = {errno.EACCES, errno.EPERM}
_LONGEST_NOTE = 1000

_P = ParamSpec("_P")
_R = TypeVar("_R")


@contextmanager
def writing(run: Path) -> Iterator[None]:
    """Hold the right to write the run in the folder `run` for as long as the block takes.

    The folder is made if there is none, and goes again if nothing was written into it. What killed
    writers left half-written is removed. A block inside a block of the same process goes through:
    whoever writes takes the lock, no matter who called. Processes that write for the holder, such
    as workers of a grid, take none.

    The lock is a record lock of POSIX on a file in the folder: the kernel takes it back with the
    process that holds it, however that ends, and NFS passes it on to other machines (unless it is
    mounted with `nolock`, which keeps locks to one). Where a file system has no locks, a warning
    says so and the block goes on. Where the folder cannot be written there is nothing to lock, and
    each write says itself what the system says about it.

    Raises
    ------
    BusyError : another process is writing the run; says which, on which machine.
    StorageError : the disk is full, the lock file belongs to somebody else, or the run is remote.
    """
    require_local(run)
    with locked(run / layout.LOCK, f"Run {run.name}") as held:
        if held:
            files.remove_parts(run)
        yield
    if held:
        # Fails, as it should, where something was written or another writer has come.
        with suppress(OSError):
            run.rmdir()


def writes_run(
    function: Callable[Concatenate[Run, _P], _R],
) -> Callable[Concatenate[Run, _P], _R]:
    """A function of a run that holds the right to write it (see `writing`) while it is called.

    Of processes that work together the first holds it, for all of them.
    """

    @wraps(function)
    def writer(run: Run, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        with writing(run.path) if here().first else nullcontext():
            # Another process may have written it since it was opened.
            return function(open_run(run.path), *args, **kwargs)

    return writer


@contextmanager
def locked(path: Path, what: str) -> Iterator[bool]:
    """Hold the lock file `path` for as long as the block takes; `what` is written under it.

    Yields whether it is held for this block alone: not where the folder cannot be written, nor in a
    block inside another one. Raises as `writing`.
    """
    path = path.parent.resolve() / path.name
    with _guard:
        outer = _held.get(path)
        if outer is None:
            _held[path] = _Lock(_take(path, what))
        else:
            outer.blocks += 1
    try:
        yield outer is None and _held[path].file is not None
    finally:
        with _guard:
            lock = _held.get(path)
            # A forked process has left its parent's locks behind.
            if lock is not None:
                lock.blocks -= 1
                if not lock.blocks:
                    _give_back(path, _held.pop(path))


@dataclass
class _Lock:
    """The open lock file, None where there can be none, and how many blocks hold it."""

    file: int | None
    blocks: int = 1


_held: dict[Path, _Lock] = {}
_guard = threading.Lock()
# Record locks belong to the process that took them.
os.register_at_fork(after_in_child=_held.clear)


def _take(path: Path, what: str) -> int | None:
    while True:
        file = _open(path)
        if file is None:
            return None
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _TAKEN:
                note = _read_note(file)
                os.close(file)
                raise BusyError(_busy(what, note)) from error
            if error.errno not in _CANNOT_LOCK:
                os.close(file)
                raise _cannot_lock(path, error) from error
            warnings.warn(
                f"The file system of {path.parent} has no locks: see to it yourself that no other "
                f"process writes it. {what} is being written without one.",
                stacklevel=5,
            )
        if _is_still_at(path, file):
            _write_note(file)
            return file
        os.close(file)


def _open(path: Path) -> int | None:
    """The lock file, opened; None where the folder cannot be written."""
    while True:
        try:
            files.make_folder(path.parent)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            continue  # a writer that wrote nothing has just removed the folder again
        except OSError as error:
            foreign = error.errno in _NOT_PERMITTED and os.access(path, os.F_OK)
            if foreign or error.errno not in {errno.EROFS, *_NOT_PERMITTED}:
                raise _cannot_lock(path, error) from error
            return None


def _cannot_lock(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"Cannot lock {path.parent} for writing: {error.strerror}. Free some space, or, where "
        f"{path.name} belongs to somebody else and nobody writes there any more, delete it."
    )


def _is_still_at(path: Path, file: int) -> bool:
    """Whether the file opened is the one in place: the holder before removed its own."""
    try:
        return os.path.samestat(os.fstat(file), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def _give_back(path: Path, lock: _Lock) -> None:
    if lock.file is None:
        return
    with suppress(OSError):
        path.unlink()
    os.close(lock.file)


def _write_note(file: int) -> None:
    note = {
        "process": os.getpid(),
        "machine": socket.gethostname(),
        "command": Path(sys.argv[0]).name if sys.argv else "",
        "since": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    # The lock holds without a note too, on a disk that has no room for one.
    with suppress(OSError):
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(note).encode(), 0)


def _read_note(file: int) -> dict[str, str]:
    """What the holder wrote about itself; empty where that is no note."""
    try:
        note = json.loads(os.pread(file, _LONGEST_NOTE, 0))
        texts = {name: str(note[name]) for name in ("process", "machine", "command", "since")}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}
    # Anybody may have written it: nothing of it may move the cursor of a terminal.
    return texts if all(map(str.isprintable, texts.values())) else {}


def _busy(what: str, note: dict[str, str]) -> str:
    if not note:
        who, stop = "another process", "stop it"
    else:
        who = "process {process} on {machine} ({command}, since {since})".format(**note)
        stop = f"stop it there with: kill {note['process']}"
    return (
        f"{what} is being written by {who}, and two writers would get in each other's way. Let it "
        f"end, or {stop}; then run the same command again."
    )
