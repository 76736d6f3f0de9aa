"""What a new sample is held against: an epoch's fitted detectors and the scores they gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ncviz.arrays import FeatureSet, Head
from ncviz.detectors import Detector, probe_energy
from ncviz.errors import MissingDataError, UnknownNameError
from ncviz.inference.network_scores import network_detectors
from ncviz.store import Epoch
from ncviz.thresholds import Costs, choose

EQUAL_COSTS = Costs()
"""both mistakes cost the same, and half of the images are OOD"""


@dataclass(frozen=True)
class Reference:
    """The detectors of one layer of an epoch, ready to score, with their stored scores.

    Attributes
    ----------
    known : (N,) scores of the ID test set by each detector. An uploaded image is none of these
        samples, so they calibrate its p-value. (The one number of temperature scaling was fitted
        to the labels of half of them.)
    unknown : (M,) scores of each OOD set by each detector
    fitted : the detectors that score features and logits
    probe : the linear probe that ``energy_probe`` takes, where it is one of the detectors
    by_network : the detectors that take the network itself
    """

    known: Mapping[str, np.ndarray]
    unknown: Mapping[str, Mapping[str, np.ndarray]]
    fitted: Mapping[str, Detector]
    probe: Head | None
    by_network: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The detectors, in the order chosen or the registry's."""
        return tuple(self.known)

    def threshold(self, name: str, rule: str, costs: Costs = EQUAL_COSTS) -> float:
        """The operating point of a detector by a rule of `thresholds`; the OOD sets are pooled."""
        unknown = list(self.unknown[name].values())
        pooled = np.concatenate(unknown) if unknown else None
        return choose(rule, self.known[name], pooled, costs=costs).value

    def score(self, samples: FeatureSet) -> dict[str, np.ndarray]:
        """Scores (B,) by every detector that takes no more than features and logits."""
        scores = {name: detector.score(samples) for name, detector in self.fitted.items()}
        if self.probe is not None:
            scores[probe_energy.INFO.name] = probe_energy.score(self.probe, samples)
        return scores


def read_reference(epoch: Epoch, layer: str, *, names: Sequence[str] | None = None) -> Reference:
    """The reference at `layer`; `names` are the detectors to take, None for all there are.

    Raises
    ------
    UnknownNameError : no such layer, or a detector in `names` that cannot judge here.
    MissingDataError : no detector was evaluated at this layer.
    """
    found = epoch.judges(layer)
    if not found:
        raise MissingDataError(
            f"No detector has scores at the {layer} of epoch {epoch.number} of {epoch.run.name}. "
            f"Run: python scripts/evaluate.py {epoch.run.name}"
        )
    chosen = found if names is None else tuple(dict.fromkeys(names))
    for name in chosen:
        if name not in found:
            where = f"detector at the {layer} of epoch {epoch.number}"
            raise UnknownNameError(where, name, found)
    probed = probe_energy.INFO.name in chosen
    by_network = tuple(name for name in chosen if name in network_detectors())
    others = {probe_energy.INFO.name, *by_network}
    return Reference(
        known={name: epoch.scores(name, "test", layer) for name in chosen},
        unknown={name: _unknown(epoch, name, layer) for name in chosen},
        fitted={name: epoch.detector(name, layer) for name in chosen if name not in others},
        probe=epoch.probe(layer) if probed else None,
        by_network=by_network,
    )


def _unknown(epoch: Epoch, name: str, layer: str) -> dict[str, np.ndarray]:
    # A set that is named but was not extracted has no scores.
    sets = [each for each in epoch.run.ood_sets if epoch.full_name(each) in epoch.sets]
    return {each: epoch.scores(name, each, layer) for each in sets}
