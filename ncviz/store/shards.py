"""Shards: what processes saw of the parts of a set, until a file is made of them all."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ncviz.errors import CorruptFileError
from ncviz.store import checksums, files, layout
from ncviz.store.epoch import Epoch

KINDS = ("features", "network_scores")
"""of files that are made in parts"""


@dataclass(frozen=True, eq=False)
class Shards:
    """The parts of one file of an epoch that is being made.

    Attributes
    ----------
    name : of what is made, such as ``features/cifar100/train``
    count : number of parts, however many processes see them
    sources : fingerprints of what parts come from; those of others are as good as absent
    """

    epoch: Epoch
    name: str
    count: int
    sources: Mapping[str, str]

    def has(self, part: int) -> bool:
        """Whether a part is there and current."""
        return files.is_made_from(self._path(part), self.sources)

    def read(self, part: int) -> dict[str, np.ndarray] | None:
        """The arrays of a part, or None unless it is there, whole and current."""
        if not self.has(part):
            return None
        path = self._path(part)
        try:
            arrays = files.read_arrays(path)
            recorded = files.read_header(path).get(files.FINGERPRINT)
        except CorruptFileError:
            return None
        return arrays if checksums.of_arrays(arrays) == recorded else None

    def write(self, part: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep the arrays of a part; raises StorageError."""
        files.write_arrays(self._path(part), arrays, sources=self.sources)

    def discard(self) -> None:
        """Remove all parts, and the folders that are empty then."""
        folder = self._path(0).parent
        with files.storage_errors(folder):
            shutil.rmtree(folder, ignore_errors=True)
            for parent in folder.parents:
                if parent == self.epoch.run.path:
                    break
                with suppress(OSError):  # holds parts of others, or is gone
                    parent.rmdir()

    def _path(self, part: int) -> Path:
        return layout.shard_file(self.epoch.run.path, self.epoch.number, self.name, part)


def discard_left_over(epochs: Iterable[Epoch], names: Iterable[str]) -> None:
    """Remove what is left of parts whose files, of these epochs and sets, are there by now."""
    names = list(names)
    for epoch in epochs:
        for kind in KINDS:
            for name in names:
                Shards(epoch, f"{kind}/{name}", 0, {}).discard()
