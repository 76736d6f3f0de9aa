"""Blocks of a rank analysis: every pair of a run and an OOD set, with the detectors of all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from ncviz import metrics
from ncviz.figures.theme import Shown
from ncviz.metrics import MIN_BLOCKS, MIN_DETECTORS, RankAnalysis
from ncviz.results import detectors


class Source(NamedTuple):
    """Detection results of one run at one epoch and layer."""

    run: str
    epoch: int
    layer: str
    rows: pd.DataFrame


@dataclass(frozen=True)
class RankBlocks:
    """A metric of K detectors in B blocks.

    Attributes
    ----------
    detectors : (K,)
        Detectors that have results in every block.
    blocks : (B,)
        Run, epoch, layer and OOD set of each block, as columns of a table.
    values : (K, B)
    left_out : tuple of str
        Detectors that lack results in some blocks.
    """

    detectors: tuple[str, ...]
    blocks: pd.DataFrame
    values: np.ndarray
    left_out: tuple[str, ...]

    @property
    def runs(self) -> int:
        """Number of runs with at least one block."""
        return self.blocks["Run"].nunique()

    @property
    def obstacle(self) -> str:
        """Why there can be no rank analysis; empty where there can."""
        blocks, count = len(self.blocks), len(self.detectors)
        if blocks < MIN_BLOCKS:
            return (
                f"A rank analysis requires at least {MIN_BLOCKS} blocks (pairs of a run and an OOD "
                f"set); there {'is' if blocks == 1 else 'are'} {blocks}. Add runs or OOD sets."
            )
        if count < MIN_DETECTORS:
            missing = f"; {len(self.left_out)} others lack some blocks" if self.left_out else ""
            return (
                f"A rank analysis requires at least {MIN_DETECTORS} detectors with results in "
                f"every block; there {'is' if count == 1 else 'are'} {count}{missing}. Choose "
                "other runs or more families."
            )
        return ""

    @property
    def shown(self) -> str:
        """Runs and number of blocks, for the line below a figure's title."""
        runs = [
            str(Shown(name, int(rows["Epoch"].iloc[0]), rows["Layer"].iloc[0]))
            for name, rows in self.blocks.groupby("Run", sort=False)
        ]
        names = "; ".join(runs) if len(runs) <= 2 else f"{len(runs)} runs"
        return f"{names} · {len(self.blocks)} blocks"


def collect(
    sources: Iterable[Source], metric: str, shown: Sequence[str], groups: Collection[str]
) -> RankBlocks:
    """Collect the blocks of several runs.

    Parameters
    ----------
    sources : results of each run
    metric : column of the results to rank by
    shown : detectors to rank, in order
    groups : groups of OOD sets to include, of ``"near"`` and ``"far"``
    """
    blocks, columns = [], []
    for source in sources:
        rows = source.rows[source.rows["group"].isin(list(groups))]
        for set_name, own in rows.groupby("set", sort=False):
            blocks.append((source.run, source.epoch, source.layer, set_name))
            values = own.set_index("detector").get(metric, pd.Series(dtype=float))
            columns.append(values.reindex(shown).to_numpy(float))
    values = np.column_stack(columns) if columns else np.empty((len(shown), 0))
    complete = np.isfinite(values).all(axis=1)
    return RankBlocks(
        detectors=tuple(np.array(shown, object)[complete]),
        blocks=pd.DataFrame(blocks, columns=["Run", "Epoch", "Layer", "OOD set"]),
        values=values[complete],
        left_out=tuple(np.array(shown, object)[~complete]),
    )


def analyse(blocks: RankBlocks, metric: str) -> RankAnalysis:
    """Rank the detectors of `blocks` and compare them; raises InvalidArrayError if too few."""
    higher = metrics.DEFINITIONS[metric].direction == "higher"
    return metrics.rank_analysis(blocks.values, higher_is_better=higher)


def rank_table(blocks: RankBlocks, found: RankAnalysis, label: str) -> pd.DataFrame:
    """Return mean rank and mean value of each detector, best rank first, and its groups."""
    order = np.argsort(found.ranks, kind="stable")
    groups = {at: [] for at in order}
    for number, clique in enumerate(found.cliques, start=1):
        for at in clique:
            groups[at].append(str(number))
    return pd.DataFrame(
        {
            "Detector": [detectors.label(blocks.detectors[at]) for at in order],
            "Mean rank": found.ranks[order],
            f"Mean {label}": blocks.values.mean(axis=1)[order],
            "Groups": [", ".join(groups[at]) for at in order],
        }
    )


def pair_table(blocks: RankBlocks, found: RankAnalysis) -> pd.DataFrame:
    """Return every pair of detectors with its difference in mean rank and corrected p-value."""
    order = np.argsort(found.ranks, kind="stable")
    names: Mapping[int, str] = {at: detectors.label(blocks.detectors[at]) for at in order}
    return pd.DataFrame(
        {
            "Better": names[one],
            "Worse": names[other],
            "Difference in mean rank": found.ranks[other] - found.ranks[one],
            "p, corrected": found.p_corrected[one, other],
            "Different": bool(found.different[one, other]),
        }
        for one, other in combinations(order, 2)
    )
