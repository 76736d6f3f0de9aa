"""Recipes: everything that decides a training run, as frozen dataclasses with names."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from ncviz.errors import InvalidOptionError, UnknownNameError
from ncviz.models import ModelSpec

CIFAR100_MEAN, CIFAR100_STD = (0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("cosine", "steps", "one-cycle")
# A batch of one has no deviation for BatchNorm, and splitting evenly makes none from four on.
_LOWEST = {
    "epochs": 1,
    "batch_size": 4,
    "image_size": 8,
    "crop_padding": 0,
    "momentum": 0,
    "weight_decay": 0,
    "warmup_epochs": 0,
    "label_smoothing": 0,
    "learning_rate": 0,
    "seed": 0,
}


@dataclass(frozen=True)
class Recipe:
    """One training: data, network, optimiser, schedule, augmentation, saved epochs."""

    name: str
    """the recipe this run started from"""
    data: str = "cifar100"
    """in-distribution data set, by its catalogue name"""
    model: ModelSpec = field(default_factory=ModelSpec)
    image_size: int = 32
    """pixels per side that the network sees"""
    mean: tuple[float, float, float] = CIFAR100_MEAN
    """channel means subtracted from pixels in 0..1"""
    std: tuple[float, float, float] = CIFAR100_STD
    """channel deviations they are divided by"""
    epochs: int = 100
    """passes over the training set"""
    batch_size: int = 256
    """images a step, at most: an epoch is split into batches of nearly equal size"""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.1
    """the highest learning rate of the schedule"""
    momentum: float = 0.9
    """of SGD"""
    nesterov: bool = False
    """of SGD"""
    weight_decay: float = 5e-4
    """of all parameters"""
    schedule: Literal["cosine", "steps", "one-cycle"] = "cosine"
    """cosine to zero; steps: x0.1 at the milestones; one-cycle: up for 30 %, then cosine to zero"""
    milestones: tuple[float, ...] = ()
    """of the steps schedule, as fractions of the training"""
    warmup_epochs: float = 0.0
    """epochs in which the cosine and steps schedules rise linearly from a hundredth"""
    label_smoothing: float = 0.0
    """share of each label that is spread over all classes"""
    entropy_weight: float = 0.0
    """weight of the nearest-neighbour entropy of the encoder, which the training then increases"""
    flip: bool = True
    """mirror half of the training images"""
    crop_padding: int = 0
    """pixels of zero padding before a random crop back to size; 0: no crop"""
    save: str = "log:12"
    """epochs to keep: a list such as 1,5,20, or log:N for N log-spaced ones; the last always is"""
    seed: int = 0
    """of the first weights, the order of the samples and the augmentation"""

    def __post_init__(self) -> None:
        for name, low in _LOWEST.items():
            if not low <= getattr(self, name) < math.inf:
                raise InvalidOptionError(
                    f"{name} is {getattr(self, name)}; it must be {low} or more."
                )
        for name, known in {"optimizer": OPTIMIZERS, "schedule": SCHEDULES}.items():
            if getattr(self, name) not in known:
                raise UnknownNameError(name, getattr(self, name), known)
        if not self.learning_rate > 0:
            raise InvalidOptionError(f"learning_rate is {self.learning_rate}; it must be positive.")
        if any(not 0 < at < 1 for at in self.milestones):
            raise InvalidOptionError(f"milestones are {self.milestones}; each must lie in (0, 1).")
        if self.label_smoothing >= 1 or self.momentum >= 1:
            raise InvalidOptionError(
                f"label_smoothing is {self.label_smoothing} and momentum {self.momentum}; both "
                "must be below 1."
            )
        if self.nesterov and self.momentum == 0:
            raise InvalidOptionError("nesterov needs a momentum above 0.")
        if self.warmup_epochs >= self.epochs:
            raise InvalidOptionError(
                f"warmup_epochs is {self.warmup_epochs}; the training ends after {self.epochs}."
            )
        saved_epochs(self)

    def learning_rate_at(self, progress: float) -> float:
        """Learning rate when `progress` (0..1) of the training is over."""
        peak, warmup = self.learning_rate, self.warmup_epochs / self.epochs
        if self.schedule == "one-cycle":
            rise = 0.3
            if progress < rise:
                return peak * (0.04 + 0.96 * (1 - math.cos(math.pi * progress / rise)) / 2)
            return peak * (1 + math.cos(math.pi * (progress - rise) / (1 - rise))) / 2
        if progress < warmup:
            return peak * (0.01 + 0.99 * progress / warmup)
        if self.schedule == "steps":
            return peak * 0.1 ** sum(progress >= at for at in self.milestones)
        return peak * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) / 2


def saved_epochs(recipe: Recipe) -> tuple[int, ...]:
    """The epochs that `recipe.save` asks for, in order, the last one always among them."""
    text, last = recipe.save, recipe.epochs
    try:
        if text.startswith("log:"):
            count = int(text.removeprefix("log:"))
            if count < 1:
                raise ValueError
            chosen = _log_spaced(min(count, last), last)
        else:
            chosen = {int(part) for part in text.split(",") if part.strip()}
    except ValueError:
        raise InvalidOptionError(
            f"save is '{text}'; expected epochs such as 1,5,20 or log:12 for 12 log-spaced ones."
        ) from None
    outside = sorted(epoch for epoch in chosen if not 1 <= epoch <= last)
    if outside:
        raise InvalidOptionError(
            f"save asks for epoch {outside[0]}, but the training runs from epoch 1 to {last}. Give "
            "another --save, such as log:12."
        )
    return tuple(sorted(chosen | {last}))


def _log_spaced(count: int, last: int) -> set[int]:
    # Rounding would merge the first few: each is at least one later than the one before it.
    epochs = [1]
    for k in range(1, count):
        epochs.append(max(epochs[-1] + 1, round(last ** (k / (count - 1)))))
    return set(epochs)


_REPORT = Recipe(
    name="report-model1",
    model=ModelSpec(pretrained=True),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    epochs=400,
    learning_rate=0.01,
    crop_padding=4,
    save="log:20",
)
_SMALL = Recipe(
    name="cifar100-small",
    model=ModelSpec(width=32),
    epochs=60,
    learning_rate=0.1,
    nesterov=True,
    schedule="steps",
    milestones=(1 / 3, 2 / 3),
    # Dense until the training error vanishes, then on through the terminal phase to the end.
    save="1,4,8,14,20,26,32,40,50,60",
)

# 'Controlling neural collapse' (arXiv 2502.10691) as its authors' code trains.
_CONTROLLED = Recipe(
    name="nc-control-resnet18",
    data="imagenet-100",
    model=ModelSpec(norm="group", projector="etf-features"),
    image_size=224,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    epochs=100,
    batch_size=512,
    optimizer="adamw",
    learning_rate=0.01,
    weight_decay=0.05,
    warmup_epochs=5,
    label_smoothing=0.1,
    entropy_weight=0.05,
)
# As large and as long as cifar100-small, with its batch norm, but with the paper's optimiser: under
# SGD the head on unit vectors stays too small to fit the training set.
_CONTROLLED_SMALL = replace(
    _CONTROLLED,
    name="cifar100-small-controlled",
    data=_SMALL.data,
    model=replace(_SMALL.model, projector=_CONTROLLED.model.projector),
    image_size=_SMALL.image_size,
    mean=_SMALL.mean,
    std=_SMALL.std,
    epochs=_SMALL.epochs,
    batch_size=_SMALL.batch_size,
    learning_rate=0.004,
    save=_SMALL.save,
)


def _with_baseline(controlled: Recipe) -> tuple[Recipe, Recipe]:
    """A recipe of the paper and the same training without projector and entropy."""
    plain = replace(controlled.model, projector="none")
    name = f"{controlled.name}-baseline"
    return controlled, replace(controlled, name=name, model=plain, entropy_weight=0.0)


def _with_ablations(controlled: Recipe) -> tuple[Recipe, ...]:
    """A recipe with both the projector and the entropy, with each alone, and with neither."""
    plain = replace(controlled.model, projector="none")
    name = controlled.name
    return (
        controlled,
        replace(controlled, name=f"{name}-projector-only", entropy_weight=0.0),
        replace(controlled, name=f"{name}-entropy-only", model=plain),
        replace(controlled, name=f"{name}-neither", model=plain, entropy_weight=0.0),
    )


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _REPORT,
        replace(
            _REPORT,
            name="report-model2",
            learning_rate=0.1,
            schedule="steps",
            milestones=(1 / 3, 2 / 3),
        ),
        # Papyan, Han and Donoho (PNAS 2020): 350 epochs, batch 128, x0.1 at 1/3 and 2/3, no
        # augmentation, so that the training error really reaches zero.
        Recipe(
            name="papyan",
            model=ModelSpec(stem="cifar"),
            epochs=350,
            batch_size=128,
            learning_rate=0.1,
            schedule="steps",
            milestones=(1 / 3, 2 / 3),
            flip=False,
            save="log:24",
        ),
        _SMALL,
        # The pixels of scikit-learn's digits: 8 x 8, so the stem must not shrink them.
        Recipe(
            name="digits",
            data="digits",
            model=ModelSpec(width=8, stem="cifar"),
            image_size=8,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            epochs=60,
            batch_size=64,
            learning_rate=0.05,
            flip=False,
            save="log:10",
        ),
        *_with_baseline(
            replace(
                _CONTROLLED,
                name="nc-control-vgg17",
                model=ModelSpec("vgg17", projector="etf-features"),
                learning_rate=0.006,
            )
        ),
        *_with_baseline(_CONTROLLED),
        *_with_baseline(
            replace(
                _CONTROLLED,
                name="nc-control-resnet34",
                model=replace(_CONTROLLED.model, backbone="resnet34"),
            )
        ),
        *_with_baseline(
            replace(
                _CONTROLLED,
                name="nc-control-vit-t",
                model=ModelSpec("vit-t", width=192, projector="etf-features"),
                learning_rate=0.0008,
            )
        ),
        *_with_ablations(_CONTROLLED_SMALL),
    )
}


def recipe(name: str) -> Recipe:
    """The recipe called `name`; raises UnknownNameError that lists those there are."""
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    return RECIPES[name]
