"""A run folder, read: Run, and how runs are found."""

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

from ncviz.errors import (
    CorruptFileError,
    InvalidOptionError,
    MissingDataError,
    NcvizError,
    RemoteError,
    UnknownNameError,
)
from ncviz.literal import LONGEST, readable
from ncviz.projector import KINDS
from ncviz.store import checksums, columns, files, layout, sample_sets
from ncviz.store.description import read_description
from ncviz.store.epoch import LOGITS, PROJECTOR, Epoch
from ncviz.store.remote import RemotePath, is_remote, place
from ncviz.store.sample_sets import SetInfo

SAMPLE_COLUMNS = {"set": "text", "index": "integer", "label": "integer", "key": "text"}
_EPOCH_NAME = re.compile(r"[0-9]{4}|[1-9][0-9]{4,8}")


@dataclass(frozen=True)
class Run:
    """One training of one network: a folder `checkpoints/<run>/`.

    Opening reads `run.json` alone; everything else is read when it is asked for.
    """

    path: Path | RemotePath
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
        """Names of the C classes, in the order of the logits; each readable on one line."""
        return tuple(readable(name, LONGEST) for name in self.description["classes"])

    @property
    def class_order(self) -> str | tuple[str, ...] | None:
        """Order of the ID set's class folders: a rule or their names; None for other sets."""
        order = self.description.get("class_order")
        return tuple(order) if isinstance(order, list) else order

    @property
    def superclasses(self) -> tuple[str, ...] | None:
        """The superclass of each class, or None where the data set has none."""
        names = self.description.get("superclasses")
        return tuple(readable(name, LONGEST) for name in names) if names else None

    @property
    def id_set(self) -> str:
        """The in-distribution data set, by its catalogue name."""
        return self.description["id_set"]

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that every saved epoch has, the one under the head last."""
        return tuple(self.description["layers"])

    @property
    def derived_layers(self) -> tuple[str, ...]:
        """Layers that are computed on reading instead of stored: a projector with fixed weights."""
        model = self.recipe.get("model")
        fixed = isinstance(model, dict) and model.get("projector") in KINDS
        return tuple({PROJECTOR} & set(self.layers)) if fixed else ()

    @property
    def ood_sets(self) -> dict[str, str]:
        """Each OOD set that extraction was asked for, with its group: ``"near"`` or ``"far"``."""
        return dict(self.description.get("ood_sets") or {})

    @property
    def left_out(self) -> dict[str, dict[str, str]]:
        """Classes left out of each OOD set, each with the ID classes that it overlaps.

        Sets without an entry were extracted with all classes.
        """
        left_out = self.description.get("left_out") or {}
        return {name: dict(classes) for name, classes in left_out.items()}

    @property
    def image_duplicates(self) -> dict[str, dict[str, Any]]:
        """By set, how many of its images are near-duplicates of training images.

        Each with samples, duplicates, identical (duplicates with equal pixels), keys (the first
        pairs: the image and its duplicate) and of (what they were found in).
        """
        return dict(self.description.get("image_duplicates") or {})

    @property
    def sets(self) -> dict[str, SetInfo]:
        """Counts and identities of the samples of each extracted set, by full name."""
        return sample_sets.read(self.description)

    @property
    def packed(self) -> bool:
        """Whether the run was thinned for sharing: it keeps fewer samples than were evaluated."""
        return bool(self.description.get("packed"))

    @property
    def imported(self) -> bool:
        """Whether its features came from elsewhere: there is no network to look at images with."""
        return bool(self.description.get("imported"))

    @property
    def without_features(self) -> str:
        """Sentence on the missing features of a run that was imported from logits; else empty."""
        if self.layers != (LOGITS,):
            return ""
        return (
            f"Run {self.name} was imported without features: there are only logits, so class "
            "means, collapse metrics, maps and the detectors that use features are left out."
        )

    @property
    def without_head(self) -> str:
        """Why its logits may lack a linear head, such as "imported without a head"; or empty."""
        stated = self.description.get("without_head")
        return readable(stated or "", LONGEST) or (
            "imported without a head" if self.imported else ""
        )

    @property
    def findings(self) -> dict[str, str]:
        """Sentences on what appears to be wrong, by subject: ``"labels"``, ``"head"``."""
        return dict(self.description.get("findings") or {})

    @property
    def without_transfer(self) -> dict[str, str]:
        """OOD sets that transfer cannot be measured on, each with what it lacks."""
        return dict(self.description.get("without_transfer") or {})

    @cached_property
    def epochs(self) -> tuple[int, ...]:
        """The saved epochs, in order."""
        folder = self.path / layout.EPOCHS
        names = (entry.parent.name for entry in folder.glob(f"*/{layout.HEAD}"))
        return tuple(sorted(int(name) for name in names if _EPOCH_NAME.fullmatch(name)))

    @cached_property
    def known(self) -> str:
        """A digest of what this object knows of its run: the description and the saved epochs."""
        return checksums.of_json([self.description, self.epochs])

    @property
    def weighted_epochs(self) -> tuple[int, ...]:
        """The saved epochs whose weights were kept: what a new image can be shown to."""
        return tuple(number for number in self.epochs if self.epoch(number).has_weights)

    @property
    def history(self) -> pd.DataFrame:
        """One row for each epoch trained: epoch, learning_rate, losses, accuracies, seconds.

        Without rows where the run was trained elsewhere.
        """
        path = self.path / layout.HISTORY
        if not path.exists():
            return pd.DataFrame({"epoch": pd.Series(dtype=int)})
        mend = "Resume the training to write it again, or delete it."
        table = files.read_csv(path, {"epoch": "integer"}, mend=mend)
        files.require_columns(path, table, dict.fromkeys(table, "number"), mend=mend)
        if not np.isfinite(table.to_numpy(float)).all() or not (np.diff(table["epoch"]) > 0).all():
            raise CorruptFileError(
                f"{path} is damaged: it must hold finite numbers, and each epoch once, in order. "
                f"{mend}"
            )
        return table

    @property
    def samples(self) -> pd.DataFrame:
        """The kept samples: set, index in the set, label (-1: none), key of the image."""
        path = self.path / layout.SAMPLES
        return files.read_table(path, SAMPLE_COLUMNS, mend=self.how_to_extract(path))

    def epoch(self, number: int) -> Epoch:
        """The saved epoch `number`; raises UnknownNameError that lists those there are."""
        if number not in self.epochs:
            known = (f"{epoch:04d}" for epoch in self.epochs)
            raise UnknownNameError(f"epoch of run {self.name}", str(number), known)
        return Epoch(self, number, layout.epoch_folder(self.path, number))

    def collapse(self) -> pd.DataFrame:
        """Collapse metrics of all evaluated epochs: epoch, layer, metric, set, value."""
        return self._over_epochs(Epoch.collapse, columns.COLLAPSE)

    def detection(self) -> pd.DataFrame:
        """Detection metrics of all evaluated epochs: epoch, layer, detector, set, group, ..."""
        return self._over_epochs(Epoch.detection, columns.DETECTION)

    def detection_means(self) -> pd.DataFrame:
        """Detection metrics averaged over near, far and all sets: epoch, layer, detector, group."""
        return self._over_epochs(Epoch.detection_means, columns.MEANS)

    def comparisons(self) -> pd.DataFrame:
        """Return detectors compared with the best, at all evaluated epochs."""
        return self._over_epochs(Epoch.comparisons, columns.COMPARISONS)

    def misclassification(self) -> pd.DataFrame:
        """AURC and AUGRC of misclassification at all evaluated epochs: epoch, layer, detector."""
        return self._over_epochs(Epoch.misclassification, columns.MISCLASSIFICATION)

    def calibration(self) -> pd.DataFrame:
        """How far confidence can be believed, at all evaluated epochs: epoch, temperature, ece."""
        return self._over_epochs(Epoch.calibration, columns.CALIBRATION)

    def temperature(self) -> pd.DataFrame:
        """Dependence on temperature at all evaluated epochs: epoch, detector, set, temperature."""
        return self._over_epochs(Epoch.temperature, columns.TEMPERATURE)

    def fitted(self) -> pd.DataFrame:
        """Return what detectors were fitted to at all evaluated epochs: epoch, layer, detector."""
        return self._over_epochs(Epoch.fitted, columns.FITTED)

    def sensitivity(self) -> pd.DataFrame:
        """Return results with other parameters at all evaluated epochs: epoch, layer, detector."""
        return self._over_epochs(Epoch.sensitivity, columns.SENSITIVITY)

    def duplicates(self) -> pd.DataFrame:
        """Sets that share samples with the training samples: epoch, set, duplicates, samples."""
        return self._over_epochs(Epoch.duplicates, columns.DUPLICATES)

    def transfer(self) -> pd.DataFrame:
        """Transfer errors of all measured epochs: epoch, layer, set, probe_error, ..."""
        return self._over_epochs(Epoch.transfer, columns.TRANSFER)

    def _over_epochs(self, read, expected: Mapping[str, str]) -> pd.DataFrame:
        tables = []
        for number in self.epochs:
            try:
                table = read(self.epoch(number))
            except MissingDataError:
                continue
            # A table without rows would turn the columns of the others into objects.
            if len(table):
                tables.append(table.assign(epoch=number))
        if not tables:
            return pd.DataFrame(columns=["epoch", *expected])
        return pd.concat(tables, ignore_index=True)

    @property
    def how_to_sample_anew(self) -> str:
        """What makes the next extraction choose its samples again."""
        return f"delete {self.path / layout.SAMPLES} to extract every set anew"

    def how_to_extract(self, damaged: Path | None = None) -> str:
        """The command that writes features again, after `damaged` has been removed."""
        if self.imported:
            return (
                f"Delete the folder {self.path}, then import again: "
                f"python scripts/import_features.py SOURCE --run {self.name}"
            )
        first = f"Delete {damaged.name}, then run" if damaged and damaged.exists() else "Run"
        return f"{first}: python scripts/extract.py {self.name}"


def mark_of_run(folder: Path) -> str | None:
    """Tells the run in `folder` from others; None where there is none.

    Raises CorruptFileError if its description is damaged.
    """
    if not layout.holds_run(folder):
        return None
    return checksums.of_json(read_description(folder))


class Listing(NamedTuple):
    """The runs of a folder, and those that cannot be opened with the reason."""

    runs: dict[str, Run]
    problems: dict[str, NcvizError]


def open_run(path: str | Path | RemotePath) -> Run:
    """The run in the folder or at the URL `path`, or of that name in the checkpoints folder.

    Raises
    ------
    UnknownNameError : there is no such run; lists those that exist.
    CorruptFileError : its description is damaged or was written by another version of ncviz.
    RemoteError : what lies at a URL cannot be read.
    """
    folder = place(path)
    if not is_remote(folder) and len(folder.parts) < 2 and not layout.holds_run(folder):
        folder = layout.checkpoints_root() / folder
    if is_remote(folder):
        folder.look()
    if not layout.holds_run(folder):
        hint = f"Looked in {folder.parent}."
        if not is_remote(folder):
            hint += " Make one with: python scripts/train.py RECIPE --run NAME"
        raise UnknownNameError("run", folder.name, _names_beside(folder), hint)
    return Run(folder, read_description(folder))


def _names_beside(folder: Path | RemotePath) -> list[str]:
    try:
        return list(list_runs(folder.parent).runs)
    except RemoteError:
        return []  # nothing there, or nothing that may be listed


def list_runs(folder: str | Path | RemotePath | None = None) -> Listing:
    """Every run below `folder`, a path or URL (the checkpoints folder if None), by name.

    Hidden folders are left out. A link out of `folder` counts as a problem: who may write there
    must not decide which other files of the machine are read.
    """
    folder = layout.checkpoints_root() if folder is None else place(folder)
    runs, problems = {}, {}
    for path in _folders(folder):
        name = path.name
        if name.startswith("."):
            continue
        try:
            layout.run_folder(name, folder)
            if is_remote(path):
                if not layout.holds_run(path):
                    continue
            else:
                _require_inside(path / layout.DESCRIPTION, folder)
            runs[name] = Run(path, read_description(path))
        except NcvizError as error:
            problems[name] = error
    return Listing(runs, problems)


def _folders(folder: Path | RemotePath) -> list[Path] | list[RemotePath]:
    if is_remote(folder):
        return folder.folders()
    return [path.parent for path in sorted(folder.glob(f"*/{layout.DESCRIPTION}"))]


def _require_inside(path: Path, folder: Path) -> None:
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InvalidOptionError(
            f"{path} is reached by a link that leads out of {folder}. Move the run there, or set "
            "NCVIZ_CHECKPOINTS to the folder that holds it."
        )


def open_runs(folder: str | Path | RemotePath | None = None) -> dict[str, Run]:
    """Every run below `folder` (the checkpoints folder if None) by name.

    Runs that cannot be opened are left out with a warning; `list_runs` returns them too.
    """
    listing = list_runs(folder)
    for name, error in listing.problems.items():
        warnings.warn(f"Run {name} is left out: {error}", stacklevel=2)
    return listing.runs
