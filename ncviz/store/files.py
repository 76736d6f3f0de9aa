"""Reading and writing single files: atomically, fingerprinted, with errors that say what to do."""

from __future__ import annotations

import errno
import glob
import io
import json
import math
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ncviz.errors import (
    CorruptFileError,
    MissingDataError,
    NcvizError,
    StorageError,
)
from ncviz.literal import LONGEST, readable
from ncviz.store import checksums, layout
from ncviz.store.remote import RemotePath, is_remote, require_local

FINGERPRINT = checksums.FINGERPRINT
SOURCES = "sources"
OWN_TEXTS = (checksums.SEAL, checksums.CONTENT, SOURCES)
"""Texts of a header that `write_arrays` sets by itself."""
LARGEST_TEXT = 64 * 2**20
"""bytes of JSON or CSV that are read: a description or history of any training is far below"""
MOST_CELLS = 2 * 10**8
"""cells of a table that are read: a value that repeats takes room in memory, and none in a file"""
LONGEST_HEADER = 10**8
"""bytes that safetensors allows for it"""
LEFT_OVER = 3600
"""seconds after which a temporary file has no writer any more"""

_DAMAGE = (
    OSError,
    SafetensorError,
    pa.ArrowException,
    AttributeError,  # NumPy lacks a number type that the file names
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)
# Network file systems that keep folders in their own way refuse to be asked; so does a folder that
# may be written and not listed.
_WITHOUT_SYNC = {errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP, errno.EACCES}
_KINDS = {
    "text": pd.api.types.is_string_dtype,
    "number": pd.api.types.is_numeric_dtype,
    "integer": pd.api.types.is_integer_dtype,
    "flag": pd.api.types.is_bool_dtype,
}


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the system says about a failed write to `path` into a StorageError."""
    try:
        yield
    except NcvizError:
        raise
    except OSError as error:
        raise StorageError(
            f"Cannot write {path}: {_reason(error)}. Free some space or make the folder writable, "
            "then run the same command again; what was there is kept."
        ) from error


def _reason(error: OSError) -> str:
    if isinstance(error, shutil.Error):  # holds one entry for each file that was not copied
        return error.args[0][0][2]
    # pyarrow's own text names the temporary file.
    return os.strerror(error.errno) if error.errno else str(error)


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call `write` on a temporary file beside `path`, then rename it over `path`.

    A reader sees the old file or the new one, never a part, after a loss of power too. Raises
    StorageError, leaving the old file as it was.
    """
    require_local(path)
    with storage_errors(path):
        make_folder(path.parent)
        _remove_left_over(path)
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            write(part)
            sync(part)
            part.replace(path)
            sync(path.parent)
        finally:
            part.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Return once a file, or which files are in a folder, would outlive a loss of power."""
    try:
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
    except OSError as error:
        if not path.is_dir() or error.errno not in _WITHOUT_SYNC:
            raise


def sync_below(folder: Path) -> None:
    """The same for everything in `folder`."""
    for path in (*folder.rglob("*"), folder):
        sync(path)


def make_folder(folder: Path) -> None:
    """Make `folder` and its parents where they are missing, to outlive a loss of power."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync(each.parent)


def remove_parts(folder: Path) -> None:
    """Remove what killed writers left below `folder`, whose only writer the caller must be."""
    for part in folder.rglob(".*.part"):
        with suppress(OSError):
            part.unlink()


def _remove_left_over(path: Path) -> None:
    # A process that is killed cannot tidy up; a newer part may have a writer that is at work.
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with suppress(FileNotFoundError):
            if part.stat().st_mtime < time.time() - LEFT_OVER:
                part.unlink()


def write_arrays(
    path: Path,
    arrays: Mapping[str, np.ndarray],
    *,
    sources: Mapping[str, str] | None = None,
    extra: Mapping[str, str] | None = None,
) -> None:
    """Write named arrays as safetensors, with their fingerprint in the header.

    `sources` maps what the arrays were computed from to its fingerprint; `extra` holds further
    text for the header, and replaces the fingerprint where it has one. The header is sealed, so
    that reading finds out what was changed since.
    """
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    header = {
        FINGERPRINT: checksums.of_arrays(arrays),
        SOURCES: json.dumps(dict(sources or {}), sort_keys=True),
        **(extra or {}),
    }
    if FINGERPRINT in (extra or {}):
        header[checksums.CONTENT] = checksums.of_arrays(arrays)
    header[checksums.SEAL] = checksums.of_header(header)
    # save_file would write to a temporary file of its own, which a killed process leaves behind.
    content = memoryview(save(arrays, metadata=header))
    write_atomically(path, lambda part: _write_sorted(part, content))


def _write_sorted(part: Path, content: memoryview) -> None:
    # safetensors shuffles the header's text: the same arrays would make another file each time.
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(bytes(content[8:start]))
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with part.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.write(content[start:])


@contextmanager
def _reading(path: Path, mend: str) -> Iterator[None]:
    try:
        if not path.is_file():
            if not path.exists():
                raise MissingDataError(f"{path} does not exist. {mend}".strip())
            if not path.is_file():  # still: a writer may have put it there meanwhile
                raise ValueError("it is not a regular file")
        require_inside(path)
        yield
    except NcvizError:
        raise
    except FileNotFoundError as error:  # it has gone since it was looked for
        raise MissingDataError(f"{path} does not exist. {mend}".strip()) from error
    except PermissionError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror}. Make it readable.") from error
    except _DAMAGE as error:
        raise CorruptFileError(
            f"{path} cannot be read ({_one_line(error)}): it is truncated, damaged or not what its "
            f"name says. {mend or 'Delete it and make it again.'}"
        ) from error


def require_inside(path: Path) -> None:
    """Raise CorruptFileError if a file of a run is reached by a link out of the folder of runs.

    Who may write into a run must not decide which other files of the machine are read.
    """
    if is_remote(path):
        return  # a store has no links
    linked, place = False, str(path.absolute())
    # As plain texts, since every file that is read comes through here.
    while not os.path.lexists(f"{place}/{layout.DESCRIPTION}"):
        linked = linked or stat.S_ISLNK(os.lstat(place).st_mode)
        place = place.rpartition("/")[0]
        if not place:
            return
    beside = Path(place).parent.resolve()
    if linked and not path.resolve().is_relative_to(beside):
        raise CorruptFileError(
            f"{path} is reached by a link that leads out of {beside}. Put the file itself there."
        )


def _one_line(error: Exception) -> str:
    # Parsers repeat what they have found, as long as it is and whatever it would do to a terminal.
    return readable(" ".join(str(error).split()), LONGEST) or type(error).__name__


def read_header(path: Path, *, mend: str = "") -> dict[str, str]:
    """The text header of a safetensors file, without reading its arrays."""
    if is_remote(path):
        with _reading(path, mend):
            return _remote_header(path)
    with _reading(path, mend), safe_open(path, framework="np") as file:
        header = file.metadata() or {}
        checksums.require_header(header)
        return header


def _remote_header(path: RemotePath) -> dict[str, str]:
    """The same without fetching the arrays, of which whether they are all there is told by size."""
    begin = path.beginning(2**16)
    length = 8 + int.from_bytes(begin[:8], "little")
    if length > LONGEST_HEADER:
        raise ValueError("its header is longer than any")
    header = json.loads((begin if len(begin) >= length else path.beginning(length))[8:length])
    text = header.pop("__metadata__", {})
    if (
        length + max((array["data_offsets"][1] for array in header.values()), default=0)
        != path.size
    ):
        raise ValueError("its arrays are cut off")
    checksums.require_header(text)
    return text


def read_arrays(
    path: Path, names: list[str] | None = None, *, mend: str = "", foreign: bool = False
) -> dict[str, np.ndarray]:
    """Arrays of a safetensors file: those in `names`, which must be there, or all.

    `foreign` files were not written by `write_arrays`, and are taken as they are.

    Raises
    ------
    MissingDataError : no such file; `mend` says how to make it.
    CorruptFileError : truncated, foreign, changed since it was written, or without one of `names`.
    """
    with _reading(path, mend), safe_open(path, framework="np") as file:
        if not foreign:
            checksums.require_arrays(path)
        present = set(file.keys())
        missing = [name for name in names or () if name not in present]
        if missing:
            raise CorruptFileError(
                f"{path} has no array '{missing[0]}' (it has: {', '.join(sorted(present))}). {mend}"
            )
        return {name: file.get_tensor(name) for name in names or sorted(present)}


def map_arrays(path: Path, *, mend: str = "") -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, read-only and mapped: read as they are looked at.

    Raises
    ------
    MissingDataError, CorruptFileError : as `read_arrays`.
    """
    with _reading(path, mend), safe_open(path, framework="np"):
        checksums.require_arrays(path)
        return checksums.mapped(path)


def array_names(path: Path, *, mend: str = "") -> list[str]:
    """Names of the arrays in a safetensors file."""
    with _reading(path, mend), safe_open(path, framework="np") as file:
        checksums.require_arrays(path)
        return sorted(file.keys())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def read_json(path: Path, *, mend: str = "") -> dict[str, Any]:
    """A JSON object from `path`."""
    with _reading(path, mend):
        value = json.loads(
            _text(path),
            object_pairs_hook=_object,
            parse_constant=_refuse_number,
            parse_float=_finite,
        )
        if not isinstance(value, dict):
            raise ValueError("it does not hold a JSON object")
        return value


def _text(path: Path) -> str:
    size = path.stat().st_size
    if size > LARGEST_TEXT:
        raise ValueError(f"it has {size:,} bytes; at most {LARGEST_TEXT:,} are read of a text")
    return path.read_text(encoding="utf-8")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it holds '{twice}' twice")
    return found


def _refuse_number(text: str) -> None:
    raise ValueError(f"it holds {text}, which is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"it holds {text:.20}, which is too large a number")
    return number


def write_table(
    path: Path, table: pd.DataFrame, *, sources: Mapping[str, str] | None = None
) -> None:
    """Write `table` as parquet, with the fingerprints of its sources in the header."""
    arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata()
    header = {
        SOURCES: json.dumps(dict(sources or {}), sort_keys=True),
        checksums.CONTENT: checksums.of_table(_to_pandas(arrow)),
    }
    header[checksums.SEAL] = checksums.of_header(header)
    write_atomically(path, lambda part: _write_parquet(part, arrow, header))


def _write_parquet(part: Path, arrow: pa.Table, header: Mapping[str, str]) -> None:
    # Small tables: what parquet would say about their columns takes more room than they do.
    lean = {"store_schema": False, "write_statistics": False}
    with pq.ParquetWriter(
        part, arrow.schema, compression="zstd", write_page_checksum=True, **lean
    ) as writer:
        writer.write_table(arrow)
        writer.add_key_value_metadata(dict(header))


def read_table(path: Path, columns: Mapping[str, str], *, mend: str = "") -> pd.DataFrame:
    """A parquet table that has at least `columns`, complete and of their kinds.

    `columns` maps names to ``"text"``, ``"number"`` or ``"integer"``.
    """
    with _reading(path, mend), pq.ParquetFile(path, page_checksum_verification=True) as file:
        cells = file.metadata.num_rows * file.metadata.num_columns
        if cells > MOST_CELLS:
            raise ValueError(f"it unfolds to {cells:,} cells; at most {MOST_CELLS:,} are read")
        # The tables are small: waking threads takes longer than reading.
        table = _to_pandas(file.read(use_threads=False))
        header = _texts(file.metadata)
        if SOURCES not in header:
            raise ValueError("it was not written by ncviz")
        checksums.require_table(table, header)
    return require_columns(path, table, columns, mend=mend)


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    names = table.column_names
    if len({*names}) < len(names):
        raise ValueError("it has two columns of one name")
    return table.to_pandas(ignore_metadata=True, use_threads=False)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write `table` as CSV; numbers keep every digit."""
    write_atomically(path, lambda part: table.to_csv(part, index=False))


def read_csv(path: Path, columns: Mapping[str, str], *, mend: str = "") -> pd.DataFrame:
    """A CSV table that has at least `columns`, as `read_table` has them."""
    with _reading(path, mend):
        # pandas before version 3 drops a number's last digit.
        table = _to_pandas(csv.read_csv(io.BytesIO(_text(path).encode())))
    return require_columns(path, table, columns, mend=mend)


def require_columns(
    path: Path, table: pd.DataFrame, columns: Mapping[str, str], *, mend: str = ""
) -> pd.DataFrame:
    """`table` itself; raises CorruptFileError unless it has `columns`, complete."""
    for name, kind in columns.items():
        if name not in table:
            raise CorruptFileError(f"{path} has no column '{name}'. {mend}".strip())
        # The columns of a table without rows have no type of their own.
        if len(table) and (table[name].isna().any() or not _KINDS[kind](table[name])):
            raise CorruptFileError(
                f"{path} is damaged or foreign: its column '{name}' must hold one {kind} in each "
                f"row. {mend}".strip()
            )
    return table


def sources_of(path: Path, *, mend: str = "") -> dict[str, str]:
    """Fingerprints that a derived file says it was computed from; empty if it does not exist."""
    if not path.exists():
        return {}
    with _reading(path, mend):
        header = _header(path, mend)
        if SOURCES not in header:
            raise ValueError("it does not say what it comes from")
        sources = json.loads(header[SOURCES])
        if not isinstance(sources, dict):
            raise ValueError(f"its {SOURCES} are not a JSON object")
        return sources


def is_made_from(path: Path, sources: Mapping[str, str]) -> bool:
    """Whether `path` is there, readable, and was computed from `sources`."""
    try:
        return path.exists() and sources_of(path) == sources
    except CorruptFileError:
        return False


def _header(path: Path, mend: str) -> dict[str, str]:
    if path.suffix != ".parquet":
        return read_header(path, mend=mend)
    header = _texts(pq.read_metadata(path))
    checksums.require_header(header)
    return header


def _texts(metadata: pq.FileMetaData) -> dict[str, str]:
    return {key.decode(): text.decode() for key, text in (metadata.metadata or {}).items()}
