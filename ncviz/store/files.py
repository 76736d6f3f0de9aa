"""Reading and writing single files: atomically, fingerprinted, with errors that say what to do."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ncviz.errors import CorruptFileError, MissingDataError, StorageError

FINGERPRINT = "fingerprint"
SOURCES = "sources"


def fingerprint(arrays: Mapping[str, np.ndarray]) -> str:
    """A short digest of names, types, shapes and values of `arrays`."""
    digest = hashlib.blake2b(digest_size=12)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
        digest.update(array.data.cast("B") if array.size else b"")
    return digest.hexdigest()


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the system says about a failed write to `path` into a StorageError."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        # safetensors reports a full disk as its own error type, with the system's text inside.
        raise StorageError(
            f"Cannot write {path}: {getattr(error, 'strerror', None) or error}. Free some space or "
            "make the folder writable, then run the same command again; what was there is kept."
        ) from error


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call `write` on a temporary file beside `path`, then rename it over `path`.

    A reader sees the old file or the new one, never a part. Raises StorageError, leaving the old
    file as it was.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        part = Path(name)
        try:
            write(part)
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            # mkstemp makes files private; a run is shared like any other file.
            part.chmod(0o666 & ~_umask())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_arrays(
    path: Path,
    arrays: Mapping[str, np.ndarray],
    *,
    sources: Mapping[str, str] | None = None,
    extra: Mapping[str, str] | None = None,
) -> str:
    """Write named arrays as safetensors and return their fingerprint.

    `sources` maps what the arrays were computed from to its fingerprint; `extra` holds further
    text for the file's header.
    """
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    mark = fingerprint(arrays)
    header = {**(extra or {}), FINGERPRINT: (extra or {}).get(FINGERPRINT, mark)}
    header[SOURCES] = json.dumps(dict(sources or {}), sort_keys=True)
    write_atomically(path, lambda part: save_file(arrays, part, metadata=header))
    return header[FINGERPRINT]


@contextmanager
def _reading(path: Path, mend: str) -> Iterator[None]:
    if not path.is_file():
        raise MissingDataError(f"{path} does not exist. {mend}".strip())
    try:
        yield
    except (CorruptFileError, MissingDataError):
        raise
    except PermissionError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror}. Make it readable.") from error
    except (OSError, SafetensorError, pa.ArrowException, ValueError, TypeError) as error:
        raise CorruptFileError(
            f"{path} cannot be read ({error}): it is truncated, damaged or not what its name says. "
            f"{mend or 'Delete it and make it again.'}"
        ) from error


def read_header(path: Path, *, mend: str = "") -> dict[str, str]:
    """The text header of a safetensors file, without reading its arrays."""
    with _reading(path, mend), safe_open(path, framework="np") as file:
        return file.metadata() or {}


def read_arrays(
    path: Path, names: list[str] | None = None, *, mend: str = ""
) -> dict[str, np.ndarray]:
    """Arrays of a safetensors file: those in `names`, which must be there, or all.

    Raises
    ------
    MissingDataError : no such file; `mend` says how to make it.
    CorruptFileError : truncated, foreign, or without one of `names`.
    """
    with _reading(path, mend), safe_open(path, framework="np") as file:
        present = set(file.keys())
        missing = [name for name in names or () if name not in present]
        if missing:
            raise CorruptFileError(
                f"{path} has no array '{missing[0]}' (it has: {', '.join(sorted(present))}). {mend}"
            )
        return {name: file.get_tensor(name) for name in names or sorted(present)}


def array_names(path: Path, *, mend: str = "") -> list[str]:
    """Names of the arrays in a safetensors file."""
    with _reading(path, mend), safe_open(path, framework="np") as file:
        return sorted(file.keys())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def read_json(path: Path, *, mend: str = "") -> dict[str, Any]:
    """A JSON object from `path`."""
    with _reading(path, mend):
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError("it does not hold a JSON object")
        return value


def write_table(
    path: Path, table: pd.DataFrame, *, sources: Mapping[str, str] | None = None
) -> None:
    """Write `table` as parquet, with the fingerprints of its sources in the header."""
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    header = {SOURCES: json.dumps(dict(sources or {}), sort_keys=True)}
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **header})
    write_atomically(path, lambda part: pq.write_table(arrow, part, compression="zstd"))


def read_table(path: Path, columns: tuple[str, ...], *, mend: str = "") -> pd.DataFrame:
    """A parquet table that has at least `columns`."""
    with _reading(path, mend):
        table = pd.read_parquet(path)
    return _require_columns(path, table, columns, mend)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write `table` as CSV; floats keep every digit."""
    write_atomically(path, lambda part: table.to_csv(part, index=False))


def read_csv(path: Path, columns: tuple[str, ...], *, mend: str = "") -> pd.DataFrame:
    """A CSV table that has at least `columns`."""
    with _reading(path, mend):
        table = pd.read_csv(path)
    return _require_columns(path, table, columns, mend)


def _require_columns(
    path: Path, table: pd.DataFrame, columns: tuple[str, ...], mend: str
) -> pd.DataFrame:
    missing = [column for column in columns if column not in table]
    if missing:
        raise CorruptFileError(f"{path} has no column '{missing[0]}'. {mend}".strip())
    return table


def sources_of(path: Path) -> dict[str, str]:
    """Fingerprints that a derived file says it was computed from; empty if it does not exist."""
    if not path.is_file():
        return {}
    with _reading(path, ""):
        if path.suffix == ".parquet":
            header = {
                k.decode(): v.decode() for k, v in (pq.read_metadata(path).metadata or {}).items()
            }
        else:
            header = read_header(path)
        return json.loads(header.get(SOURCES, "{}"))
