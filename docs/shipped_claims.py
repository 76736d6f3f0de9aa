"""Claims of the source documents next to the shipped runs, for `shipped_runs.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from ncviz.claims import Direction, Verdict, verdict
from ncviz.correlation import correlate
from ncviz.detectors import probe_energy
from ncviz.estimates import Estimate
from ncviz.results.comparisons import Difference, Place, compare, rows_of
from ncviz.sources import DOCUMENTS, Collapse, Detection, Document, Row
from ncviz.store import Run

PAIR = ("encoder", "projector")
PROBE = probe_energy.INFO.name
NAMES = {
    "nc1_pinv": "NC1 (`nc1_pinv`)",
    "fpr95": "mean FPR95",
    "auroc": "mean AUROC",
    "transfer": "mean transfer error",
    "entropy": "entropy",
}
ORDER = (Verdict.CONTRADICTED, Verdict.UNDECIDED, Verdict.UNTESTED, Verdict.SUPPORTED)


def claims(runs: Mapping[str, Run]) -> Iterator[str]:
    """Claims of the slides, those that were not reproduced first."""
    document = DOCUMENTS["slides"]
    controlled = [run for run in runs.values() if set(PAIR) <= set(run.layers)]
    lines = []
    for run in controlled:
        found = _compare(run, last_epoch(run), PAIR[0], run, PAIR[1])
        for claim in document.claims:
            if difference := found.get(claim.measure):
                nc1 = found["nc1_pinv"]
                smaller = claim.smaller or PAIR[int(nc1.second < nc1.first)]
                claimed = "below" if smaller == PAIR[0] else "above"
                lines.append(_statement(run, f"“{claim.printed}”", difference, claimed, PAIR))
        for baseline in _baselines(run, runs):
            found = _compare(baseline, last_epoch(baseline), PAIR[0], run, PAIR[1])
            names = (f"encoder of {baseline.name}", f"projector of {run.name}")
            for measure, claimed in (("fpr95", "above"), ("auroc", "below"), ("transfer", "above")):
                if measure in found:
                    what = "detection" if measure != "transfer" else "transfer"
                    printed = f"Control improves {what} over a baseline:"
                    lines.append(_statement(run, printed, found[measure], claimed, names))
    if not lines:
        return
    yield f"## Claims of “{document.title}”\n"
    yield (
        f"{document.published}. The claims are about other networks and data: "
        f"{document.why_other}\nDetection is by the energy of a linear probe.\n"
    )
    for result in ORDER:
        own = [line for found, line in lines if found is result]
        if own:
            yield f"### {result.value[0].upper()}{result.value[1:]}"
            yield from own
            yield ""
    yield from _correlations(runs, controlled)


def _statement(
    run: Run, claim: str, found: Difference, claimed: Direction, names: Sequence[str]
) -> tuple[Verdict, str]:
    """A claim with the numbers behind its verdict."""
    result = verdict(found.estimate, claimed)
    over = f" over {', '.join(found.sets)}" if found.sets else ""
    return result, (
        f"- {claim} `{run.name}`, {NAMES[found.measure]}{over}: {names[0]} "
        f"{number(found.first)}, {names[1]} {number(found.second)}{interval(found.estimate)} "
        f"({found.method})."
    )


def _correlations(runs: Mapping[str, Run], controlled: Sequence[Run]) -> Iterator[str]:
    """Correlations over the layers of controlled runs and their baselines."""
    for run in controlled:
        networks = [*_baselines(run, runs), run]
        places = [
            Place(each, last_epoch(each), layer)
            for each in networks
            for layer in each.epoch(last_epoch(each)).layers
        ]
        rows, basis = rows_of(places, PROBE)
        yield f"### Correlations with NC1 over the layers of {_and(_code(networks))}\n"
        yield (
            "They describe these networks. Layers of one network are not independent, so r has no "
            f"interval and proves no claim. {basis.words}\n"
        )
        yield "| against | points | r, log NC1 | r, NC1 | Spearman | leave-one-out |"
        yield "|---|---|---|---|---|---|"
        stages = [at for at, place in enumerate(places) if place.layer.startswith("stage")]
        for measure in ("fpr95", "auroc", "transfer", "entropy"):
            for words, chosen in (("all layers", range(len(places))), ("backbone stages", stages)):
                x, y = (
                    np.array([rows[at].get(name, np.nan) for at in chosen], float)
                    for name in ("nc1_pinv", measure)
                )
                own = [places[at].run.name for at in chosen]
                logged, plain = (correlate(x, y, networks=own, log_x=log) for log in (True, False))
                if logged and plain:
                    low, high = logged.leave_one_out
                    yield (
                        f"| {NAMES[measure]} | {logged.pairs}, {words} | {logged.r:.2f} | "
                        f"{plain.r:.2f} | {logged.spearman:.2f} | {low:.2f} to {high:.2f} |"
                    )
        yield ""


def report(runs: Mapping[str, Run]) -> Iterator[str]:
    """The numbers of the report next to those of a run on the same data."""
    document = DOCUMENTS["report"]
    same = [run for run in runs.values() if document.ood_set in run.ood_sets]
    same = [run for run in same if not set(PAIR) <= set(run.layers)]
    if not same:
        return
    run = same[0]
    yield f"## The report's numbers next to `{run.name}`\n"
    here = f"epoch {last_epoch(run)}, layer {run.layers[-1]}, OOD set {document.ood_set}"
    yield (
        f"“{document.title}” ({document.published}). It is about another network: "
        f"{document.why_other}\nThe column on the right is the same quantity of `{run.name}` at "
        f"{here}.\n"
    )
    yield from _inside(document, run)
    for table in document.tables:
        rows = [row for row in table.rows if isinstance(row.beside, Collapse | Detection)]
        yield f"### {table.title} ({table.where})\n"
        yield f"| quantity | printed | stands for | `{run.name}` |\n|---|---|---|---|"
        yield from (_report_row(row, run, document.ood_set) for row in rows)
        yield ""
        yield from (f"- **{row.what}**: {row.note}" for row in rows if row.note)
        yield from (f"- {note}" for note in table.notes)
        yield ""


def _inside(document: Document, run: Run) -> Iterator[str]:
    """Which printed detection metrics are inside the interval of the run."""
    inside, tested = [], 0
    for row in (row for table in document.tables for row in table.rows):
        own = _detection(row, run, document.ood_set)
        if own is None or not np.isfinite(own.get(f"{row.beside.metric}_low", np.nan)):
            continue
        tested += 1
        printed = float(row.printed) if row.meant is None else row.meant
        low, high = (own[f"{row.beside.metric}_{end}"] for end in ("low", "high"))
        inside += [row.what] if low <= printed <= high else []
    names = f" ({', '.join(inside)})" if inside else ""
    yield (
        f"Of {tested} detection metrics with an interval, the printed value is inside the 95% "
        f"interval of this run for {len(inside)}{names}. Collapse metrics have no interval and are "
        "not tested.\n"
    )


def _detection(row: Row, run: Run, ood_set: str) -> pd.Series | None:
    """The results of a run for a row about a detection metric."""
    if not isinstance(row.beside, Detection):
        return None
    found = run.epoch(last_epoch(run)).detection()
    found = found[
        (found["layer"] == run.layers[-1])
        & (found["detector"] == row.beside.detector)
        & (found["set"] == ood_set)
    ]
    return found.iloc[0] if len(found) else None


def _report_row(row: Row, run: Run, ood_set: str) -> str:
    meant = "" if row.meant is None else f"{row.meant:g}"
    if isinstance(row.beside, Detection):
        found = _detection(row, run, ood_set)
        own = "–" if found is None else with_interval(found, row.beside.metric)
    else:
        found = run.epoch(last_epoch(run)).collapse()
        found = found[(found["layer"] == run.layers[-1]) & (found["metric"] == row.beside.metric)]
        own = number(float(found["value"].iloc[0])) if len(found) else "–"
    return f"| {cell(row.what)} | {row.printed} | {meant} | {own} |"


def _compare(one: Run, epoch: int, layer: str, two: Run, other: str) -> dict[str, Difference]:
    places = Place(one, epoch, layer), Place(two, last_epoch(two), other)
    return compare(*places, tuple(NAMES), detector=PROBE)


def _baselines(run: Run, runs: Mapping[str, Run]) -> list[Run]:
    """Runs on the same data whose network has no projector."""
    return [
        each
        for each in runs.values()
        if (each.id_set, each.classes) == (run.id_set, run.classes) and PAIR[1] not in each.layers
    ]


def interval(estimate: Estimate) -> str:
    """Return a difference with its interval as text, ``""`` without an interval."""
    if not estimate.has_interval:
        return ""
    return f", difference {estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"


def last_epoch(run: Run) -> int:
    return int(run.collapse()["epoch"].max())


def with_interval(row: pd.Series, metric: str) -> str:
    value, low, high = (
        row.get(name, np.nan) for name in (metric, f"{metric}_low", f"{metric}_high")
    )
    if not np.isfinite(value):
        return "–"
    worse = " (worse than chance)" if metric == "auroc" and high < 0.5 else ""
    interval = f" [{low:.3f}, {high:.3f}]" if np.isfinite(low) else ""
    return f"{value:.3f}{interval}{worse}"


def number(value: float) -> str:
    return f"{value:.4g}" if np.isfinite(value) else "–"


def cell(text: str) -> str:
    return text.replace("|", r"\|")


def _code(runs: Sequence[Run]) -> list[str]:
    return [f"`{run.name}`" for run in runs]


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
