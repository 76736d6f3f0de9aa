"""The report of a run: its sections in order, as text and as a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from ncviz.errors import NcvizError
from ncviz.report import about, collapse, definitions, detection, further, page
from ncviz.report.blocks import Block, Missing, Section
from ncviz.report.study import Study
from ncviz.store import files

Maker = Callable[[Study], Iterator[Block]]
_SECTIONS: tuple[tuple[str, str, *tuple[Maker, ...]], ...] = (
    ("run", "What this run is", about.the_run),
    ("numbers", "Key numbers", about.key_numbers),
    ("training", "Collapse and detection over epochs", about.over_epochs, about.training),
    ("collapse", "Neural collapse over epochs", collapse.over_epochs),
    ("class-means", "The class means", collapse.class_means),
    ("collapse-definitions", "Every definition of collapse", collapse.definitions),
    ("scores", "Scores of one detector", detection.scores),
    ("leaderboard", "All detectors on all OOD sets", detection.leaderboard),
    ("detectors", "Detectors over epochs", detection.over_epochs),
    ("calibration", "Calibration", further.calibration),
    ("trade-off", "Does more collapse mean better detection?", further.against_collapse),
    ("maps", "What the network sees", further.maps),
    ("definitions", "Definitions", definitions.everything),
    ("provenance", "Where the numbers come from", definitions.provenance),
)
Theme = Literal["system", "light", "dark"]


def compose(study: Study, *, theme: Theme = "system") -> str:
    """The report as one HTML page that needs no network.

    What the run does not have, or cannot be read, is told where it would stand. The same files
    give the same page.

    Parameters
    ----------
    theme : ``"system"`` follows the reader's
    """
    sections = [
        Section(name, title, [block for make in makers for block in _blocks(make, study)])
        for name, title, *makers in _SECTIONS
    ]
    return page.render(f"Report of {study.run.name}", str(study.shown), sections, theme=theme)


def save(study: Study, path: Path, *, theme: Theme = "system") -> None:
    """Write the report to `path`, replacing what is there as a whole.

    Raises
    ------
    StorageError : the disk refuses; what was there is kept
    """
    text = compose(study, theme=theme)
    files.write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def _blocks(make: Maker, study: Study) -> list[Block]:
    """A part of a section; where something cannot be read, that and the way to mend it."""
    blocks: list[Block] = []
    try:
        blocks.extend(make(study))
    except NcvizError as error:
        blocks.append(Missing(str(error)))
    return blocks
