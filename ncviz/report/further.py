"""Calibration, the trade-off of collapse against detection and transfer, and maps."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from ncviz import metrics, transfer
from ncviz.collapse import METRICS
from ncviz.detectors import probe_energy
from ncviz.errors import MissingDataError
from ncviz.figures import (
    MappedSets,
    Shown,
    against_temperature,
    mapped_samples,
    over_epochs,
    reliability_diagram,
    trade_off,
)
from ncviz.figures.maps import KINDS
from ncviz.figures.theme import ID_STYLE, ood_style
from ncviz.metrics import CALIBRATION_DEFINITIONS
from ncviz.report.about import as_number
from ncviz.report.blocks import Block, Heading, Link, Missing, Number, Picture, Table, Text
from ncviz.report.study import Study
from ncviz.results import detectors
from ncviz.results.calibration import calibration_panels, reliable_lines, temperature_lines
from ncviz.results.maps import MapSeries, quality_in_words, read_maps
from ncviz.results.trade_off import Basis, averaged, choose_basis, layer_table
from ncviz.results.trade_off_panels import panels_against, style_of, through_epochs
from ncviz.results.words import commands, number

NC1 = "nc1_pinv"
_COLUMNS = {
    **{name: Link(METRICS[name]) for name in (NC1, "nc1_trace", "nc2_gram", "nc3_duality")},
    **{name: Link(metrics.DEFINITIONS[name]) for name in ("fpr95", "auroc")},
    "transfer": Link(transfer.DEFINITIONS["probe_error"]),
    **{name: Link(METRICS[name]) for name in ("entropy", "effective_rank")},
}
_READING = {
    "umap": "UMAP keeps neighbours together; the axes have no unit, and distances between far "
    "groups mean little.",
    "pca": "The two directions in which the last epoch varies most, at all epochs.",
    "etf": "The plane that lays the last epoch's class means out as evenly as it can, at all "
    "epochs.",
}


def calibration(study: Study) -> Iterator[Block]:
    """How far confidence can be believed, and what temperature does to detectors of the logits."""
    if study.calibration.empty and study.temperature.empty:
        yield Missing(
            "Calibration is not measured yet. Measure it with:", commands(study.run.name)[-1:]
        )
        return
    last = study.run.layers[-1]
    shown = Shown(study.run.name, study.number, last)
    yield Text(
        f"Of the network's own head, which sits on {last}. Temperature scaling divides the logits "
        "by one number, so that confidence fits accuracy; predictions stay the same."
    )
    try:
        bins = study.epoch.reliability()
    except MissingDataError as error:
        yield Missing(str(error))
    else:
        yield Picture(
            reliability_diagram(reliable_lines(bins), shown=shown),
            f"Accuracy over confidence at epoch {study.number}, before and after temperature "
            "scaling",
            "A point is a bin of ID test samples, larger the more there are. Below the dotted line "
            "the network is surer than it is right.",
            (CALIBRATION_DEFINITIONS["ece"],),
            narrow=True,
        )
    yield from _against_temperature(study, shown)
    if len(study.calibration):
        yield Picture(
            over_epochs(
                calibration_panels(study.calibration), title="Calibration over epochs", shown=shown
            ),
            "Calibration error, likelihood and temperature over epochs",
            about=tuple(CALIBRATION_DEFINITIONS.values()),
        )


def _against_temperature(study: Study, shown: Shown) -> Iterator[Block]:
    rows = study.temperature[study.temperature["epoch"] == study.number]
    if rows.empty:
        return
    found = study.calibration
    fitted = found.loc[found["epoch"] == study.number, "temperature"]
    yield Picture(
        against_temperature(
            temperature_lines(rows),
            value=f"AUROC, mean over {rows['set'].nunique()} sets",
            fitted=float(fitted.iloc[0]) if len(fitted) else None,
            shown=shown,
        ),
        "Mean AUROC of detectors of the logits against temperature",
        "Dashed: 1, the logits as they are; dotted: the temperature that fits the labels best.",
        (metrics.DEFINITIONS["auroc"], CALIBRATION_DEFINITIONS["temperature"]),
        narrow=True,
    )


def against_collapse(study: Study) -> Iterator[Block]:
    """NC1 against FPR95, transfer error and entropy over the epochs, all layers together."""
    if study.run.without_features:
        yield Text(study.run.without_features)
        return
    score = _shared_detector(study, study.layers)
    found, basis = _tables(study, study.layers, score)
    courses = [
        through_epochs(study.run, layer, table, style_of(at))
        for at, (layer, table) in enumerate(found.items())
        if NC1 in table
    ]
    if not courses:
        yield Missing(
            "There are no results to compare. Make them with:",
            commands(study.run.name, imported=study.run.imported),
        )
        return
    by = f"detection by {detectors.label(score)}" if score else "no detection results"
    figure = trade_off(
        panels_against(courses, NC1, basis=basis, shown=study.shown),
        title="Collapse against detection, transfer and entropy",
        note=f"{study.run.name} · {by} · one point for each saved epoch",
    )
    yield Picture(
        figure,
        "NC1 against FPR95, AUROC, transfer error and entropy over epochs and layers",
        f"Full collapse is at the left. {basis.words} If more collapse means better detection, "
        "FPR95 rises from left to right and AUROC falls; if it means worse transfer, the transfer "
        "error falls. Error bars are 95% intervals over test samples. A cross marks a point whose "
        "AUROC is below 0.5 together with its interval. r is Pearson's correlation over all "
        "points. These are of one network, so r is descriptive and has no interval.",
        (
            METRICS[NC1],
            metrics.DEFINITIONS["fpr95"],
            metrics.DEFINITIONS["auroc"],
            transfer.DEFINITIONS["probe_error"],
            METRICS["entropy"],
        ),
    )
    yield from map(Text, basis.problems)
    yield from _layers_table(study)
    if study.transfer.empty and not study.run.imported and study.run.ood_sets:
        name = shlex.quote(study.run.name)
        yield Missing(
            "Transfer is not measured yet:", (f"python scripts/extract.py {name} --transfer",)
        )
    for name, reason in study.run.without_transfer.items():
        yield Text(f"No transfer error for {name}: it {reason}.")


def _layers_table(study: Study) -> Iterator[Block]:
    """Each layer at the chosen epoch, those inside the backbone among them."""
    rows = study.collapse[study.collapse["epoch"] == study.number]
    layers = tuple(dict.fromkeys(rows["layer"]))
    if not layers:
        return
    score = _shared_detector(study, layers)
    tables, basis = _tables(study, layers, score, epoch=study.number)
    found = [table for table in tables.values() if len(table)]
    columns = [name for name in _COLUMNS if any(name in table for table in found)]
    cells = []
    for table in found:
        here = table.iloc[0]
        cells.append((here["layer"], *(_cell(here, name) for name in columns)))
    by = f", detection by {detectors.label(score)}" if score else ""
    caption = f"The layers of {study.run.name} at epoch {study.number}{by}. {basis.words}".strip()
    yield Table(caption, ("Layer", *(_COLUMNS[name] for name in columns)), cells)


def _cell(row: pd.Series, name: str) -> Number:
    if f"{name}_low" in row:
        return as_number(*(row[column] for column in (name, f"{name}_low", f"{name}_high")))
    return Number(_number(row.get(name, np.nan)))


def _tables(
    study: Study, layers: Sequence[str], score: str | None, *, epoch: int | None = None
) -> tuple[dict[str, pd.DataFrame], Basis]:
    """Tables of the layers, at one epoch or all, averaged over the sets that they share."""
    parts = (study.collapse, study.detection, study.means, study.transfer)
    found = {layer: layer_table(*parts, layer, score) for layer in layers}
    if epoch is not None:
        found = {layer: table[table["epoch"] == epoch] for layer, table in found.items()}
    basis = choose_basis(found)
    return {layer: averaged(table, basis) for layer, table in found.items()}, basis


def _number(value: float) -> str:
    return number(None if np.isnan(value) else value)


def _shared_detector(study: Study, layers: Sequence[str]) -> str | None:
    """The chosen detector where each of the layers has it, else one that they share."""
    rows = study.detection[study.detection["layer"].isin(layers)]
    scored = [set(names) for _, names in rows.groupby("layer")["detector"]]
    shared = set.intersection(*scored) if scored else set()
    wanted = (study.detector, probe_energy.INFO.name)
    return next((name for name in wanted if name in shared), study.detector)


def maps(study: Study) -> Iterator[Block]:
    """The samples in the plane, at the first mapped epoch and at the chosen one."""
    if study.run.without_features:
        yield Text(study.run.without_features)
        return
    series = read_maps(study.run)
    if series is None or study.number not in series.epochs:
        name = shlex.quote(study.run.name)
        yield Missing(
            f"Epoch {study.number} has no maps that fit its features. Make those of all epochs "
            "with:",
            (f"python scripts/embed.py {name}",),
        )
        return
    names = (f"{study.run.id_set} test (ID)", *study.run.ood_sets)
    styles = (ID_STYLE, *(ood_style(at) for at in range(len(names) - 1)))
    samples = MappedSets(series.sets, names, styles, series.labels, study.run.classes)
    epochs = list(dict.fromkeys((series.epochs[0], study.number)))
    for at, layer in enumerate(series.layers):
        yield Heading(f"Layer {layer}")
        for kind in (kind for kind in KINDS if kind in series.points):
            yield _map(study, series, samples, kind, at, epochs)


def _map(
    study: Study, series: MapSeries, samples: MappedSets, kind: str, layer: int, epochs: list[int]
) -> Picture:
    panels = [
        (f"epoch {epoch}", series.points[kind][series.epochs.index(epoch), layer])
        for epoch in epochs
    ]
    shown = Shown(study.run.name, None, series.layers[layer])
    title = f"{KINDS[kind][0].upper()}{KINDS[kind][1:]} map"
    some = len(study.run.classes) > 10
    return Picture(
        mapped_samples(panels, samples, title=title, shown=shown),
        f"{title} of {len(series.sets):,} samples at layer {series.layers[layer]}, "
        f"epochs {' and '.join(map(str, epochs))}",
        f"{_READING[kind]} Known samples have the colour of their class"
        f"{' (ten classes; the others are grey)' if some else ''}; OOD samples are open and grey."
        f"{_quality(series, kind, layer, epochs)}",
    )


def _quality(series: MapSeries, kind: str, layer: int, epochs: list[int]) -> str:
    """Describe how faithful the maps of some epochs are, as a sentence of a caption."""
    found = {
        epoch: series.quality[place]
        for epoch in epochs
        if (place := (epoch, series.layers[layer], kind)) in series.quality
    }
    if not found:
        return ""
    parts = [f"epoch {epoch}, {quality_in_words(one)}" for epoch, one in found.items()]
    samples = next(iter(found.values())).samples
    return f" Quality of the map, on {samples:,} samples: {'; '.join(parts)}."
