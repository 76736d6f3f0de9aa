"""What a report looks at: a run, an epoch, a layer and a detector, with the tables of the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from ncviz.detectors import probe_energy
from ncviz.errors import MissingDataError, NcvizError, UnknownNameError
from ncviz.figures import Shown
from ncviz.results import detectors
from ncviz.store import Epoch, Run

FIRST_CHOICE = ("energy", probe_energy.INFO.name)


@dataclass(frozen=True)
class Study:
    """The choices of a report; tables are read once.

    Attributes
    ----------
    detector : whose scores are drawn, None where nothing is scored at the epoch and layer
    """

    run: Run
    number: int
    layer: str
    detector: str | None

    @property
    def shown(self) -> Shown:
        """The same, as figures write it under their titles."""
        return Shown(self.run.name, self.number, self.layer)

    @cached_property
    def epoch(self) -> Epoch:
        return self.run.epoch(self.number)

    @property
    def first(self) -> int:
        """The first saved epoch, which the chosen one is held against."""
        return self.run.epochs[0]

    @property
    def compared(self) -> tuple[int, ...]:
        """The first epoch and the chosen one, which may be the same."""
        return tuple(dict.fromkeys((self.first, self.number)))

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers of every epoch, after the chosen one where it is none of them."""
        own = self.run.layers
        return own if self.layer in own else (self.layer, *own)

    @property
    def label(self) -> str:
        """The detector as readers see it."""
        return detectors.label(self.detector) if self.detector else "no detector"

    @cached_property
    def history(self) -> pd.DataFrame:
        return self.run.history

    @cached_property
    def collapse(self) -> pd.DataFrame:
        return self.run.collapse()

    @cached_property
    def detection(self) -> pd.DataFrame:
        return self.run.detection()

    @cached_property
    def means(self) -> pd.DataFrame:
        return self.run.detection_means()

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        return self.run.comparisons()

    @cached_property
    def transfer(self) -> pd.DataFrame:
        return self.run.transfer()

    @cached_property
    def calibration(self) -> pd.DataFrame:
        return self.run.calibration()

    @cached_property
    def temperature(self) -> pd.DataFrame:
        return self.run.temperature()

    def here(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table of results that are of the chosen epoch and layer."""
        return table[(table["epoch"] == self.number) & (table["layer"] == self.layer)]

    def sets_in(self, rows: pd.DataFrame) -> dict[str, str]:
        """The OOD sets that `rows` are about, each with its group, in the run's order."""
        present = set(rows["set"])
        return {name: group for name, group in self.run.ood_sets.items() if name in present}


def choose(
    run: Run, *, epoch: int | None = None, layer: str | None = None, detector: str | None = None
) -> Study:
    """What to look at; the last epoch, the layer under the head and a well-known score if None.

    Raises
    ------
    MissingDataError : no epoch is saved yet
    UnknownNameError : no such epoch, layer or detector; lists those there are
    """
    if not run.epochs:
        raise MissingDataError(
            f"Run {run.name} has no saved epoch yet. Wait until the training has saved one, or go "
            f"on with: python scripts/train.py RECIPE --run {run.name} --resume"
        )
    saved = run.epoch(run.epochs[-1] if epoch is None else epoch)
    layers = _or_nothing(lambda: saved.layers) or run.layers
    layer = layer or run.layers[-1]
    if layer not in layers:
        raise UnknownNameError(f"layer of epoch {saved.number} of run {run.name}", layer, layers)
    study = Study(run, saved.number, layer, None)
    found = _or_nothing(lambda: detectors.in_order(study.here(study.detection)["detector"])) or []
    if detector and detector not in found:
        where = f"epoch {saved.number}, layer {layer} of run {run.name} was scored by these."
        raise UnknownNameError("detector", detector, found, f"E{where[1:]}")
    first = [name for name in (*FIRST_CHOICE, *found) if name in found]
    return Study(run, saved.number, layer, detector or next(iter(first), None))


def _or_nothing(read: Callable):
    """What is read; None where it is damaged or missing, which the section about it tells."""
    try:
        return read()
    except NcvizError:
        return None
