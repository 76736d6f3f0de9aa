"""One saved epoch of a run, read: its weights, head, features, statistics and results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.definitions import PROBE_VERSION, RESULTS_VERSION
from ncviz.errors import CorruptFileError, MissingDataError, UnknownNameError
from ncviz.projector import etf_size, project
from ncviz.store import files, layout, parts

if TYPE_CHECKING:
    from ncviz.store.run import Run

COLLAPSE_COLUMNS = {"layer": "text", "metric": "text", "set": "text", "value": "number"}
DETECTION_COLUMNS = {
    "layer": "text",
    "detector": "text",
    "set": "text",
    "group": "text",
    "auroc": "number",
    "fpr95": "number",
    "id_samples": "integer",
    "ood_samples": "integer",
}
TRANSFER_COLUMNS = {
    "layer": "text",
    "set": "text",
    "probe_error": "number",
    "ncm_error": "number",
    "train_samples": "integer",
    "test_samples": "integer",
}
ENCODER, PROJECTOR = "encoder", "projector"
CODE = "code:"
"""prefix of what results come from besides files"""
RESULTS_VERSION_SOURCE = {f"{CODE}version": RESULTS_VERSION}
_RETRAIN = "Train the run again."
_RESULTS = (layout.COLLAPSE, layout.DETECTION, layout.SCORES)


class Maps(NamedTuple):
    """Samples of an epoch laid out in the plane, at one layer.

    Attributes
    ----------
    rows : (N,) which rows of `Run.samples` are shown, the same in every epoch
    points : (N, 2) float32 by kind of map: ``"umap"``, ``"pca"``, ``"etf"`` (class-mean basis)
    """

    rows: np.ndarray
    points: dict[str, np.ndarray]


@dataclass(frozen=True)
class Epoch:
    """A saved state of a run: weights, head, features, statistics, results."""

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
        return tuple(sorted(name.as_posix() for name in found))

    @property
    def layers(self) -> tuple[str, ...]:
        """The run's layers, after those stages of the backbone that were extracted here."""
        path = self.path / layout.STATISTICS
        if not path.exists():
            return self.run.layers
        found = parts.layers_in(path, mend=self.run.how_to_extract(path))
        stages = sorted(found - set(self.run.layers), key=lambda name: (len(name), name))
        return (*stages, *self.run.layers)

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
        MissingDataError : the file comes from other weights or samples than the run's.
        CorruptFileError : the file is damaged, or its arrays do not fit each other.
        """
        self._require_layer(layer)
        name = self.full_name(set_name)
        if name not in self.sets:
            hint = f"These have features at epoch {self.number}. {self.run.how_to_extract()}"
            raise UnknownNameError("data set", set_name, self.sets, hint)
        path = layout.feature_file(self.path, name)
        self._require_current(path, self.feature_sources(name))
        arrays = files.read_arrays(path, mend=self.run.how_to_extract(path))
        last = self.run.layers[-1]
        head = None if "logits" in arrays else self.head(last)
        try:
            features = self._of_layer(arrays, layer)
            under_head = features if layer == last else self._of_layer(arrays, last)
            logits = arrays["logits"] if head is None else head.logits(under_head)
            return FeatureSet(features, logits.astype(np.float32), arrays.get("labels"))
        except KeyError as error:
            raise CorruptFileError(
                f"{path} has no array {error}. {self.run.how_to_extract(path)}"
            ) from error
        except (TypeError, ValueError) as error:
            raise CorruptFileError(f"{path}: {error} {self.run.how_to_extract(path)}") from error

    def _of_layer(self, arrays: Mapping[str, np.ndarray], layer: str) -> np.ndarray:
        if layer in arrays or layer not in self.run.derived_layers:
            return arrays[layer].astype(np.float32)
        encoder = arrays[ENCODER].astype(np.float32)
        kind = self.run.recipe["model"]["projector"]
        return project(encoder, etf_size(kind, encoder.shape[1], len(self.run.classes)))

    def head(self, layer: str = "encoder") -> Head:
        """The linear classifier on `layer`."""
        self._require_head(layer)
        path = self.path / layout.HEAD
        return parts.read_head(path, layer, len(self.run.classes), mend=_RETRAIN)

    def has_head(self, layer: str) -> bool:
        """Whether `layer` has a classifier of its own."""
        return f"{layer}.weight" in files.array_names(self.path / layout.HEAD, mend=_RETRAIN)

    def probe(self, layer: str = "encoder") -> Head:
        """A linear probe on `layer`, fitted to ID training features after the training."""
        self._require_layer(layer)
        if not self.has_probe(layer):
            raise MissingDataError(
                f"No linear probe was fitted to the {layer} of epoch {self.number} of "
                f"{self.run.name}. {self.run.how_to_extract()}"
            )
        path = self.path / layout.PROBES
        self._require_current(path, self._weights_source())
        mend = self.run.how_to_extract(path)
        return parts.read_head(path, layer, len(self.run.classes), mend=mend)

    def has_probe(self, layer: str) -> bool:
        """Whether a linear probe was fitted to `layer`."""
        path = self.path / layout.PROBES
        mend = self.run.how_to_extract(path)
        return path.exists() and f"{layer}.weight" in files.array_names(path, mend=mend)

    def statistics(self, layer: str = "encoder") -> ClassStatistics:
        """Class statistics of the whole training set at `layer`."""
        self._require_layer(layer)
        path = self.path / layout.STATISTICS
        self._require_current(path, self._weights_source())
        mend = self.run.how_to_extract(path)
        return parts.read_statistics(path, layer, len(self.run.classes), mend=mend)

    def weights(self) -> dict[str, np.ndarray]:
        """The network's parameters and buffers by name; raises MissingDataError if not kept."""
        return files.read_arrays(self._require_weights(), mend=_RETRAIN)

    @property
    def has_weights(self) -> bool:
        return (self.path / layout.MODEL).exists()

    @property
    def weights_fingerprint(self) -> str:
        """Identifies the weights that features were computed with."""
        path = self._require_weights()
        header = files.read_header(path, mend=_RETRAIN)
        if files.FINGERPRINT not in header:
            raise CorruptFileError(f"{path} was not written by ncviz. {_RETRAIN}")
        return header[files.FINGERPRINT]

    def feature_sources(self, set_name: str) -> dict[str, str]:
        """Fingerprints of what a set's features have to come from: the weights, the samples.

        What is not kept here, such as the weights of a packed run, is left out.
        """
        return self._weights_source() | self._samples_source(self.full_name(set_name))

    def has_features(self, set_name: str, layers: Sequence[str] = ()) -> bool:
        """Whether a set's features are there and current, those of `layers` among them.

        Of the training set: and the statistics of these layers, and the probes.
        """
        path = layout.feature_file(self.path, self.full_name(set_name))
        paths, wanted = [path], set(layers) - set(self.run.derived_layers)
        sources = self.feature_sources(set_name)
        if path == layout.feature_file(self.path, self.full_name("train")):
            if not files.is_made_from(self.path / layout.PROBES, self.probe_sources()):
                return False
            paths.append(self.path / layout.STATISTICS)
            wanted |= {f"{layer}.means" for layer in layers}
        if not all(files.is_made_from(path, sources) for path in paths):
            return False
        return wanted <= {name for path in paths for name in files.array_names(path)}

    def probe_sources(self) -> dict[str, str]:
        """Fingerprints of what the linear probes have to come from, and their version."""
        return self.feature_sources("train") | {f"{CODE}probe": PROBE_VERSION}

    def collapse(self) -> pd.DataFrame:
        """Collapse metrics: layer, metric, set (of NC5; else empty), value."""
        return self._result(layout.COLLAPSE, COLLAPSE_COLUMNS)

    def detection(self) -> pd.DataFrame:
        """One row for each layer, detector and OOD set, with its detection metrics."""
        return self._result(layout.DETECTION, DETECTION_COLUMNS)

    def transfer(self) -> pd.DataFrame:
        """Transfer errors: layer, set, probe_error, ncm_error, and what they were learned from."""
        path = self.path / layout.TRANSFER
        mend = f"Run: python scripts/extract.py {self.run.name} --transfer"
        if not path.exists():
            raise MissingDataError(
                f"Transfer is not measured for epoch {self.number} of {self.run.name}. {mend}"
            )
        self._require_current(path, self._weights_source())
        return files.read_table(path, TRANSFER_COLUMNS, mend=mend)

    def transfer_sources(self) -> dict[str, str]:
        """What made the transfer errors, by name; empty unless they are there and whole."""
        try:
            self.transfer()
            return files.sources_of(self.path / layout.TRANSFER)
        except (CorruptFileError, MissingDataError):
            return {}

    def scores(self, detector: str, set_name: str, layer: str = "encoder") -> np.ndarray:
        """Scores (N,) of a set by a detector, higher = more in-distribution."""
        self._require_layer(layer)
        path = self._fresh(layout.SCORES)
        name = f"{layer}/{detector}/{self.full_name(set_name)}"
        mend = self._how_to_evaluate(path)
        present = files.array_names(path, mend=mend)
        if name not in present:
            raise self._no_scores(present, detector, set_name, layer)
        scores = files.read_arrays(path, [name], mend=mend)[name]
        if scores.ndim != 1 or scores.dtype.kind != "f" or not np.isfinite(scores).all():
            raise CorruptFileError(
                f"{path}: '{name}' must hold one finite number for each sample. {mend}"
            )
        return scores

    def scored_by(self, layer: str = "encoder") -> tuple[str, ...]:
        """Names of the detectors with scores of the ID test set at `layer`, in no special order.

        Raises MissingDataError where nothing was evaluated.
        """
        self._require_layer(layer)
        path = self._fresh(layout.SCORES)
        ends = f"{layer}/", f"/{self.full_name('test')}"
        names = files.array_names(path, mend=self._how_to_evaluate(path))
        return tuple(
            name.removeprefix(ends[0]).removesuffix(ends[1])
            for name in names
            if name.startswith(ends[0]) and name.endswith(ends[1])
        )

    def maps(self, layer: str = "encoder") -> Maps:
        """The samples of the ID test set and the OOD sets as points in the plane."""
        self._require_layer(layer)
        mend = f"Run: python scripts/embed.py {self.run.name}"
        path = self._fresh(layout.MAPS, mend)
        arrays = files.read_arrays(path, mend=mend)
        prefix = f"{layer}/"
        points = {
            name.removeprefix(prefix): array
            for name, array in arrays.items()
            if name.startswith(prefix)
        }
        rows = arrays.get("rows", np.empty((0, 0)))
        if not points or any(array.shape != (*rows.shape, 2) for array in points.values()):
            raise CorruptFileError(f"{path} holds no maps of the {layer}. Delete it. {mend}")
        return Maps(rows, points)

    def maps_sources(self) -> dict[str, str]:
        """What made the maps, by name; empty unless they are there and current."""
        try:
            return files.sources_of(self._fresh(layout.MAPS, ""))
        except (CorruptFileError, MissingDataError):
            return {}

    @property
    def maps_fingerprint(self) -> str:
        """Identifies the maps that the next epoch's start from."""
        return self._fingerprint(self.path / layout.MAPS)

    def current_results(self) -> dict[str, str]:
        """What made the results besides files; empty unless all are there, whole and current."""
        try:
            found = [files.sources_of(self._fresh(name)) for name in _RESULTS]
        except (CorruptFileError, MissingDataError):
            return {}
        agreed = found[0].items() if all(one == found[0] for one in found) else ()
        return {name: mark for name, mark in agreed if name.startswith(CODE)}

    def results_inputs(self) -> dict[str, str]:
        """What results have to come from: each file's fingerprint, and the metrics' version."""
        paths = [self.path / name for name in (layout.HEAD, layout.STATISTICS, layout.PROBES)]
        paths += [layout.feature_file(self.path, name) for name in self.sets]
        return RESULTS_VERSION_SOURCE | {
            path.relative_to(self.path).as_posix(): self._fingerprint(path)
            for path in paths
            if path.exists()
        }

    def _fingerprint(self, path: Path) -> str:
        header = files.read_header(path, mend=self.run.how_to_extract(path))
        return header.get(files.FINGERPRINT, "")

    def _result(self, name: str, columns: Mapping[str, str]) -> pd.DataFrame:
        path = self._fresh(name)
        return files.read_table(path, columns, mend=self._how_to_evaluate(path))

    def _fresh(self, name: str, mend: str | None = None) -> Path:
        """Path of a result that comes from the features, statistics and head there are now."""
        path = self.path / name
        where = f"epoch {self.number} of {self.run.name}"
        what = "maps" if name == layout.MAPS else "results"
        how = self._how_to_evaluate() if mend is None else mend
        if not path.exists():
            raise MissingDataError(f"There are no {what} for {where}. {how}")
        recorded = files.sources_of(path, mend=self._how_to_evaluate(path))
        now = self.results_inputs()
        if {k: v for k, v in recorded.items() if k in now or not k.startswith(CODE)} != now:
            raise MissingDataError(
                f"The {what} of {where} are older than its features or this version of ncviz. {how}"
            )
        # Features of other weights have results that fit them, and still are not this epoch's.
        self._require_current(self.path / layout.STATISTICS, self._weights_source())
        return path

    def _no_scores(
        self, present: list[str], detector: str, set_name: str, layer: str
    ) -> UnknownNameError:
        pairs = [name.split("/", 2)[1:] for name in present if name.startswith(f"{layer}/")]
        detectors = {pair[0] for pair in pairs}
        hint = f"These have scores at epoch {self.number}. {self._how_to_evaluate()}"
        if detector not in detectors:
            if not self.has_head(layer):
                hint = f"{self._no_head(layer)} {hint}"
            return UnknownNameError("detector", detector, detectors, hint)
        return UnknownNameError("data set", set_name, {pair[1] for pair in pairs}, hint)

    def _weights_source(self) -> dict[str, str]:
        return {"weights": self.weights_fingerprint} if self.has_weights else {}

    def _samples_source(self, full_name: str) -> dict[str, str]:
        try:
            samples = self.run.samples
        except MissingDataError:
            return {}
        samples = samples[samples["set"] == full_name]
        columns = {name: samples[name].to_numpy(np.int64) for name in ("index", "label")}
        return {"samples": files.fingerprint(columns)} if len(samples) else {}

    def _require_current(self, path: Path, now: Mapping[str, str]) -> None:
        recorded = files.sources_of(path, mend=self.run.how_to_extract(path))
        other = [name for name, mark in now.items() if recorded.get(name, mark) != mark]
        if other:
            raise MissingDataError(
                f"{path} comes from other {other[0]} than there are now. "
                f"{self.run.how_to_extract()}"
            )

    def _require_layer(self, layer: str) -> None:
        if layer not in self.run.layers and layer not in self.layers:
            where = f"layer of epoch {self.number} of run {self.run.name}"
            raise UnknownNameError(where, layer, self.layers)

    def _require_head(self, layer: str) -> None:
        self._require_layer(layer)
        if not self.has_head(layer):
            raise MissingDataError(self._no_head(layer))

    def _no_head(self, layer: str) -> str:
        return (
            f"The {layer} of run {self.run.name} has no classifier of its own; "
            f"the network's sits on the {self.run.layers[-1]}."
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
