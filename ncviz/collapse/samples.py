"""The collapse metrics that need samples: NC4 (nearest class mean) and NC5 (orthogonality)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from ncviz import threads, xp
from ncviz.arrays import ClassStatistics, FeatureSet, Head, require_finite
from ncviz.collapse.geometry import (
    SAME_MEAN,
    centred_means,
    global_mean,
    require_statistics,
    unit_rows,
)
from ncviz.collapse.sums import require_head
from ncviz.errors import InvalidArrayError
from ncviz.linalg import squared_distances
from ncviz.xp import Array

_BLOCK = 8192


@dataclass(frozen=True)
class Agreement:
    """NC4 on one set of samples; the accuracies are None where the set has no labels."""

    nc4_agreement: float
    network_accuracy: float | None
    ncc_accuracy: float | None

    def to_dict(self) -> dict[str, float | None]:
        """The metrics by name, in the order of the fields."""
        return asdict(self)


@dataclass(frozen=True)
class Orthogonality:
    """NC5 of one OOD set; `nc5_cosine_centred` is None where the OOD mean lies on mu_G."""

    nc5_cosine: float
    nc5_cosine_max: float
    nc5_cosine_centred: float | None

    def to_dict(self) -> dict[str, float | None]:
        """The metrics by name, in the order of the fields."""
        return asdict(self)


def agreement(features: FeatureSet, statistics: ClassStatistics, head: Head) -> Agreement:
    """NC4: how often the network decides as the nearest class mean would (Papyan et al., 2020).

    The network's decision is argmax(W h + b), bias included, and the nearest mean is that of the
    training features. Only a set with the training set's classes has accuracies that mean anything.

    Parameters
    ----------
    features : N >= 1 samples; labels may be None
    statistics : of the training set, C classes, each with samples
    head : classifier on the same layer
    """
    require_statistics(statistics)
    require_head(statistics, head)
    if not len(features):
        raise InvalidArrayError("Agreement needs at least one sample; the set is empty.")
    blocks = [features.features[at : at + _BLOCK] for at in range(0, len(features), _BLOCK)]
    work = threads.spread if xp.is_numpy(features.features) else map
    decisions = work(lambda block: _decide(xp.float64(block), statistics, head), blocks)
    network, nearest = np.concatenate([xp.to_numpy(each) for each in decisions], axis=1)
    labels = None if features.labels is None else xp.to_numpy(features.labels)
    return Agreement(
        nc4_agreement=float(np.mean(network == nearest)),
        network_accuracy=None if labels is None else float(np.mean(network == labels)),
        ncc_accuracy=None if labels is None else float(np.mean(nearest == labels)),
    )


def _decide(features: Array, statistics: ClassStatistics, head: Head) -> Array:
    """(2, B) the class the network chooses and the class of the nearest mean."""
    library = xp.namespace(features)
    network = library.argmax(head.logits(features), axis=1)
    nearest = library.argmin(squared_distances(features, statistics.means), axis=1)
    return library.stack([network, nearest])


def orthogonality(statistics: ClassStatistics, ood_features: Array) -> Orthogonality:
    """NC5: cosine of the mean of an OOD set with each class mean (Ben Ammar et al., ICLR 2024).

    `nc5_cosine` and `nc5_cosine_max` are un-centred, as in the paper. Features after a ReLU all lie
    in the positive orthant, where any two means have a positive cosine, so these stay well above
    zero for reasons that have nothing to do with collapse. `nc5_cosine_centred` measures both
    from mu_G and is free of that; it is not the paper's quantity.

    Parameters
    ----------
    statistics : of the training set, C classes, each with samples
    ood_features : (M, D) with M >= 1
    """
    ood_features = xp.as_array(ood_features)
    library = xp.namespace(ood_features, statistics.means)
    if ood_features.ndim != 2 or ood_features.shape[1] != statistics.dim or not len(ood_features):
        raise InvalidArrayError(
            f"OOD features have shape {tuple(ood_features.shape)}; expected (M, {statistics.dim}) "
            "with at least one row, from the same layer as the statistics."
        )
    require_finite(ood_features, "OOD features")
    means, centre = centred_means(statistics), global_mean(statistics)
    ood_mean = library.sum(ood_features, axis=0, dtype=library.float64) / len(ood_features)
    length = library.linalg.vector_norm(ood_mean)
    distance = library.linalg.vector_norm(ood_mean - centre)
    if length == 0:
        raise InvalidArrayError(
            "The mean of the OOD features is zero, so its cosine with the class means is "
            "undefined. Check that the OOD set was extracted from this layer."
        )
    cosines = library.abs(unit_rows(statistics.means, "mean") @ (ood_mean / length))
    centred = None
    if distance > SAME_MEAN * length:
        along = unit_rows(means, "mean") @ ((ood_mean - centre) / distance)
        centred = float(library.mean(library.abs(along)))
    return Orthogonality(float(library.mean(cosines)), float(cosines.max()), centred)
