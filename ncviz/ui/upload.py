"""Upload: would the network know this image, and by how much do its detectors agree?"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from ncviz.data.natural import natural_key
from ncviz.data.uploads import LIMITS
from ncviz.results.words import left_out
from ncviz.store import Run
from ncviz.thresholds import Criterion
from ncviz.ui import (
    components,
    controls,
    detector,
    loaders,
    shell,
    threshold,
    upload_details,
    upload_loaders,
    upload_results,
)
from ncviz.ui.components import plain
from ncviz.ui.view import View

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

    from ncviz.inference.looking import Result
    from ncviz.inference.reference import Reference
    from ncviz.inference.verdict import Verdict


@dataclass(frozen=True)
class Choice:
    """What the page alone needs from the sidebar.

    Attributes
    ----------
    detectors : detectors that score the image; the first one's verdict comes first
    criterion : rule that sets the thresholds
    """

    detectors: tuple[str, ...]
    criterion: Criterion


def body(view: View) -> None:
    """The page below its title."""
    names = upload_loaders.judges(view.run, view.epoch, view.layer)
    if not names and not view.run.imported:
        components.empty_state(
            f"Epoch {view.epoch} of {plain(view.run.name)} has no scores at layer "
            f"{plain(view.layer)}. Make them with:",
            *components.commands(view.run.name, imported=view.run.imported),
        )
        return
    weighted = view.run.weighted_epochs
    if names:
        with st.sidebar:
            choice = _choose(view, names)
        _say_what_is_asked(view, choice, weighted)
    if not weighted:
        components.empty_state(
            f"No epoch of {plain(view.run.name)} has weights, and an image has to be shown to the "
            "network itself. Choose another run, or train one, which keeps its weights:",
            "python scripts/train.py digits --run digits",
            *components.commands("digits"),
        )
        return
    files = _uploaded(view.run)
    if view.epoch not in weighted:
        _offer_epoch(view, weighted)
    elif files:
        with shell.readable_errors():
            _show(view, choice, files)


def _choose(view: View, names: Sequence[str]) -> Choice:
    first = detector.choose(
        names,
        help="Whose verdict stands at the top. Its score is a number for each image, higher = more "
        "in-distribution.",
    )
    criterion = threshold.choose_criterion(has_ood=bool(view.run.ood_sets))
    others = [name for name in names if name != first]
    asked = controls.choose_several(
        "Also ask",
        others,
        key="ask",
        words=detector.label,
        help="Further detectors to ask; all of them if none is chosen.",
        placeholder="All detectors",
    )
    return Choice((first, *(asked or others)), criterion)


def _uploaded(run: Run) -> list[UploadedFile]:
    """The files of either uploader, in the order they came; at most so many as are looked at."""
    whole = st.toggle(
        "Upload a whole folder",
        key="upload_folder",
        help="Every file below a folder instead of files one by one.",
    )
    files = st.file_uploader(
        "Folder of images" if whole else "Images",
        accept_multiple_files="directory" if whole else True,
        key="upload_of_folder" if whole else "upload_of_files",
        help="They stay in this server's memory until you leave or remove them, and are never "
        "written to disk.",
    )
    st.caption(
        f"{LIMITS}; at most {upload_results.MAX_FILES} files at a time. Never written to disk."
    )
    if whole:
        files = _in_folder_order(files)
    if len(files) > upload_results.MAX_FILES:
        st.warning(
            f"{len(files):,} files were uploaded; the first {upload_results.MAX_FILES} are looked "
            f"at. For more: python scripts/score.py {plain(shlex.quote(run.name))} FOLDER --csv",
            icon=":material/filter_list:",
        )
    return files[: upload_results.MAX_FILES]


def _in_folder_order(files: Sequence[UploadedFile]) -> list[UploadedFile]:
    """Files as people count them, without those that are hidden."""
    shown = [file for file in files if not any(p.startswith(".") for p in file.name.split("/"))]
    return sorted(shown, key=lambda file: natural_key(file.name))


def _offer_epoch(view: View, weighted: Sequence[int]) -> None:
    nearest = min(weighted, key=lambda number: (abs(number - view.epoch), -number))
    st.info(
        f"Epoch {view.epoch} was saved without weights, and an image has to be shown to the "
        f"network itself. Epochs with weights: {', '.join(map(str, weighted))}.",
        icon=":material/info:",
    )
    st.button(f"Go to epoch {nearest}", on_click=_go_to, args=(nearest,), type="primary")


def _go_to(epoch: int) -> None:
    st.session_state["epoch"] = epoch


def _say_what_is_asked(view: View, choice: Choice, weighted: Sequence[int]) -> None:
    known = loaders.distribution(view.run, view.epoch, view.layer, choice.detectors[0], "test")
    others = ", ".join(str(number) for number in weighted if number != view.epoch)
    components.provenance(
        str(view.shown),
        f"compared with {len(known):,} ID test samples",
        f"{len(choice.detectors)} detectors",
        loaders.computed_on(view.run),
        *left_out(view.run),
        f"other epochs with weights: {others}" if others else "",
    )


def _show(view: View, choice: Choice, files: Sequence[UploadedFile]) -> None:
    scorer = upload_loaders.scorer(view.run, view.epoch, view.layer)
    thresholds = upload_loaders.thresholds(view.run, view.epoch, view.layer, choice.criterion)
    thresholds = {name: thresholds[name] for name in choice.detectors}
    judge = partial(_judge, scorer.reference, thresholds)
    results = upload_results.look(view, files, scorer, judge)
    name = detector.label(choice.detectors[0])
    at = upload_results.show_table(view, results, judge, name)
    if at is not None:
        upload_details.show(
            upload_details.Seen(
                view=view,
                scorer=scorer,
                criterion=choice.criterion,
                name=results[at].name,
                opened=upload_results.opened(files[at]),
                sight=results[at].sight,
                verdicts=judge(results[at]),
            )
        )


def _judge(
    reference: Reference, thresholds: dict[str, float], result: Result
) -> dict[str, Verdict]:
    from ncviz.inference.verdict import judge

    return judge(result.sight.scores, reference, thresholds)
