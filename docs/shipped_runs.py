"""Describe the shipped runs, with a test or an interval behind every comparison.

    python docs/shipped_runs.py > docs/shipped-runs.md

Reads the results of the runs in checkpoints/. `shipped_claims.py` writes the part about the source
documents.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from shipped_claims import (  # noqa: E402
    NAMES,
    PROBE,
    cell,
    claims,
    interval,
    last_epoch,
    number,
    report,
    with_interval,
)

import ncviz  # noqa: E402
from ncviz import metrics  # noqa: E402
from ncviz.claims import Verdict, verdict  # noqa: E402
from ncviz.results import detectors, tables  # noqa: E402
from ncviz.results.board import emphasised  # noqa: E402
from ncviz.results.comparisons import Difference, Place, compare, rows_of  # noqa: E402
from ncviz.seed_groups import (  # noqa: E402
    SeedSummary,
    group_of,
    group_runs,
    summarise,
)
from ncviz.store import Run  # noqa: E402

LEVEL = 0.05
FITTED = 0.99


def main() -> None:
    print("\n".join(page(ncviz.open_runs(ROOT / "checkpoints"))))


def page(runs: Mapping[str, Run]) -> Iterator[str]:
    """Yield the lines of the page."""
    runs = {name: run for name, run in runs.items() if run.epochs and len(run.collapse())}
    yield "# The shipped runs\n"
    yield (
        "This page is written by `python docs/shipped_runs.py > docs/shipped-runs.md` from the "
        "results in `checkpoints/`.\nA comparison is called a difference only if its 95% interval "
        "excludes zero or its corrected p-value is below\n"
        f"{LEVEL}. All intervals are over test samples of these networks, not over trainings.\n"
    )
    yield from _seeds(runs)
    yield from claims(runs)
    yield from report(runs)
    for run in runs.values():
        yield from _run(run)
    yield from _caveats(runs)


def _seeds(runs: Mapping[str, Run]) -> Iterator[str]:
    """How many trainings there are of each recipe, and how much their results differ."""
    groups = group_runs(runs.values())
    alone = [f"`{name}`" for name, run in runs.items() if group_of(run, groups) is None]
    if alone:
        yield (
            f"One training each: {', '.join(alone)}. How much another seed would change their "
            "numbers is unknown.\n"
        )
    for summary in filter(None, map(summarise, groups)):
        yield from _over_seeds(summary)


def _over_seeds(summary: SeedSummary) -> Iterator[str]:
    layer, sets = summary.members[0].layers[-1], ", ".join(summary.ood_sets)
    names = [f"`{run.name}`" for run in summary.members]
    yield (
        f"{', '.join(names)} are {len(names)} trainings of one recipe with other seeds. Mean ± "
        f"standard deviation over them (ddof = 1) at epoch {summary.epoch}, detection averaged "
        f"over {sets}:\n"
    )
    rows = [
        ("Test accuracy", summary.spread("accuracy", "accuracy")),
        ("NC1", summary.spread("collapse", "nc1_pinv", layer=layer)),
    ]
    scored = summary.table[summary.table["kind"] == "detection"]
    present = detectors.in_order(scored.loc[scored["layer"] == layer, "detector"])
    fpr95 = {
        name: summary.spread("detection", "fpr95", layer=layer, detector=name, group="all")
        for name in present
    }
    rows += [(f"Mean FPR95, {detectors.label(name)}", fpr95[name]) for name in emphasised(present)]
    yield "| | mean ± standard deviation | seeds |"
    yield "|---|---|---|"
    yield from (f"| {name} | {spread.words()} | {spread.n} |" for name, spread in rows if spread)
    ranks = summary.detector_ranks("fpr95", layer, present, group="all")
    if ranks.empty:
        return
    widest = (ranks.max(axis=1) - ranks.min(axis=1)).idxmax()
    spreads = [fpr95[name].std for name in ranks.index]
    yield (
        f"\nThe standard deviation of mean FPR95 is {min(spreads):.3f} to {max(spreads):.3f} over "
        f"{len(ranks)} detectors. The rank by mean FPR95 that changes most is that of "
        f"{detectors.label(widest)}: {ranks.loc[widest].min():g} to {ranks.loc[widest].max():g}.\n"
    )


def _run(run: Run) -> Iterator[str]:
    last, layer = last_epoch(run), run.layers[-1]
    epoch = run.epoch(last)
    yield f"## `{run.name}`\n"
    yield from _about(run)
    yield "\n```"
    yield from _commands(run)
    yield "```\n"
    yield from _through_training(run)
    yield from _layers(run)
    means = epoch.detection_means()
    means = means[means["layer"] == layer]
    if len(means):
        yield from _detectors(run, means)


def _about(run: Run) -> Iterator[str]:
    epoch, model = run.epoch(last_epoch(run)), run.recipe.get("model") or {}
    network = f"{model.get('backbone', model.get('architecture', 'network'))}"
    network += f" of width {model['width']}" if "width" in model else ""
    accuracy = tables.accuracy(run.history, run.calibration(), last_epoch(run))
    yield (
        f"{network}, recipe `{run.recipe.get('name')}`, {len(run.classes)} classes of "
        f"{run.id_set}; saved epochs {', '.join(map(str, run.epochs))}.\nTest accuracy at epoch "
        f"{last_epoch(run)}: {accuracy:.4f}."
    )
    statistics = epoch.statistics(run.layers[-1]).samples
    yield f"Class statistics are computed on {statistics:,} training samples."
    detection = epoch.detection().drop_duplicates("set")
    if len(detection):
        sets = (f"{row.ood_samples:,} of {row.set} ({row.group})" for row in detection.itertuples())
        yield (
            f"Detection is computed on {detection['id_samples'].iloc[0]:,} ID test samples and "
            f"{', '.join(sets)}."
        )
    transfer = run.transfer()
    if len(transfer):
        sets = transfer.drop_duplicates("set")
        parts = (f"{row.test_samples:,} of {row.set}" for row in sets.itertuples())
        yield f"Transfer errors are computed on {', '.join(parts)}."


def _commands(run: Run) -> Iterator[str]:
    yield f"python scripts/train.py {run.recipe.get('name')} --run {run.name}"
    last = last_epoch(run)
    stages = set(run.epoch(last).layers) - set(run.layers)
    end = f" --stages --epochs {last}" if stages else ""
    yield f"python scripts/extract.py {run.name} --ood {' '.join(run.ood_sets)}{end}"
    if len(run.transfer()):
        yield f"python scripts/extract.py {run.name} --transfer"
    yield f"python scripts/evaluate.py {run.name}"
    yield f"python scripts/embed.py {run.name}"
    if weights := run.weighted_epochs:
        kept = " ".join(map(str, weights))
        yield f"python scripts/pack.py {run.name} --to SHARED --weights {kept}"


def _through_training(run: Run) -> Iterator[str]:
    """The end of the training against the saved epoch before the training set is fitted."""
    history, last = run.history, last_epoch(run)
    fitted = history.loc[history["train_accuracy"] > FITTED, "epoch"] if len(history) else []
    before = [each for each in run.epochs if not len(fitted) or each < fitted.iloc[0]]
    before = before[-1] if before else run.epochs[0]
    if before == last:
        return
    when = (
        f"Training accuracy passes {FITTED} at epoch {fitted.iloc[0]}. "
        if len(fitted)
        else f"Training accuracy does not pass {FITTED}. "
    )
    yield f"### From epoch {before} to epoch {last}\n\n{when}Changes from the saved epoch before:"
    for layer in run.layers:
        found = compare(
            Place(run, last, layer),
            Place(run, before, layer),
            ("nc1_pinv", "fpr95", "auroc", "transfer"),
            detector=PROBE,
        )
        yield from (_change(layer, difference) for difference in found.values())
    yield ""


def _change(layer: str, found: Difference) -> str:
    result = verdict(found.estimate, "above")
    words = {
        Verdict.SUPPORTED: "higher",
        Verdict.CONTRADICTED: "lower",
        Verdict.UNTESTED: f"not tested ({found.method})",
    }.get(result, result.value)
    return (
        f"- {layer}, {NAMES[found.measure]}: {number(found.second)}, then "
        f"{number(found.first)}{interval(found.estimate)}: {words}."
    )


def _layers(run: Run) -> Iterator[str]:
    epoch = run.epoch(last_epoch(run))
    places = [Place(run, epoch.number, layer) for layer in epoch.layers]
    rows, basis = rows_of(places, PROBE)
    columns = ("fpr95", "auroc", "transfer")
    yield f"### Layers at epoch {epoch.number}\n"
    yield f"Detection by the energy of a linear probe. {basis.words}\n"
    head = " | ".join(("NC1 (`nc1_pinv`)", "entropy", *(NAMES[name] for name in columns)))
    yield f"| layer | {head} |\n|---|---|---|---|---|---|"
    for place, row in zip(places, rows, strict=True):
        cells = [number(row.get(name, np.nan)) for name in ("nc1_pinv", "entropy")]
        cells += [with_interval(row, name) for name in columns]
        yield f"| {place.layer} | {' | '.join(cells)} |"
    yield ""


def _detectors(run: Run, means: pd.DataFrame) -> Iterator[str]:
    table = means.pivot(index="detector", columns="group")
    order = table[("auroc", "all")].sort_values(ascending=False, kind="stable").index
    yield f"### Detectors at epoch {last_epoch(run)}, layer {run.layers[-1]}\n"
    yield from _equal_to_best(run, list(order))
    groups = [group for group in ("near", "far", "all") if ("auroc", group) in table]
    names = {"near": "near", "far": "far", "all": "all sets"}
    head = [f"AUROC, {names[group]}" for group in groups] + ["FPR95, all sets"]
    yield f"| detector | {' | '.join(head)} |\n|---|{'---|' * len(head)}"
    by_group = {group: own.set_index("detector") for group, own in means.groupby("group")}
    for name in order:
        cells = [with_interval(by_group[group].loc[name], "auroc") for group in groups]
        cells.append(with_interval(by_group["all"].loc[name], "fpr95"))
        yield f"| {cell(detectors.label(name))} | {' | '.join(cells)} |"
    yield ""


def _equal_to_best(run: Run, order: Sequence[str]) -> Iterator[str]:
    """Which detectors are not clearly below the one with the highest mean AUROC."""
    epoch, layer = run.epoch(last_epoch(run)), run.layers[-1]
    sets = list(dict.fromkeys(epoch.detection()["set"]))
    scores = {
        name: {each: epoch.scores(name, each, layer).astype(float) for each in ("test", *sets)}
        for name in order
    }
    known = {name: found.pop("test") for name, found in scores.items()}
    best, *others = order
    tests = [
        metrics.delong_of_means(known[best], scores[best], known[name], scores[name])
        for name in others
    ]
    corrected = metrics.holm([test.p_value for test in tests])
    equal = [
        detectors.label(name)
        for name, p, test in zip(others, corrected, tests, strict=True)
        if p >= LEVEL or test.difference <= 0
    ]
    names = f": {', '.join(equal)}" if equal else ""
    yield (
        f"The highest mean AUROC is that of {detectors.label(best)}. By DeLong's test of the mean "
        f"over the sets on the same {len(known[best]):,}\nID samples, corrected by Holm's method "
        f"for {len(others)} comparisons, {len(equal)} of the other detectors are not clearly below "
        f"it{names}.\n"
    )


def _caveats(runs: Mapping[str, Run]) -> Iterator[str]:
    yield "## Limits of these numbers"
    yield (
        "- All sets are resized to the input size of the network. A detector may respond to blur "
        "or missing colour instead of content."
    )
    for run in runs.values():
        found = run.duplicates()
        found = found[found["epoch"] == last_epoch(run)] if "epoch" in found else found
        for row in found.itertuples():
            yield (
                f"- `{run.name}`: {row.duplicates} of {row.samples:,} samples of {row.set} are "
                "also among its training samples."
            )


if __name__ == "__main__":
    main()
