"""Names of runs, data sets and layers: they become parts of paths, and must lead nowhere else."""

from __future__ import annotations

# File systems end at 255 bytes, and a temporary file's name is longer than the file's.
_LONGEST = 200


def is_plain(name: object) -> bool:
    """Whether `name` is text that names one file or folder and leads nowhere else."""
    return (
        isinstance(name, str)
        and name not in ("", ".", "..")
        and name.isprintable()
        and name == name.strip()
        and len(name.encode()) <= _LONGEST
        and not set(name) & set("/\\:")
    )
