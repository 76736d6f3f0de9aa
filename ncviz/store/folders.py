"""New folders that are there whole or not at all, however their making ends."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ncviz.errors import InvalidOptionError
from ncviz.store import files, layout
from ncviz.store.lock import locked
from ncviz.store.remote import require_local


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder of the same name, which becomes `folder` when the block has ended well.

    One process at a time makes it. Nothing is left of a block that failed; what a killed process
    left goes with the next call.

    Raises
    ------
    InvalidOptionError : `folder` exists.
    BusyError : another process is making it.
    StorageError : the disk refuses.
    """
    require_local(folder)
    _require_absent(folder)
    lock = folder.with_name(f".{folder.name}{layout.LOCK}")
    temporary = folder.with_name(f".{folder.name}.new")
    with files.storage_errors(folder):
        files.make_folder(folder.parent)
        with locked(lock, f"Folder {folder.name}"):
            _require_absent(folder)  # another process may just have finished it
            shutil.rmtree(temporary, ignore_errors=True)
            new = temporary / folder.name
            try:
                files.make_folder(temporary)
                yield new
                files.sync_below(new)
                new.replace(folder)
                files.sync(folder.parent)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)


def _require_absent(folder: Path) -> None:
    if folder.exists():
        raise InvalidOptionError(f"{folder} exists already. Choose another name, or remove it.")
