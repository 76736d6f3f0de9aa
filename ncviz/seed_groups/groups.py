"""Grouping of runs by recipe and data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from ncviz.store import Run

_NOT_IN_THE_KEY = ("seed", "save")
# Separators, and the word "seed" with a number after a separator.
_TAIL = re.compile(r"[-_. ]*(?:(?<![^-_. ])seed[-_. ]?\d*)?$")


@dataclass(frozen=True)
class SeedGroup:
    """Runs with equal recipe except `seed` and `save`, trained and evaluated on equal data.

    Attributes
    ----------
    runs : tuple of Run
        One run for each seed, in the order of the seeds.
    repeated : tuple of Run
        Further runs with a seed that is in `runs` already. They are no further observations.
    """

    runs: tuple[Run, ...]
    repeated: tuple[Run, ...] = ()

    @property
    def name(self) -> str:
        """Return the common start of the names of the runs, or else the name of the recipe."""
        names = [run.name for run in self.runs]
        columns = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
        start = "".join(letters[0] for letters in columns)
        recipe = self.runs[0].recipe
        return _TAIL.sub("", start) or str(recipe.get("group", recipe["name"]))

    def __contains__(self, run: Run) -> bool:
        """Return whether `run` is one of the runs, repeated seeds included."""
        return run.name in {each.name for each in (*self.runs, *self.repeated)}


def group_runs(runs: Iterable[Run]) -> tuple[SeedGroup, ...]:
    """Return the seed groups of two or more seeds.

    Runs whose recipe has no seed, and runs without fingerprints of their data, are in no group.

    Parameters
    ----------
    runs : runs of one folder

    Returns
    -------
    tuple of SeedGroup
        In the order of the first run of each group.
    """
    by_key: dict[str, dict[int, list[Run]]] = {}
    for run in runs:
        seed = run.recipe.get("seed")
        if isinstance(seed, int) and not isinstance(seed, bool) and run.description.get("data"):
            by_key.setdefault(_key(run), {}).setdefault(seed, []).append(run)
    groups = []
    for by_seed in by_key.values():
        if len(by_seed) > 1:
            ordered = [by_seed[seed] for seed in sorted(by_seed)]
            repeated = tuple(run for same in ordered for run in same[1:])
            groups.append(SeedGroup(tuple(same[0] for same in ordered), repeated))
    return tuple(groups)


def group_of(run: Run, groups: Iterable[SeedGroup]) -> SeedGroup | None:
    """Return the group that `run` belongs to, None if it is the only one of its recipe."""
    return next((group for group in groups if run in group), None)


def _key(run: Run) -> str:
    """Return everything that the runs of a group have in common, as text."""
    recipe = {name: value for name, value in run.recipe.items() if name not in _NOT_IN_THE_KEY}
    described = {
        "recipe": recipe,
        "classes": run.description["classes"],
        "id_set": run.id_set,
        "transform": run.description["transform"],
        "data": _fingerprints(run),
        "samples": {
            name: (info.samples, info.digest)
            for name, info in run.sets.items()
            if name.startswith(f"{run.id_set}/")
        },
    }
    return json.dumps(described, sort_keys=True)


def _fingerprints(run: Run) -> dict[str, Any]:
    """Return the fingerprints of the training and test data: OOD sets may differ in a group."""
    data = run.description["data"]
    return {name: value for name, value in data.items() if name.startswith(f"{run.id_set}/")}
