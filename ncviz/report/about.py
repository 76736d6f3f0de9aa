"""What the run is, and its key numbers at the chosen epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ncviz import metrics, transfer
from ncviz.duplicates import in_words
from ncviz.figures import RunTrend, Shown, collapse_and_auroc, training_curves
from ncviz.report.blocks import Block, Link, Missing, Number, Picture, Table, Terms, Text
from ncviz.report.study import Study
from ncviz.results import detectors, tables
from ncviz.results.board import ENDS
from ncviz.results.headlines import HEADLINES, mean_at, series_of
from ncviz.results.words import commands, left_out_lines, number, percent

Row = tuple[str | Link, Number, str]
_KINDS = {
    "near": "OOD sets that resemble the training data",
    "far": "OOD sets that look nothing like it",
    "all": "OOD sets",
}
_DETECTION = ("auroc", "fpr95")


def the_run(study: Study) -> Iterator[Block]:
    """Recipe, data, classes, transform, seed, versions, accuracy."""
    run = study.run
    found = run.description
    recipe = dict(run.recipe)
    model = recipe.pop("model", None) or {}
    accuracy = found.get("accuracy") or {}
    pairs = {
        "Run": run.name,
        "Written": found.get("created", "the run does not say"),
        "Recipe": recipe.pop("name"),
        "Network": _settings(model) or ("trained elsewhere" if run.imported else "unknown"),
        "In-distribution data": f"{run.id_set}, {len(run.classes)} classes" + _sizes(found),
        "OOD sets": ", ".join(f"{name} ({group})" for name, group in run.ood_sets.items())
        or "none",
        **({"Left out of OOD sets": "; ".join(left_out_lines(run))} if run.left_out else {}),
        "Layers": ", ".join(run.layers),
        "Saved epochs": ", ".join(map(str, run.epochs)),
        "Reported accuracy": ", ".join(
            f"{split} {percent(value, 2)}" for split, value in accuracy.items()
        )
        or "none",
        "Training settings": _settings(recipe) or "unknown: it was trained elsewhere",
        "Transform": _settings(found.get("transform") or {}) or "unknown",
        "Versions": _settings(found.get("versions") or {}) or "unknown",
        "Fingerprints of the data": _settings(found.get("data") or {}) or "none",
        "Classes": ", ".join(run.classes),
    }
    yield Terms(tuple((name, str(value)) for name, value in pairs.items()))
    scores = f"; scores are those of {study.label}" if study.detector else ""
    yield Text(
        f"All figures below look at epoch {study.number}, {run.epochs.index(study.number) + 1} of "
        f"{len(run.epochs)} saved ones, and at the layer {study.layer} unless they say "
        f"otherwise{scores}."
    )


def _sizes(found: Mapping[str, Any]) -> str:
    parts = [
        f"{found[key]:,} {split} samples"
        for split in ("train", "test")
        if isinstance(found.get(key := f"{split}_samples"), int)
    ]
    return "".join(f", {part}" for part in parts)


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_setting(value)}" for name, value in values.items())


def _setting(value: Any) -> str:
    if isinstance(value, list):
        return f"({', '.join(map(str, value))})"
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "none"}[value]
    return str(value)


def key_numbers(study: Study) -> Iterator[Block]:
    """Accuracy, collapse, detection, calibration and transfer, with intervals where there are."""
    accuracy = tables.accuracy(study.history, study.calibration, study.number)
    rows = [
        (
            "Test accuracy",
            Number(percent(accuracy, 2)),
            "Share of ID test samples that the network classifies correctly.",
        ),
        *_collapse_rows(study),
        *_detection_rows(study),
        *_best_row(study),
        *_calibration_rows(study),
        *_transfer_rows(study),
    ]
    yield Table(
        f"Epoch {study.number}, layer {study.layer}; in brackets: 95% intervals",
        ("Number", "Value", "What it is"),
        rows,
    )
    yield from map(Text, study.run.findings.values())
    if shared := in_words(study.epoch.duplicates().to_dict("records")):
        yield Text(shared)
    if len(study.here(study.means)):
        yield Text(
            "95% intervals describe other draws of ID and OOD test samples; training with another "
            "seed is not included. Collapse is measured on the whole training set and has none."
        )
    yield from _missing_results(study)


def _missing_results(study: Study) -> Iterator[Block]:
    if study.here(study.collapse).empty:
        yield Missing(
            f"Epoch {study.number} has no results at layer {study.layer}. Make them with:",
            commands(study.run.name, imported=study.run.imported),
        )
    elif not study.run.ood_sets:
        yield Missing(
            "No OOD set was extracted, so detection is not measured."
            + ("" if study.run.imported else " Name some with --ood:"),
            () if study.run.imported else commands(study.run.name),
        )


def _collapse_rows(study: Study) -> Iterator[Row]:
    for headline in HEADLINES:
        series = series_of(study.run, study.collapse, study.layer, headline.metric)
        value = mean_at(series, study.number)
        if value is not None:
            words = headline.explanation
            if len(series) > 1:
                words += f" Mean over {len(series)} OOD sets."
            yield Link(headline.info, headline.label), Number(number(value)), words


def _detection_rows(study: Study) -> Iterator[Row]:
    means = study.here(study.means)
    mine = means[means["detector"] == study.detector].set_index("group")
    for metric in _DETECTION:
        info = metrics.DEFINITIONS[metric]
        for kind in (kind for kind in _KINDS if kind in mine.index):
            row = mine.loc[kind]
            words = f"{study.label}, mean over {int(row['sets'])} {_KINDS[kind]}."
            yield Link(info, f"{info.label}, {kind}"), with_interval(row, metric), words


def _best_row(study: Study) -> Iterator[Row]:
    means = study.here(study.means)
    means = means[means["group"] == "all"]
    if len(means):
        best = means.loc[means["auroc"].idxmax()]
        words = (
            f"{detectors.label(best['detector'])}, the highest mean over all OOD sets among "
            f"{len(means)} detectors; being the best of many flatters it. {_ties(study)}"
        )
        info = metrics.DEFINITIONS["auroc"]
        yield Link(info, "Best AUROC"), with_interval(best, "auroc"), words


def _ties(study: Study) -> str:
    """Name the detectors that are not significantly different from the best mean AUROC."""
    found = study.here(study.comparisons)
    own = found[(found["metric"] == "auroc") & (found["set"] == "") & (found["group"] == "all")]
    tied = own.loc[own["tied"] & (own["detector"] != own["best"]), "detector"]
    if own.empty:
        return "Its lead was not tested."
    if tied.empty:
        return "All others are significantly worse (DeLong, corrected by Holm)."
    names = ", ".join(map(detectors.label, detectors.in_order(tied)))
    return f"Not significantly different from it (DeLong, corrected by Holm): {names}."


def with_interval(row: pd.Series, metric: str) -> Number:
    """A metric in a row of results, with its interval where the results were written with them."""
    return as_number(row[metric], *(row.get(f"{metric}_{end}", np.nan) for end in ENDS))


def as_number(value: float, low: float, high: float) -> Number:
    """A value and the ends of its interval, NaN for none."""
    if np.isnan(value):
        return Number("–")
    known = np.isfinite(low) and np.isfinite(high)
    return Number(f"{value:.3f}", f"[{low:.3f}, {high:.3f}]" if known else "")


def _calibration_rows(study: Study) -> Iterator[Row]:
    found = study.calibration
    info = metrics.CALIBRATION_DEFINITIONS["ece"]
    for row in found[found["epoch"] == study.number].itertuples():
        words = f"Of the network's own head; {row.ece_scaled:.3f} after temperature scaling."
        yield Link(info), Number(f"{row.ece:.3f}"), words


def _transfer_rows(study: Study) -> Iterator[Row]:
    rows = study.here(study.transfer)
    info = transfer.DEFINITIONS["probe_error"]
    if len(rows):
        value = Number(f"{rows['probe_error'].mean():.3f}")
        yield Link(info), value, f"Mean over {', '.join(rows['set'])}."


def over_epochs(study: Study) -> Iterator[Block]:
    """Collapse and detection through the training."""
    nc1 = tables.metric_series(study.collapse, study.layer, HEADLINES[0].metric)
    if len(nc1.epochs):
        aurocs = tables.auroc_by_group(study.detection, study.layer, study.detector)
        trend = RunTrend(study.run.name, study.layer, nc1, tuple(aurocs.values()))
        yield Picture(
            collapse_and_auroc([trend], detector=study.label, chosen=study.shown),
            f"NC1 and AUROC over the epochs of {study.run.name}, layer {study.layer}",
            "NC1 falls when samples of one class pull together. AUROC is the chance that a known "
            "sample scores higher than an unknown one: 1 is perfect, 0.5 (dashed) is guessing. "
            "The dotted line marks the chosen epoch.",
            (HEADLINES[0].info, metrics.DEFINITIONS["auroc"]),
        )


def training(study: Study) -> Iterator[Block]:
    """Loss and accuracy over the epochs trained."""
    if study.history.empty:
        yield Missing("This run was trained elsewhere: there is no history to draw.")
        return
    yield Picture(
        training_curves(
            study.history, shown=Shown(study.run.name, study.number), saved=study.run.epochs
        ),
        f"Loss and accuracy of {study.run.name} over epochs",
    )
