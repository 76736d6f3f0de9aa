"""Encoder against projector of one network, cached as in `ncviz.ui.loaders`."""

from __future__ import annotations

from ncviz.detectors import probe_energy
from ncviz.errors import MissingDataError, UnknownNameError
from ncviz.results.comparisons import Difference, Place, compare
from ncviz.store import Run
from ncviz.ui.loaders import kept

PAIR = ("encoder", "projector")
MEASURES = ("nc1_pinv", "fpr95", "auroc", "transfer", "entropy")


@kept
def differences(run: Run, epoch: int) -> dict[str, Difference]:
    """Encoder minus projector at an epoch, by measure; empty without both layers or results.

    Detection is by the energy of a linear probe, which both layers have.
    """
    places = (Place(run, epoch, layer) for layer in PAIR)
    try:
        return compare(*places, MEASURES, detector=probe_energy.INFO.name)
    except (MissingDataError, UnknownNameError):
        return {}
