"""What every detector shares: the registry, checks, block-wise scoring and state."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Real
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from ncviz import threads, xp
from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.errors import InvalidArrayError, InvalidOptionError, NcvizError, UnknownNameError
from ncviz.xp import Array

NEEDS = (
    "features",
    "logits",
    "head",
    "statistics",
    "training features",
    "training logits",
    "held-out logits",
    "network",
)
"""What a detector can ask for. The first two are those of the samples to score; "statistics" are
sums over the training set, made from the training samples where none are given. "held-out logits"
are those of labelled ID samples that the network was not trained on, given to `fit` in place of the
training samples. What needs the "network" itself is scored during extraction, not from arrays."""

# Rows handled at once, which bounds the float64 copies: on a thread of the processor those that its
# cache holds, and as tensors, where a GPU wants more of them.
_BLOCK, _TENSOR_BLOCK = 1024, 16384
# Rows that are added up at once: too little work to be cut into smaller pieces.
_SUMMED = 8192

_REGISTRY: dict[str, type[Detector]] = {}


class NotFittedError(NcvizError, ValueError):
    """A detector was asked for scores or state before `fit`."""


@dataclass(frozen=True)
class DetectorInfo:
    """What a page, a table or a document says about a detector.

    Attributes
    ----------
    name, label : as code writes it, as a page writes it
    family : what it looks at, such as "logits" or "distance"
    formula : LaTeX of the score without dollar signs, higher = more in-distribution
    source : the paper
    needs : items of `NEEDS`
    defaults : parameters and their published values; None means chosen from the layer's size
    caveat : where it misleads
    """

    name: str
    label: str
    family: str
    formula: str
    source: str
    needs: tuple[str, ...]
    defaults: Mapping[str, Any]
    caveat: str

    @property
    def scores_arrays(self) -> bool:
        """Whether features and logits suffice to score a sample; else it takes the network."""
        return "network" not in self.needs

    @property
    def looks_at_features_alone(self) -> bool:
        """Whether features are looked at and the head is not: it suits a layer without one."""
        return "features" in self.needs and "head" not in self.needs

    @property
    def looks_at_logits_alone(self) -> bool:
        """Whether nothing but logits is looked at, wherever they come from."""
        return all(need.endswith("logits") for need in self.needs)

    def suits(self, *, has_head: bool, has_logits: bool) -> bool:
        """Whether a layer with or without a head, or logits, of its own can be scored from arrays.

        A layer inside the network has neither; the last one of a network whose head is not known
        has logits alone.
        """
        if not self.scores_arrays or has_head:
            return self.scores_arrays
        return self.looks_at_features_alone or (has_logits and self.looks_at_logits_alone)

    @property
    def learns_from_samples(self) -> bool:
        """Whether fitting takes samples, besides the head and the training set's statistics."""
        return any(need.startswith(("training", "held-out")) for need in self.needs)

    @property
    def learns_held_out(self) -> bool:
        """Whether the samples to fit on are ID samples that the network was not trained on."""
        return any(need.startswith("held-out") for need in self.needs)


class Detector:
    """A score of how well a sample fits the training set: HIGHER = MORE IN-DISTRIBUTION.

    Fitted to NumPy arrays it scores NumPy arrays; fitted to torch tensors, tensors on their device.

    A subclass states the class attributes below, takes its parameters as keyword-only arguments
    of `__init__`, declares what it learns as annotated attributes that end with an underscore
    (numbers or arrays; these are its state) and writes `_fit` and `_score`.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    family: ClassVar[str]
    formula: ClassVar[str]
    source: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]
    caveat: ClassVar[str]
    resolved: ClassVar[Mapping[str, str]] = {}
    """The learned attribute that holds the value used, of each parameter chosen from the data."""
    sensitivity: ClassVar[Mapping[str, tuple[float, ...]]] = {}
    """Other values of a parameter, by parameter: their results show how far a rank depends on it.
    Those of a parameter in `resolved` are factors of the value used."""
    version: ClassVar[int] = 1
    """Counted up when the same parameters come to other scores: older ones are stale then."""

    n_classes_: int
    n_features_: int

    def fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None = None) -> Self:
        """Learn from the training set; returns self.

        Parameters
        ----------
        train : training samples, all or a fixed part of them; labels are needed only by detectors
            that ask for "statistics" when none are given
        head : the classifier on the same layer
        statistics : sums over the whole training set. Where given, means and covariances come from
            them, and `train` only serves for what sums cannot tell.

        Raises
        ------
        InvalidArrayError : shapes that do not fit together, or samples or labels are missing
        """
        _require_shape(train, head.dim, head.classes)
        xp.namespace(train.features, head.weight)
        if statistics is not None and statistics.means.shape != head.weight.shape:
            raise InvalidArrayError(
                f"The statistics hold {statistics.classes} classes of {statistics.dim} features, "
                f"but the head maps {head.dim} features to {head.classes} classes; take both from "
                "the same run and layer."
            )
        if not len(train) and self._needs_samples(statistics):
            raise InvalidArrayError(
                f"Detector '{self.name}' learns from training samples, but the set is empty."
            )
        self.forget()  # of an earlier fit
        with threads.single_products():  # BLAS on more of them is no faster at spectra
            self._fit(train, head, statistics)
        self.n_classes_, self.n_features_ = head.weight.shape
        self._settle()
        return self

    def score(self, samples: FeatureSet) -> np.ndarray:
        """(N,) float64 scores of N samples, higher = more in-distribution."""
        self.require_fits(samples)
        found = over_blocks(self._score, samples)
        return xp.namespace(samples.features).concat(list(found))

    def require_fits(self, samples: FeatureSet) -> None:
        """Raise an NcvizError unless the detector is fitted, and to features like the samples'."""
        self._require_fitted()
        _require_shape(samples, self.n_features_, self.n_classes_)
        for name in sorted(self._learned()):
            value = getattr(self, name)
            if getattr(value, "shape", ()):
                xp.namespace(value, samples.features)

    def like(self, example: Array) -> Self:
        """The same detector, fitted, for arrays in the library and on the device of `example`."""
        self._require_fitted()
        moved = copy.copy(self)
        moved.forget()
        for name in self._learned():
            value = getattr(self, name)
            if getattr(value, "shape", ()):
                setattr(moved, name, xp.like(value, example))
        return moved

    def forget(self) -> None:
        """Drop what follows from what was learned, and was kept for the next samples."""
        for base in type(self).__mro__:
            for name, value in vars(base).items():
                if isinstance(value, cached_property):
                    vars(self).pop(name, None)

    def _fit(self, train: FeatureSet, head: Head, statistics: ClassStatistics | None) -> None:
        """Set the learned attributes; shapes have been checked."""

    def _score(self, samples: FeatureSet) -> np.ndarray:
        """Scores (B,) of a block of samples; shapes have been checked."""
        raise NotImplementedError

    def state(self) -> dict[str, np.ndarray]:
        """Parameters and learned attributes as arrays, numbers as 0-d arrays; for `restore`.

        A parameter that is None is left out: it stands for a choice that has been made by now.
        """
        self._require_fitted()
        values = self.parameters() | {name: getattr(self, name) for name in self._learned()}
        return {name: xp.to_numpy(value) for name, value in values.items() if value is not None}

    def parameters(self) -> dict[str, Any]:
        """The parameters by name, as given or by default."""
        return {name: getattr(self, name) for name in self.defaults()}

    def used_parameters(self) -> dict[str, Any]:
        """Return the parameters of a fitted detector with the values that were used.

        Those that stay None, which means not used, are left out.
        """
        self._require_fitted()
        values = self.parameters()
        values |= {name: getattr(self, attribute) for name, attribute in self.resolved.items()}
        return {name: value for name, value in values.items() if value is not None}

    def samples_used(self, train: FeatureSet, statistics: ClassStatistics | None) -> int:
        """Return how many samples the detector learns from when fitted to these.

        The samples themselves count where it needs any. A detector that needs class statistics
        alone learns from all samples in these. A detector of neither learns from none.
        """
        if self.info().learns_from_samples:
            return len(train) if self._needs_samples(statistics) else 0
        if "statistics" not in self.needs:
            return 0
        return len(train) if statistics is None else statistics.samples

    def variants(
        self, train: FeatureSet, head: Head, statistics: ClassStatistics | None = None
    ) -> Iterator[tuple[str, Detector]]:
        """Yield a parameter and the detector fitted with another value of it, for `sensitivity`.

        Takes what `fit` took. Values that come to the same as the value used, or as each other,
        are yielded once or not at all.
        """
        used = self.used_parameters()
        for parameter, values in self.sensitivity.items():
            seen = {used[parameter]}
            for value in values:
                if parameter in self.resolved:
                    value = max(1, round(value * used[parameter]))
                if value in seen:
                    continue
                variant = self._with(parameter, value, train, head, statistics)
                found = variant.used_parameters()[parameter]
                if found not in seen:
                    seen |= {value, found}
                    yield parameter, variant

    def _with(
        self,
        parameter: str,
        value: Any,
        train: FeatureSet,
        head: Head,
        statistics: ClassStatistics | None,
    ) -> Detector:
        """Return this fitted detector with another value of a parameter."""
        changed = self.parameters() | {parameter: value}
        return type(self)(**changed).fit(train, head, statistics)

    @classmethod
    def restore(cls, state: Mapping[str, np.ndarray]) -> Self:
        """A fitted detector from what `state` returned."""
        learned, defaults = cls._learned(), cls.defaults()
        optional = {name for name, value in defaults.items() if value is None}
        missing = (learned | (defaults.keys() - optional)) - state.keys()
        foreign = state.keys() - learned - defaults.keys()
        if missing or foreign:
            raise InvalidArrayError(
                f"This is no state of detector '{cls.name}': missing {sorted(missing) or 'nothing'}"
                f", not its own {sorted(foreign) or 'nothing'}. Fit it again."
            )
        values = {name: v.item() if np.ndim(v) == 0 else v for name, v in state.items()}
        detector = cls(**{name: values[name] for name in defaults.keys() & values.keys()})
        for name in learned:
            setattr(detector, name, values[name])
        return detector

    @classmethod
    def create(cls, **parameters) -> Self:
        """A detector with some parameters replaced; names those that exist if one does not."""
        unknown = parameters.keys() - cls.defaults().keys()
        if unknown:
            valid = ", ".join(cls.defaults())
            raise InvalidOptionError(
                f"Detector '{cls.name}' has no parameter '{min(unknown)}'; "
                + (f"it takes {valid}." if valid else "it takes none.")
            )
        for name, value in parameters.items():
            default = cls.defaults()[name]
            if value is None and default is not None:
                raise InvalidOptionError(
                    f"Parameter '{name}' of detector '{cls.name}' needs a value; leave it out to "
                    f"take the default, {default}."
                )
        return cls(**parameters)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Parameters and their default values: each is keyword-only and has one."""
        return dict(getattr(cls.__init__, "__kwdefaults__", None) or {})

    @classmethod
    def info(cls) -> DetectorInfo:
        """Everything that can be said about the detector without fitting it."""
        return DetectorInfo(
            name=cls.name,
            label=cls.label,
            family=cls.family,
            formula=cls.formula,
            source=cls.source,
            needs=cls.needs,
            defaults=cls.defaults(),
            caveat=cls.caveat,
        )

    @classmethod
    def _learned(cls) -> set[str]:
        """Names of the learned attributes, as annotated here and in the subclasses."""
        annotated = {name for base in cls.__mro__ for name in inspect.get_annotations(base)}
        return {name for name in annotated if name.endswith("_")}

    def _settle(self) -> None:
        # A restored array is contiguous, and BLAS rounds another way on strided ones.
        for name in self._learned():
            value = getattr(self, name)
            if getattr(value, "shape", ()):
                setattr(self, name, _contiguous(value))

    def _needs_samples(self, statistics: ClassStatistics | None) -> bool:
        return self.info().learns_from_samples or (
            "statistics" in self.needs and statistics is None
        )

    def _require_fitted(self) -> None:
        if not hasattr(self, "n_features_"):
            raise NotFittedError(
                f"Detector '{self.name}' has not been fitted; call fit(train, head) or restore "
                "its state first."
            )


DetectorClass = TypeVar("DetectorClass", bound=type[Detector])
Found = TypeVar("Found")


def register(detector: DetectorClass) -> DetectorClass:
    """Class decorator that makes a detector known by its own name."""
    if detector.name in _REGISTRY:
        raise ValueError(f"Two detectors are called '{detector.name}'.")
    unknown = set(detector.needs) - set(NEEDS)
    if unknown:
        raise ValueError(f"Detector '{detector.name}' needs {unknown}; known needs: {NEEDS}.")
    _REGISTRY[detector.name] = detector
    return detector


def registered() -> tuple[str, ...]:
    """Names of the detectors registered so far."""
    return tuple(_REGISTRY)


def lookup(name: str) -> type[Detector]:
    """The class of the detector `name`."""
    if name not in _REGISTRY:
        raise UnknownNameError("detector", name, _REGISTRY)
    return _REGISTRY[name]


def class_statistics(
    train: FeatureSet, head: Head, statistics: ClassStatistics | None
) -> ClassStatistics:
    """The statistics given, or those of the labelled training samples."""
    if statistics is not None:
        return statistics
    if train.labels is None:
        raise InvalidArrayError(
            "This detector needs class means: give the training set's statistics, or training "
            "samples with labels."
        )
    return ClassStatistics.of(train.features, train.labels, head.classes)


def moments(train: FeatureSet, statistics: ClassStatistics | None) -> tuple[Array, Array]:
    """Mean (D,) and total covariance (D, D) of the training features; no labels needed."""
    if statistics is None:
        one_class = xp.like(np.zeros(len(train), np.int64), train.features)
        statistics = ClassStatistics.of(train.features, one_class, classes=1)
    return statistics.mean, statistics.total_covariance


def mean_feature(train: FeatureSet, statistics: ClassStatistics | None) -> Array:
    """(D,) mean of the training features, in float64."""
    if statistics is not None:
        return statistics.mean
    library = xp.namespace(train.features)

    def add_up(block: FeatureSet) -> Array:
        return library.sum(block.features, axis=0, dtype=library.float64)

    return sum(over_blocks(add_up, train, _SUMMED)) / len(train)


def over_blocks(
    work: Callable[[FeatureSet], Found], samples: FeatureSet, rows: int = _BLOCK
) -> Iterator[Found]:
    """`work` of the samples in blocks, few enough for float64 copies of their features.

    On all cores with NumPy arrays, one block after the other with tensors, which do so themselves.
    An empty set is one empty block.
    """
    numpy = xp.is_numpy(samples.features)
    step = rows if numpy else max(rows, _TENSOR_BLOCK)
    blocks = [slice(at, at + step) for at in range(0, len(samples), step)] or [slice(0, 0)]
    return (threads.spread if numpy else map)(lambda at: work(samples[at]), blocks)


_DESCRIBED = (
    *("k", "dim", "percentile", "lower_percentile", "upper_percentile"),
    *("share", "temperature"),
)


def describe_fit(samples: int, parameters: Mapping[str, Any]) -> str:
    """Return the number of samples and the parameters chosen from the data, in words.

    Examples
    --------
    >>> describe_fit(50000, {"k": 50, "probes": 3})
    'n = 50,000, k = 50'
    """
    parts = [f"n = {samples:,}" if samples else "no samples"]
    parts += [f"{name} = {parameters[name]:.4g}" for name in _DESCRIBED if name in parameters]
    return ", ".join(parts)


def require_count(value: int | None, what: str) -> int | None:
    """Return `value` if it is None or an integer of at least 1, else raise InvalidOptionError."""
    if value is not None and not (isinstance(value, Integral) and value >= 1):
        raise InvalidOptionError(f"{what} must be an integer of at least 1; got {value}.")
    return value


def require_positive(value: float, what: str) -> float:
    """Return `value` if it is a finite number above 0, else raise InvalidOptionError."""
    if not (isinstance(value, Real) and 0 < value < np.inf):
        raise InvalidOptionError(f"{what} must be a finite number above 0; got {value}.")
    return value


def require_not_negative(value: float, what: str) -> float:
    """Return `value` if it is a finite number of at least 0, else raise InvalidOptionError."""
    if not (isinstance(value, Real) and 0 <= value < np.inf):
        raise InvalidOptionError(f"{what} must be a finite number of at least 0; got {value}.")
    return value


def _contiguous(array: Array) -> Array:
    return np.ascontiguousarray(array) if xp.is_numpy(array) else array.contiguous()


def _require_shape(samples: FeatureSet, features: int, classes: int) -> None:
    got = samples.features.shape[1], samples.logits.shape[1]
    if got != (features, classes):
        raise InvalidArrayError(
            f"Samples have {got[0]} features and {got[1]} logits; this head has {features} and "
            f"{classes}. Take features and head from the same run and layer."
        )
