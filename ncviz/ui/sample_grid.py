"""The chosen samples as pages of thumbnails, with true and predicted class and score."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import streamlit as st

from ncviz.ui import components, controls, pictures, sample_choice, sample_table, selection
from ncviz.ui.components import plain
from ncviz.ui.gallery import Tile, gallery
from ncviz.ui.sample_table import Judge
from ncviz.ui.view import View

PER_PAGE = 24
ONE_SAMPLE = "one_sample"
"""Key of the container with the sample that is looked at."""
_PAGE, _PAGED = "samples_page", "_samples_paged"
_REASONS = 8


def show(view: View, by: Judge, told: set[pictures.Missing]) -> pd.DataFrame:
    """The section; returns the table of the samples in the order in which they are shown.

    `told` are the reasons for missing pictures that the page has given; new ones are added.
    """
    st.subheader("Selected samples", anchor=False)
    choice = selection.current()
    if not choice:
        st.caption(
            "No samples are selected. Circle points on a map with the lasso, drag over a "
            "distribution of scores, click a cell or a row of a table, or search here."
        )
        sample_choice.show(view)
        return pd.DataFrame()
    sort = _head(view, choice, by)
    sample_choice.show(view)
    table = sample_table.chosen(view, choice, by, sort)
    if table.empty:
        components.empty_state(
            f"{plain(view.run.name)} has none of these samples in its cache. Choose the run that "
            "they were selected in, or select others."
        )
        return table
    if len(table) < len(choice):
        st.caption(f"{len(table):,} of them are among the cached samples of this run.")
    explain_missing(_grid(view, by, table, f"{choice}{sort}{view.run.path}"), told)
    return table


def _head(view: View, choice: selection.Selection, by: Judge) -> str:
    """How many there are, and where they came from; returns how they are sorted."""
    words, order, clear = st.columns([6, 2, 1], vertical_alignment="bottom")
    with words:
        count = f"**{len(choice):,} {'sample' if len(choice) == 1 else 'samples'}**"
        origin = f", chosen by {plain(choice.words)}" if choice.words else ", as the address says"
        kept = (
            "The address of this page leads to them."
            if selection.in_address()
            else "They are too many for the address of this page: another reader has to choose "
            "them anew."
        )
        st.markdown(f"{count}{origin}")
        st.caption(kept)
    sorts = sample_table.SORTS if by.layer else sample_table.SORTS[2:]
    with order:
        sort = controls.choose("Sort by", sorts, key="sort")
    clear.button("Clear", key="clear_samples", on_click=selection.clear, width="stretch")
    return sort


def _grid(view: View, by: Judge, table: pd.DataFrame, what: str) -> list[bytes | pictures.Missing]:
    """Draw a page of the samples; another `what` starts at the first. Returns their pictures."""
    pages = -(-len(table) // PER_PAGE)
    if st.session_state.get(_PAGED) != what:
        st.session_state[_PAGED] = what
        st.session_state[_PAGE] = 1
    page = 1
    if pages > 1:
        page = st.pagination(pages, key=_PAGE)
    first = (page - 1) * PER_PAGE
    shown = table.iloc[first : first + PER_PAGE]
    found = [pictures.thumbnail(*pair) for pair in zip(shown["set"], shown["key"], strict=True)]
    looked_at = selection.looked_at(view.run)
    samples = list(zip(shown["set"], map(int, shown["row"]), strict=True))
    tiles = [
        _tile(view, by, sample, found[at], samples[at] == looked_at)
        for at, sample in enumerate(shown.itertuples())
    ]
    gallery(
        tiles,
        label=f"Selected samples {first + 1} to {first + len(shown)} of {len(table)}",
        key="sample_gallery",
        opens=ONE_SAMPLE,
        on_look=lambda at: selection.look_at(view.run, *samples[at]),
    )
    st.caption(_reading(by, table))
    return found


def _tile(view: View, by: Judge, sample, found: bytes | pictures.Missing, current: bool) -> Tile:
    predicted = sample_table.predicted_name(view, sample.predicted)
    name = sample.set.partition("/")[0]
    title = sample.truth if sample.known or sample.truth == name else f"{name}: {sample.truth}"
    said = f"{'predicted' if sample.known else 'taken for'} {predicted}" if predicted else ""
    score = ""
    if not np.isnan(sample.score):
        score = f"{sample.score:.4g} · {100 * float(sample.percentile):.1f}%"
    alt = ", ".join(
        part
        for part in (
            title,
            f"{sample.set} {sample.index}",
            f"{said} (wrong)" if sample.wrong else said,
            f"{by.label} {score} of ID" if score else "",
            "" if isinstance(found, bytes) else "no picture",
        )
        if part
    )
    return Tile(
        title=title,
        lines=tuple(line for line in ("" if sample.wrong else said, score) if line),
        alt=alt,
        picture=found if isinstance(found, bytes) else None,
        warning=said if sample.wrong else "",
        current=current,
    )


def _reading(by: Judge, table: pd.DataFrame) -> str:
    parts = ["Press a picture to look at the sample closely."]
    if table["wrong"].any():
        parts.append("✗ marks a wrong prediction.")
    if by.layer is None:
        parts.append(f"{plain(by.label)} has scored nothing here, so no scores are shown.")
    else:
        parts.append(
            f"Numbers: {plain(by.label)} score at {plain(by.layer)} · percentile among the ID test "
            "samples."
        )
        if table["score"].isna().any():
            parts.append("Training samples have no scores.")
    return " ".join(parts)


def explain_missing(found: Iterable[object], told: set[pictures.Missing]) -> None:
    """Say why pictures are missing, and what gets them; each reason of a page once."""
    missing = [each for each in found if isinstance(each, pictures.Missing)]
    reasons = [each for each in dict.fromkeys(missing) if each not in told]
    told.update(reasons)
    given = reasons[:_REASONS]
    for advice, command in dict.fromkeys((each.advice, each.command) for each in given):
        for each in given:
            if each.command == command:
                st.caption(f":material/hide_image: {plain(each.reason)}")
        if command:
            st.caption(advice)
            components.command_lines(command)
    if len(reasons) > _REASONS:
        st.caption(f"{len(reasons) - _REASONS} more pictures are missing for other reasons.")
