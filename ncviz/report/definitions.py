"""Every definition of a metric or detector, and where the numbers of a report come from."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from importlib.metadata import version

import plotly

from ncviz import collapse, metrics, transfer
from ncviz import detectors as registry
from ncviz.detectors import probe_energy
from ncviz.report.blocks import (
    Block,
    Commands,
    Definition,
    Heading,
    Missing,
    Number,
    Table,
    Terms,
    Text,
)
from ncviz.report.study import Study
from ncviz.results.sample_counts import computed_on
from ncviz.store.inventory import inventory

TABLES = {
    "Collapse": collapse.METRICS,
    "Detection": metrics.DEFINITIONS,
    "Misclassification": metrics.MISCLASSIFICATION_DEFINITIONS,
    "Calibration": metrics.CALIBRATION_DEFINITIONS,
    "Transfer": transfer.DEFINITIONS,
}


def everything(study: Study) -> Iterator[Block]:
    """Metrics and detectors: formula, direction, source, caveat."""
    for title, table in TABLES.items():
        yield Heading(title)
        yield from map(Definition, table.values())
    yield Heading("Detectors")
    yield Text(
        "A score is always higher for what is more in-distribution, whichever sign the paper chose."
    )
    yield from (Definition(registry.info(name)) for name in registry.names())
    yield Definition(probe_energy.INFO)


def provenance(study: Study) -> Iterator[Block]:
    """Files with their fingerprints, versions, and the command that writes the report."""
    command = [
        *("python", "scripts/report.py", study.run.name, "--epoch", str(study.number)),
        *("--layer", study.layer),
        *(("--detector", study.detector) if study.detector else ()),
    ]
    yield Text(
        "This report shows what the scripts wrote, and computes nothing anew but curves. "
        "The same files give the same report; this writes it again:"
    )
    yield Commands([shlex.join(command)])
    made = study.epoch.current_results()
    yield Terms(
        (
            ("Versions", f"plotly {plotly.__version__}, numpy {version('numpy')}"),
            ("Results", f"version {made['code:version']}" if made else "none that are current"),
            *([("Samples", counts)] if (counts := computed_on(study.run)) else []),
        )
    )
    yield Heading("Files")
    files = inventory(study.epoch)
    yield Table(
        f"Files of {study.run.name} that are about epoch {study.number} or about no epoch",
        ("File", "Written by", "Fingerprint", "Bytes"),
        [
            (each.path, f"scripts/{each.script}", each.fingerprint, Number(f"{each.size:,}"))
            for each in files
        ],
    )
    others = [number for number in study.run.epochs if number != study.number]
    if others:
        yield Text(f"Curves over epochs also rest on the epochs {', '.join(map(str, others))}.")
    if not made:
        yield Missing("Some results of this epoch are missing or older than its features.")
