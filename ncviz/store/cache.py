"""Copies of remote files on this machine: bounded, never half written, shared between processes."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ncviz.errors import InvalidOptionError, StorageError

LIMIT = 10.0
"""gigabytes (10^9 bytes) that copies may take, unless NCVIZ_CACHE_GB says otherwise"""
IN_USE = 600.0
"""seconds for which a copy that counts as used lately is left in place, whatever the limit"""

_unswept: dict[Path, float] = {}


def cache_folder() -> Path:
    """Where the copies lie: NCVIZ_CACHE, or `ncviz` in the user's cache folder."""
    chosen = os.environ.get("NCVIZ_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "ncviz"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ncviz"


def copy_of(key: str, size: int, fetch: Callable[[Path], None]) -> Path:
    """The copy `key` of `size` bytes; where there is none, `fetch` writes it to the path it gets.

    The path stays valid for half of `IN_USE` at least, and for as long as it is open or mapped.

    Raises
    ------
    StorageError : the disk refuses.
    """
    path = cache_folder() / key[:2] / key
    if has_copy(key, size):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_name(f".{key}.{secrets.token_hex(4)}.part")
        try:
            fetch(part)
            part.chmod(0o600)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        # What the remote says comes as another error.
        if isinstance(error, StorageError) or error.errno is None:
            raise
        raise StorageError(
            f"Cannot keep a copy of a remote file in {cache_folder()}: {error.strerror}. Free some "
            "space, or set NCVIZ_CACHE to a folder that has some."
        ) from error
    _sweep_at_times(size)
    return path


def has_copy(key: str, size: int) -> bool:
    """Whether there is the copy `key` of `size` bytes; it then counts as used lately."""
    path = cache_folder() / key[:2] / key
    try:
        state = path.stat()
        # A loss of power may have kept the name and lost the content.
        if state.st_size != size:
            return False
        # Not at each look: who remembers what a file held tells from its times that it is the same.
        if time.time() - state.st_mtime > IN_USE / 2:
            os.utime(path)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True  # of a cache that another user fills
    return True


def sweep() -> None:
    """Remove the copies that were not used for longest, until the rest fits the limit."""
    limit = _limit()
    found, total, now = [], 0, time.time()
    for path in cache_folder().glob("*/*"):
        with suppress(FileNotFoundError):
            state = path.stat()
            total += state.st_size
            found.append((state.st_mtime, state.st_size, path))
    for used, size, path in sorted(found):
        if total <= limit or now - used < IN_USE:
            return
        with suppress(FileNotFoundError):
            path.unlink()
        total -= size


def _sweep_at_times(size: int) -> None:
    # Looking at all copies takes longer than fetching a small one.
    folder = cache_folder()
    _unswept[folder] = _unswept.get(folder, _limit()) + size
    if _unswept[folder] >= _limit() / 50:
        _unswept[folder] = 0
        sweep()


def _limit() -> float:
    text = os.environ.get("NCVIZ_CACHE_GB") or LIMIT
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = -1
    if not 0 <= gigabytes < float("inf"):
        raise InvalidOptionError(f"NCVIZ_CACHE_GB is '{text}'; it must be a number, 0 or more.")
    return gigabytes * 1e9
