"""Results over the seeds of a group as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from ncviz.metrics import DEFINITIONS
from ncviz.seed_groups import SeedSummary, group_runs, summarise
from ncviz.store import Run

_PRINTED = ("auroc", "fpr95")
_RANKED = "fpr95"


def over_seeds(runs: Sequence[Run], epoch: int | None = None) -> str:
    """Return mean, standard deviation and n over the seeds of each group among `runs`.

    Parameters
    ----------
    runs : evaluated runs
    epoch : the results are those of the epoch nearest to it that all runs of a group share; None
        for the last

    Returns
    -------
    str
        Results of two or more seeds. Empty if no two runs differ only in the seed.
    """
    found = (summarise(group, epoch) for group in group_runs(runs))
    return "\n\n".join("\n".join(_parts(summary)) for summary in found if summary)


def _parts(summary: SeedSummary) -> Iterator[str]:
    seeds = ", ".join(str(run.recipe["seed"]) for run in summary.members)
    yield (
        f"Seed group {summary.group.name}, seeds {seeds}, epoch {summary.epoch}: mean ± standard "
        "deviation over seeds (ddof = 1)"
    )
    if spread := summary.spread("accuracy", "accuracy"):
        yield f"Test accuracy: {spread.words('.4f')} (n = {spread.n})"
    several = summary.table[summary.table["n"] > 1]
    for (layer, kind), table in several.groupby(["layer", "kind"], sort=False):
        if kind == "collapse":
            yield f"\nNeural collapse, {layer}:"
            yield _rows(table, [f"{m}{f' [{s}]' if s else ''}" for m, s in _names(table)], ".6g")
        elif kind == "detection":
            yield f"\nDetection, {layer}, mean over {', '.join(summary.ood_sets)}:"
            yield _detection(summary, layer, table)
        elif kind == "transfer":
            means = table[table["set"] == ""]
            yield f"\nTransfer, {layer}, mean over {', '.join(summary.transfer_sets)}:"
            yield _rows(means, list(means["metric"]), ".4f")


def _names(table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    return zip(table["metric"], table["set"], strict=True)


def _rows(table: pd.DataFrame, names: list[str], form: str) -> str:
    width = max(map(len, names))
    return "\n".join(
        f"  {name:<{width}}  {_number(row, form)}"
        for name, row in zip(names, table.to_dict("records"), strict=True)
    )


def _number(row: dict, form: str) -> str:
    return f"{row['mean']:{form}} ± {row['std']:{form}} (n = {row['n']})"


def _detection(summary: SeedSummary, layer: str, table: pd.DataFrame) -> str:
    means = table[(table["set"] == "") & (table["group"] == "all")]
    names = list(dict.fromkeys(means["detector"]))
    columns = {}
    for metric in _PRINTED:
        own = means[means["metric"] == metric].set_index("detector")
        cells = {name: _number(row, ".4f") for name, row in own.to_dict("index").items()}
        columns[DEFINITIONS[metric].label] = pd.Series(cells)
    ranks = summary.detector_ranks(_RANKED, layer, names, group="all")
    columns[f"ranks by {DEFINITIONS[_RANKED].label}"] = pd.Series(
        {name: f"{own.min():g} to {own.max():g}" for name, own in ranks.iterrows()}, dtype=object
    )
    return pd.DataFrame(columns).reindex(names).fillna("-").to_string()
