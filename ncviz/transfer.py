"""How well a layer's features serve another labelled data set: linear probe, nearest class mean."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

import numpy as np

from ncviz import xp
from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.definitions import MetricInfo, by_name
from ncviz.errors import InvalidArrayError
from ncviz.linalg import squared_distances

REGULARISATIONS = tuple(10.0 ** (step / 2) for step in range(-8, 3))
"""Values of C that a probe chooses from, strongest regularisation first: 1e-4 to 10."""

_HELD_OUT = 0.2
_TOLERANCE = 1e-4
_ITERATIONS = 300
# The weaker the regularisation, the longer the fit: the search ends where it only gets worse.
_PATIENCE = 2


@dataclass(frozen=True)
class ProbeResult:
    """A linear probe's errors, each a share of samples in 0..1.

    Attributes
    ----------
    test_error, train_error : of the probe fitted on all of train
    validation_error : of the probe that chose C, on the part of train it did not see
    regularisation : the chosen C, the weight of the summed loss against half the squared weights
    classes, train_samples, test_samples : sizes
    """

    test_error: float
    train_error: float
    validation_error: float
    regularisation: float
    classes: int
    train_samples: int
    test_samples: int

    def to_dict(self) -> dict[str, float]:
        """The values by name, in the order of the fields."""
        return asdict(self)


@dataclass(frozen=True)
class TransferResult:
    """Transfer of one layer to one data set: both errors and what the probe needed for its own."""

    probe_error: float
    ncm_error: float
    probe_train_error: float
    probe_validation_error: float
    probe_regularisation: float
    classes: int
    train_samples: int
    test_samples: int

    def to_dict(self) -> dict[str, float]:
        """The values by name, in the order of the fields."""
        return asdict(self)


DEFINITIONS: dict[str, MetricInfo] = by_name(
    (
        MetricInfo(
            "probe_error",
            "Transfer error, linear probe",
            "transfer",
            "Share of the data set's test samples that a logistic regression misjudges, fitted on "
            "the standardised features of its train split.",
            r"P\left(\operatorname*{argmax}_k\,(Vh+a)_k \neq y\right)",
            0.0,
            "0",
            "lower",
            "linear evaluation, as in arXiv 2502.10691",
            "The paper trains its probe by AdamW for 30 epochs and reports the best test error of "
            "them; here the optimum is solved for and the test split only measures.",
        ),
        MetricInfo(
            "ncm_error",
            "Transfer error, nearest class mean",
            "transfer",
            "Share of the data set's test samples that lie nearest to the train mean of another "
            "class.",
            r"P\left(\operatorname*{argmin}_k \|h-\mu_k\| \neq y\right)",
            0.0,
            "0",
            "lower",
            "Mensink et al., TPAMI 2013",
            "Euclidean on the features as they are, so directions of large variance decide.",
        ),
    ),
    needs="labelled features of both splits of another data set",
)
"""Both transfer errors, by name."""


def transfer(train: FeatureSet, test: FeatureSet, *, seed: int = 0) -> TransferResult:
    """Both transfer errors: `linear_probe` and `nearest_class_mean`, which say what they take."""
    probe = linear_probe(train, test, seed=seed)
    return TransferResult(
        probe_error=probe.test_error,
        ncm_error=nearest_class_mean(train, test),
        probe_train_error=probe.train_error,
        probe_validation_error=probe.validation_error,
        probe_regularisation=probe.regularisation,
        classes=probe.classes,
        train_samples=probe.train_samples,
        test_samples=probe.test_samples,
    )


def linear_probe(train: FeatureSet, test: FeatureSet, *, seed: int = 0) -> ProbeResult:
    """Test error of a multinomial logistic regression on features standardised over train.

    C is the one of `REGULARISATIONS` with the smallest error on a fifth of each class of train,
    the strongest regularisation where several tie, tried from the strongest on until two in a row
    do worse than the best so far; the probe is then fitted on all of train.
    Test samples only measure. A class with a single sample stays in the part that is fitted.

    Parameters
    ----------
    train, test : labelled features (N, D) and (M, D); logits are not looked at. Labels may be any
        integers; train needs two classes or more and all those of test.
    seed : which fifth is held out

    Raises
    ------
    InvalidArrayError : no labels, no samples, another D, one class, a class of test that train
        does not have, or no class with two samples to choose C by.
    """
    targets, truth, classes = _targets(train, test)
    chosen, validation_error = _choose(train.features, targets, classes, seed, _error)
    head = _fit_probe(train.features, targets, classes, chosen)
    return ProbeResult(
        test_error=_error(head, test.features, truth),
        train_error=_error(head, train.features, targets),
        validation_error=validation_error,
        regularisation=chosen,
        classes=classes,
        train_samples=len(train),
        test_samples=len(test),
    )


def nearest_class_mean(train: FeatureSet, test: FeatureSet) -> float:
    """Share of test samples nearest to the train mean of a class that is not theirs.

    Euclidean on the features as they are: neither standardised nor scaled to length one. A layer
    whose features have length one already keeps them, its class means may be shorter.
    Takes and raises what `linear_probe` does, except that single samples are enough.
    """
    targets, truth, classes = _targets(train, test)
    means = ClassStatistics.of(train.features, targets, classes).means
    nearest = squared_distances(test.features.astype(np.float64), means).argmin(axis=1)
    return float(np.mean(nearest != truth))


def fit_head(train: FeatureSet, classes: int, *, seed: int = 0) -> Head:
    """A fresh linear probe as the head of a layer that has none, on the features as they are.

    Fitted as `linear_probe` does, but C is the one with the smallest cross-entropy on the held-out
    fifth: scores such as energy look at how large logits are, and on a collapsed layer the error
    is zero for any C. The standardisation is folded into weight and bias.

    Parameters
    ----------
    train : labelled ID features (N, D), labels in 0..classes-1 with samples of every class
    classes : C >= 2
    seed : which fifth is held out to choose the regularisation by

    Returns
    -------
    Head : weight (C, D), bias (C,), float64. Both sum to zero over the classes.

    Raises
    ------
    InvalidArrayError : no labels, labels outside 0..classes-1, a class without samples, fewer than
        two classes, or no class with two samples.
    """
    _require_labelled(train, "Train")
    if classes < 2:
        raise InvalidArrayError(f"A linear probe needs at least two classes; got {classes}.")
    ClassStatistics.of(train.features, train.labels, classes).require_every_class()
    chosen, _ = _choose(train.features, train.labels, classes, seed, _cross_entropy)
    return _fit_probe(train.features, train.labels, classes, chosen)


def _targets(train: FeatureSet, test: FeatureSet) -> tuple[np.ndarray, np.ndarray, int]:
    """Labels of train and of test as 0..C-1 in the order of train's labels, and C."""
    _require_labelled(train, "Train")
    _require_labelled(test, "Test")
    if train.features.shape[1] != test.features.shape[1]:
        raise InvalidArrayError(
            f"Train features have {train.features.shape[1]} columns, test features "
            f"{test.features.shape[1]}; take both from the same layer."
        )
    classes, targets = np.unique(train.labels, return_inverse=True)
    if len(classes) < 2:
        raise InvalidArrayError(
            f"Every train sample has label {classes[0]}; transfer needs at least two classes."
        )
    foreign = np.setdiff1d(test.labels, classes)
    if len(foreign):
        shown = ", ".join(map(str, foreign[:5])) + (", ..." if len(foreign) > 5 else "")
        raise InvalidArrayError(
            f"{len(foreign)} classes of the test samples have no train sample (labels {shown}); "
            "every class of test must be in train. Cache more train samples of this set."
        )
    return targets, np.searchsorted(classes, test.labels), len(classes)


def _require_labelled(samples: FeatureSet, which: str) -> None:
    if samples.labels is None or not len(samples):
        raise InvalidArrayError(
            f"{which} samples: {len(samples):,}, {'no' if samples.labels is None else 'with'} "
            "labels; transfer needs at least one sample, with its label."
        )


def _choose(
    features: np.ndarray,
    targets: np.ndarray,
    classes: int,
    seed: int,
    loss: Callable[[Head, np.ndarray, np.ndarray], float],
) -> tuple[float, float]:
    """The C with the smallest `loss` on a held-out part of the samples, and that loss."""
    held = _hold_out(targets, seed)
    losses: list[float] = []
    for head in _path(features[~held], targets[~held], classes, REGULARISATIONS):
        losses.append(loss(head, features[held], targets[held]))
        if len(losses) > _PATIENCE and min(losses[-_PATIENCE:]) > min(losses):
            break
    best = int(np.argmin(losses))
    return REGULARISATIONS[best], losses[best]


def _hold_out(targets: np.ndarray, seed: int) -> np.ndarray:
    """(N,) true for a fifth of each class; at least one sample of a class goes to either side.

    The one sample of a class is never held out: scikit-learn's stratified splits refuse it.
    """
    random = np.random.default_rng(seed)
    held = np.zeros(len(targets), bool)
    for label in np.unique(targets):
        own = random.permutation(np.flatnonzero(targets == label))
        if len(own) > 1:
            held[own[: max(1, round(_HELD_OUT * len(own)))]] = True
    if not held.any():
        raise InvalidArrayError(
            "No class has two train samples, so none can be held out to choose the probe's "
            "regularisation. Cache more train samples of this set."
        )
    return held


def _path(
    features: np.ndarray, targets: np.ndarray, classes: int, values: Iterable[float]
) -> Iterator[Head]:
    """The probe for each value of C, every fit starting from the one before."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    inputs = scaler.fit_transform(features.astype(np.float64))
    model = LogisticRegression(warm_start=True, tol=_TOLERANCE, max_iter=_ITERATIONS)
    for value in values:
        with warnings.catch_warnings():
            # Separable features and a large C: the decisions settle long before the weights do.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.set_params(C=value).fit(inputs, targets)
        weight, bias = _every_class(model.coef_, model.intercept_, classes)
        weight = weight / scaler.scale_
        yield Head(weight, bias - weight @ scaler.mean_)


def _every_class(
    weight: np.ndarray, bias: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """(C, D) and (C,); of two classes scikit-learn only gives the difference."""
    if classes == 2:
        return np.vstack([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight, bias


def _fit_probe(features: np.ndarray, targets: np.ndarray, classes: int, value: float) -> Head:
    return next(_path(features, targets, classes, (value,)))


def _error(head: Head, features: np.ndarray, targets: np.ndarray) -> float:
    return float(np.mean(head.logits(features).argmax(axis=1) != targets))


def _cross_entropy(head: Head, features: np.ndarray, targets: np.ndarray) -> float:
    logits = head.logits(features)
    own = logits[np.arange(len(targets)), targets]
    return float(np.mean(xp.logsumexp(logits) - own))
