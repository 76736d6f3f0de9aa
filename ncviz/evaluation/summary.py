"""Results of a run as text for a terminal and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ncviz.collapse import METRICS
from ncviz.correlation import correlate
from ncviz.detectors import probe_energy
from ncviz.duplicates import in_words
from ncviz.errors import MissingDataError
from ncviz.metrics import INTERVAL_METRICS, reliability_note
from ncviz.metrics.precision import EXPLANATION, MARK
from ncviz.shared_sets import shared, why_none
from ncviz.store import Epoch, Run, detectors_left_out, fitted_on
from ncviz.transfer import DEFINITIONS
from ncviz.without_head import unavailable_methods

WRONG_WAY = "!"
TIED = "*"
_PRINTED = {
    "auroc": "AUROC (higher is better)",
    "aupr_in": "AUPR, ID positive (higher is better)",
    "aupr_out": "AUPR, OOD positive (higher is better)",
    "fpr95": "FPR95, ID positive (lower is better)",
    "fpr95_ood": "FPR95, OOD positive (lower is better)",
    "augrc": "AUGRC, OOD samples as failures (lower is better)",
    "scod_augrc": "AUGRC, OOD samples and errors as failures (lower is better)",
}
_MEANS = {"near": "mean near", "far": "mean far", "all": "mean"}
_AVERAGED = {
    "OOD set": {"auroc": "AUROC", "fpr95": "FPR95"},
    "transfer set": {"probe_error": "probe error", "ncm_error": "NCM error"},
}
_COMPARED = ("nc1_pinv", "nc1_trace", "nc4_agreement", "entropy", "effective_rank")


def as_text(run: Run, epoch: int | None = None, *, intervals: bool = False) -> str:
    """Collapse metrics and detection results of one epoch, the last evaluated one if None.

    `intervals` adds the 95% interval to each result of detection.
    """
    if epoch is None:
        epoch = _last_evaluated(run)
    saved = run.epoch(epoch)
    parts = [f"{run.name}, epoch {epoch} of {_trained(run)}, {_samples(saved)}"]
    if run.without_features:
        parts.append(run.without_features)
    elif not saved.has_head(run.layers[-1]):
        reason = run.without_head or "saved without a head"
        parts.append(f"{reason[:1].upper()}{reason[1:]}. Unavailable: {unavailable_methods()}.")
    parts += run.findings.values()
    parts += filter(None, [in_words(saved.duplicates().to_dict("records"))])
    for layer in saved.layers:
        if collapse := _collapse_table(saved, layer):
            parts += ["", f"Neural collapse, {layer}:", collapse]
        grid = _grid(saved, layer)
        if len(grid):
            parts += _detection_parts(grid, layer, intervals) + _fit_parts(saved, layer)
    parts += _misclassification_parts(saved) + _calibration_parts(saved) + _transfer_parts(saved)
    return "\n".join(parts)


def _last_evaluated(run: Run) -> int:
    # An epoch at which nothing is told apart has no collapse metrics, and another none to detect.
    return int(
        max(table["epoch"].max() for table in (run.collapse(), run.detection()) if len(table))
    )


def _transfer_parts(epoch: Epoch) -> list[str]:
    try:
        table = epoch.transfer()
    except MissingDataError:
        return []  # it takes forward passes: extraction measures it when asked to
    parts = []
    for metric, info in DEFINITIONS.items():
        errors = table.pivot(index="layer", columns="set", values=metric)
        errors = errors.loc[table["layer"].unique(), table["set"].unique()]
        text = errors.rename_axis(index=None, columns=None).to_string(float_format="{:.4f}".format)
        parts += ["", f"{info.label} (lower is better):", text]
    return parts


def _grid(epoch: Epoch, layer: str) -> pd.DataFrame:
    """Return the detection results of a layer on each set, then their means over sets.

    The column `tied_METRIC` says where a detector is not significantly different from the best.
    """
    sets, means, compared = epoch.detection(), epoch.detection_means(), epoch.comparisons()
    means = means.assign(set=means["group"].map(_MEANS))
    grid = pd.concat([sets, means], ignore_index=True)
    grid = grid[grid["layer"] == layer]
    names = compared["set"].where(compared["set"] != "", compared["group"].map(_MEANS))
    tied = compared.assign(set=names)[(compared["layer"] == layer) & compared["tied"]]
    for metric, rows in tied.groupby("metric"):
        keys = pd.MultiIndex.from_frame(rows[["detector", "set"]])
        grid[f"tied_{metric}"] = pd.MultiIndex.from_frame(grid[["detector", "set"]]).isin(keys)
    return grid


def _detection_parts(grid: pd.DataFrame, layer: str, intervals: bool) -> list[str]:
    parts = []
    for metric, title in _PRINTED.items():
        if grid[metric].notna().any():
            parts += ["", f"{title}, {layer}:", _detection_table(grid, metric, intervals)]
    parts.append(
        f"{TIED} not significantly different from the best of its column (DeLong's test of AUROC "
        "on all samples, Holm-corrected p >= 0.05)"
    )
    if (grid["auroc"] < 0.5).any():
        parts.append(f"{WRONG_WAY} ranks the wrong way round")
    if intervals:
        parts.append(_about_intervals(grid))
    return parts


def _fit_parts(epoch: Epoch, layer: str) -> list[str]:
    fitted = fitted_on(epoch, layer)
    width = max(map(len, fitted), default=0)
    lines = ["", f"Detectors fitted on, {layer}:"]
    lines += [f"  {name:<{width}}  {words}" for name, words in fitted.items()]
    reasons = detectors_left_out(epoch, layer).items()
    return lines + [f"  {name:<{width}}  left out. {reason}" for name, reason in reasons]


def _about_intervals(grid: pd.DataFrame) -> str:
    text = (
        "In brackets: 95% intervals over draws of test samples; none where no interval has nominal "
        "coverage. Training with another seed is not included."
    )
    marked = any(note for metric in INTERVAL_METRICS for note in _notes(grid, metric))
    return f"{text}\n{EXPLANATION}" if marked else text


def _notes(grid: pd.DataFrame, metric: str) -> list[str]:
    """Why each row is approximate, empty where it is not."""
    columns = (grid[name] for name in (metric, "id_samples", "ood_samples"))
    return [reliability_note(*row) for row in zip(*columns, strict=True)]


def _misclassification_parts(epoch: Epoch) -> list[str]:
    table = epoch.misclassification()
    if table.empty:
        return []
    values = table.pivot(index="detector", columns="layer", values="misclassification_augrc").loc[
        table["detector"].unique(), table["layer"].unique()
    ]
    text = values.rename_axis(index=None, columns=None)
    row = table.iloc[0]
    return [
        "",
        f"AUGRC, {row['errors']:,} misclassified of {row['samples']:,} ID test samples as failures "
        "(lower is better):",
        text.to_string(float_format="{:.4f}".format, na_rep="-"),
    ]


def _calibration_parts(epoch: Epoch) -> list[str]:
    table = epoch.calibration()
    if table.empty:
        return []
    row = table.iloc[0]
    return [
        "",
        f"Confidence on {int(row['samples']):,} ID test samples: {row['confidence']:.4f} on "
        f"average, accuracy {row['accuracy']:.4f}, calibration error (ECE) {row['ece']:.4f};",
        f"scaled by a temperature of {row['temperature']:.3f}: calibration error "
        f"{row['ece_scaled']:.4f}.",
    ]


def side_by_side(runs: Sequence[Run], epoch: int | None = None) -> str:
    """Return a table with one line for each layer of each run, at `epoch` or the last evaluated.

    Detection is by the energy of a linear probe, which every layer has. Means are over the sets
    that all layers and runs share, which are named; without any there is no mean. Correlations of
    NC1 with detection, transfer and entropy follow, unless the runs were trained on different
    data: then they differ in more than collapse.
    """
    found = [layer for run in runs for layer in _layers(run, epoch)]
    means, said = {}, []
    for kind, columns in _AVERAGED.items():
        measured = {str(at): layer.sets(kind) for at, layer in enumerate(found)}
        means[kind] = shared(measured)
        of_runs = {f"{layer.run}, {layer.layer}": layer.sets(kind) for layer in found}
        if sets := means[kind]:
            said.append(f"{' and '.join(columns.values())}: mean over {', '.join(sets)}.")
        elif reason := why_none(of_runs, kind):
            said.append(f"{' and '.join(columns.values())}: {reason}")
    table = pd.DataFrame([_line(layer, means) for layer in found])
    text = table.to_string(float_format="{:.4f}".format, na_rep="-", index=False)
    score = probe_energy.INFO.label
    lines = [f"Layers side by side (AUROC and FPR95: {score}):", text, *said]
    if len({run.id_set for run in runs}) == 1 and "nc1_pinv" in table:
        lines += _correlations(table)
    return "\n".join(lines)


def _correlations(table: pd.DataFrame) -> Iterator[str]:
    """One line for each measure: r with and without the logarithm, ranks, leave-one-out."""
    nc1 = table["nc1_pinv"].to_numpy(np.float64)
    for name in ("FPR95", "AUROC", "probe error", "entropy"):
        y = table[name].to_numpy(np.float64) if name in table else np.full(len(nc1), np.nan)
        logged, plain = (
            correlate(nc1, y, networks=list(table["run"]), log_x=log) for log in (True, False)
        )
        if logged and plain:
            low, high = logged.leave_one_out
            interval = (
                f"no 95% interval ({logged.no_interval})"
                if logged.no_interval
                else f"95% interval {logged.low:.2f} to {logged.high:.2f}"
            )
            yield (
                f"{name} against nc1_pinv: r = {logged.r:.2f} with its logarithm, {plain.r:.2f} "
                f"without; Spearman {logged.spearman:.2f}; leave-one-out {low:.2f} to {high:.2f}; "
                f"{logged.pairs} points; {interval}"
            )


@dataclass(frozen=True)
class _Layer:
    """A layer of a run at an epoch: its own numbers, and those of each set."""

    run: str
    layer: str
    epoch: int
    numbers: Mapping[str, float | None]
    detection: pd.DataFrame
    transfer: pd.DataFrame

    def of(self, kind: str) -> pd.DataFrame:
        return self.detection if kind == "OOD set" else self.transfer

    def sets(self, kind: str) -> list[str]:
        """The sets that the layer was measured on."""
        return list(self.of(kind).index)


def _line(layer: _Layer, means: Mapping[str, Sequence[str]]) -> dict:
    line = {"run": layer.run, "layer": layer.layer, "epoch": layer.epoch, **layer.numbers}
    for kind, columns in _AVERAGED.items():
        own = layer.of(kind).reindex(list(means[kind]))
        for column, title in columns.items():
            line[title] = own[column].mean(skipna=False) if len(own) else np.nan
    return line


def _layers(run: Run, number: int | None) -> Iterator[_Layer]:
    epoch = run.epoch(_last_evaluated(run) if number is None else number)
    collapse = epoch.collapse()
    history = run.history
    last = history[history["epoch"] == epoch.number]
    # A run that was trained elsewhere has no history, and an accuracy on its evaluated samples.
    accuracy = last["test_accuracy"] if len(last) else epoch.calibration()["accuracy"]
    detection = epoch.detection()
    detection = detection[detection["detector"] == probe_energy.INFO.name]
    try:
        transfer = epoch.transfer()
    except MissingDataError:
        transfer = pd.DataFrame(columns=["layer", "set", *DEFINITIONS])
    # NC5 has a value for each OOD set; what is compared has one.
    metrics = collapse[collapse["set"] == ""].pivot(index="layer", columns="metric", values="value")
    for layer in epoch.layers:
        numbers = {"test error": 1 - accuracy.mean() if len(accuracy) else np.nan}
        numbers |= {name: metrics.loc[layer, name] for name in _COMPARED if name in metrics}
        yield _Layer(
            run.name,
            layer,
            epoch.number,
            numbers,
            detection[detection["layer"] == layer].set_index("set"),
            transfer[transfer["layer"] == layer].set_index("set"),
        )


def as_json(run: Run) -> dict:
    """All results of all evaluated epochs: one record for each row of the result tables."""
    return {
        "run": run.name,
        "collapse": run.collapse().to_dict("records"),
        "detection": _records(run.detection()),
        "detection_means": _records(run.detection_means()),
        "misclassification": _records(run.misclassification()),
        "comparisons": run.comparisons().to_dict("records"),
        "calibration": run.calibration().to_dict("records"),
        "temperature": run.temperature().to_dict("records"),
        "transfer": run.transfer().to_dict("records"),
        "duplicates": run.duplicates().to_dict("records"),
        "fitted": run.fitted().to_dict("records"),
        "sensitivity": run.sensitivity().to_dict("records"),
    }


def _records(table: pd.DataFrame) -> list[dict]:
    """Rows as plain values; None for missing numbers, such as ends of absent intervals."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


def _trained(run: Run) -> int:
    history = run.history
    return int(history["epoch"].max()) if len(history) else run.epochs[-1]


def _samples(epoch: Epoch) -> str:
    if epoch.run.without_features:
        return f"{len(epoch.features('train', epoch.run.layers[-1])):,} training samples"
    samples = epoch.statistics(epoch.run.layers[-1]).samples
    what = "samples" if epoch.run.imported else "images"
    return f"statistics of {samples:,} training {what}"


def _collapse_table(epoch: Epoch, layer: str) -> str:
    table = epoch.collapse()
    table = table[table["layer"] == layer]
    labels = [
        f"{METRICS[row.metric].label}{f' [{row.set}]' if row.set else ''}"
        for row in table.itertuples()
    ]
    width = max(map(len, labels), default=0)
    return "\n".join(
        f"  {label:<{width}}  {row.metric:<24}  {row.value:>12.6g}"
        for label, row in zip(labels, table.itertuples(), strict=True)
    )


def _detection_table(grid: pd.DataFrame, metric: str, intervals: bool) -> str:
    cells = grid[metric].map("{:.4f}".format)
    if intervals and f"{metric}_low" in grid:
        ends = zip(grid[f"{metric}_low"], grid[f"{metric}_high"], strict=True)
        cells += [f" [{low:.3f}, {high:.3f}]" if low == low else " " * 15 for low, high in ends]
        marks = [MARK if note else " " for note in _notes(grid, metric)]
        cells = pd.Series(marks, grid.index) + cells
    cells += (grid["auroc"] < 0.5).map({True: WRONG_WAY, False: " "})
    if f"tied_{metric}" in grid:
        cells += grid[f"tied_{metric}"].map({True: TIED, False: " "})
    table = grid.assign(cell=cells).pivot(index="detector", columns="set", values="cell")
    table = table.loc[grid["detector"].unique(), grid["set"].unique()]
    return table.rename_axis(index=None, columns=None).to_string()
