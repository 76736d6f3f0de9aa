"""Verdicts on image files as lines of text or CSV, printed as they come."""

from __future__ import annotations

import csv as csv_format
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ncviz.data.depth import depth_note
from ncviz.data.uploads import files_below, open_file, plain_name
from ncviz.errors import InvalidOptionError, MissingDataError
from ncviz.inference.looking import Result, look_at, record
from ncviz.inference.scorer import Scorer
from ncviz.inference.verdict import Verdict, agree, judge
from ncviz.spreadsheet import inert_row
from ncviz.store import Epoch, Run, detectors_left_out
from ncviz.thresholds import ID_95, Criterion

MAIN_DETECTOR = "energy"

Write = Callable[[Result, Mapping[str, Verdict]], None]


def print_verdicts(
    run: Run,
    paths: Sequence[Path],
    *,
    epoch: int | None = None,
    layer: str | None = None,
    names: Sequence[str] = (),
    criterion: Criterion = ID_95,
    csv: bool = False,
) -> int:
    """Print a line for each image in `paths`, files or folders; returns how many were unreadable.

    Results go to stdout. Progress, a line about the threshold and a line for each unreadable file
    go to stderr.

    Parameters
    ----------
    epoch : None for the last one with weights
    layer : None for the one under the head
    names : detectors, the one whose verdict is shown first; empty for all
    criterion : rule that sets the threshold of each detector

    Raises
    ------
    NcvizError : no images given, or unknown or missing epoch, layer, detector, rule, weights.
    """
    files = _files(paths)
    scorer = Scorer.load(_epoch(run, epoch), layer, detectors=names or None)
    order = _main_first(scorer.reference.names, names)
    thresholds = {name: scorer.reference.threshold(name, criterion).value for name in order}
    words = scorer.reference.about_threshold(order[0], criterion)
    print(f"threshold of {order[0]} {thresholds[order[0]]:.4g}: {words}", file=sys.stderr)
    for line in _about_fits(scorer, order):
        print(line, file=sys.stderr)
    write = _csv_writer(run, order) if csv else _table_writer(run, files)
    unread = 0
    with tqdm(total=len(files), unit="image", file=sys.stderr, disable=len(files) < 2) as bar:
        opened = ((name, partial(_see, scorer, path, name)) for name, path in files)
        for result in look_at(scorer, opened):
            scores = result.sight.scores if result.sight else None
            verdicts = judge(scores, scorer.reference, thresholds) if scores else {}
            with bar.external_write_mode(file=sys.stdout):
                write(result, verdicts)
                if result.error:
                    print(f"error: {result.error}", file=sys.stderr)
            unread += bool(result.error)
            bar.update()
    return unread


def _about_fits(scorer: Scorer, order: Sequence[str]) -> list[str]:
    """Return a line for what each detector was fitted on, and for each that was left out."""
    fitted = scorer.reference.fitted_on
    left_out = detectors_left_out(scorer.epoch, scorer.layer)
    lines = [f"{name}: fitted on {fitted[name]}" for name in order if name in fitted]
    return lines + [f"{name} is left out. {reason}" for name, reason in left_out.items()]


def _see(scorer: Scorer, path: Path, name: str) -> np.ndarray:
    image = open_file(path, name)
    if note := depth_note(image):
        print(f"warning: {name} has {note}.", file=sys.stderr)
    return scorer.see(image)


def _files(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """Every file with the name it is shown by; those of a folder one by one."""
    if not paths:
        raise InvalidOptionError("Name at least one image file, or a folder of them.")
    files = [each for path in paths for each in (files_below(path) if path.is_dir() else [path])]
    return [(plain_name(str(path)), path) for path in files]


def _epoch(run: Run, number: int | None) -> Epoch:
    weighted = run.weighted_epochs
    if not weighted:
        raise MissingDataError(
            f"No epoch of {run.name} has weights, and an image is shown to the network itself. "
            "Train the run again, or name another."
        )
    epoch = run.epoch(weighted[-1] if number is None else number)
    if not epoch.has_weights:
        raise MissingDataError(
            f"Epoch {number} of {run.name} was shared without weights, and an image is shown to "
            f"the network itself. With weights: {', '.join(map(str, weighted))}."
        )
    return epoch


def _main_first(found: Sequence[str], chosen: Sequence[str]) -> list[str]:
    """The detectors in the order to report them."""
    if chosen:
        return list(dict.fromkeys(chosen))
    first = [name for name in found if name == MAIN_DETECTOR]
    return first + [name for name in found if name != MAIN_DETECTOR]


def _csv_writer(run: Run, detectors: Sequence[str]) -> Write:
    table: csv_format.DictWriter | None = None

    def write(result: Result, verdicts: Mapping[str, Verdict]) -> None:
        nonlocal table
        row = inert_row(record(result, verdicts, run.classes, detectors))
        if table is None:
            table = csv_format.DictWriter(sys.stdout, list(row), lineterminator="\n")
            table.writeheader()
        table.writerow(row)
        sys.stdout.flush()

    return write


def _table_writer(run: Run, files: Sequence[tuple[str, Path]]) -> Write:
    width = max(len(name) for name, _ in files)

    def write(result: Result, verdicts: Mapping[str, Verdict]) -> None:
        if result.sight is None:
            return
        first = next(iter(verdicts.values()))
        number, probability = result.sight.top(1)[0]
        print(
            f"{result.name:<{width}}  {first.word:<7}  p = {first.p_value:.3f}  "
            f"unknown by {agree(list(verdicts.values()))}  "
            f"{run.classes[number]} ({probability:.0%})",
            flush=True,
        )

    return write
