"""Which files of a run results come from: sizes, fingerprints, and the script that wrote each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ncviz.store import checksums, files, layout
from ncviz.store.epoch import Epoch
from ncviz.store.run import Run

_EVALUATED = {*layout.TABLES.values(), layout.DUPLICATES, layout.SCORES, layout.DETECTORS}


class KeptFile(NamedTuple):
    """A file of a run.

    Attributes
    ----------
    path : below the run's folder, with slashes
    size : in bytes
    fingerprint : of the arrays it says it holds, or of its bytes where it does not say
    script : what wrote it
    """

    path: str
    size: int
    fingerprint: str
    script: str


def inventory(epoch: Epoch) -> list[KeptFile]:
    """The files of a run that are about no epoch or about this one, in the order of their names.

    Raises
    ------
    CorruptFileError : one of them cannot be read
    """
    return [_describe(epoch.run, path) for path in sorted(_paths(epoch))]


def _paths(epoch: Epoch) -> Iterator[Path]:
    for name in (layout.DESCRIPTION, layout.HISTORY, layout.SAMPLES):
        if (epoch.run.path / name).exists():
            yield epoch.run.path / name
    for path in epoch.path.rglob("*"):
        if path.suffix in (".safetensors", ".parquet") and path.is_file():
            yield path


def _describe(run: Run, path: Path) -> KeptFile:
    name = path.relative_to(run.path).as_posix()
    return KeptFile(name, path.stat().st_size, _fingerprint(path), _script(run, name))


def _fingerprint(path: Path) -> str:
    if path.suffix == ".safetensors":
        recorded = files.read_header(path).get(files.FINGERPRINT)
        if recorded:
            return recorded
    return checksums.of_file(path)


def _script(run: Run, name: str) -> str:
    inside = name.split("/", 2)[2] if name.startswith(f"{layout.EPOCHS}/") else name
    if inside in _EVALUATED:
        return "evaluate.py"
    if inside == layout.MAPS:
        return "embed.py"
    if inside == layout.DISTRIBUTIONS:
        return "pack.py"
    if run.imported:
        return "import_features.py"
    if inside in (layout.DESCRIPTION, layout.HISTORY, layout.MODEL, layout.HEAD):
        return "adopt.py" if run.recipe["name"] == "adopted" else "train.py"
    return "extract.py"
