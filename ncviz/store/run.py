"""A run folder, read: Run, its epochs, and what each of them holds."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.errors import (
    CorruptFileError,
    InvalidArrayError,
    MissingDataError,
    NcvizError,
    UnknownNameError,
)
from ncviz.store import files, layout

FORMAT = 1
_REQUIRED = ("format", "name", "recipe", "classes", "transform", "id_set", "layers")
COLLAPSE_COLUMNS = ("layer", "metric", "set", "value")
SAMPLE_COLUMNS = ("set", "index", "label", "key")
DETECTION_COLUMNS = (
    "layer",
    "detector",
    "set",
    "group",
    "auroc",
    "fpr95",
    "id_samples",
    "ood_samples",
)


@dataclass(frozen=True)
class Run:
    """One training of one network: a folder `checkpoints/<run>/`.

    Opening reads `run.json` alone; everything else is read when it is asked for.
    """

    path: Path
    description: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def recipe(self) -> dict[str, Any]:
        """Every setting of the training, `name` among them."""
        return self.description["recipe"]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the C classes, in the order of the logits."""
        return tuple(self.description["classes"])

    @property
    def superclasses(self) -> tuple[str, ...] | None:
        """The superclass of each class, or None where the data set has none."""
        names = self.description.get("superclasses")
        return tuple(names) if names else None

    @property
    def id_set(self) -> str:
        """The in-distribution data set, by its catalogue name."""
        return self.description["id_set"]

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(self.description["layers"])

    @property
    def ood_sets(self) -> dict[str, str]:
        """Each OOD set that was extracted, with its group: ``"near"`` or ``"far"``."""
        return dict(self.description.get("ood_sets", {}))

    @cached_property
    def epochs(self) -> tuple[int, ...]:
        """The saved epochs, in order."""
        folder = self.path / layout.EPOCHS
        names = (entry.parent.name for entry in folder.glob(f"*/{layout.HEAD}"))
        return tuple(sorted(int(name) for name in names if re.fullmatch(r"\d{4,}", name)))

    @property
    def history(self) -> pd.DataFrame:
        """One row for each epoch trained: epoch, learning_rate, losses, accuracies, seconds.

        Without rows where the run was trained elsewhere.
        """
        path = self.path / layout.HISTORY
        if not path.exists():
            return pd.DataFrame({"epoch": pd.Series(dtype=int)})
        return files.read_csv(path, ("epoch",), mend="Resume the training to write it again.")

    @property
    def samples(self) -> pd.DataFrame:
        """The cached samples: set, index in the set, label (-1: none), key of the image."""
        return files.read_table(self.path / layout.SAMPLES, SAMPLE_COLUMNS, mend=self._extract())

    def epoch(self, number: int) -> Epoch:
        """The saved epoch `number`; raises UnknownNameError that lists those there are."""
        if number not in self.epochs:
            raise UnknownNameError(
                f"epoch of run {self.name}", str(number), (f"{e:04d}" for e in self.epochs)
            )
        return Epoch(self, number, layout.epoch_folder(self.path, number))

    def collapse(self) -> pd.DataFrame:
        """Collapse metrics of all evaluated epochs: epoch, layer, metric, set, value."""
        return self._over_epochs(Epoch.collapse, ("epoch", *COLLAPSE_COLUMNS))

    def detection(self) -> pd.DataFrame:
        """Detection metrics of all evaluated epochs: epoch, layer, detector, set, group, ..."""
        return self._over_epochs(Epoch.detection, ("epoch", *DETECTION_COLUMNS))

    def _over_epochs(self, read, columns: tuple[str, ...]) -> pd.DataFrame:
        tables = []
        for number in self.epochs:
            try:
                table = read(self.epoch(number))
            except MissingDataError:
                continue
            tables.append(table.assign(epoch=number))
        return (
            pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(columns))
        )

    def _extract(self) -> str:
        return f"Run: python scripts/extract.py {self.name}"


@dataclass(frozen=True)
class Epoch:
    """A saved state of a run: weights, head, features, statistics, results."""

    run: Run
    number: int
    path: Path

    @property
    def sets(self) -> tuple[str, ...]:
        """Full names of the sets whose features are stored, such as ``cifar100/test``."""
        folder = self.path / "features"
        found = (
            path.relative_to(folder).with_suffix("") for path in folder.glob("*/*.safetensors")
        )
        return tuple(sorted(name.as_posix() for name in found))

    def full_name(self, name: str) -> str:
        """``train`` and ``test`` mean the ID set's; a bare data set name means its test split."""
        if name in ("train", "test"):
            return f"{self.run.id_set}/{name}"
        return name if "/" in name else f"{name}/test"

    def features(self, set_name: str, layer: str = "encoder") -> FeatureSet:
        """Features and logits of a set, in float32.

        Logits are computed from features and head where they are not stored; a layer without a
        head takes the logits of the network, which sit on the last layer.

        Raises
        ------
        UnknownNameError : no such layer or set.
        CorruptFileError : the file is damaged, or its arrays do not fit each other.
        """
        self._require_layer(layer)
        name = self.full_name(set_name)
        if name not in self.sets:
            raise UnknownNameError(
                f"set of features in epoch {self.number} of {self.run.name}",
                set_name,
                self.sets,
                self.run._extract(),
            )
        path = layout.feature_file(self.path, name)
        self._require_current(path)
        arrays = files.read_arrays(path, mend=self._extract_again())
        try:
            labels = arrays.get("labels")
            features = arrays[layer].astype(np.float32)
            if "logits" in arrays:
                logits = arrays["logits"].astype(np.float32)
            else:
                last = self.run.layers[-1]
                logits = self.head(last).logits(arrays[last].astype(np.float32))
            return FeatureSet(features, logits, labels)
        except (KeyError, InvalidArrayError) as error:
            raise CorruptFileError(f"{path}: {error} {self._extract_again()}") from error

    def head(self, layer: str = "encoder") -> Head:
        """The linear classifier on `layer`."""
        self._require_layer(layer)
        path = self.path / layout.HEAD
        names = [f"{layer}.weight", f"{layer}.bias"]
        arrays = files.read_arrays(path, names, mend="Train the run again.")
        try:
            return Head(*(arrays[name] for name in names))
        except InvalidArrayError as error:
            raise CorruptFileError(f"{path}: {error}") from error

    def has_head(self, layer: str) -> bool:
        """Whether `layer` has a classifier of its own."""
        return f"{layer}.weight" in files.array_names(self.path / layout.HEAD)

    def statistics(self, layer: str = "encoder") -> ClassStatistics:
        """Class statistics of the whole training set at `layer`."""
        self._require_layer(layer)
        path = self.path / layout.STATISTICS
        self._require_current(path)
        names = [f"{layer}.{part}" for part in ("counts", "means", "scatter", "squares")]
        arrays = files.read_arrays(path, names, mend=self.run._extract())
        counts, means, packed, squares = (arrays[name] for name in names)
        classes, dim = means.shape if means.ndim == 2 else (0, 0)
        fits = (counts.shape, packed.shape, squares.shape)
        if not dim or fits != ((classes,), (dim * (dim + 1) // 2,), (classes,)):
            raise CorruptFileError(f"{path} has arrays that do not fit. {self._extract_again()}")
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise CorruptFileError(f"{path} holds NaN or infinity. {self._extract_again()}")
        return ClassStatistics(counts, means, unpack_symmetric(packed, dim), squares)

    def weights(self) -> dict[str, np.ndarray]:
        """The network's parameters and buffers by name; raises MissingDataError if not kept."""
        return files.read_arrays(self.path / layout.MODEL, mend=self._without_weights())

    @property
    def has_weights(self) -> bool:
        return (self.path / layout.MODEL).is_file()

    @property
    def weights_fingerprint(self) -> str:
        """Identifies the weights that features were computed with."""
        path = self.path / layout.MODEL
        return files.read_header(path, mend=self._without_weights())[files.FINGERPRINT]

    def has_features(self, set_name: str, *, sources: Mapping[str, str]) -> bool:
        """Whether a set's features (and the training set's statistics) come from `sources`."""
        paths = [layout.feature_file(self.path, set_name)]
        if set_name == f"{self.run.id_set}/train":
            paths.append(self.path / layout.STATISTICS)
        return all(files.sources_of(path) == sources for path in paths)

    def collapse(self) -> pd.DataFrame:
        """Collapse metrics: layer, metric, set (of NC5; else empty), value."""
        return self._result(layout.COLLAPSE, COLLAPSE_COLUMNS)

    def detection(self) -> pd.DataFrame:
        """One row for each layer, detector and OOD set, with its detection metrics."""
        return self._result(layout.DETECTION, DETECTION_COLUMNS)

    def scores(self, detector: str, set_name: str, layer: str = "encoder") -> np.ndarray:
        """Scores (N,) of a set by a detector, higher = more in-distribution."""
        path = self._fresh(layout.SCORES)
        name = f"{layer}/{detector}/{self.full_name(set_name)}"
        return files.read_arrays(path, [name], mend=self._evaluate())[name]

    def has_results(self, sources: Mapping[str, str]) -> bool:
        """Whether all results are there and come from `sources`."""
        names = (layout.COLLAPSE, layout.DETECTION, layout.SCORES)
        return all(files.sources_of(self.path / name) == sources for name in names)

    def fingerprints(self) -> dict[str, str]:
        """Fingerprint of everything results are computed from, by file."""
        paths = [self.path / layout.HEAD, self.path / layout.STATISTICS]
        paths += [layout.feature_file(self.path, name) for name in self.sets]
        return {
            path.relative_to(self.path).as_posix(): files.read_header(path).get(
                files.FINGERPRINT, ""
            )
            for path in paths
            if path.is_file()
        }

    def _result(self, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
        return files.read_table(self._fresh(name), columns, mend=self._evaluate())

    def _fresh(self, name: str) -> Path:
        path = self.path / name
        if not path.is_file():
            raise MissingDataError(
                f"Epoch {self.number} of {self.run.name} is not evaluated yet. {self._evaluate()}"
            )
        sources = files.sources_of(path)
        now = self.fingerprints()
        if {key: value for key, value in sources.items() if not key.startswith("code")} != now:
            raise MissingDataError(
                f"The results of epoch {self.number} of {self.run.name} are older than its "
                f"features. {self._evaluate()}"
            )
        return path

    def _require_current(self, path: Path) -> None:
        recorded = files.sources_of(path).get("weights")
        if recorded and self.has_weights and recorded != self.weights_fingerprint:
            raise MissingDataError(
                f"{path} comes from other weights than this epoch's. {self.run._extract()}"
            )

    def _require_layer(self, layer: str) -> None:
        if layer not in self.run.layers:
            raise UnknownNameError(f"layer of run {self.run.name}", layer, self.run.layers)

    def _without_weights(self) -> str:
        return f"This epoch was shared without weights; train {self.run.name} again to have them."

    def _evaluate(self) -> str:
        return f"Run: python scripts/evaluate.py {self.run.name}"

    def _extract_again(self) -> str:
        return f"Delete it, then run: python scripts/extract.py {self.run.name}"


class Listing(NamedTuple):
    """The runs of a folder, and those that cannot be opened with the reason."""

    runs: dict[str, Run]
    problems: dict[str, NcvizError]


def open_run(path: str | Path) -> Run:
    """The run in the folder `path`, or the run of that name in the checkpoints folder.

    Raises
    ------
    UnknownNameError : there is no such run; lists those that exist.
    CorruptFileError : its `run.json` is damaged or was written by a newer ncviz.
    """
    folder = Path(path)
    if not folder.is_dir():
        root = folder.parent if len(folder.parts) > 1 else layout.checkpoints_root()
        folder = root / folder.name
    if not (folder / layout.DESCRIPTION).is_file():
        known = list_runs(folder.parent).runs
        hint = "Make one with: python scripts/train.py RECIPE --run NAME"
        raise UnknownNameError(f"run in {folder.parent}", folder.name, known, hint)
    return _open(folder)


def _open(folder: Path) -> Run:
    path = folder / layout.DESCRIPTION
    description = files.read_json(path, mend="Train or import the run again.")
    missing = [key for key in _REQUIRED if key not in description]
    if missing:
        raise CorruptFileError(f"{path} has no '{missing[0]}'. Train or import the run again.")
    if description["format"] != FORMAT:
        raise CorruptFileError(
            f"{path} has format {description['format']}; this version of ncviz reads format "
            f"{FORMAT}. Update ncviz, or train the run again."
        )
    return Run(folder, description)


def list_runs(folder: str | Path | None = None) -> Listing:
    """Every run below `folder` (the checkpoints folder if None), by name."""
    folder = layout.checkpoints_root() if folder is None else Path(folder)
    runs, problems = {}, {}
    for entry in sorted(folder.glob(f"*/{layout.DESCRIPTION}")):
        try:
            runs[entry.parent.name] = _open(entry.parent)
        except NcvizError as error:
            problems[entry.parent.name] = error
    return Listing(runs, problems)


def open_runs(folder: str | Path | None = None) -> dict[str, Run]:
    """Every run below `folder` (the checkpoints folder if None) by name.

    Runs that cannot be opened are left out with a warning; `list_runs` returns them too.
    """
    listing = list_runs(folder)
    for name, error in listing.problems.items():
        warnings.warn(f"Run {name} is left out: {error}", stacklevel=2)
    return listing.runs


def pack_symmetric(matrix: np.ndarray) -> np.ndarray:
    """The upper triangle of a symmetric (D, D) matrix as a vector of D (D + 1) / 2 values."""
    return matrix[np.triu_indices(len(matrix))]


def unpack_symmetric(packed: np.ndarray, dim: int) -> np.ndarray:
    """The symmetric (dim, dim) matrix whose upper triangle is `packed`."""
    matrix = np.zeros((dim, dim))
    matrix[np.triu_indices(dim)] = packed
    return matrix + np.triu(matrix, 1).T
