"""Arrays by name from one file of any format that features are exported in; nothing unpickled."""

from __future__ import annotations

import json
import math
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv
from safetensors import SafetensorError, safe_open

from ncviz.errors import CorruptFileError, InvalidArrayError, NcvizError, StorageError
from ncviz.importing.columns import (
    TEXT_COLUMNS,
    Contents,
    select_columns,
    standard_names,
    table_contents,
)
from ncviz.store import files

FORMATS = ("npz", "npy", "safetensors", "parquet", "csv")
MEMORY_LIMIT = 32 * 2**30
"""bytes that the arrays of one npz or parquet file may unpack to"""

_PICKLED = "holds pickled Python objects, which are never loaded; expected plain numbers"
_DEFLATE = 1032
"""bytes that one byte of a zip can unpack to"""

_DAMAGE = (
    OSError,
    EOFError,
    MemoryError,
    NotImplementedError,  # a way to pack a zip that Python cannot unpack
    OverflowError,
    RuntimeError,  # an encrypted zip
    SafetensorError,
    SyntaxError,
    TypeError,
    ValueError,
    pa.ArrowException,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
_TYPES = {
    *(f"{kind}{bits}" for kind in "IU" for bits in (8, 16, 32, 64)),
    *("F16", "F32", "F64", "BOOL"),
}
"""Types of numbers in a safetensors file that NumPy has too."""


def read_contents(paths: Mapping[str, Path], *, features: str | None = None) -> Contents:
    """Read the arrays of one set or of a head under their standard names.

    Parameters
    ----------
    paths : one file under the name ``""``, or an npy file for each array
    features : name of the array of features, or prefix of its columns; None for the usual ones

    Raises
    ------
    CorruptFileError
        If a file is empty, truncated or not of the format that its name states.
    InvalidArrayError
        If columns do not fit together or the arrays exceed the memory limit.
    """
    contents = Contents({})
    for name, path in paths.items():
        with _reading(path):
            if not path.stat().st_size:
                raise ValueError("it is empty")
            found = _READERS[path.suffix[1:].lower()](path, features)
        if name:  # the file's name states what it holds
            found = _renamed(found, name)
        contents = contents.merged(found)
    return contents


def _renamed(found: Contents, name: str) -> Contents:
    arrays = dict(zip([name], found.arrays.values(), strict=False))
    unreadable = dict(zip([name], found.unreadable.values(), strict=False))
    return Contents(arrays, unreadable, (name,))


def _chosen(arrays: Mapping[str, np.ndarray | None], features: str | None) -> Contents:
    """Return named arrays under their standard names; None stands for pickled objects."""
    names = standard_names(arrays, features)
    found = {kind: arrays[name] for kind, name in names.items()}
    return Contents(
        {kind: array for kind, array in found.items() if array is not None},
        {kind: _PICKLED for kind, array in found.items() if array is None},
        present=tuple(arrays),
        unused=tuple(name for name in arrays if name not in names.values()),
    )


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except NcvizError:
        raise
    except PermissionError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror}. Make it readable.") from error
    except _DAMAGE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CorruptFileError(
            f"{path} cannot be read ({reason}): it is truncated, damaged or not what its name "
            "says. Export it again."
        ) from error


def _npz(path: Path, features: str | None) -> Contents:
    with zipfile.ZipFile(path) as archive:
        members = [each for each in archive.infolist() if each.filename.endswith(".npy")]
        names = [each.filename[:-4] for each in members]
        wanted = set(standard_names(names, features).values())
        for each in members:
            if each.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"'{each.filename}' is packed as NumPy never does")
            if each.file_size > _DEFLATE * (each.compress_size + 1):
                raise ValueError(f"'{each.filename}' is not packed from as much as it says")
        loaded = [each for each in members if each.filename[:-4] in wanted]
        _require_room(path, sum(each.file_size for each in loaded))
        pickled = set()
        for each in loaded:
            with archive.open(each) as file:
                if _is_pickled(file, each.file_size):
                    pickled.add(each.filename[:-4])
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] if name in wanted - pickled else None for name in names}
    return _chosen(arrays, features)


def _require_room(path: Path, unpacked: int) -> None:
    """Refuse what unpacks to more than is meant to be held, or than there is memory for."""
    most = min(MEMORY_LIMIT, _free_memory())
    if unpacked > most:
        raise InvalidArrayError(
            f"{path} unpacks to {unpacked / 2**30:.1f} GiB; at most {most / 2**30:.1f} are read "
            "here. Export npy files, which are read piece by piece."
        )


def _free_memory() -> float:
    """Bytes that can be taken without swapping; infinity where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024 * int(each.split()[1]) for each in lines if "MemAvailable" in each)
    except (OSError, StopIteration):
        return math.inf


def _npy(path: Path, features: str | None) -> Contents:
    with path.open("rb") as file:
        pickled = _is_pickled(file, path.stat().st_size)
    # Mapped, so that a large training set does not have to fit into memory.
    array = None if pickled else np.load(path, mmap_mode="r", allow_pickle=False)
    return _chosen({"features": array}, None)


def _is_pickled(file: IO[bytes], size: int) -> bool:
    """Return whether an array holds pickled objects; refuse one that claims to exceed its file."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0
    shape, _, dtype = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(file)
    if dtype.hasobject:
        return True
    if math.prod(shape) * dtype.itemsize > size - file.tell():
        raise ValueError(f"an array of shape {shape} is longer than the file")
    return False


def _safetensors(path: Path, features: str | None) -> Contents:
    with safe_open(path, framework="np") as file:
        kinds = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    wanted = set(standard_names(kinds, features).values())
    for name in wanted:
        if kinds[name] not in _TYPES | {"BF16"}:
            raise InvalidArrayError(
                f"{path}: '{name}' is of type {kinds[name]}; export it as float16, bfloat16 or "
                "float32."
            )
    plain = [name for name in kinds if name in wanted and kinds[name] in _TYPES]
    arrays = dict.fromkeys(kinds)
    if plain:
        arrays |= files.read_arrays(path, plain, mend="Export it again.", foreign=True)
    halves = [name for name in wanted if kinds[name] == "BF16"]
    return _chosen(arrays | _bfloat16(path, halves), features)


def _bfloat16(path: Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Return bfloat16 arrays as float32: NumPy has no such type."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        found = {}
        for name in names:
            begin, end = header[name]["data_offsets"]
            file.seek(8 + length + begin)
            halves = np.frombuffer(file.read(end - begin), "<u2").astype(np.uint32)
            found[name] = (halves << 16).view(np.float32).reshape(header[name]["shape"])
    return found


def _parquet(path: Path, features: str | None) -> Contents:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        names = file.schema_arrow.names
        chosen = {each for group in select_columns(names, features).values() for each in group}
        # A value that repeats takes no room in the file, and eight bytes in memory.
        values = 0
        for group in range(file.metadata.num_row_groups):
            row_group = file.metadata.row_group(group)
            chunks = (row_group.column(at) for at in range(row_group.num_columns))
            values += sum(
                each.num_values for each in chunks if each.path_in_schema.split(".")[0] in chosen
            )
        _require_room(path, 8 * values)
        table = file.read(columns=[name for name in names if name in chosen])
    found = table_contents(path, table, features)
    unused = tuple(name for name in names if name not in chosen)
    return replace(found, present=tuple(names), unused=unused)


def _csv(path: Path, features: str | None) -> Contents:
    as_text = csv.ConvertOptions(column_types=dict.fromkeys(TEXT_COLUMNS, pa.string()))
    return table_contents(path, csv.read_csv(path, convert_options=as_text), features)


_READERS = {
    "npz": _npz,
    "npy": _npy,
    "safetensors": _safetensors,
    "parquet": _parquet,
    "csv": _csv,
}
