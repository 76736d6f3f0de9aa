"""What a URL leads to: which files lie below it, in which state, and what its errors mean.

Which files there are is told by one listing of a whole run. It is trusted for a few times as long
as it took; whatever is asked after that lists anew.
"""

from __future__ import annotations

import errno
import itertools
import os
import posixpath
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import unquote

from ncviz.errors import InvalidOptionError, MissingPackageError, NcvizError, RemoteError
from ncviz.optional import optional
from ncviz.store.names import is_plain

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

TRUST = 20.0
"""how many times as long as it took a listing is trusted"""
LONGEST_TRUST = 30.0
"""seconds that it is trusted at most"""

# What stores call the state of a file; times are those of its content.
_MARKS = (
    *("ETag", "etag", "md5Hash", "content_md5", "checksum", "generation", "VersionId"),
    *("version_id", "mtime", "LastModified", "last_modified", "updated", "modified", "created"),
)
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE}

Found = TypeVar("Found")


class State(NamedTuple):
    """Size in bytes, and whatever else the store tells that changes with the content."""

    size: int
    marks: tuple[tuple[str, str], ...]


class Tree(NamedTuple):
    """The files and folders below a folder, by the parts of their path."""

    files: dict[tuple[str, ...], State]
    folders: set[tuple[str, ...]]


class Bucket:
    """A place that a URL leads to, and what was listed below it."""

    def __init__(
        self, url: str, shown: str, secrets: Sequence[str], fs: AbstractFileSystem, base: str
    ):
        self.url, self.shown, self.fs, self.base = url, shown, fs, base
        self._secrets = secrets
        self._listed: dict[Any, tuple[float, Any]] = {}
        self._lock = threading.Lock()
        self._looks = itertools.count()
        self._trees: set[tuple[str, ...]] = set()

    @property
    def name(self) -> str:
        return posixpath.basename(self.shown.rstrip("/"))

    def join(self, parts: tuple[str, ...]) -> str:
        """The path of `parts` in the store."""
        return "/".join((self.base.rstrip("/"), *parts)) if parts else self.base

    def above(self) -> Bucket:
        """The place one folder up; the topmost is its own."""
        url = self.url.rpartition("/")[0]
        return self if url.endswith(("/", ":")) else bucket(url)

    def trusted(self, what: Any, ask: Callable[[], Found]) -> Found:
        """What `ask` returned a short while ago, or returns now."""
        with self._lock:
            until, found = self._listed.get(what, (0.0, None))
            if time.monotonic() < until:
                return found
        begin = time.monotonic()
        found = ask()
        took = time.monotonic() - begin
        with self._lock:
            trust = min(TRUST * took, LONGEST_TRUST)
            self._listed[what] = (begin + took + trust, found)
        return found

    def forget(self) -> None:
        """Look again at whatever is asked for next."""
        with self._lock:
            self._listed.clear()

    def readable(self, shown: object) -> AbstractContextManager[None]:
        """What turns the errors of this store into a sentence about what is `shown`."""
        return readable(shown, self._secrets)

    def covering(self, parts: tuple[str, ...]) -> tuple[Tree, tuple[str, ...]]:
        """The listing that has `parts` in it, and what is left of them inside it."""
        for length in range(len(parts) + 1):
            if parts[:length] in self._trees:
                return self.tree(parts[:length]), parts[length:]
        # Not in a run that was opened: a question about this one alone.
        above, name = parts[:-1], parts[-1:]
        return self.trusted(("beside", above), lambda: self._list(above, deep=False)), name

    def tree(self, parts: tuple[str, ...]) -> Tree:
        """Everything below `parts`, listed at once; from now on that covers what is in there."""
        self._trees.add(parts)
        return self.trusted(("tree", parts), lambda: self._list(parts, deep=True))

    def _list(self, parts: tuple[str, ...], *, deep: bool) -> Tree:
        at = self.join(parts)
        # fsspec would return what it listed before.
        self.fs.invalidate_cache()
        if deep:
            found = self.fs.find(at, detail=True).values()
        else:
            try:
                found = self.fs.ls(at, detail=True)
            except (FileNotFoundError, NotADirectoryError):
                found = []
        look = next(self._looks)
        files: dict[tuple[str, ...], State] = {}
        folders: set[tuple[str, ...]] = set()
        begin = len(at.rstrip("/")) + 1
        for info in found:
            inside = tuple(info["name"].rstrip("/")[begin:].split("/"))
            # A bucket may hold any name; those that would lead elsewhere in a folder are not there.
            if not all(map(is_plain, inside)):
                continue
            if info["type"] == "directory":
                folders.add(inside)
            else:
                files[inside] = _state(info, look)
            folders |= {inside[:length] for length in range(len(inside))}
        return Tree(files, folders)


def _state(info: dict[str, Any], look: int) -> State:
    marks = tuple((name, str(info[name])) for name in _MARKS if info.get(name) is not None)
    # Where a store tells nothing, a file is another at each look.
    return State(int(info["size"] or 0), marks or (("look", f"{os.getpid()} {look}"),))


@lru_cache(maxsize=64)
def bucket(url: str) -> Bucket:
    """The place that `url` leads to; the same one at each call, with what was listed.

    Raises
    ------
    MissingPackageError : fsspec, or what it takes for this kind of URL, is not installed.
    RemoteError : the kind is unknown, or the store refuses.
    InvalidOptionError : it is no URL of a folder.
    """
    shown, secrets = _without_secrets(url)
    if "?" in url:
        raise InvalidOptionError(
            f"{shown.partition('?')[0]} is no URL of a folder if a '?' comes after it. Credentials "
            "are taken from the environment."
        )
    optional("fsspec", what=f"Reading {shown}", requirements="requirements-remote.txt")
    from fsspec.core import url_to_fs

    with readable(shown, secrets):
        fs, base = url_to_fs(url)
    return Bucket(url, shown, secrets, fs, base)


def _without_secrets(url: str) -> tuple[str, tuple[str, ...]]:
    """The URL without user and password, and these."""
    kind, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    user, at, host = host.rpartition("@")
    # Azure has the container before the @: no secret, and nothing without it.
    if not at or (":" not in user and kind in ("abfs", "abfss", "az", "wasb", "wasbs")):
        return url, ()
    words = (user, user.partition(":")[2])
    return f"{kind}://{host}{slash}{path}", (*words, *map(unquote, words))


@contextmanager
def readable(shown: object, secrets: Sequence[str] = ()) -> Iterator[None]:
    """Turn whatever a store or its client raises into one sentence about what is `shown`.

    What the disk of this machine says goes through.
    """
    try:
        yield
    except NcvizError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _DISK:
            raise
        # Its own text may hold the credentials, and a traceback would show them.
        raise _said(str(shown), error, secrets) from None


def _said(shown: str, error: Exception, secrets: Sequence[str]) -> NcvizError:
    reason = " ".join(str(error).split()) or type(error).__name__
    for secret in sorted({*secrets} - {""}, key=len, reverse=True):
        reason = reason.replace(secret, "...")
    reason = re.sub(r"//[^/\s@]+@", "//", re.sub(r"\?\S+", "?...", reason))
    if isinstance(error, ImportError):
        return MissingPackageError(
            f"Reading {shown} takes a package that is not installed ({reason}). Install "
            "it with pip; docs/scaling.md says which one each store takes."
        )
    if isinstance(error, ValueError) and "rotocol" in reason:
        return RemoteError(
            f"{shown} cannot be read: {reason}. Use a kind that fsspec knows, such as "
            "s3://, gs://, abfs:// or memory://."
        )
    if isinstance(error, FileNotFoundError):
        return RemoteError(
            f"There is nothing at {shown}: no such bucket or folder, or it is empty. Check "
            "the address, and that the run was copied there."
        )
    if isinstance(error, PermissionError) or "redential" in type(error).__name__ + reason:
        return RemoteError(
            f"The store does not let us read {shown} ({reason}). Set the credentials that "
            "its own tools take, such as AWS_PROFILE for s3://, or ask for the right to read it."
        )
    return RemoteError(
        f"{shown} could not be read ({type(error).__name__}: {reason}). Check the address "
        "and the connection, and try again; what came was thrown away."
    )
