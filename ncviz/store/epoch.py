"""One saved epoch of a run, read: its weights, head, features, statistics and results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.embedding import MapQuality
from ncviz.errors import CorruptFileError, MissingDataError, UnknownNameError
from ncviz.projector import etf_size, project
from ncviz.store import columns, files, fitted, layout, marks, parts, room
from ncviz.store.provenance import RETRAIN, EpochFiles

if TYPE_CHECKING:
    from ncviz.detectors import Detector

ENCODER, PROJECTOR = "encoder", "projector"
LOGITS = "logits"
"""The only layer of a run that was imported without features."""
REFITTED = "refitted"
"""Prefix of score distributions by detectors that a packed run holds fitted to fewer samples."""


class Maps(NamedTuple):
    """Samples of an epoch laid out in the plane, at one layer.

    Attributes
    ----------
    rows : (N,) which rows of `Run.samples` are shown, the same in every epoch
    points : (N, 2) float32 by kind of map: ``"umap"``, ``"pca"``, ``"etf"`` (class-mean basis)
    quality : by kind of map; empty where there are too few samples to measure it
    """

    rows: np.ndarray
    points: dict[str, np.ndarray]
    quality: dict[str, MapQuality]


@dataclass(frozen=True)
class Epoch(EpochFiles):
    """A saved state of a run: weights, head, features, statistics, results."""

    @property
    def layers(self) -> tuple[str, ...]:
        """The run's layers, after those stages of the backbone that were extracted here."""
        path = self.path / layout.STATISTICS
        if not path.exists():
            return self.run.layers
        found = parts.layers_in(path, mend=self.run.how_to_extract(path))
        stages = sorted(found - set(self.run.layers), key=lambda name: (len(name), name))
        return (*stages, *self.run.layers)

    def features(self, set_name: str, layer: str = "encoder") -> FeatureSet:
        """Features and logits of a set, in float32; those of a very large set are memory-mapped.

        Logits are computed from features and head where they are not stored; a layer without a
        head takes the logits of the network, which sit on the last layer.

        Raises
        ------
        UnknownNameError : no such layer or set.
        MissingDataError : the file comes from other weights or samples than the run's.
        CorruptFileError : the file is damaged, or its arrays do not fit each other.
        StorageError : there is no room for a very large set among the temporary files.
        """
        self._require_layer(layer)
        name = self.full_name(set_name)
        if name not in self.sets:
            hint = f"These have features at epoch {self.number}. {self.run.how_to_extract()}"
            raise UnknownNameError("data set", set_name, self.sets, hint)
        path = layout.feature_file(self.path, name)
        self._require_current(path, self.feature_sources(name))
        arrays = files.map_arrays(path, mend=self.run.how_to_extract(path))
        last = self.run.layers[-1]
        head = None if "logits" in arrays else self.head(last)
        try:
            features = self._of_layer(arrays, layer)
            under_head = features if layer == last else self._of_layer(arrays, last)
            if head is None:
                logits = room.filled(lambda at: arrays["logits"][at], arrays["logits"].shape)
            else:
                shape = len(under_head), head.classes
                logits = room.filled(lambda at: head.logits(under_head[at]), shape)
            labels = np.array(arrays["labels"]) if "labels" in arrays else None
            return FeatureSet(features, logits, labels)
        except KeyError as error:
            raise CorruptFileError(
                f"{path} has no array {error}. {self.run.how_to_extract(path)}"
            ) from error
        except (IndexError, TypeError, ValueError) as error:
            raise CorruptFileError(f"{path}: {error} {self.run.how_to_extract(path)}") from error

    def _of_layer(self, arrays: Mapping[str, np.ndarray], layer: str) -> np.ndarray:
        if layer in arrays or layer not in self.run.derived_layers:
            return room.filled(lambda at: arrays[layer][at], arrays[layer].shape)
        encoder, kind = arrays[ENCODER], self.run.recipe["model"]["projector"]
        size = etf_size(kind, encoder.shape[1], len(self.run.classes))
        return room.filled(lambda at: project(encoder[at].astype(np.float32), size), encoder.shape)

    def head(self, layer: str = "encoder") -> Head:
        """The linear classifier on `layer`."""
        self._require_head(layer)
        path = self.path / layout.HEAD
        return parts.read_head(path, layer, len(self.run.classes), mend=RETRAIN)

    def has_head(self, layer: str) -> bool:
        """Whether `layer` has a classifier of its own."""
        return f"{layer}.weight" in files.array_names(self.path / layout.HEAD, mend=RETRAIN)

    def probe(self, layer: str = "encoder") -> Head:
        """A linear probe on `layer`, fitted to ID training features after the training."""
        self._require_layer(layer)
        if not self.has_probe(layer):
            raise MissingDataError(
                f"No linear probe was fitted to the {layer} of epoch {self.number} of "
                f"{self.run.name}. {self.run.how_to_extract()}"
            )
        path = self.path / layout.PROBES
        self._require_current(path, self._probe_source())
        mend = self.run.how_to_extract(path)
        return parts.read_head(path, layer, len(self.run.classes), mend=mend)

    def has_probe(self, layer: str) -> bool:
        """Whether a linear probe was fitted to `layer`."""
        path = self.path / layout.PROBES
        mend = self.run.how_to_extract(path)
        return path.exists() and f"{layer}.weight" in files.array_names(path, mend=mend)

    def statistics(self, layer: str = "encoder", set: str = "train") -> ClassStatistics:
        """Return the float64 class statistics of the whole training or test set at `layer`.

        Parameters
        ----------
        set : ``"train"`` or ``"test"``, the split of the ID set

        Raises
        ------
        UnknownNameError
            If there is no such layer or split.
        MissingDataError
            If they were not extracted, or come from other weights.
        """
        self._require_layer(layer)
        if self.run.without_features:
            raise MissingDataError(self.run.without_features)
        if set not in ("train", "test"):
            raise UnknownNameError("split with class statistics", set, ("train", "test"))
        path = layout.statistics_file(self.path, set)
        if not path.exists():
            raise MissingDataError(
                f"There are no class statistics of the {set} set for {self._where}. "
                f"{self.run.how_to_extract()}"
            )
        self._require_current(path, self._weights_source())
        mend = self.run.how_to_extract(path)
        return parts.read_statistics(path, layer, len(self.run.classes), mend=mend)

    def weights(self) -> dict[str, np.ndarray]:
        """The network's parameters and buffers by name; raises MissingDataError if not kept."""
        return files.read_arrays(self._require_weights(), mend=RETRAIN)

    def collapse(self) -> pd.DataFrame:
        """Collapse metrics: layer, metric, set (of NC5; else empty), value."""
        return self._result("collapse", columns.COLLAPSE)

    def detection(self) -> pd.DataFrame:
        """One row for each layer, detector and OOD set, with its detection metrics."""
        table = self._result("detection", columns.DETECTION)
        groups = dict(zip(table["set"], table["group"], strict=True))
        for name, group in self.run.ood_sets.items():
            if groups.get(name, group) != group:
                raise MissingDataError(
                    f"The results of {self._where} have '{name}' as {groups[name]}, the run has it "
                    f"as {group}. {self._how_to_evaluate(self.path / layout.TABLES['detection'])}"
                )
        return table

    def detection_means(self) -> pd.DataFrame:
        """Detection metrics averaged over the OOD sets of a group: layer, detector, group, ..."""
        self.detection()  # which tells whether the groups are still those of the run
        return self._result("means", columns.MEANS)

    def comparisons(self) -> pd.DataFrame:
        """Return each detector compared with the best one: layer, metric, set, group, detector, ...

        A row with an empty set is about the mean over the OOD sets of its group. `tied` marks the
        detectors that are not significantly different from the best (corrected by Holm).
        """
        self.detection()  # raises where the groups are not those of the run
        return self._result("comparisons", columns.COMPARISONS)

    def misclassification(self) -> pd.DataFrame:
        """One row for each layer and detector: how well its scores find errors on ID samples."""
        return self._result("misclassification", columns.MISCLASSIFICATION)

    def calibration(self) -> pd.DataFrame:
        """One row: how far the network's confidence can be believed, before and after scaling."""
        return self._result("calibration", columns.CALIBRATION)

    def reliability(self) -> pd.DataFrame:
        """A row for each bin of confidence, as it is and after temperature scaling."""
        return self._result("reliability", columns.RELIABILITY)

    def temperature(self) -> pd.DataFrame:
        """How detectors of the logits depend on temperature: detector, set, temperature, ..."""
        return self._result("temperature", columns.TEMPERATURE)

    def fitted(self) -> pd.DataFrame:
        """Return what each detector was fitted to, those left out among them.

        Columns: layer; detector; samples, the training samples it learned from (those of the class
        statistics where it used these alone, 0 where it learned from none); parameters, JSON of
        the values used; left_out, why it was left out, empty where it has scores.
        """
        return self._result("fitted", columns.FITTED)

    def sensitivity(self) -> pd.DataFrame:
        """Return results of detectors with other values of a parameter.

        Columns: layer, detector, parameter, value, is_default, set (empty for means), group, auroc,
        fpr95, rank (by AUROC among all detectors of the layer, the others at their defaults).
        """
        return self._result("sensitivity", columns.SENSITIVITY)

    def duplicates(self) -> pd.DataFrame:
        """Sets that share samples with the training samples; without rows mostly.

        Columns: set, by its full name; duplicates; samples; found_by, ``"images"`` for
        near-duplicate images, which are the same in every epoch, or ``"features"`` for samples
        with exactly the features of a cached training sample.
        """
        rows = [
            {"set": name, **{each: found[each] for each in ("duplicates", "samples")}}
            for name, found in self.run.image_duplicates.items()
            if found["duplicates"]
        ]
        tables = [pd.DataFrame(rows).assign(found_by="images")] if rows else []
        try:
            path = self._fresh(layout.DUPLICATES)
        except MissingDataError:  # there are none, or nothing current was evaluated
            path = None
        if path is not None:
            mend = self._how_to_evaluate(path)
            features = files.read_table(path, columns.DUPLICATES, mend=mend)
            tables.append(features.assign(found_by="features"))
        if not tables:
            return pd.DataFrame(columns=[*columns.DUPLICATES, "found_by"])
        return pd.concat(tables, ignore_index=True)

    def transfer(self) -> pd.DataFrame:
        """Transfer errors: layer, set, probe_error, ncm_error, and what they were learned from."""
        path = self.path / layout.TRANSFER
        mend = f"Run: python scripts/extract.py {self.run.name} --transfer"
        if not path.exists():
            raise MissingDataError(
                f"Transfer is not measured for epoch {self.number} of {self.run.name}. {mend}"
            )
        self._require_current(path, self._weights_source())
        if not marks.is_current_transfer(files.sources_of(path, mend=mend)):
            raise MissingDataError(
                f"The transfer errors of epoch {self.number} of {self.run.name} come from another "
                f"version of ncviz. {mend}"
            )
        return files.read_table(path, columns.TRANSFER, mend=mend)

    def transfer_sources(self) -> dict[str, str]:
        """What made the transfer errors, by name; empty unless they are there and whole."""
        try:
            self.transfer()
            return files.sources_of(self.path / layout.TRANSFER)
        except (CorruptFileError, MissingDataError):
            return {}

    def network_scores(self, set_name: str) -> dict[str, np.ndarray]:
        """Scores (N,) of a set by detectors that take the network, by name; empty where none.

        Those of other parameters, or another version of a detector, count as none.
        """
        name = self.full_name(set_name)
        path = layout.network_scores_file(self.path, name)
        if not path.exists():
            return {}
        self._require_current(path, self.feature_sources(name))
        mend = self.run.how_to_extract(path)
        recorded = files.sources_of(path, mend=mend)
        stored = files.array_names(path, mend=mend)
        names = [name for name in stored if marks.is_current(name, recorded)]
        scores = files.read_arrays(path, names, mend=mend) if names else {}
        for detector, values in scores.items():
            parts.require_scores(path, detector, values, mend=mend)
        return scores

    def detectors(self, layer: str = "encoder") -> tuple[str, ...]:
        """Names of the detectors that `detector` returns fitted at `layer`."""
        self._require_layer(layer)
        return fitted.names(self, layer)

    def detector(self, name: str, layer: str = "encoder") -> Detector:
        """The detector `name`, fitted at `layer`: ready to score samples that are new.

        What it learned from training samples is read; the rest follows from head and statistics.

        Raises
        ------
        UnknownNameError : no such layer or detector
        MissingDataError : it was not fitted here, or to other features than there are now
        """
        self._require_layer(layer)
        return fitted.read(self, name, layer)

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
        return parts.require_scores(path, name, scores, mend=mend)

    def distribution(self, detector: str, set_name: str, layer: str = "encoder") -> np.ndarray:
        """Return the increasing scores (N,) of all N samples of a set that were evaluated.

        Densities, curves, thresholds and p-values use these. `scores` returns the kept samples in
        their own order, which is what tables and pictures of single samples use. In a packed run
        the values between the stored order statistics are interpolated.

        Raises
        ------
        MissingDataError
            If the detector was not evaluated on the set.
        """
        name = f"{layer}/{detector}/{self.full_name(set_name)}"
        found = self._stored_distribution(name)
        if found is None:
            found = np.sort(self.scores(detector, set_name, layer).astype(np.float64))
        return found

    def reference_distribution(
        self, detector: str, set_name: str, layer: str = "encoder"
    ) -> np.ndarray:
        """Return the increasing scores (N,) of a set that a new sample's score compares with.

        The same as `distribution`, except for detectors that a packed run holds fitted to fewer
        training samples: these are scores by the detector as it is held.
        """
        name = f"{REFITTED}/{layer}/{detector}/{self.full_name(set_name)}"
        found = self._stored_distribution(name)
        return self.distribution(detector, set_name, layer) if found is None else found

    def _stored_distribution(self, name: str) -> np.ndarray | None:
        """Return a distribution that a packed run keeps; None where it keeps none of this name."""
        path = self.path / layout.DISTRIBUTIONS
        if not path.exists():
            return None
        self._fresh(layout.DISTRIBUTIONS)
        mend = self._how_to_evaluate(path)
        if name not in files.array_names(path, mend=mend):
            return None
        ranks = f"ranks/{'/'.join(name.split('/')[-2:])}"
        arrays = files.read_arrays(path, [name, ranks], mend=mend)
        return parts.as_distribution(path, name, *arrays.values(), mend=mend).expand()

    def layer_scores(self, layer: str, detector: str = "") -> dict[str, dict[str, np.ndarray]]:
        """Scores (N,) at a layer by detector and by set's full name; of one detector, or of all."""
        self._require_layer(layer)
        path = self._fresh(layout.SCORES)
        mend = self._how_to_evaluate(path)
        prefix = f"{layer}/{detector}/" if detector else f"{layer}/"
        names = [name for name in files.array_names(path, mend=mend) if name.startswith(prefix)]
        found: dict[str, dict[str, np.ndarray]] = {}
        for name, scores in (files.read_arrays(path, names, mend=mend) if names else {}).items():
            _, by, set_name = name.split("/", 2)
            found.setdefault(by, {})[set_name] = parts.require_scores(path, name, scores, mend=mend)
        return found

    def judges(self, layer: str = "encoder") -> tuple[str, ...]:
        """Names of the detectors that can judge a sample that is new, in the registry's order.

        They are fitted at `layer`, or take the network whose head sits there, and have scores of
        the ID test set to hold the sample's against. The energy of the linear probe comes last.

        Raises
        ------
        UnknownNameError : no such layer
        MissingDataError : nothing was evaluated
        """
        self._require_layer(layer)
        path = self._fresh(layout.SCORES)
        scored = set(files.array_names(path, mend=self._how_to_evaluate(path)))
        return tuple(
            name
            for name in fitted.ready(self, layer)
            if f"{layer}/{name}/{self.full_name('test')}" in scored
        )

    def maps(self, layer: str = "encoder") -> Maps:
        """The samples of the ID test set and the OOD sets as points in the plane."""
        self._require_layer(layer)
        mend = f"Run: python scripts/embed.py {self.run.name}"
        path = self._fresh_maps(mend)
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
        return Maps(rows, points, parts.read_quality(path, arrays, layer, mend=mend))

    def maps_sources(self) -> dict[str, str]:
        """What made the maps, by name; empty unless they are there and current."""
        try:
            return files.sources_of(self._fresh_maps(""))
        except (CorruptFileError, MissingDataError):
            return {}

    @property
    def maps_fingerprint(self) -> str:
        """Identifies the maps that the next epoch's start from."""
        return self._fingerprint(self.path / layout.MAPS)

    def _result(self, name: str, expected: Mapping[str, str]) -> pd.DataFrame:
        path = self._fresh(layout.TABLES[name])
        return files.read_table(path, expected, mend=self._how_to_evaluate(path))

    def _no_scores(
        self, present: list[str], detector: str, set_name: str, layer: str
    ) -> UnknownNameError:
        pairs = [name.split("/", 2)[1:] for name in present if name.startswith(f"{layer}/")]
        detectors = {pair[0] for pair in pairs}
        hint = f"These have scores at epoch {self.number}. {self._how_to_evaluate()}"
        if detector not in detectors:
            if not self.has_head(layer):
                hint = f"{self.why_no_head(layer)} {hint}"
            return UnknownNameError("detector", detector, detectors, hint)
        return UnknownNameError("data set", set_name, {pair[1] for pair in pairs}, hint)

    def _require_layer(self, layer: str) -> None:
        if layer not in self.run.layers and layer not in self.layers:
            where = f"layer of epoch {self.number} of run {self.run.name}"
            raise UnknownNameError(where, layer, self.layers)

    def _require_head(self, layer: str) -> None:
        self._require_layer(layer)
        if not self.has_head(layer):
            raise MissingDataError(self.why_no_head(layer))

    def why_no_head(self, layer: str) -> str:
        """Return a sentence on why `layer` has no linear head."""
        if layer == self.run.layers[-1]:
            how = self.run.without_head or "saved without a head"
            return f"Run {self.run.name} was {how}, so its {layer} has logits but no W and b."
        return (
            f"The {layer} of run {self.run.name} has no classifier of its own; "
            f"the network's sits on the {self.run.layers[-1]}."
        )
