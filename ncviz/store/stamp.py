"""Which state a run's files are in, told from their names, times and sizes alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ncviz.store import checksums, layout
from ncviz.store.remote import RemotePath, is_remote


def stamp(folder: Path | RemotePath) -> str:
    """A digest that changes with every file of the run in `folder` that a reader may look at.

    What only resumes a training is left out, and so is everything hidden: locks, and files that are
    still being written. A new file is renamed over the old one: even one of equal size, written
    within one tick of the clock, differs in its number.
    """
    if is_remote(folder):
        return folder.stamp(without=layout.TRAINING)
    files = []
    for entry in _entries(folder):
        # One that is gone by now is missed by the next look too, as is a link that leads nowhere.
        with suppress(OSError):
            state = entry.stat()
            files.append((entry.path, state.st_mtime_ns, state.st_size, state.st_ino))
    return checksums.of_text(repr(sorted(files)))


def _entries(folder: Path) -> Iterator[os.DirEntry]:
    training = str(folder / layout.TRAINING)
    ahead = [str(folder)]
    while ahead:
        # A folder that cannot be read is told by whoever reads the files in it.
        with suppress(OSError), os.scandir(ahead.pop()) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if not entry.is_dir(follow_symlinks=False):
                    yield entry
                elif entry.path != training:
                    ahead.append(entry.path)
