"""Whether a file still holds what was written into it: digests, checked when it is read.

The header of a file holds the digest of its arrays or columns, and a seal of the header itself.
Files of arrays are read for that once in a process and again whenever they have changed; tables
are small, and checked whenever they are read. Files that were written before there were seals hold
the digest of their arrays alone; a list in their run may have the digest of all their bytes.
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
import pyarrow.parquet as pq

from ncviz.store import layout

FINGERPRINT, CONTENT, SEAL = "fingerprint", "content", "seal"
_BLOCK = 2**20
_SETTLED = 2.0
"""seconds after which a file that is changed again gets another time on every file system"""
_REMEMBERED = 100_000
# NumPy's name of each type of numbers that a file of arrays can hold.
_TYPES = {
    **{f"F{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    **{f"I{8 * size}": f"<i{size}" for size in (2, 4, 8)},
    **{f"U{8 * size}": f"<u{size}" for size in (2, 4, 8)},
    **{"I8": "|i1", "U8": "|u1", "BOOL": "|b1"},
}

_whole: dict[Path, tuple[int, ...]] = {}
_guard = threading.Lock()


def of_header(header: Mapping[str, str]) -> str:
    """The seal of a header's texts, of all but the seal itself."""
    texts = sorted((name, text) for name, text in header.items() if name != SEAL)
    return _hexdigest(json.dumps(texts).encode())


def of_table(table: pd.DataFrame) -> str:
    """The digest of a table's columns."""
    digest = _new()
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


def require_header(header: Mapping[str, str]) -> None:
    """Raise ValueError if a header is sealed and not as it was written."""
    if SEAL in header and header[SEAL] != of_header(header):
        raise ValueError("its header is not what was written")


def require_table(path: Path, table: pd.DataFrame, header: Mapping[str, str]) -> None:
    """Raise ValueError if a table is not what was written."""
    if SEAL not in header:
        require_listed(path)
        return
    require_header(header)
    if header.get(CONTENT) != of_table(table):
        raise ValueError("its content is not what was written")


def require_listed(path: Path) -> bool:
    """Whether the list of the run has the file; raises ValueError if it has another one."""
    for folder in path.parents[:_DEPTH]:
        listed = folder / layout.SEALS
        if listed.is_file():
            digest = _read_list(listed).get(path.relative_to(folder).as_posix())
            if digest is not None and digest != digest_of_file(path):
                raise ValueError(f"its content is not what {layout.SEALS} lists")
            return digest is not None
    return False


def require_arrays(path: Path) -> None:
    """Raise ValueError if a file of arrays does not hold what was written, or does not say.

    Takes a file that `safetensors` opens, so that the places it states lie inside it.
    """
    before = _state(path)
    if _whole.get(path) == before:
        return
    with path.open("rb") as file:
        start, infos, header = _read_header(file)
        require_header(header)
        stated = header.get(CONTENT) or header.get(FINGERPRINT)
        if not stated:
            raise ValueError("it was not written by ncviz")
        listed = SEAL not in header and require_listed(path)
        # Weights of half precision were written under the fingerprint of the originals.
        older_weights = SEAL not in header and path.name == layout.MODEL
        if not (listed or older_weights) and _digest(file, start, infos) != stated:
            raise ValueError("its arrays are not those that were written")
    _remember(path, before)


def list_unsealed(run: Path) -> None:
    """Write the list of those files of a run whose own digests do not tell all of their content."""
    found = {
        path.relative_to(run).as_posix(): digest_of_file(path)
        for path in sorted(run.rglob("*"))
        if path.suffix in (".safetensors", ".parquet") and not _tells_all(path)
    }
    listed = run / layout.SEALS
    if found:
        text = json.dumps(found, indent=0) + "\n"
        listed.write_text(text, encoding="utf-8")
    else:
        listed.unlink(missing_ok=True)


def digest_of_file(path: Path) -> str:
    """The digest of all bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, _new).hexdigest()


# From the file of features of a set up to the run.
_DEPTH = 5
_lists: dict[Path, tuple[tuple[int, ...], dict[str, str]]] = {}


def _read_list(path: Path) -> dict[str, str]:
    state = _state(path)
    known = _lists.get(path)
    if known is None or known[0] != state:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path.name} of its run is damaged: {error}") from error
        if not isinstance(found, dict):
            raise ValueError(f"{path.name} of its run is damaged: it lists no files")
        known = _lists[path] = (state, found)
    return known[1]


def _tells_all(path: Path) -> bool:
    if path.suffix == ".parquet":
        return SEAL.encode() in (pq.read_metadata(path).metadata or {})
    with path.open("rb") as file:
        start, infos, header = _read_header(file)
        if SEAL in header:
            return True
        # What a file comes from is compared with what there is; other texts say what arrays mean.
        # Weights may be under the fingerprint of others.
        if header.keys() - {FINGERPRINT, "sources"} or path.name == layout.MODEL:
            return False
        return _digest(file, start, infos) == header.get(FINGERPRINT)


def _read_header(file: IO[bytes]) -> tuple[int, dict[str, dict[str, Any]], dict[str, str]]:
    """Where the arrays begin, what is said of each, and the texts."""
    length = int.from_bytes(file.read(8), "little")
    infos = json.loads(file.read(length))
    return 8 + length, infos, infos.pop("__metadata__", {})


def mapped(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file that `require_arrays` has passed, mapped from it."""
    with path.open("rb") as file:
        start, infos, _ = _read_header(file)
        found = {}
        for name, info in infos.items():
            kind, shape = _TYPES[info["dtype"]], tuple(info["shape"])
            first = start + info["data_offsets"][0]
            if math.prod(shape):
                found[name] = np.asarray(np.memmap(file, kind, "r", first, shape))
            else:  # nothing can be mapped of it
                found[name] = np.empty(shape, kind)
        return found


def _digest(file: IO[bytes], start: int, infos: Mapping[str, Mapping[str, Any]]) -> str:
    """What `files.fingerprint` makes of the arrays, without holding any of them."""
    digest = _new()
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
    # A change right after this one could leave the time as it is; and the file may just have gone.
    settled = before[-1] / 1e9 < time.time() - _SETTLED
    with _guard:
        if settled and _state(path) == before:
            if len(_whole) >= _REMEMBERED:
                _whole.clear()
            _whole[path] = before


def _hexdigest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=12).hexdigest()


def _new():
    return hashlib.blake2b(digest_size=12)
