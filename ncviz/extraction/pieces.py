"""The pieces of an extraction: each a file of one epoch, seen part by part and put together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from ncviz import detectors
from ncviz.arrays import ClassStatistics, require_finite
from ncviz.caching import PROBE_SAMPLES, fit_probes, halve, stratified_sample
from ncviz.data import ImageSet
from ncviz.inference import (
    Pixels,
    all_batches,
    forward,
    load_network,
    network_detectors,
    network_scores,
    score_batches,
)
from ncviz.models import Network, Wrapped
from ncviz.store import Epoch, write
from ncviz.store.parts import as_statistics, statistics_arrays
from ncviz.store.shards import KINDS, Shards

PARTS = 48
"""most parts of a piece, which no number of processes changes: what they see is summed alike"""

LOGITS = "logits"
"""array of the network's own logits, stored where the last layer has no linear head"""

# Numbers of features that are summed at once: fewer would be more merging than adding up.
_ENTRIES = 2**22

Arrays = dict[str, np.ndarray]
Seen = tuple[np.ndarray, dict[str, Tensor], Tensor]
Told = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Piece(ABC):
    """What one epoch sees of one set.

    Attributes
    ----------
    images : those that are seen: all of the training set, the cached ones of any other
    layers : names of those whose features are taken
    """

    epoch: Epoch
    images: ImageSet
    layers: tuple[str, ...]

    kind = KINDS[0]

    @property
    def name(self) -> str:
        return self.images.full_name

    @cached_property
    def parts(self) -> list[list[np.ndarray]]:
        """Consecutive batches of sample indices, by the part they are in."""
        batches = self._batches()
        count, parts = len(batches), min(len(batches), PARTS)
        return [
            batches[count * part // parts : count * (part + 1) // parts] for part in range(parts)
        ]

    @cached_property
    def shards(self) -> Shards:
        """Where processes leave the parts they have seen."""
        count = len(self.parts)
        sources = self._sources() | {
            "images": _fingerprint(self.images),
            "layers": " ".join(self.layers),
            "code:parts": f"{count} of {len(self._batches())}",
        }
        return Shards(self.epoch, f"{self.kind}/{self.name}", count, sources)

    def see(
        self, chosen: Sequence[int], pixels: Pixels, device: torch.device, told: Told
    ) -> Iterator[Arrays]:
        """The arrays of each part in `chosen`; `told` hears of every batch of images."""
        if not chosen:
            return
        network, parts = load_network(self.epoch, device), self.parts
        for part in chosen:
            yield self._see_part(network, parts[part], pixels, device, told)

    @abstractmethod
    def finish(self, parts: Iterable[Arrays]) -> None:
        """Write what all parts, in their order, come to."""

    @abstractmethod
    def _see_part(
        self,
        network: Network | Wrapped,
        batches: list[np.ndarray],
        pixels: Pixels,
        device: torch.device,
        told: Told,
    ) -> Arrays: ...

    @property
    def _classes(self) -> int:
        return len(self.epoch.run.classes)

    def _batches(self) -> list[np.ndarray]:
        return all_batches(self.images)

    def _sources(self) -> dict[str, str]:
        return self.epoch.feature_sources(self.name)

    def _features(
        self,
        network: Network | Wrapped,
        batches: list[np.ndarray],
        pixels: Pixels,
        device: torch.device,
        told: Told,
    ) -> Iterator[Seen]:
        """Indices (R,), features (R, D) by layer, where they were made, and labels (R,).

        Several batches at once, since a GPU would wait for each look at its numbers.
        """
        gathered: list[Seen] = []
        entries = 0
        seen = forward(network, pixels, device, batches=batches)
        for indices, (outputs, labels) in zip(batches, seen, strict=True):
            found = outputs.layers
            features = {layer: found[layer] for layer in self.layers}
            if not self.epoch.has_head(self.epoch.run.layers[-1]):
                features[LOGITS] = outputs.logits.float()
            gathered.append((indices, features, labels))
            entries += sum(each.numel() for each in features.values())
            if entries >= _ENTRIES:
                yield self._joined(gathered)
                gathered, entries = [], 0
            told(len(labels))
        if gathered:
            yield self._joined(gathered)

    def _joined(self, gathered: list[Seen]) -> Seen:
        indices, features, labels = zip(*gathered, strict=True)
        joined = {name: torch.cat([each[name] for each in features]) for name in features[0]}
        for layer, each in joined.items():
            require_finite(as_numbers(each), f"The {layer}'s features of {self.name}")
        return np.concatenate(indices), joined, torch.cat(labels)


class Samples(Piece):
    """Features of the samples of a set."""

    def _see_part(self, network, batches, pixels, device, told) -> Arrays:
        kept = _Rows()
        for _, features, labels in self._features(network, batches, pixels, device, told):
            kept.add(features, labels)
        return kept.arrays()

    def finish(self, parts: Iterable[Arrays]) -> None:
        kept = _Rows()
        for arrays in parts:
            kept.add_arrays(arrays)
        write.save_features(self.epoch, self.name, kept.halved(), self._sources())


class TestSet(Samples):
    """Features of the samples of the ID test set, and class statistics of their float32 values."""

    __test__ = False

    def _see_part(self, network, batches, pixels, device, told) -> Arrays:
        kept, sums = _Rows(), _Sums(self._classes)
        for _, features, labels in self._features(network, batches, pixels, device, told):
            kept.add(features, labels)
            sums.add(features, labels)
        return _prefixed("kept", kept.arrays()) | _prefixed("statistics", sums.arrays())

    def finish(self, parts: Iterable[Arrays]) -> None:
        kept, sums = _Rows(), _Sums(self._classes)
        for arrays in parts:
            kept.add_arrays(_group("kept", arrays))
            sums.add_arrays(_group("statistics", arrays), self.layers)
        sources = self._sources()
        write.save_statistics(self.epoch, sums.statistics, sources, set_name="test")
        write.save_features(self.epoch, self.name, kept.halved(), sources)


@dataclass(frozen=True, eq=False)
class TrainingSet(Piece):
    """From one forward pass: statistics of all samples, features of the cached ones, probes.

    `cached` are the indices of the samples whose features are kept.
    """

    cached: np.ndarray

    def _see_part(self, network, batches, pixels, device, told) -> Arrays:
        sums = _Sums(self._classes)
        chosen = {"cached": self.cached, "probed": self._probed}
        kept = {group: _Rows() for group in chosen}
        for indices, features, labels in self._features(network, batches, pixels, device, told):
            for group, rows in chosen.items():
                first, last = np.searchsorted(rows, [indices[0], indices[-1] + 1])
                here = torch.from_numpy(rows[first:last] - indices[0])
                own = {name: each[here.to(each.device)] for name, each in features.items()}
                kept[group].add(own, labels[here])
            sums.add(features, labels)
        arrays = _prefixed("statistics", sums.arrays())
        for group, rows in kept.items():
            arrays |= _prefixed(group, rows.arrays())
        return arrays

    def finish(self, parts: Iterable[Arrays]) -> None:
        sums = _Sums(self._classes)
        cached, probed = _Rows(), _Rows()
        for arrays in parts:
            cached.add_arrays(_group("cached", arrays))
            probed.add_arrays(_group("probed", arrays))
            sums.add_arrays(_group("statistics", arrays), self.layers)
        learned = {name: each for name, each in probed.arrays().items() if name != LOGITS}
        probes = fit_probes(learned, learned.pop("labels"), self._classes)
        write.save_probes(self.epoch, probes, self.epoch.probe_sources())
        sources = self.epoch.feature_sources(self.name)
        write.save_statistics(self.epoch, sums.statistics, sources)
        write.save_features(self.epoch, self.name, cached.halved(), sources)

    @cached_property
    def _probed(self) -> np.ndarray:
        return stratified_sample(self.images.labels, PROBE_SAMPLES)

    def _sources(self) -> dict[str, str]:
        return self.epoch.probe_sources()


class NetworkScores(Piece):
    """Scores of the detectors that features and logits do not suffice for."""

    kind = KINDS[1]

    def _see_part(self, network, batches, pixels, device, told) -> Arrays:
        rows: dict[str, list[np.ndarray]] = {}
        for scores in network_scores(network, pixels, device, batches=batches):
            for detector, values in scores.items():
                require_finite(values, f"The {detector} scores of {self.name}")
                rows.setdefault(detector, []).append(values)
            told(len(values))
        return {detector: np.concatenate(values) for detector, values in rows.items()}

    def finish(self, parts: Iterable[Arrays]) -> None:
        found = list(parts)
        scores = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
        write.save_network_scores(self.epoch, self.name, scores, self._sources())

    def _batches(self) -> list[np.ndarray]:
        return score_batches(self.images)

    def _sources(self) -> dict[str, str]:
        return network_scores_sources(self.epoch, self.name)


def network_scores_sources(epoch: Epoch, name: str) -> dict[str, str]:
    """What the scores of a set by detectors of the network have to come from."""
    return epoch.feature_sources(name) | detectors.marks(network_detectors())


def as_numbers(tensor: Tensor) -> Tensor | np.ndarray:
    """The tensor where it is: sums over features are taken on the GPU that they were made on."""
    return tensor if tensor.is_cuda else tensor.numpy()


@lru_cache(maxsize=1)
def _fingerprint(images: ImageSet) -> str:
    # The pieces of a set follow each other, and a large set has many keys.
    return images.fingerprint()


class _Rows:
    """Features by layer, and labels, gathered batch by batch."""

    def __init__(self):
        self.gathered: dict[str, list[np.ndarray]] = {}

    def add(self, features: Mapping[str, Tensor], labels: Tensor) -> None:
        tensors = {"labels": labels.int(), **features}
        self.add_arrays({name: each.cpu().numpy() for name, each in tensors.items()})

    def add_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        for name, array in arrays.items():
            self.gathered.setdefault(name, []).append(array)

    def arrays(self) -> Arrays:
        """All that was added, in the order it was added in."""
        return {name: np.concatenate(rows) for name, rows in self.gathered.items()}

    def halved(self) -> Arrays:
        """The same, features in float16 where its range is wide enough, logits in float32."""
        arrays = self.arrays()
        return {name: each if name == LOGITS else halve(each) for name, each in arrays.items()}


class _Sums:
    """Class statistics by layer, gathered batch by batch."""

    def __init__(self, classes: int):
        self.classes = classes
        self.statistics: dict[str, ClassStatistics] = {}

    def add(self, features: Mapping[str, Tensor], labels: Tensor) -> None:
        for layer, each in features.items():
            if layer == LOGITS:
                continue
            own = as_numbers(labels.to(each.device))
            self._of(layer, each.shape[1]).update(as_numbers(each), own)

    def add_arrays(self, arrays: Mapping[str, np.ndarray], layers: Iterable[str]) -> None:
        for layer in layers:
            part = as_statistics(arrays, layer)
            self._of(layer, part.dim).merge(part)

    def arrays(self) -> Arrays:
        """Return all sums as NumPy arrays."""
        example = np.empty(0)
        return statistics_arrays(
            {name: each.like(example) for name, each in self.statistics.items()}
        )

    def _of(self, layer: str, dim: int) -> ClassStatistics:
        return self.statistics.setdefault(layer, ClassStatistics.empty(self.classes, dim))


def _prefixed(group: str, arrays: Mapping[str, np.ndarray]) -> Arrays:
    return {f"{group}/{name}": array for name, array in arrays.items()}


def _group(group: str, arrays: Mapping[str, np.ndarray]) -> Arrays:
    prefix = f"{group}/"
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
