"""The uploaded files one by one: looked at as they come, and listed in a table."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image

from ncviz import spreadsheet
from ncviz.data.depth import depth_note
from ncviz.data.uploads import open_upload, plain_name
from ncviz.errors import NcvizError
from ncviz.ui import inline, loaders
from ncviz.ui.components import plain
from ncviz.ui.view import View

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

    from ncviz.inference.looking import Result
    from ncviz.inference.scorer import Scorer
    from ncviz.inference.verdict import Verdict

MAX_FILES = 500
_KEPT = "_uploads_seen"
_ICON_SIDE, _PREVIEW_SIDE = 64, 560
_ERRORS_SHOWN = 20

Judge = Callable[["Result"], "dict[str, Verdict]"]


@dataclass(frozen=True)
class Opened:
    """An image that was decoded once.

    Attributes
    ----------
    pixels : (S, S, 3) uint8, as the network sees it
    preview : a JPEG file of it, small enough to keep for hundreds of images
    size : width and height of the upload
    note : the assumption made about its bit depth, if any
    """

    pixels: np.ndarray
    preview: bytes
    size: tuple[int, int]
    note: str = ""


@dataclass
class Kept:
    """What one reader's files came to, so that a click does not look at them again.

    Attributes
    ----------
    opened : by file, its image for networks of `transform`, or why there is none
    results : by file, at `place`: run, state of its files, epoch and layer
    """

    transform: object = None
    opened: dict[str, Opened | NcvizError] = field(default_factory=dict)
    place: object = None
    results: dict[str, Result] = field(default_factory=dict)


def look(view: View, files: Sequence[UploadedFile], scorer: Scorer, judge: Judge) -> list[Result]:
    """Results of all files in their order; new ones are drawn while they come."""
    from ncviz.inference.looking import look_at

    kept = _kept(
        files, scorer, (str(view.run.path), loaders.state(view.run), view.epoch, view.layer)
    )
    new = [file for file in files if file.file_id not in kept.results]
    if new:
        to_see = ((plain_name(file.name), partial(_see, kept, file, scorer)) for file in new)
        bar, table = st.progress(0.0, "Looking at the images"), st.empty()
        for number, (file, result) in enumerate(zip(new, look_at(scorer, to_see), strict=True), 1):
            kept.results[file.file_id] = result
            bar.progress(number / len(new), f"{number:,} of {len(new):,} files")
            if number % 16 == 0:
                done = [
                    kept.results[each.file_id] for each in files if each.file_id in kept.results
                ]
                table.dataframe(results_table(view, done, judge), hide_index=True)
        bar.empty()
        table.empty()
    return [kept.results[file.file_id] for file in files]


def _kept(files: Sequence[UploadedFile], scorer: Scorer, place: object) -> Kept:
    kept = st.session_state.setdefault(_KEPT, Kept())
    if kept.transform != scorer.transform:
        kept.transform, kept.opened = scorer.transform, {}
    if kept.place != place:
        kept.place, kept.results = place, {}
    # What was taken away is forgotten.
    present = {file.file_id for file in files}
    for found in (kept.opened, kept.results):
        for file_id in found.keys() - present:
            del found[file_id]
    return kept


def _see(kept: Kept, file: UploadedFile, scorer: Scorer) -> np.ndarray:
    if file.file_id not in kept.opened:
        try:
            kept.opened[file.file_id] = _open(file, scorer)
        except NcvizError as error:
            kept.opened[file.file_id] = error
    found = kept.opened[file.file_id]
    if isinstance(found, NcvizError):
        raise found
    return found.pixels


def _open(file: UploadedFile, scorer: Scorer) -> Opened:
    image = open_upload(file.name, file.getvalue())
    pixels, size, note = scorer.see(image), image.size, depth_note(image)
    image.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=85)
    return Opened(pixels, content.getvalue(), size, note)


def opened(file: UploadedFile) -> Opened:
    """The image of a file that `look` had a result for."""
    return st.session_state[_KEPT].opened[file.file_id]


def results_table(view: View, results: Sequence[Result], judge: Judge) -> pd.DataFrame:
    """A row for each image that could be read."""
    rows = []
    for result in results:
        if result.sight is None:
            continue
        verdicts = list(judge(result).values())
        number, probability = result.sight.top(1)[0]
        rows.append(
            {
                "Seen": _icon(result.sight.pixels),
                "File": result.name,
                "Verdict": verdicts[0].word,
                "p-value": verdicts[0].p_value,
                "Predicted class": view.run.classes[number],
                "Probability": probability,
                "Say unknown": str(_agreement(verdicts)),
            }
        )
    return pd.DataFrame(rows)


def show_table(view: View, results: Sequence[Result], judge: Judge, name: str) -> int | None:
    """What could not be read, then the table of images; returns the position of the chosen one.

    `name` is the detector whose verdicts the table shows.
    """
    _show_errors(results)
    readable = [at for at, result in enumerate(results) if result.sight is not None]
    if not readable:
        return None
    chosen = 0
    if len(readable) > 1:
        chosen = _select_row(results_table(view, results, judge), name)
    _offer_csv(view, results, judge)
    return readable[chosen]


def _select_row(table: pd.DataFrame, name: str) -> int:
    config = {
        "Seen": st.column_config.ImageColumn(width="small"),
        "Verdict": st.column_config.TextColumn(help=f"By {name} at its threshold."),
        "p-value": st.column_config.NumberColumn(
            format="%.3f", help="Small where hardly any known sample is as unusual."
        ),
        "Probability": st.column_config.ProgressColumn(
            format="percent", min_value=0, max_value=1, help="Of the predicted class."
        ),
        "Say unknown": st.column_config.TextColumn(
            help="How many of the detectors say unknown. They look at the same features, so this "
            "is no probability."
        ),
    }
    event = st.dataframe(
        table,
        hide_index=True,
        column_config=config,
        key="uploads_table",
        on_select="rerun",
        selection_mode="single-row",
        alt="Verdict, p-value and predicted class of each image",
    )
    rows = event["selection"]["rows"]
    st.caption("Choose a row, at its left end, to see that image below.")
    return rows[0] if rows and rows[0] < len(table) else 0


def _show_errors(results: Sequence[Result]) -> None:
    errors = [result.error for result in results if result.error]
    for error in errors[:_ERRORS_SHOWN]:
        st.warning(plain(error), icon=":material/broken_image:")
    if len(errors) > _ERRORS_SHOWN:
        st.caption(f"{len(errors) - _ERRORS_SHOWN:,} further files could not be read either.")


def _offer_csv(view: View, results: Sequence[Result], judge: Judge) -> None:
    from ncviz.inference.looking import record

    def made() -> bytes:
        names = list(judge(next(result for result in results if result.sight)))
        rows = [
            record(result, judge(result) if result.sight else {}, view.run.classes, names)
            for result in results
        ]
        return spreadsheet.as_csv(pd.DataFrame(rows))

    st.download_button(
        "Results as CSV",
        made,
        f"{view.run.name}-epoch-{view.epoch}-{view.layer}.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
    )


def _icon(pixels: np.ndarray) -> str:
    """The pixels as a small PNG file in an address, which is how tables take pictures."""
    image = Image.fromarray(pixels)
    image.thumbnail((_ICON_SIDE, _ICON_SIDE))
    return inline.pixels(np.asarray(image))


def _agreement(verdicts: Sequence[Verdict]):
    from ncviz.inference.verdict import agree

    return agree(verdicts)
