"""Where a data set's images come from when no image folder in the data root has them."""

from __future__ import annotations

import contextlib
import errno
import io
import pickle
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Protocol
from urllib.error import URLError

import numpy as np
from PIL import Image

from ncviz.data.images import DECODER_ERRORS, LAYOUT, ImageSet, index_key, index_of
from ncviz.errors import CorruptFileError, MissingDataError, StorageError

_REFUSED = frozenset({errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT})
# URLError is an OSError, as are the time-outs: this tuple has to be caught first.
_UNAVAILABLE = (URLError, HTTPException, ConnectionError, TimeoutError, RuntimeError)
_DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    pickle.UnpicklingError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


class Source(Protocol):
    """Loads the splits of one data set."""

    kind: str

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits it can load."""

    @property
    def layout(self) -> str:
        """Where its files are expected, in words."""

    def load(
        self, name: str, split: str, *, root: Path, download: bool, progress: bool
    ) -> ImageSet:
        """One split; raises MissingDataError where there is none."""


def missing_split(name: str, split: str, known: tuple[str, ...]) -> MissingDataError:
    """The error for a split that a data set has not."""
    return MissingDataError(
        f"Data set '{name}' has no split '{split}'; it has: {', '.join(known)}."
    )


@dataclass(frozen=True)
class FolderSource:
    """A set that somebody has to unpack as an image folder: it has no download here."""

    splits: tuple[str, ...] = ("train", "test")
    note: str = ""
    kind = "folder"

    @property
    def layout(self) -> str:
        return f"{LAYOUT}. {self.note}".strip()

    def load(
        self, name: str, split: str, *, root: Path, download: bool, progress: bool
    ) -> ImageSet:
        reason = " It cannot be downloaded from here." if download else ""
        raise MissingDataError(
            f"Data set '{name}' has no folder {root / name / split}.{reason} Unpack it there, or "
            f"set NCVIZ_DATA to the folder that has it. Expected {self.layout}"
        )


@dataclass(frozen=True, eq=False)
class _TorchvisionReader:
    dataset: object
    name: str

    def open(self, key: str) -> Image.Image:
        return self.dataset[index_of(key)][0]

    def where(self, key: str) -> str:
        return f"{key} of {self.name}"


@dataclass(frozen=True)
class TorchvisionSource:
    """A set that torchvision reads, and downloads on request.

    Attributes
    ----------
    class_name : class in torchvision.datasets
    arguments : split -> the arguments that select it
    files : what torchvision keeps in the data root
    classes : names to use in place of torchvision's
    """

    class_name: str
    arguments: Mapping[str, Mapping[str, object]]
    files: str
    classes: tuple[str, ...] = ()
    kind = "torchvision"

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.arguments)

    @property
    def layout(self) -> str:
        return f"{LAYOUT}; or ROOT/{self.files} as torchvision downloads it."

    def load(
        self, name: str, split: str, *, root: Path, download: bool, progress: bool
    ) -> ImageSet:
        if split not in self.arguments:
            raise missing_split(name, split, self.splits)
        if not download and not any(root.glob(self.files)):
            # Found out without torchvision, which takes seconds to import and brings torch along.
            raise self._missing(name, split, root, download, FileNotFoundError(self.files))
        with contextlib.ExitStack() as stack:
            if not progress:
                # torchvision draws its bar on stderr and has no switch for it.
                stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            dataset = self._open(name, split, root, download)
        labels = _labels(dataset)
        return ImageSet(
            name=name,
            split=split,
            classes=self.classes or _classes(dataset),
            labels=labels,
            keys=tuple(index_key(i) for i in range(len(labels))),
            reader=_TorchvisionReader(dataset, f"{name}/{split}"),
        )

    def _open(self, name: str, split: str, root: Path, download: bool) -> object:
        from torchvision import datasets

        loader = getattr(datasets, self.class_name)
        try:
            dataset = loader(str(root), **self.arguments[split], download=download)
            _require_first_image(dataset)
        except _UNAVAILABLE as error:
            raise self._missing(name, split, root, download, error) from error
        except _DAMAGED as error:
            if download and getattr(error, "errno", None) in _REFUSED:
                raise StorageError(f"Cannot keep data set '{name}' in {root}: {error}.") from error
            raise CorruptFileError(
                f"The files of data set '{name}' in {root} are damaged or incomplete, as after an "
                f"interrupted download ({error}). Delete {root / self.files} and repeat with "
                "--download."
            ) from error
        return dataset

    def _missing(
        self, name: str, split: str, root: Path, download: bool, error: Exception
    ) -> MissingDataError:
        if download:
            return MissingDataError(
                f"Data set '{name}' could not be downloaded to {root}: {error}. Try again, or "
                f"unpack it by hand. Expected {self.layout}"
            )
        return MissingDataError(
            f"Data set '{name}' is neither in {root / name / split} nor, whole, in "
            f"{root / self.files}. Repeat with --download (download=True), or unpack it and set "
            f"NCVIZ_DATA to that folder. Expected {self.layout}"
        )


def _require_first_image(dataset: object) -> None:
    # Some loaders read lists alone; an image shows that the archive was unpacked.
    if not len(dataset):
        raise EOFError("no image is listed")
    try:
        dataset[0]
    except FileNotFoundError:
        raise
    except DECODER_ERRORS:
        # One corrupt image is for whoever opens it to report, or for skip_corrupt.
        return


def _labels(dataset: object) -> np.ndarray:
    # torchvision has no common name for them.
    found = next(n for n in ("targets", "labels", "_labels") if hasattr(dataset, n))
    return np.asarray(getattr(dataset, found), dtype=np.int64)


def _classes(dataset: object) -> tuple[str, ...]:
    # Places365 sorts `classes` by name, which need not be the labels' order.
    index = getattr(dataset, "class_to_idx", None)
    return tuple(sorted(index, key=index.get) if index else dataset.classes)
