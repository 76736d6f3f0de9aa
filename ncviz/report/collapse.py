"""Neural collapse: over epochs, the class means' geometry, and every definition with its curve."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ncviz import collapse
from ncviz.collapse import METRICS
from ncviz.errors import MissingDataError
from ncviz.figures import Shown, class_lengths, cosine_histogram, gram_heatmaps
from ncviz.figures import over_epochs as draw_over_epochs
from ncviz.figures.theme import signed
from ncviz.report.blocks import Block, Heading, Missing, Number, Picture, Table, Text
from ncviz.report.study import Study
from ncviz.results.geometry import Geometry, measure_geometry, order_classes
from ncviz.results.headlines import HEADLINES, PROPERTIES, panel
from ncviz.results.words import commands

WORST_PAIRS = 20
_GEOMETRY = ("nc2_gram", "nc2_cosine_mean", "nc2_cosine_std")


def over_epochs(study: Study) -> Iterator[Block]:
    """NC1 to NC5, a figure for each layer."""
    if study.run.without_features:
        yield Text(study.run.without_features)
        return
    if study.collapse.empty:
        yield Missing(
            "The collapse metrics are not there yet. Make them with:",
            commands(study.run.name, imported=study.run.imported),
        )
        return
    for layer in study.layers:
        rows = study.collapse[study.collapse["layer"] == layer]
        panels = [
            panel(study.run, rows, layer, each.metric, each.label)
            for each in HEADLINES
            if (rows["metric"] == each.metric).any()
        ]
        if panels:
            shown = Shown(study.run.name, study.number, layer)
            yield Picture(
                draw_over_epochs(panels, title="Collapse over epochs", shown=shown),
                f"NC1 to NC5 of the layer {layer} over epochs, epoch {study.number} marked",
                "The dotted line marks the chosen epoch; a dashed line is where full collapse "
                "would end.",
                [each.info for each in HEADLINES if (rows["metric"] == each.metric).any()],
            )


def class_means(study: Study) -> Iterator[Block]:
    """The cosines of the class means against the simplex ETF, first and at the chosen epoch."""
    if study.run.without_features:
        yield Text(study.run.without_features)
        return
    classes = len(study.run.classes)
    yield Text(
        "In a simplex ETF the class means have equal lengths and every pair has the same cosine, "
        f"−1/(C−1) = {signed(-1 / (classes - 1))} for these {classes} classes: as far apart as so "
        "many directions can be."
    )
    for layer in study.layers:
        yield Heading(f"Layer {layer}")
        for epoch in study.compared:
            try:
                geometry = measure_geometry(study.run.epoch(epoch), layer)
            except MissingDataError as error:
                yield Missing(str(error))
                continue
            yield from _geometry(study, geometry, Shown(study.run.name, epoch, layer))


def _geometry(study: Study, geometry: Geometry, shown: Shown) -> Iterator[Block]:
    names = study.run.classes
    order = order_classes(study.run, "superclass" if study.run.superclasses else "name")
    where = f"at epoch {shown.epoch}, layer {shown.layer}"
    about = [METRICS[name] for name in _GEOMETRY]
    yield Picture(
        gram_heatmaps(geometry.gram, geometry.ideal, names, order=order, shown=shown),
        f"Cosines of class means, those of the simplex ETF, and their difference, {where}",
        f"Class means of {geometry.samples:,} training samples. Classes are ordered by "
        f"{'superclass' if order.groups else 'name'}.",
        about,
    )
    if shown.epoch != study.number:
        return
    yield Picture(
        cosine_histogram(geometry.gram, shown=shown),
        f"Histogram of cosines between class means {where}",
        narrow=True,
    )
    yield Picture(
        class_lengths(
            geometry.means, names, order=order.rows, shown=shown, weights=geometry.weights
        ),
        f"Lengths of class means and of the head's rows {where}",
        narrow=True,
    )
    yield _worst_pairs(study, geometry.gram, where)


def _worst_pairs(study: Study, gram: np.ndarray, where: str) -> Table:
    names = study.run.classes
    rows = [
        (
            names[pair.first],
            names[pair.second],
            Number(signed(pair.cosine)),
            Number(f"{pair.excess:+.3f}".replace("-", "−")),
        )
        for pair in collapse.worst_pairs(gram, WORST_PAIRS)
    ]
    columns = ("Class A", "Class B", "Cosine", "Above the ETF's")
    return Table(f"Class pairs farthest from the ETF {where}", columns, rows)


def definitions(study: Study) -> Iterator[Block]:
    """A curve of every definition that was measured, one panel for each layer."""
    if study.run.without_features:
        yield Text(study.run.without_features)
        return
    measured = set(study.collapse["metric"])
    if not measured:
        yield Missing(
            "No definition was measured yet. Make the results with:",
            commands(study.run.name, imported=study.run.imported),
        )
        return
    for group in dict.fromkeys(info.group for name, info in METRICS.items() if name in measured):
        yield Heading(PROPERTIES.get(group, group))
        for name, info in METRICS.items():
            if info.group == group and name in measured:
                yield _curve(study, name)


def _curve(study: Study, name: str) -> Picture:
    info, table = METRICS[name], study.collapse
    layers = [
        layer
        for layer in study.layers
        if ((table["layer"] == layer) & (table["metric"] == name)).any()
    ]
    panels = [panel(study.run, table, layer, name, layer) for layer in layers]
    shown = Shown(study.run.name, study.number, layers[0] if len(layers) == 1 else None)
    return Picture(
        draw_over_epochs(panels, title=info.label, shown=shown, height=280),
        f"{info.label} over epochs, layers {', '.join(layers)}",
        info.definition,
        (info,),
        narrow=len(layers) == 1,
    )
