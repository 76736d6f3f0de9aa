"""The files of a saved epoch: what each came from, and whether it is still current."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ncviz.definitions import CODE, PROBE_VERSION, RESULTS_VERSION
from ncviz.errors import CorruptFileError, MissingDataError
from ncviz.store import files, fitted, layout, marks

if TYPE_CHECKING:
    from ncviz.store.run import Run

RETRAIN = "Train the run again."
RESULTS_VERSION_SOURCE = {f"{CODE}version": RESULTS_VERSION}
_PROBE_VERSION_SOURCE = {f"{CODE}probe": PROBE_VERSION}
_RESULTS = (*layout.TABLES.values(), layout.SCORES)


@dataclass(frozen=True)
class EpochFiles:
    """Where a saved epoch lies, and the fingerprints that its files have and should have."""

    run: Run
    number: int
    path: Path

    @property
    def sets(self) -> tuple[str, ...]:
        """Full names of the sets whose features are stored, such as ``cifar100/test``."""
        folder = self.path / layout.FEATURES
        found = (
            path.relative_to(folder).with_suffix("") for path in folder.glob("*/*.safetensors")
        )
        names = tuple(sorted(name.as_posix() for name in found))
        for name in names:
            if not all(map(layout.is_plain, name.split("/"))):
                raise CorruptFileError(
                    f"{self.path / layout.FEATURES} holds features of a set called {name!r:.300}, "
                    "which is no name of a data set. Remove them."
                )
        return names

    def full_name(self, name: str) -> str:
        """``train`` and ``test`` mean the ID set's; a bare data set name means its test split."""
        if name in ("train", "test"):
            return f"{self.run.id_set}/{name}"
        return name if "/" in name else f"{name}/test"

    @property
    def has_weights(self) -> bool:
        return (self.path / layout.MODEL).exists()

    @property
    def weights_fingerprint(self) -> str:
        """Identifies the weights that features were computed with."""
        path = self._require_weights()
        header = files.read_header(path, mend=RETRAIN)
        if files.FINGERPRINT not in header:
            raise CorruptFileError(f"{path} was not written by ncviz. {RETRAIN}")
        return header[files.FINGERPRINT]

    def feature_sources(self, set_name: str) -> dict[str, str]:
        """Fingerprints of what a set's features have to come from: the weights, the samples.

        What is not kept here, such as the weights of a packed run, is left out.
        """
        return self._weights_source() | self._samples_source(self.full_name(set_name))

    def has_features(self, set_name: str, layers: Sequence[str] = ()) -> bool:
        """Whether a set's features are there and current, those of `layers` among them.

        Of the ID set's splits, the statistics of these layers too; of its training set, the probes.
        """
        path = layout.feature_file(self.path, self.full_name(set_name))
        paths, wanted = [path], set(layers) - set(self.run.derived_layers)
        sources = self.feature_sources(set_name)
        for split in ("train", "test"):
            if self.full_name(set_name) == self.full_name(split):
                paths.append(layout.statistics_file(self.path, split))
                wanted |= {f"{layer}.means" for layer in layers}
        if self.full_name(set_name) == self.full_name("train") and not files.is_made_from(
            self.path / layout.PROBES, self.probe_sources()
        ):
            return False
        if not all(files.is_made_from(path, sources) for path in paths):
            return False
        return wanted <= {name for path in paths for name in files.array_names(path)}

    def has_network_scores(self, set_name: str, sources: Mapping[str, str]) -> bool:
        """Whether the scores that took the network are there for a set, and come from `sources`."""
        path = layout.network_scores_file(self.path, self.full_name(set_name))
        return files.is_made_from(path, sources)

    def probe_sources(self) -> dict[str, str]:
        """Fingerprints of what the linear probes have to come from, and their version."""
        return self.feature_sources("train") | _PROBE_VERSION_SOURCE

    def has_fitted(self, chosen: Sequence[str]) -> bool:
        """Whether the detectors `chosen` were kept as fitted, or have no weights to serve."""
        if not self.has_weights:
            return True
        path = self.path / layout.DETECTORS
        return files.is_made_from(path, fitted.sources(self, chosen))

    def current_results(self) -> dict[str, str]:
        """What made the results besides files; empty unless all are there, whole and current."""
        try:
            found = [files.sources_of(self._fresh(name)) for name in _RESULTS]
        except (CorruptFileError, MissingDataError):
            return {}
        agreed = found[0].items() if all(one == found[0] for one in found) else ()
        return {name: mark for name, mark in agreed if name.startswith(CODE)}

    def evaluated_detectors(self) -> set[str]:
        """Detectors of results that come from the files there are now, whatever they were then.

        Those of some of the results suffice: a writer may have been killed between two of them.
        """
        found: set[str] = set()
        for name in _RESULTS:
            with suppress(CorruptFileError, MissingDataError):
                found |= set(marks.names_of_detectors(self._recorded(name, "")))
        return found

    def inputs(self) -> dict[str, str]:
        """What maps and fitted detectors have to come from: each file's fingerprint, a version."""
        names = (layout.HEAD, layout.STATISTICS, layout.PROBES)
        paths = [self.path / name for name in names]
        paths += [layout.feature_file(self.path, name) for name in self.sets]
        return RESULTS_VERSION_SOURCE | self._fingerprints(paths)

    @property
    def axes_mark(self) -> str:
        """What maps record of the epoch that their axes come from."""
        return json.dumps(self.inputs(), sort_keys=True)

    def results_inputs(self) -> dict[str, str]:
        """What results have to come from: the same, scores that took the network, versions."""
        paths = [layout.network_scores_file(self.path, name) for name in self.sets]
        return self.inputs() | self._fingerprints(paths) | marks.of_results()

    def _fingerprints(self, paths: Sequence[Path]) -> dict[str, str]:
        return {
            path.relative_to(self.path).as_posix(): self._fingerprint(path)
            for path in paths
            if path.exists()
        }

    def _fingerprint(self, path: Path) -> str:
        header = files.read_header(path, mend=self.run.how_to_extract(path))
        return header.get(files.FINGERPRINT, "")

    def _fresh(self, name: str) -> Path:
        """Path of a result that comes from the features, statistics and head there are now.

        And from detectors with the parameters and versions that they have now.
        """
        how = self._how_to_evaluate()
        recorded = self._recorded(name, how)
        for detector in marks.names_of_detectors(recorded):
            if not marks.is_current(detector, recorded):
                raise MissingDataError(
                    f"The results of {self._where} come from other parameters or another version "
                    f"of the detector {detector} than this ncviz has. {how}"
                )
        return self.path / name

    def _recorded(self, name: str, mend: str) -> dict[str, str]:
        """What a result says it comes from, which are the files and metrics there are now."""
        path = self.path / name
        if not path.exists():
            raise MissingDataError(f"There are no results for {self._where}. {mend}")
        recorded = files.sources_of(path, mend=self._how_to_evaluate(path))
        if marks.without_detectors(recorded) != self.results_inputs():
            raise self._older("results", mend)
        self._require_own_features()
        return recorded

    def _fresh_maps(self, mend: str) -> Path:
        """Path of maps of the features there are now, on axes of the features there are now."""
        path = self.path / layout.MAPS
        if not path.exists():
            raise MissingDataError(f"There are no maps for {self._where}. {mend}")
        recorded = files.sources_of(path, mend=mend)
        inputs = self.inputs()
        if not (
            {name: recorded.get(name) for name in inputs} == inputs
            and {name for name in recorded if not name.startswith(CODE)} <= inputs.keys()
            and marks.are_current_maps(recorded)
            and self._has_axes(recorded)
        ):
            raise self._older("maps", mend)
        self._require_own_features()
        return path

    def _has_axes(self, recorded: Mapping[str, str]) -> bool:
        """Whether the epoch whose axes were taken has the same features still: mostly the last."""
        epochs = (self.run.epoch(number) for number in reversed(self.run.epochs))
        return any(epoch.axes_mark == recorded.get(marks.AXES) for epoch in epochs)

    def _older(self, what: str, mend: str) -> MissingDataError:
        return MissingDataError(
            f"The {what} of {self._where} are older than its features or this version of ncviz. "
            f"{mend}"
        )

    @property
    def _where(self) -> str:
        return f"epoch {self.number} of {self.run.name}"

    def _require_own_features(self) -> None:
        # Features of other weights have results that fit them, and still are not this epoch's.
        self._require_current(self.path / layout.STATISTICS, self._weights_source())

    def _probe_source(self) -> dict[str, str]:
        return self._weights_source() | _PROBE_VERSION_SOURCE

    def _weights_source(self) -> dict[str, str]:
        return {"weights": self.weights_fingerprint} if self.has_weights else {}

    def _samples_source(self, full_name: str) -> dict[str, str]:
        info = self.run.sets.get(full_name)
        return {} if info is None else {"samples": info.source}

    def _require_current(self, path: Path, now: Mapping[str, str]) -> None:
        recorded = files.sources_of(path, mend=self.run.how_to_extract(path))
        other = [name for name, mark in now.items() if recorded.get(name, mark) != mark]
        if other:
            raise MissingDataError(
                f"{path} comes from other {other[0]} than there are now. "
                f"{self.run.how_to_extract()}"
            )

    def _require_weights(self) -> Path:
        path = self.path / layout.MODEL
        if not path.exists():
            raise MissingDataError(
                f"Epoch {self.number} of {self.run.name} was shared without weights; train the "
                "run again to have them."
            )
        return path

    def _how_to_evaluate(self, damaged: Path | None = None) -> str:
        first = f"Delete {damaged.name}, then run" if damaged else "Run"
        return f"{first}: python scripts/evaluate.py {self.run.name}"
