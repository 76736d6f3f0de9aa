"""What charts show, in sentences with numbers, for readers who do not see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ncviz.figures import (
    Against,
    Band,
    BandPanel,
    Board,
    Family,
    Moment,
    OperatingCurve,
    Panel,
    Reliable,
    RunTrend,
    Series,
    Strip,
)
from ncviz.metrics import RankAnalysis
from ncviz.ui.components import number, percent

_MOST = 6  # things that are told one by one; a longer sentence is heard by nobody


def distributions(
    detector: str,
    scores: Mapping[str, np.ndarray],
    threshold: float,
    selected: Mapping[str, int],
) -> str:
    """Densities of scores by set, the ID test set first, and what a threshold accepts of each."""
    sets = "; ".join(
        f"{name}: median {np.median(each):.4g}, {percent(np.mean(each >= threshold))} accepted"
        for name, each in scores.items()
    )
    cut = f"cut at {threshold:.4g}" if np.isfinite(threshold) else "none of which is accepted"
    told = f"Densities of {detector} scores, {cut}. {sets}."
    if selected:
        marked = ", ".join(f"{count:,} of {name}" for name, count in selected.items())
        told += f" Selected and marked below: {marked}."
    return told


def curves(kind: str, area: str, drawn: Sequence[OperatingCurve]) -> str:
    """ROC or precision-recall curves with the point of the threshold on each."""
    parts = [f"{each.name} {each.area:.3f}" for each in drawn]
    told = f"{kind}. {area}: {_some(parts)}."
    points = [
        f"({each.point[0]:.2f}, {each.point[1]:.2f}) for {each.name}"
        for each in drawn
        if each.point
    ]
    return f"{told} The threshold lies at {_some(points)}." if points else told


def over_epochs(title: str, panels: Iterable[Panel], epoch: int | None) -> str:
    """Small charts over epochs: where each line starts and ends, and where the chosen epoch is."""
    lines = [
        _line(_name(panel, series), series.epochs, series.values, epoch)
        for panel in panels
        for series in panel.series
    ]
    return f"{title}. {_some(lines, '; ')}."


def _name(panel: Panel, series: Series) -> str:
    """A line that is alone is what its panel is about."""
    return panel.title if len(panel.series) == 1 else f"{panel.title} {series.name}"


def trends(shown: Sequence[RunTrend]) -> str:
    """NC1 and AUROC of runs over epochs."""
    runs = []
    for trend in shown:
        lines = [
            _line(name, series.epochs, series.values, None)
            for name, series in (("NC1", trend.nc1), *((each.name, each) for each in trend.auroc))
        ]
        runs.append(f"{trend.run} ({trend.layer}): {', '.join(lines)}")
    return f"NC1 and AUROC over epochs. {_some(runs, '; ')}."


def bands(label: str, panels: Iterable[BandPanel], epoch: int) -> str:
    """Detectors over epochs: the emphasised ones of each panel."""
    parts = []
    for panel in panels:
        own = [_at_epoch(band, epoch) for band in panel.bands if band.style is not None]
        parts.append(f"{panel.title}: {_some([each for each in own if each]) or 'none chosen'}")
    return f"{label} of detectors over epochs, at epoch {epoch}. {'; '.join(parts)}."


def _at_epoch(band: Band, epoch: int) -> str:
    found = np.flatnonzero(band.epochs == epoch)
    return f"{band.name} {band.values[found[0]]:.3f}" if len(found) else ""


def board(shown: Board, labels: Sequence[str]) -> str:
    """The board of detectors and sets: the best of each column."""
    best = [
        f"{column.title} {labels[rows[0]]} {shown.values[rows[0], at]:.3f}"
        for at, column in enumerate(shown.columns)
        if len(rows := np.flatnonzero(shown.best[:, at]))
    ]
    told = f"{shown.label} of {len(labels)} detectors. Best on {_some(best)}."
    if shown.tested:
        tied = [labels[at] for at in np.flatnonzero(shown.tied[:, -1])]
        told += (
            f" Not significantly different from the best on {shown.columns[-1].title}: "
            f"{_some(tied) or 'none of those shown'}."
        )
    wrong = [labels[at] for at in np.flatnonzero(shown.wrong.any(axis=1))]
    return told + (f" Worse than chance on a set: {_some(wrong)}." if wrong else "")


def ranks(found: RankAnalysis, labels: Sequence[str]) -> str:
    """Describe mean ranks: the best group, and the worst detector."""
    order = np.argsort(found.ranks, kind="stable")
    each = [f"{labels[at]} {found.ranks[at]:.1f}" for at in order]
    told = f"Mean ranks of {len(labels)} detectors over {found.blocks} blocks: {_some(each)}."
    if not found.significant:
        return f"{told} No significant differences."
    group = found.cliques[0]
    if len(group) == 1:
        return f"{told} {labels[order[0]]} differs significantly from all others."
    members = [labels[at] for at in group[1:]]
    return f"{told} Not significantly different from {labels[order[0]]}: {_some(members)}."


def near_far(families: Iterable[Family], label: str, *, higher_is_better: bool) -> str:
    """Near against far: the best detector on each."""
    names, near, far = [], [], []
    for family in families:
        names += family.detectors
        near += list(family.near)
        far += list(family.far)
    best = []
    for kind, values in (("near", np.array(near)), ("far", np.array(far))):
        if np.isfinite(values).any():
            at = np.nanargmax(values) if higher_is_better else np.nanargmin(values)
            best.append(f"best on {kind} sets {names[at]} {values[at]:.3f}")
    return f"{label} of {len(names)} detectors, near against far OOD sets: {', '.join(best)}."


def differences(first: str, second: str, found: Mapping[str, tuple[float, float, float]]) -> str:
    """Differences with their intervals (value, low, high) by set."""
    parts = [
        f"{name} {value:+.3f} [{low:+.3f}, {high:+.3f}]"
        for name, (value, low, high) in found.items()
    ]
    return f"AUROC of {first} minus {second}, with 95% intervals: {_some(parts, '; ')}."


def reliability(lines: Iterable[Reliable]) -> str:
    """Confidence against accuracy: how far apart both are on average."""
    parts = []
    for line in lines:
        gap = np.average(np.abs(line.confidence - line.accuracy), weights=line.counts)
        sure = np.average(line.confidence - line.accuracy, weights=line.counts)
        side = "surer than right" if sure > 0 else "more often right than sure"
        parts.append(f"{line.name} {percent(gap)} apart, {side}")
    return f"Accuracy over confidence: on average {'; '.join(parts)}."


def temperature(lines: Sequence[Series], value: str) -> str:
    """Detectors against temperature: where each is best."""
    parts = []
    for line in lines:
        if np.isfinite(line.values).any():
            at = np.nanargmax(line.values)
            parts.append(f"{line.name} {line.values[at]:.3f} at {line.epochs[at]:.3g}")
    return f"{value}, over temperature. Highest: {_some(parts)}."


def against(panels: Iterable[Against]) -> str:
    """One metric against another: the correlation in each panel."""
    parts = [f"{panel.y_title} against {panel.x_title}: {panel.finding}" for panel in panels]
    return f"{'; '.join(parts)}."


def gram(cosines: np.ndarray, names: Sequence[str]) -> str:
    """(C, C) cosines of class means: the farthest apart from those of the ETF."""
    off = np.abs(cosines + 1 / (len(cosines) - 1))
    np.fill_diagonal(off, -1)
    first, second = np.unravel_index(off.argmax(), off.shape)
    return (
        f"Heatmaps of the cosines of {len(names)} class means, of those of a simplex ETF, "
        f"{-1 / (len(cosines) - 1):.3f} for each pair, and of the difference. Farthest from it: "
        f"{names[first]} and {names[second]}, {cosines[first, second]:.3f}."
    )


def histogram(cosines: np.ndarray) -> str:
    """(P,) cosines between class means."""
    return (
        f"Histogram of the cosines of {len(cosines):,} pairs of class means: from "
        f"{cosines.min():.3f} to {cosines.max():.3f}, mean {cosines.mean():.3f}, standard "
        f"deviation {cosines.std():.3f}."
    )


def lengths(means: np.ndarray, weights: np.ndarray | None, names: Sequence[str]) -> str:
    """Lengths of class means and of the head's rows, relative to their averages."""
    parts = []
    for what, values in (("class means", means), ("the head's rows", weights)):
        if values is not None:
            share = values / values.mean()
            low, high = share.argmin(), share.argmax()
            parts.append(
                f"{what} from {share[low]:.2f} ({names[low]}) to {share[high]:.2f} ({names[high]})"
            )
    return f"Lengths relative to their average: {'; '.join(parts)}."


def training(history: Mapping[str, np.ndarray], run: str) -> str:
    """Loss and accuracy over epochs: what they come to."""
    parts = [
        f"{name.replace('_', ' ')} {number(float(np.asarray(history[name])[-1]))}"
        for name in ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
        if name in history
    ]
    epochs = np.asarray(history["epoch"])
    return f"Loss and accuracy of {run} over {len(epochs)} epochs. At the end {', '.join(parts)}."


def strips(shown: Sequence[Strip]) -> str:
    """An image's place among ID samples by every detector."""
    unknown = [strip for strip in shown if not strip.known]
    parts = [f"{strip.detector} {percent(strip.image)}" for strip in shown]
    return (
        f"{len(unknown)} of {len(shown)} detectors say unknown. Percentile of the "
        f"image among the known samples: {_some(parts)}."
    )


def moments(shown: Sequence[Moment]) -> str:
    """What was said of an image at each epoch."""
    parts = [
        f"epoch {each.epoch} {'known' if each.known else 'unknown'}, p {each.p_value:.3f}, "
        f"{each.predicted}"
        for each in shown
    ]
    return f"Verdict on the image over epochs: {_some(parts, '; ')}."


def _line(name: str, epochs: np.ndarray, values: np.ndarray, epoch: int | None) -> str:
    finite = np.flatnonzero(np.isfinite(values))
    if not len(finite):
        return f"{name} not measured"
    first, last = finite[0], finite[-1]
    told = f"{name} {values[first]:.3g} at epoch {epochs[first]}"
    if last > first:
        told = f"{name} from {values[first]:.3g} at epoch {epochs[first]} to {values[last]:.3g} at "
        told += f"epoch {epochs[last]}"
    here = np.flatnonzero((np.asarray(epochs) == epoch) & np.isfinite(values))
    if epoch is not None and len(here) and here[0] not in (first, last):
        told += f", {values[here[0]]:.3g} at epoch {epoch}"
    return told


def _some(parts: Sequence[str], between: str = ", ") -> str:
    """The first of many, and how many more there are."""
    told = between.join(parts[:_MOST])
    return told + (f" and {len(parts) - _MOST} more" if len(parts) > _MOST else "")
