"""Points of the trade-off chart over seeds: one for each seed group, with standard deviations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from ncviz.results.trade_off import ENDS, MEASURES
from ncviz.results.trade_off_panels import Course, style_of
from ncviz.seed_groups import SeedGroup
from ncviz.store import Run

BARS = "± one standard deviation over seeds"


def seed_courses(
    runs: Mapping[str, Run],
    tables: Mapping[tuple[str, str], pd.DataFrame],
    groups: Iterable[SeedGroup],
    chosen: str,
) -> list[Course]:
    """Return one point for each seed group, and for each run of one seed, at the layer of the head.

    Parameters
    ----------
    runs : the runs that are shown
    tables : what `averaged` returns, by run and layer
    groups : seed groups; those with fewer than two evaluated runs shown are single runs
    chosen : name of the run that the page shows, which represents its group
    """
    heads = {
        name: tables[name, run.layers[-1]]
        for name, run in runs.items()
        if len(tables.get((name, run.layers[-1]), ()))
    }
    members = {}
    for group in groups:
        own = [run.name for run in group.runs if run.name in heads]
        point = mean_over_seeds([heads[name] for name in own])
        if point is not None:
            members |= dict.fromkeys(own, (f"{group.name} ({len(own)} seeds)", own, point))
    points = {}
    for name, table in heads.items():
        title, own, point = members.get(name) or (f"{name} (one seed)", [name], one_seed(table))
        represents = runs[chosen if chosen in own else own[0]]
        points[title] = (represents, point)
    return [
        Course(run, title, point, (title,), style_of(at), bars=BARS)
        for at, (title, (run, point)) in enumerate(points.items())
    ]


def mean_over_seeds(tables: Sequence[pd.DataFrame]) -> pd.DataFrame | None:
    """Average tables of one layer over runs at the last epoch that all have.

    Returns
    -------
    DataFrame or None
        One row with the columns of the tables; the ends of each measure are the mean minus and
        plus the standard deviation over seeds (ddof = 1). None with fewer than two tables, or
        without a shared epoch.
    """
    if len(tables) < 2:
        return None
    epochs = set.intersection(*(set(table["epoch"]) for table in tables))
    if not epochs:
        return None
    rows = pd.concat([table[table["epoch"] == max(epochs)] for table in tables])
    numbers = rows.drop(columns="worse", errors="ignore").select_dtypes("number")
    row = numbers.mean(skipna=False).to_dict()
    for measure in (name for name in MEASURES if name in numbers):
        spread = float(numbers[measure].std(ddof=1, skipna=False))
        row |= {
            f"{measure}_{end}": row[measure] + sign * spread
            for end, sign in zip(ENDS, (-1, 1), strict=True)
        }
    worse = bool(rows["worse"].all()) if "worse" in rows else False
    row |= {"epoch": max(epochs), "layer": rows["layer"].iloc[0], "worse": worse}
    return pd.DataFrame([row])


def one_seed(table: pd.DataFrame) -> pd.DataFrame:
    """Return the last row of a table, without error bars: variance over seeds is unknown."""
    ends = {f"{measure}_{end}": np.nan for measure in MEASURES for end in ENDS}
    return table[table["epoch"] == table["epoch"].max()].assign(**ends)
