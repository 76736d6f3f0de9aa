"""Mean, standard deviation and number of seeds of every result of a seed group."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from ncviz import metrics
from ncviz.seed_groups.groups import SeedGroup
from ncviz.seed_groups.values import (
    COLUMNS,
    Results,
    nearest_epoch,
    results_of,
    shared_ood_sets,
    shared_transfer_sets,
    values_of,
)
from ncviz.store import Run

BY = list(COLUMNS[:-1])


class Spread(NamedTuple):
    """A result over seeds.

    Attributes
    ----------
    mean : float
    std : float
        Standard deviation of single trainings (ddof = 1); NaN with one seed.
    n : int
        Number of seeds with this result.
    """

    mean: float
    std: float
    n: int

    def words(self, form: str = ".3f") -> str:
        """Return mean and standard deviation as text.

        Examples
        --------
        >>> Spread(0.25, 0.0125, 3).words()
        '0.250 ± 0.013'
        """
        return f"{self.mean:{form}} ± {self.std:{form}}"


@dataclass(frozen=True)
class SeedSummary:
    """Results of a seed group at one epoch.

    Attributes
    ----------
    group : SeedGroup
    members : tuple of Run
        The evaluated runs, one for each seed.
    epoch : int
        The epoch evaluated in all of them.
    ood_sets : dict
        The OOD sets that all share, with their groups.
    transfer_sets : tuple of str
        The sets that all measured transfer on.
    values : DataFrame
        Columns of `values_of` together with run and seed.
    table : DataFrame
        By kind, metric, layer, detector, set and group: mean, std (ddof = 1) and n.
    """

    group: SeedGroup
    members: tuple[Run, ...]
    epoch: int
    ood_sets: dict[str, str]
    transfer_sets: tuple[str, ...]
    values: pd.DataFrame
    table: pd.DataFrame

    @property
    def name(self) -> str:
        """Return the name of the group with the number of evaluated seeds."""
        return f"{self.group.name} ({len(self.members)} seeds)"

    @property
    def missing(self) -> tuple[str, ...]:
        """Return the names of the runs of the group that have no results yet."""
        members = {run.name for run in self.members}
        return tuple(run.name for run in self.group.runs if run.name not in members)

    def select(
        self,
        kind: str,
        metric: str,
        *,
        layer: str = "",
        detector: str = "",
        set_name: str = "",
        group: str = "",
    ) -> pd.DataFrame:
        """Return the values of one result over seeds: run, seed, value.

        An empty `set_name` selects the mean over the sets of `group`. The arguments are the columns
        of `table`; a row has to match all of them.
        """
        table = self.values
        wanted = (kind, metric, layer, detector, set_name, group)
        here = np.logical_and.reduce(
            [table[name] == each for name, each in zip(BY, wanted, strict=True)]
        )
        return table.loc[here, ["run", "seed", "value"]].dropna()

    def spread(
        self,
        kind: str,
        metric: str,
        *,
        layer: str = "",
        detector: str = "",
        set_name: str = "",
        group: str = "",
    ) -> Spread | None:
        """Return mean, standard deviation and n of one result; None if no run has it."""
        return self._spreads.get((kind, metric, layer, detector, set_name, group))

    @cached_property
    def _spreads(self) -> dict[tuple[str, ...], Spread]:
        """The rows of `table` by what they are about."""
        keys, numbers = self.table[BY], self.table[["mean", "std", "n"]]
        rows = zip(
            keys.itertuples(index=False, name=None),
            numbers.itertuples(index=False, name=None),
            strict=True,
        )
        return {key: Spread(mean, std, int(n)) for key, (mean, std, n) in rows}

    def detector_ranks(
        self, metric: str, layer: str, detectors: Sequence[str], *, set_name: str = "", group: str
    ) -> pd.DataFrame:
        """Rank detectors within each run, 1 being the best.

        Parameters
        ----------
        metric : detection metric
        layer : layer that the detectors are evaluated at
        detectors : those that are ranked; those without a result in every run get no rank
        set_name : an OOD set; empty for the mean over the shared sets of `group`
        group : ``"near"``, ``"far"`` or ``"all"``

        Returns
        -------
        DataFrame
            One row for each ranked detector, one column for each run.
        """
        table = self.values
        here = (table["kind"] == "detection") & (table["metric"] == metric)
        here &= (table["layer"] == layer) & (table["set"] == set_name)
        here &= (table["group"] == group) & table["detector"].isin(list(detectors))
        wide = table[here].pivot(index="detector", columns="run", values="value")
        wide = wide.reindex(columns=[run.name for run in self.members]).dropna()
        higher = metrics.DEFINITIONS[metric].direction == "higher"
        columns = {
            name: metrics.ranks(wide[[name]].to_numpy(float), higher_is_better=higher)
            for name in wide
        }
        return pd.DataFrame(columns, index=wide.index)


def summarise(
    group: SeedGroup,
    epoch: int | None = None,
    *,
    read: Callable[[Run], Results] = results_of,
    only_sets: Collection[str] | None = None,
) -> SeedSummary | None:
    """Summarise a seed group at the epoch evaluated in all runs that is nearest to `epoch`.

    Parameters
    ----------
    group : the runs
    epoch : None for the last
    read : replaces `results_of`, for example by a cached version
    only_sets : OOD sets to choose from; None for all that the runs share

    Returns
    -------
    SeedSummary or None
        None if fewer than two runs have results, or they share no evaluated epoch.
    """
    results = [each for each in map(read, group.runs) if each.epochs]
    if len(results) < 2:
        return None
    number = nearest_epoch(results, epoch)
    if number is None:
        return None
    ood, transfer = shared_ood_sets(results, number), shared_transfer_sets(results, number)
    if only_sets is not None:
        ood = {name: kind for name, kind in ood.items() if name in only_sets}
    parts = [
        values_of(each, number, ood, transfer).assign(
            run=each.run.name, seed=each.run.recipe["seed"]
        )
        for each in results
    ]
    table = pd.concat(parts, ignore_index=True)
    return SeedSummary(
        group=group,
        members=tuple(each.run for each in results),
        epoch=number,
        ood_sets=ood,
        transfer_sets=transfer,
        values=table,
        table=_statistics(table),
    )


def _statistics(values: pd.DataFrame) -> pd.DataFrame:
    """Return mean, std and n over seeds, in the order of the first run."""
    measured = values[np.isfinite(values["value"].to_numpy(np.float64))]
    grouped = measured.groupby(BY, sort=False)["value"]
    return grouped.agg(mean="mean", std="std", n="count").reset_index()
