"""Runs at a URL, read only: paths like those of a folder, whose files are fetched when opened.

Copies lie in a cache under a name made of the address and the state of the file, so that a file
that has changed is another one.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import posixpath
import re
import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from ncviz.errors import InvalidOptionError, NcvizError, RemoteError, StorageError
from ncviz.store import cache, checksums
from ncviz.store.bucket import Bucket, State, Tree, bucket
from ncviz.store.names import is_plain

SMALL = 2**18
"""bytes up to which a file is fetched as a whole where only its beginning is asked for"""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(/?.*)", re.DOTALL)
_LOCAL = {"file", "local"}
_AT_ONCE = 8


def place(folder: str | Path | RemotePath) -> Path | RemotePath:
    """A folder of this machine, or one at a URL of any kind that fsspec knows, such as `s3://`.

    A `file://` URL is a folder of this machine. A Path of a URL is taken for the URL, although
    pathlib has merged its slashes.

    Raises
    ------
    MissingPackageError : fsspec, or what it takes for this kind of URL, is not installed.
    RemoteError : it cannot be reached.
    InvalidOptionError : it is no URL of a folder.
    """
    if isinstance(folder, RemotePath):
        return folder
    text = os.fspath(folder)
    if ":/" in text and "::" in text:
        raise InvalidOptionError(
            f"{text.partition(':/')[0]}://... joins several kinds of URL: name one."
        )
    found = _URL.fullmatch(text)
    if found is None or len(found[1]) < 2:
        return Path(folder)
    kind, rest = found[1].lower(), found[2]
    if isinstance(folder, Path) and not rest.startswith("/") and kind not in _LOCAL:
        rest = f"/{rest}"
    if kind in _LOCAL:
        return _local(f"//{rest}" if isinstance(folder, Path) else rest)
    return RemotePath(bucket(f"{kind}:/{rest.rstrip('/')}"), ())


def is_remote(folder: Path | RemotePath) -> bool:
    """Whether it lies at a URL."""
    return isinstance(folder, RemotePath)


def require_local(folder: Path | RemotePath) -> None:
    """Raises StorageError, with the command that copies a run, where nothing can be written."""
    if isinstance(folder, RemotePath):
        raise StorageError(
            f"{folder} cannot be written: runs at a URL are read-only. Copy the run to a folder of "
            f"this machine and work there: {_how_to_copy(folder)}"
        )


def _how_to_copy(folder: RemotePath) -> str:
    url, to = shlex.quote(str(folder)), shlex.quote(f"checkpoints/{folder.name}")
    if str(folder).startswith("s3://"):
        return f"aws s3 cp --recursive {url} {to}"
    code = "import fsspec, sys; fs, at = fsspec.url_to_fs(sys.argv[1]); fs.get(at, sys.argv[2], "
    return f'python -c "{code}recursive=True)" {url} {to}'


def _local(rest: str) -> Path:
    """The path of a file URL, of which `rest` comes after the first slash."""
    path = rest.removeprefix("/localhost") if rest.startswith("/localhost/") else rest[1:]
    if not rest.startswith("/") or not path.startswith("/"):
        raise InvalidOptionError(
            f"file:/{rest} is no folder of this machine: write file:///PATH, with three slashes."
        )
    return Path(path)


class RemotePath:
    """A file or folder at a URL: what ncviz asks of a path, and nothing that writes.

    `os.fspath` fetches a file, and is the path of the copy here.
    """

    def __init__(self, at: Bucket, parts: tuple[str, ...]):
        self._bucket = at
        self.parts = parts

    def __truediv__(self, other: str | os.PathLike) -> RemotePath:
        more = tuple(part for part in str(other).split("/") if part)
        if ".." in more:
            raise InvalidOptionError(f"{other!r} leads out of {self}.")
        return RemotePath(self._bucket, (*self.parts, *more))

    def __str__(self) -> str:
        return "/".join((self._bucket.shown, *self.parts))

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def _key(self) -> tuple:
        return self._bucket.url, self.parts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and self._key() == other._key()

    def __lt__(self, other: RemotePath) -> bool:
        return self._key() < other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    @property
    def name(self) -> str:
        return self.parts[-1] if self.parts else self._bucket.name

    @property
    def suffix(self) -> str:
        return posixpath.splitext(self.name)[1]

    @property
    def parent(self) -> RemotePath:
        if self.parts:
            return RemotePath(self._bucket, self.parts[:-1])
        return RemotePath(self._bucket.above(), ())

    @property
    def parents(self) -> tuple[RemotePath, ...]:
        """The folders around it, from the inmost to the one at the URL itself."""
        return tuple(RemotePath(self._bucket, self.parts[:n]) for n in range(len(self.parts))[::-1])

    def with_suffix(self, suffix: str) -> RemotePath:
        return self.parent / (posixpath.splitext(self.name)[0] + suffix)

    def relative_to(self, other: RemotePath) -> Path:
        own = self.parts[len(other.parts) :]
        if other != RemotePath(self._bucket, self.parts[: len(other.parts)]):
            raise ValueError(f"{self} is not below {other}")
        return Path(*own)

    def absolute(self) -> RemotePath:
        return self

    def resolve(self) -> RemotePath:
        return self

    def exists(self) -> bool:
        tree, inside = self._seen()
        return inside in tree.files or inside in tree.folders

    def is_file(self) -> bool:
        tree, inside = self._seen()
        return inside in tree.files

    def is_dir(self) -> bool:
        tree, inside = self._seen()
        return inside in tree.folders

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """Files and folders below whose path fits, part by part."""
        wanted = pattern.split("/")
        for path in self.rglob("*"):
            own = path.parts[len(self.parts) :]
            if len(own) == len(wanted) and all(map(fnmatch.fnmatchcase, own, wanted)):
                yield path

    def rglob(self, pattern: str) -> Iterator[RemotePath]:
        """Files and folders below whose name fits, in order."""
        tree, inside = self._seen()
        for found in sorted((*tree.files, *tree.folders)):
            own = found[len(inside) :]
            if own and found[: len(inside)] == inside and fnmatch.fnmatchcase(own[-1], pattern):
                yield RemotePath(self._bucket, (*self.parts, *own))

    def stamp(self, *, without: str) -> str:
        """A digest of the state of every file below that is not hidden, nor in `without`."""
        tree, inside = self._seen()
        states = [
            (name, state)
            for name, state in tree.files.items()
            if name[: len(inside)] == inside
            and name[len(inside)] != without
            and not any(part.startswith(".") for part in name)
        ]
        return checksums.of_text(repr(sorted(states)))

    @property
    def size(self) -> int:
        """Of the file, in bytes, as it is listed."""
        return self._state()[0].size

    def stat(self) -> os.stat_result:
        """Of the copy: its size is the file's."""
        return Path(self).stat()

    def open(self, mode: str = "r", **options: Any) -> IO:
        if set(mode) & set("wax+"):
            require_local(self)
        return Path(self).open(mode, **options)

    def read_text(self, encoding: str | None = None) -> str:
        return Path(self).read_text(encoding)

    def read_bytes(self) -> bytes:
        return Path(self).read_bytes()

    def __fspath__(self) -> str:
        return str(self._copy(None))

    def beginning(self, size: int) -> bytes:
        """The first bytes of the file, up to `size`; the rest is not fetched where it is large."""
        state, key = self._state()
        whole = state.size <= max(size, SMALL) or cache.has_copy(key, state.size)
        with self._copy(None if whole else size).open("rb") as file:
            return file.read(size)

    def _copy(self, length: int | None, *, again: bool = False) -> Path:
        """A copy of the first `length` bytes, or of all."""
        state, key = self._state()
        size = state.size if length is None else length

        def fetch(part: Path) -> None:
            with self._bucket.readable(self):
                if length is None:
                    self._bucket.fs.get_file(self._at(), str(part))
                else:
                    part.write_bytes(self._bucket.fs.cat_file(self._at(), start=0, end=length))
            found = part.stat().st_size
            if found != size:
                raise RemoteError(
                    f"{self} came with {found:,} bytes instead of {size:,}: the connection was "
                    "cut, or it is being written. Try again; what came was thrown away."
                )

        try:
            return cache.copy_of(key if length is None else f"{key}.{length}", size, fetch)
        except RemoteError:
            # It may have been written, or removed, since it was listed.
            self._bucket.forget()
            if again or not self.exists() or self._state() == (state, key):
                raise
        return self._copy(length, again=True)

    def look(self) -> None:
        """List everything below once, and trust that for a while."""
        with self._bucket.readable(self):
            self._bucket.tree(self.parts)

    def folders(self) -> list[RemotePath]:
        """The folders right below, all of them looked at; those whose name is no name are left."""

        def names() -> list[str]:
            self._bucket.fs.invalidate_cache()
            found = self._bucket.fs.ls(self._at(), detail=True)
            return [each["name"] for each in found if each["type"] == "directory"]

        with self._bucket.readable(self):
            found = self._bucket.trusted(("folders", self.parts), names)
        below = {posixpath.basename(name.rstrip("/")) for name in found}
        paths = [RemotePath(self._bucket, (*self.parts, name)) for name in sorted(below) if name]

        def look(path: RemotePath) -> None:
            # What cannot be listed says so when it is opened.
            try:
                path.look()
            except NcvizError:
                return

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(look, [path for path in paths if is_plain(path.name)]))
        return paths

    def _at(self) -> str:
        return self._bucket.join(self.parts)

    def _seen(self) -> tuple[Tree, tuple[str, ...]]:
        """The listing that this path is in, and the path inside it."""
        with self._bucket.readable(self):
            return self._bucket.covering(self.parts)

    def _state(self) -> tuple[State, str]:
        tree, inside = self._seen()
        if inside not in tree.files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        state = tree.files[inside]
        text = repr((self._bucket.url, self.parts, state))
        return state, checksums.of_text(text)
