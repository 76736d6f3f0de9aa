"""The numbers of the Compare page: differences of metrics, and whether they could be luck."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import streamlit as st

from ncviz import metrics
from ncviz.collapse import METRICS
from ncviz.figures import differences
from ncviz.figures.theme import GREY, Style
from ncviz.metrics import (
    CALIBRATION_DEFINITIONS,
    DEFINITIONS,
    INTERVAL_METRICS,
    SUMMARY_METRICS,
    CorrelatedEstimate,
)
from ncviz.results.board import mean_groups
from ncviz.ui import board_loaders, compare_loaders, components, controls, loaders, pairing
from ncviz.ui.compare_reading import each_side, results_of_both, style_of
from ncviz.ui.compare_sides import SIDES, Pair
from ncviz.ui.compare_tables import Difference, as_frame, better_side, row_shades, show_table
from ncviz.ui.differences import (
    LEVEL,
    AurocTest,
    about_correction,
    about_kept,
    auroc_tests,
    corrected,
    verdict,
)
from ncviz.ui.view import View

_UNLIKE = "different data: not comparable"
_MEAN_STYLE = Style(GREY, "solid", "circle")


def detection(pair: Pair) -> None:
    """Differences of detection metrics on the OOD sets of two sides that have been scored."""
    st.subheader("What changed in detection", anchor=False)
    results = results_of_both(pair)
    sets = list(results[0].index)
    if not sets:
        components.empty_state("The two sides were scored on no OOD set of the same name.")
        return
    measured = [name for name in SUMMARY_METRICS if all(name in table for table in results)]
    labels = {DEFINITIONS[name].label: name for name in measured}
    metric = labels[controls.choose("Metric", list(labels), key="metric")]
    tests = auroc_tests(*pair.contenders, sets)
    if metric == "auroc":
        st.markdown(verdict("A", "B", tests))
    estimates = _estimates(pair, metric, sets)
    rows = detection_rows(metric, *results, tests=tests, estimates=estimates)
    info = DEFINITIONS[metric]
    right, left = ("A", "B") if info.direction == "higher" else ("B", "A")
    styles = {name: style_of(pair, name) for name in sets}
    components.chart(
        differences(
            [row.name for row in rows],
            *(np.array([getattr(row, part) for row in rows]) for part in ("change", "low", "high")),
            title=f"Difference in {info.label}",
            axis=f"A − B: {right} better to the right of 0, {left} to the left",
            styles=[styles.get(row.name, _MEAN_STYLE) for row in rows],
            shown=pair.both,
        ),
        key="compared_metric",
        alt=f"Difference in {info.label}: "
        + ", ".join(f"{row.name} {row.change:+.3f}" for row in rows),
    )
    show_table(
        as_frame(rows, of="OOD set"),
        row_shades(rows),
        name=f"compare-{metric}",
        alt=f"Difference in {info.label} on each set",
    )
    st.caption(_about_detection(pair, metric, sets))


def _estimates(
    pair: Pair, metric: str, sets: list[str]
) -> tuple[dict[str, CorrelatedEstimate], ...]:
    """Estimates of A and of B by set; sets of samples have the same name where they are the same.

    Empty for a metric without an interval.
    """
    if metric not in INTERVAL_METRICS:
        return {}, {}
    sides = []
    for side, view in zip(SIDES, pair.views, strict=True):
        place = (view.run, view.epoch, view.layer, pair.detector)
        found = {}
        for name in sets:
            paired = name in pair.aligned
            one = compare_loaders.estimates(*place, name, paired)[metric]
            own = {each: f"{each} of {side}" for each in ("id", name)}
            found[name] = one if paired else one.renamed(own)
        sides.append(found)
    return tuple(sides)


def detection_rows(
    metric: str,
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    tests: Mapping[str, AurocTest],
    estimates: tuple[Mapping[str, CorrelatedEstimate], Mapping[str, CorrelatedEstimate]],
) -> list[Difference]:
    """A metric's difference on each set, then on average over near, far and all sets.

    Parameters
    ----------
    first, second : detection metrics of A and B, a row for each of the same sets
    tests : of the difference in AUROC on each set
    estimates : of the metric on each set, for A and B; empty without an interval
    """
    info = DEFINITIONS[metric]
    raised = corrected(tests)

    def row(name: str, kind: str, sets: list[str], **ends) -> Difference:
        a, b = (float(table.loc[sets, metric].mean()) for table in (first, second))
        return Difference(name, kind, a, b, better=better_side(info.direction, a, b), **ends)

    rows = []
    for name, kind in first["group"].items():
        if metric == "auroc":
            test = tests[name]
            ends = {"low": test.low, "high": test.high, "p": test.p_value}
            ends |= {"corrected": raised[name], "sure": raised[name] < LEVEL}
            ends |= {"samples": test.samples}
        else:
            ends = _interval(estimates, [name])
        rows.append(row(name, kind, [name], **ends))
    for group in mean_groups(first["group"]):
        own = [name for name, kind in first["group"].items() if group in ("all", kind)]
        ends = _interval(estimates, own)
        rows.append(row("mean" if group == "all" else f"mean {group}", "mean", own, **ends))
    return rows


def _interval(
    estimates: tuple[Mapping[str, CorrelatedEstimate], Mapping[str, CorrelatedEstimate]],
    sets: list[str],
) -> dict:
    """Ends of the interval of A − B on average over sets, and whether it excludes zero."""
    if not all(estimates):
        return {}
    means = (metrics.mean_estimate([side[name] for name in sets]) for side in estimates)
    found = metrics.difference_estimate(*means)
    if not found.interval.exists:
        return {}
    return {"low": found.low, "high": found.high, "sure": not found.low <= 0 <= found.high}


def _about_detection(pair: Pair, metric: str, sets: list[str]) -> str:
    paired = [name for name in sets if name in pair.paired]
    if len(paired) == len(sets):
        same = (
            "Both sides scored the same samples, so the tests are paired: effects that a sample "
            "has on both sides cancel. "
        )
    elif paired:
        same = (
            f"Both sides scored the same samples of {', '.join(map(components.plain, paired))}, "
            "where tests are paired. Elsewhere the samples differ, so tests are unpaired and both "
            "sides' uncertainties add up. "
        )
    else:
        same = f"{pairing.why_unpaired(pair.a.run, pair.b.run)} Both sides' uncertainties add up. "
    if paired:
        kept = about_kept(pair.contenders[0], paired)
        same += f"{kept}A and B are of all samples. " if kept else ""
    if metric == "auroc":
        test = "DeLong's test" if paired else "DeLong's variances, unpaired"
        how = (
            f"{test}, two-sided; intervals of means combine those of the sets (MOVER). "
            f"{about_correction(len(sets))}"
        )
    elif metric in INTERVAL_METRICS:
        how = (
            "95% intervals combine those of A and B by their correlation (MOVER), each for one "
            "row: the more rows, the more of them miss the true difference by chance. "
        )
    else:
        how = f"{DEFINITIONS[metric].label} has no interval with nominal coverage. "
    return (
        f"{same}{how}Nothing here speaks about training the networks again, with another seed. In "
        "means every set counts the same."
    )


def network(pair: Pair) -> None:
    """Differences in accuracy, calibration and collapse."""
    parts = [*_accuracy(pair), *_calibration(pair)]
    tables = each_side(pair, lambda at: _collapse_values(pair, at))
    rows = list(_collapse(tables)) if len(tables) == 2 else []
    if not parts and not rows:
        return
    st.subheader("What changed in the network", anchor=False)
    if parts:
        show_table(
            as_frame(parts, of="Measure"),
            row_shades(parts, each_alone=True),
            name="compare-network",
            alt="Differences in accuracy and calibration on the ID test samples",
        )
    if rows:
        show_table(
            as_frame(rows, of="Collapse metric", better="more collapsed"),
            row_shades(rows, each_alone=True),
            name="compare-collapse",
            alt="Differences of collapse metrics",
            formats={"A": "%.4g", "B": "%.4g", "A − B": "%+.3g"},
        )
    st.caption(_about_network(pair))


def _accuracy(pair: Pair) -> Iterator[Difference]:
    right = each_side(
        pair, lambda at: compare_loaders.right(pair.views[at].run, pair.views[at].epoch)
    )
    if len(right) < 2:
        return
    a, b = (_accuracy_of_all(view, right[at]) for at, view in enumerate(pair.views))
    better = "A" if a > b else "B" if b > a else ""
    if pair.a.run.id_set != pair.b.run.id_set:
        yield Difference("Accuracy", _UNLIKE, a, b)
        return
    if not pair.same_known:
        yield Difference("Accuracy", "not tested: unpaired samples", a, b, better=better)
        return
    both = pair.shared("test")
    test = metrics.mcnemar(right[0][both.rows], right[1][both.others])
    yield Difference(
        "Accuracy",
        "ID test samples",
        *(a, b, test.low, test.high, test.p_value),
        samples=f"{len(both):,} paired",
        better=better,
        sure=test.p_value < LEVEL,
    )


def _accuracy_of_all(view: View, kept: np.ndarray) -> float:
    """Return the accuracy on all evaluated samples, or on those `kept` if it is not stored."""
    row = _at_epoch(board_loaders.calibration_table(view.run), view.epoch)
    return float(row["accuracy"].iloc[0]) if len(row) else float(kept.mean())


def _at_epoch(table: pd.DataFrame, epoch: int) -> pd.DataFrame:
    return table[table["epoch"] == epoch] if len(table) else table


def _calibration(pair: Pair) -> Iterator[Difference]:
    tables = each_side(pair, lambda at: board_loaders.calibration_table(pair.views[at].run))
    if len(tables) < 2:
        return
    rows = [
        _at_epoch(table, view.epoch)
        for view, table in zip(pair.views, tables.values(), strict=True)
    ]
    if any(each.empty for each in rows):
        return
    unlike = pair.a.run.id_set != pair.b.run.id_set
    for name in ("ece", "nll"):
        info = CALIBRATION_DEFINITIONS[name]
        a, b = (float(each[name].iloc[0]) for each in rows)
        kind = _UNLIKE if unlike else "ID test samples"
        better = "" if unlike else better_side(info.direction, a, b)
        yield Difference(info.label, kind, a, b, better=better)


def _collapse_values(pair: Pair, at: int) -> pd.Series | None:
    """Collapse metrics of a side by metric and OOD set (``""`` for those that need none)."""
    view = pair.views[at]
    table = loaders.collapse_table(view.run)
    here = table[(table["epoch"] == view.epoch) & (table["layer"] == view.layer)]
    values = here.set_index(["metric", "set"])["value"].dropna()
    return values if len(values) else None


def _collapse(values: Mapping[int, pd.Series]) -> Iterator[Difference]:
    """Differences of the metrics, averaged over the OOD sets that both sides have."""
    both = values[0].index.intersection(values[1].index)
    first, second = (values[at][both].groupby("metric").mean() for at in (0, 1))
    for name, info in METRICS.items():
        if name in first:
            a, b = float(first[name]), float(second[name])
            yield Difference(info.label, info.group, a, b, better=better_side(info.direction, a, b))


def _about_network(pair: Pair) -> str:
    tested = (
        f"Accuracy: McNemar's exact test on the {len(pair.shared('test')):,} test samples that "
        "both sides keep, the interval by Agresti and Min. "
        if pair.same_known
        else ""
    )
    return (
        f"{tested}Calibration errors have no interval: they come out larger on any resample than "
        "on the samples themselves. Collapse metrics have none either: they are of the whole "
        "training set, not of samples drawn from it, so for these two networks the difference is "
        "what it is. Whether it would be the same after another training, one run of each cannot "
        "tell."
    )
