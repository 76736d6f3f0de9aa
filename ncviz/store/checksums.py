"""Digests of arrays, tables, headers and files, and the check that a file holds what was written.

The header of a file holds the digest of its arrays or columns and a seal of the header itself.
Files of arrays are checked when a process first reads them and again after every change. Tables
are small and are checked on every read.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

FINGERPRINT, CONTENT, SEAL = "fingerprint", "content", "seal"
_BLOCK = 2**20
_SETTLED_S = 2.0
"""Age in seconds from which a further change alters a file's time on every file system."""
_MAX_REMEMBERED = 100_000
# NumPy's name of each number type that a file of arrays can hold.
_TYPES = {
    **{f"F{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    **{f"I{8 * size}": f"<i{size}" for size in (2, 4, 8)},
    **{f"U{8 * size}": f"<u{size}" for size in (2, 4, 8)},
    **{"I8": "|i1", "U8": "|u1", "BOOL": "|b1"},
}

_whole: dict[Path, tuple[int, ...]] = {}
_guard = threading.Lock()


def new_digest():
    """Return the hash object that every digest of a run folder comes from."""
    return hashlib.blake2b(digest_size=12)


def of_text(text: str) -> str:
    """Return the digest of a text."""
    digest = new_digest()
    digest.update(text.encode())
    return digest.hexdigest()


def of_json(value: Any) -> str:
    """Return the digest of a value as JSON, whatever the order of its names."""
    return of_text(json.dumps(value, sort_keys=True, default=str))


def of_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the digest of names, types, shapes and values of arrays."""
    digest = new_digest()
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
        digest.update(array.data.cast("B") if array.size else b"")
    return digest.hexdigest()


def of_table(table: pd.DataFrame) -> str:
    """Return the digest of a table's columns."""
    digest = new_digest()
    for name in table:
        column = table[name]
        if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            values = np.ascontiguousarray(column.to_numpy())
            kind, content = values.dtype.str, values.tobytes()
        else:
            texts = [text if isinstance(text, str) else None for text in column]
            kind, content = "text", json.dumps(texts).encode()
        digest.update(f"{json.dumps(str(name))} {kind} {len(content)};".encode() + content)
    return digest.hexdigest()


def of_file(path: Path) -> str:
    """Return the digest of all bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, new_digest).hexdigest()


def of_header(header: Mapping[str, str]) -> str:
    """Return the seal of a header: the digest of its texts without the seal itself."""
    return of_json(sorted((name, text) for name, text in header.items() if name != SEAL))


def require_header(header: Mapping[str, str]) -> None:
    """Raise ValueError unless a header is sealed and as it was written."""
    if SEAL not in header:
        raise ValueError("it was not written by ncviz")
    if header[SEAL] != of_header(header):
        raise ValueError("its header is not what was written")


def require_table(table: pd.DataFrame, header: Mapping[str, str]) -> None:
    """Raise ValueError unless a table is what was written."""
    require_header(header)
    if header.get(CONTENT) != of_table(table):
        raise ValueError("its content is not what was written")


def require_arrays(path: Path) -> None:
    """Raise ValueError unless a file of arrays holds what was written.

    The file must be one that `safetensors` opens, so that its offsets lie inside it.
    """
    before = _state(path)
    if _whole.get(path) == before:
        return
    with path.open("rb") as file:
        start, infos, header = _read_header(file)
        require_header(header)
        stated = header.get(CONTENT) or header.get(FINGERPRINT)
        if _of_stored_arrays(file, start, infos) != stated:
            raise ValueError("its arrays are not those that were written")
    _remember(path, before)


def mapped(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file that passed `require_arrays`, memory-mapped."""
    with path.open("rb") as file:
        start, infos, _ = _read_header(file)
        found = {}
        for name, info in infos.items():
            kind, shape = _TYPES[info["dtype"]], tuple(info["shape"])
            first = start + info["data_offsets"][0]
            if math.prod(shape):
                found[name] = np.asarray(np.memmap(file, kind, "r", first, shape))
            else:  # an empty array cannot be mapped
                found[name] = np.empty(shape, kind)
        return found


def _read_header(file: IO[bytes]) -> tuple[int, dict[str, dict[str, Any]], dict[str, str]]:
    """Return the offset of the arrays, the entry of each, and the texts."""
    length = int.from_bytes(file.read(8), "little")
    infos = json.loads(file.read(length))
    return 8 + length, infos, infos.pop("__metadata__", {})


def _of_stored_arrays(file: IO[bytes], start: int, infos: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what `of_arrays` returns, without holding an array in memory."""
    digest = new_digest()
    for name in sorted(infos):
        info = infos[name]
        kind = np.dtype(_TYPES.get(info["dtype"], "V1"))
        first, last = info["data_offsets"]
        digest.update(f"{name} {kind.str} {tuple(info['shape'])};".encode())
        file.seek(start + first)
        for block in _blocks(file, last - first):
            digest.update(block)
    return digest.hexdigest()


def _blocks(file: IO[bytes], size: int) -> Iterator[bytes]:
    for _ in range(math.ceil(size / _BLOCK)):
        block = file.read(min(_BLOCK, size))
        size -= len(block)
        yield block


def _state(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_ino, found.st_dev, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _remember(path: Path, before: tuple[int, ...]) -> None:
    # A later change could leave a recent time as it is, and the file may have gone meanwhile.
    settled = before[-1] / 1e9 < time.time() - _SETTLED_S
    with _guard:
        if settled and _state(path) == before:
            if len(_whole) >= _MAX_REMEMBERED:
                _whole.clear()
            _whole[path] = before
