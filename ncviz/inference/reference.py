"""Fitted detectors of an epoch, and the stored scores that a new sample is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ncviz import detectors
from ncviz.arrays import FeatureSet, Head
from ncviz.detectors import Detector, probe_energy
from ncviz.errors import MissingDataError, UnknownNameError
from ncviz.inference.network_scores import network_detectors
from ncviz.store import Epoch, detectors_left_out, fitted_on, read_calibration_half
from ncviz.thresholds import Criterion, SetScores, Threshold, choose, choose_threshold, promise


@dataclass(frozen=True)
class Reference:
    """The detectors of one layer of an epoch, ready to score, with their stored scores.

    Attributes
    ----------
    epoch, layer : where the scores are from
    known : (n,) increasing scores of all ID test samples by each detector. An uploaded image is
        none of these samples, so they calibrate its p-value. (The temperature of temperature
        scaling was fitted to the labels of half of them.)
    unknown : (m,) increasing scores of all samples of each OOD set by each detector
    precision : type of the stored scores of each detector
    fitted : the detectors that score features and logits
    probe : the linear probe of ``energy_probe``, where it is one of the detectors
    by_network : the detectors that need the network itself
    refitted : detectors that a packed run holds fitted to its kept training samples; their `known`
        and `unknown` are scores by this fit
    """

    epoch: Epoch
    layer: str
    known: Mapping[str, np.ndarray]
    unknown: Mapping[str, Mapping[str, np.ndarray]]
    precision: Mapping[str, np.dtype]
    fitted: Mapping[str, Detector]
    probe: Head | None
    by_network: tuple[str, ...]
    refitted: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The detectors, in the order chosen or the registry's."""
        return tuple(self.known)

    def threshold(self, name: str, criterion: Criterion) -> Threshold:
        """Return the threshold of a detector; all OOD sets of the run are pooled."""
        if not criterion.needs_ood:
            return choose(criterion.rule, self.known[name], share=criterion.share)
        known, *unknown = self._set_scores(name)
        return choose_threshold(criterion, known, unknown)

    def about_threshold(self, name: str, criterion: Criterion) -> str:
        """Return which samples a threshold was chosen on and what that promises."""
        words = promise(criterion, len(self.known[name]))
        if not words:
            known, *unknown = (len(each.chosen_on) for each in self._set_scores(name))
            share = "all samples" if name in self.refitted else "one half of the samples"
            words = f"{criterion}, chosen on {share} ({known:,} ID and {sum(unknown):,} OOD)."
        if name in self.refitted:
            words += (
                f" {name} is fitted to the {len(self.epoch.features('train', self.layer)):,} "
                "training samples kept in this run; the threshold and the p-value use scores by "
                "this fit."
            )
        return words

    @cached_property
    def fitted_on(self) -> dict[str, str]:
        """What each detector was fitted on, such as "n = 50,000, k = 50", by its name."""
        refitted = {name: self.fitted[name] for name in self.refitted}
        return fitted_on(self.epoch, self.layer) | {
            name: detectors.describe_fit(len(detector.bank_), detector.used_parameters())
            for name, detector in refitted.items()
        }

    def _set_scores(self, name: str) -> list[SetScores]:
        """Scores of the ID test set, then of each OOD set."""
        sets = {"test": self.known[name], **self.unknown[name]}
        if name in self.refitted:  # the kept samples were scored by another fit
            return [SetScores(each, each, np.ones(len(each), bool)) for each in sets.values()]
        return [
            SetScores(
                evaluated=scores,
                kept=self.epoch.scores(name, each, self.layer).astype(np.float64),
                calibration=self._halves[each],
            )
            for each, scores in sets.items()
        ]

    @cached_property
    def _halves(self) -> dict[str, np.ndarray]:
        """The calibration half of the kept samples of the ID test set and of each OOD set."""
        sets = ("test", *_extracted_ood_sets(self.epoch))
        return {each: read_calibration_half(self.epoch, each) for each in sets}

    def score(self, samples: FeatureSet) -> dict[str, np.ndarray]:
        """Scores (B,) by every detector that needs only features and logits."""
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
    left_out = detectors_left_out(epoch, layer)
    for name in chosen:
        if name in left_out:
            raise MissingDataError(
                f"Detector '{name}' is left out at the {layer} of epoch {epoch.number} of "
                f"{epoch.run.name}. {left_out[name]} Choose another detector."
            )
        if name not in found:
            where = f"detector at the {layer} of epoch {epoch.number}"
            hint = "" if epoch.has_head(layer) else epoch.why_no_head(layer)
            raise UnknownNameError(where, name, found, hint)
    probed = probe_energy.INFO.name in chosen
    by_network = tuple(name for name in chosen if name in network_detectors())
    others = {probe_energy.INFO.name, *by_network}
    oods = _extracted_ood_sets(epoch)
    known = {name: epoch.reference_distribution(name, "test", layer) for name in chosen}
    return Reference(
        epoch=epoch,
        layer=layer,
        known=known,
        unknown={
            name: {each: epoch.reference_distribution(name, each, layer) for each in oods}
            for name in chosen
        },
        precision={name: epoch.scores(name, "test", layer).dtype for name in chosen},
        fitted={name: epoch.detector(name, layer) for name in chosen if name not in others},
        probe=epoch.probe(layer) if probed else None,
        by_network=by_network,
        refitted=tuple(
            name
            for name in chosen
            if epoch.run.packed
            and not np.array_equal(known[name], epoch.distribution(name, "test", layer))
        ),
    )


def _extracted_ood_sets(epoch: Epoch) -> list[str]:
    # A set that is named but was not extracted has no scores.
    return [each for each in epoch.run.ood_sets if epoch.full_name(each) in epoch.sets]
