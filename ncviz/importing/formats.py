"""Arrays by name from one file of any format that features are exported in; nothing unpickled."""

from __future__ import annotations

import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from ncviz.errors import CorruptFileError, InvalidArrayError, NcvizError, StorageError
from ncviz.store import files

FORMATS = ("npz", "npy", "safetensors", "parquet", "csv")
MEMORY_LIMIT = 32 * 2**30
"""bytes that the arrays of one npz or parquet file may unpack to"""

_DEFLATE = 1032
"""bytes that one byte of a zip can unpack to"""

_DAMAGE = (
    OSError,
    EOFError,
    MemoryError,
    NotImplementedError,  # a way to pack a zip that Python cannot unpack
    OverflowError,
    RuntimeError,  # an encrypted zip
    SyntaxError,
    TypeError,
    ValueError,
    pa.ArrowException,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
_NUMBERED = re.compile(r"(feature|logit|weight)_(0|[1-9][0-9]{0,6})")
_PLURAL = {"feature": "features", "logit": "logits", "weight": "weight"}
_SINGLE = {"label": "labels", "labels": "labels", "bias": "bias"}


def read_arrays(paths: dict[str, Path]) -> dict[str, np.ndarray]:
    """Arrays by name: features, logits and labels of a set, or weight and bias of a head.

    Parameters
    ----------
    paths : one file under the name ``""``, or an npy file for each array

    Raises
    ------
    CorruptFileError : empty, truncated or not of the format that its name says.
    InvalidArrayError : text or objects instead of numbers, columns that do not fit together, or
        more than memory is meant to hold.
    """
    arrays = {}
    for name, path in paths.items():
        with _reading(path):
            if not path.stat().st_size:
                raise ValueError("it is empty")
            found = _READERS[path.suffix[1:].lower()](path)
        arrays |= {name or each: array for each, array in found.items()}
        for each, array in found.items():
            if array.dtype.kind not in "fiu":
                raise InvalidArrayError(
                    f"{path}: '{name or each}' holds {_kind(array.dtype)}; expected plain numbers."
                )
    return arrays


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


def _kind(dtype: np.dtype) -> str:
    kinds = {"O": "Python objects", "U": "text", "S": "text", "b": "true and false"}
    return kinds.get(dtype.kind, f"values of type {dtype}")


def _npz(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        members = [each for each in archive.infolist() if each.filename.endswith(".npy")]
        for each in members:
            if each.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"'{each.filename}' is packed as NumPy never does")
            if each.file_size > _DEFLATE * (each.compress_size + 1):
                raise ValueError(f"'{each.filename}' is not packed from as much as it says")
        _require_room(path, sum(each.file_size for each in members))
        for each in members:
            with archive.open(each) as file:
                _check_header(path, file, each.file_size)
    with np.load(path, allow_pickle=False) as loaded:
        return {each.filename[:-4]: loaded[each.filename[:-4]] for each in members}


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


def _npy(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file:
        _check_header(path, file, path.stat().st_size)
    # Mapped, so that a large training set does not have to fit into memory.
    return {"": np.load(path, mmap_mode="r", allow_pickle=False)}


def _check_header(path: Path, file: IO[bytes], size: int) -> None:
    """Refuse pickles, and arrays that say they are larger than the file, before memory is taken."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0
    shape, _, dtype = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(file)
    if dtype.hasobject:
        raise InvalidArrayError(
            f"{path} holds pickled Python objects, which are never loaded; expected plain numbers."
        )
    if math.prod(shape) * dtype.itemsize > size - file.tell():
        raise ValueError(f"an array of shape {shape} is longer than the file")


def _safetensors(path: Path) -> dict[str, np.ndarray]:
    return files.read_arrays(path, mend="Export it again.", foreign=True)


def _parquet(path: Path) -> dict[str, np.ndarray]:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        names = [n for n in file.schema_arrow.names if n in _SINGLE or _NUMBERED.fullmatch(n)]
        # A value that repeats takes no room in the file, and eight bytes in memory.
        _require_room(path, 8 * file.metadata.num_rows * len(names))
        return _of_columns(path, file.read(columns=names).to_pandas(ignore_metadata=True))


def _csv(path: Path) -> dict[str, np.ndarray]:
    return _of_columns(path, csv.read_csv(path).to_pandas())


def _of_columns(path: Path, table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Arrays of a table with columns feature_0, feature_1, ..., logit_0, ..., label."""
    groups: dict[str, dict[int, str]] = {}
    arrays = {}
    for column in map(str, table.columns):
        numbered = _NUMBERED.fullmatch(column)
        if not numbered and column not in _SINGLE:
            continue
        _require_numbers(path, column, table[column])
        if numbered:
            groups.setdefault(_PLURAL[numbered[1]], {})[int(numbered[2])] = column
        else:
            arrays[_SINGLE[column]] = table[column].to_numpy()
    for name, columns in groups.items():
        first = min(set(range(len(columns) + 1)) - set(columns))
        if first < len(columns):
            kind = columns[min(columns)].rpartition("_")[0]
            raise InvalidArrayError(
                f"{path} has {len(columns)} columns of {name}, but no '{kind}_{first}'; they are "
                "counted from 0 without gaps."
            )
        arrays[name] = table[[columns[at] for at in range(len(columns))]].to_numpy()
    return arrays


def _require_numbers(path: Path, column: str, values: pd.Series) -> None:
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        shown = repr(values.iloc[0]) if len(values) else "nothing"
        raise InvalidArrayError(
            f"{path}: column '{column}' holds {shown:.40}; expected a number in each row."
        )
    if values.isna().any():
        raise InvalidArrayError(
            f"{path}: column '{column}' has {int(values.isna().sum()):,} empty or NaN cells; "
            "expected a number in each row."
        )


_READERS = {
    "npz": _npz,
    "npy": _npy,
    "safetensors": _safetensors,
    "parquet": _parquet,
    "csv": _csv,
}
