"""Recipes: everything that decides a training run, as frozen dataclasses with names."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from ncviz.errors import InvalidOptionError, UnknownNameError
from ncviz.models import ModelSpec

CIFAR100_MEAN, CIFAR100_STD = (0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


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
    batch_size: int = 256
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.1
    """the highest learning rate of the schedule"""
    momentum: float = 0.9
    """of SGD"""
    nesterov: bool = False
    """of SGD"""
    weight_decay: float = 5e-4
    schedule: Literal["cosine", "steps", "one-cycle"] = "cosine"
    """cosine to zero; steps: x0.1 at the milestones; one-cycle: up for 30 %, then cosine to zero"""
    milestones: tuple[float, ...] = ()
    """of the steps schedule, as fractions of the training"""
    warmup_epochs: float = 0.0
    """epochs in which the cosine and steps schedules rise linearly from a hundredth"""
    label_smoothing: float = 0.0
    flip: bool = True
    """mirror half of the training images"""
    crop_padding: int = 0
    """pixels of zero padding before a random crop back to size; 0: no crop"""
    save: str = "log:12"
    """epochs to keep: a list such as 1,5,20, or log:N for N log-spaced ones; the last always is"""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low in {"epochs": 1, "batch_size": 1, "image_size": 8, "crop_padding": 0}.items():
            if getattr(self, name) < low:
                raise InvalidOptionError(
                    f"{name} is {getattr(self, name)}; it must be {low} or more."
                )
        if not self.learning_rate > 0:
            raise InvalidOptionError(f"learning_rate is {self.learning_rate}; it must be positive.")
        if any(not 0 < at < 1 for at in self.milestones):
            raise InvalidOptionError(f"milestones are {self.milestones}; each must lie in (0, 1).")
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
            f"save asks for epoch {outside[0]}, but the training runs from epoch 1 to {last}."
        )
    return tuple(sorted(chosen | {last}))


def _log_spaced(count: int, last: int) -> set[int]:
    # Rounding would merge the first few: each is at least one later than the one before it.
    epochs = [1]
    for k in range(1, count):
        epochs.append(max(epochs[-1] + 1, round(last ** (k / (count - 1)))))
    return {min(epoch, last) for epoch in epochs}


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
    epochs=80,
    learning_rate=0.4,
    nesterov=True,
    schedule="one-cycle",
    # Log-spaced at first, then evenly through the terminal phase, where collapse happens.
    save="1,2,4,8,14,22,32,42,52,62,71,80",
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
    )
}


def recipe(name: str) -> Recipe:
    """The recipe called `name`; raises UnknownNameError that lists those there are."""
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    return RECIPES[name]
