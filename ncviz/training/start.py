"""Starting a run or going on with one: what is recorded of it, and what has to be the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ncviz import data
from ncviz.errors import InvalidOptionError, MissingDataError
from ncviz.store import Run, holds_run, open_run, write
from ncviz.training.recipes import Recipe


def describe(
    recipe: Recipe,
    train_set: data.ImageSet,
    test_set: data.ImageSet,
    transform: data.Transform,
    data_root: Path | None,
) -> dict[str, Any]:
    """What is recorded of a run before it is trained."""
    return {
        "recipe": asdict(recipe),
        "layers": recipe.model.layers,
        **data.record(train_set, test_set, transform, root=data_root),
    }


def recorded_class_order(folder: Path, *, resume: bool) -> data.ClassOrder | None:
    """Return the class order of the run that is resumed, or None if there is none."""
    return open_run(folder).class_order if resume and holds_run(folder) else None


def open_or_create(folder: Path, description: dict[str, Any], *, resume: bool) -> Run:
    """The run to train: a new one, or with `resume` the one in `folder` if there is one.

    Raises
    ------
    InvalidOptionError : there is a run and no `resume`, or it was started with another recipe or
        on other data; names the first difference.
    """
    if not (resume and holds_run(folder)):
        return write.create_run(folder, description)
    run = open_run(folder)
    _require_same_recipe(run, description["recipe"])
    _require_same_class_order(run, description["classes"])
    recorded = run.description.get("data") or {}
    for name, mark in description["data"].items():
        if recorded.get(name) != mark:
            raise InvalidOptionError(
                f"Run {run.name} was started on other data: the files or labels of {name} differ. "
                "Point --data-root or NCVIZ_DATA at the original."
            )
    return run


def _require_same_recipe(run: Run, recipe: dict[str, Any]) -> None:
    # A setting younger than the run stood at its default, which means what was done before it.
    then = _flat(asdict(Recipe(name=""))) | _flat(run.recipe)
    for name, value in _flat(recipe).items():
        if then[name] != value:
            raise InvalidOptionError(
                f"Run {run.name} was started with {name} = {then[name]}, and is resumed with "
                f"{value}. Resume it with the recipe and options that it was started with."
            )


def _require_same_class_order(run: Run, classes: Sequence[str]) -> None:
    before = run.description["classes"]
    if list(classes) != before and sorted(classes) == sorted(before):
        raise InvalidOptionError(
            f"Run {run.name} was started with its classes in the order {', '.join(before[:3])}, "
            f"..., and is resumed with {', '.join(classes[:3])}, .... Resume it without "
            "--class-order and --classes, or start another run."
        )


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by dotted name, as JSON keeps them."""
    flat = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = list(value) if isinstance(value, tuple) else value
    return flat


def state_to_resume(run: Run) -> write.TrainingState | None:
    """The state after the last finished epoch; None where no epoch was finished yet.

    Raises
    ------
    MissingDataError : epochs were finished, but their state is not here.
    """
    state = write.load_training_state(run)
    if state is None and len(run.history):
        raise MissingDataError(
            f"Run {run.name} was trained already, but the state to go on from is not with it: a "
            "run that was shared has none. Train it anew under another --run NAME."
        )
    return state
