"""Energy of a linear probe: the score that layers with and without a head of their own share."""

from __future__ import annotations

from ncviz import xp
from ncviz.arrays import FeatureSet, Head
from ncviz.detectors.base import DetectorInfo, over_blocks
from ncviz.xp import Array

# Not in the registry: a detector is fitted to the network's own head, this to one made afterwards.
INFO = DetectorInfo(
    name="energy_probe",
    label="Energy, linear probe",
    family="linear probe",
    formula=r"\log \sum_c \exp\left((Vh + a)_c\right)",
    source="arXiv 2502.10691, which compares layers by it",
    needs=("features",),
    defaults={},
    caveat=(
        "V and a are those of a logistic regression on ID training features of the same layer, "
        "fitted after the training; the network's own head has no say. The paper trains its probe "
        "by AdamW with label smoothing for 30 epochs; here the optimum is solved for, its "
        "regularisation chosen by cross-entropy on held-out training features."
    ),
)


def score(probe: Head, samples: FeatureSet) -> Array:
    """(N,) float64 energy of `probe`'s logits, higher = more in-distribution."""

    def energy(block: FeatureSet) -> Array:
        return xp.logsumexp(xp.float64(probe.logits(block.features)))

    return xp.namespace(samples.features).concat(list(over_blocks(energy, samples)))
