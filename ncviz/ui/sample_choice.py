"""Choosing samples by words, class or set: what a lasso does, for the keyboard."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st

from ncviz.ui import sample_loaders, selection
from ncviz.ui.view import View

_TRUE, _PREDICTED = "true class", "predicted class"


def show(view: View) -> None:
    """Fields for class, set and words, and buttons that choose what they find."""
    table = sample_loaders.samples(view.run)
    if table.empty:
        return
    with st.expander(
        "Choose samples by words or class", icon=":material/search:", key="choose_samples"
    ):
        left, right = st.columns(2)
        with left:
            classes = st.multiselect(
                "Class", view.run.classes, key="find_classes", placeholder="Any class"
            )
            which = st.radio(
                "The class is the", (_TRUE, _PREDICTED), key="find_by", horizontal=True
            )
        with right:
            sets = st.multiselect(
                "Set", list(table["set"].unique()), key="find_sets", placeholder="Any set"
            )
            words = st.text_input(
                "Words",
                key="find_words",
                placeholder="cat, mnist, test/apple/0001, 17",
                help="Finds samples whose set, class and file have all of these words. A number "
                "alone finds the samples with this index in their set, and the class of this name.",
            )
        asked = bool(classes or sets or words.strip())
        found = _find(view, table, classes, which, sets, words) if asked else table.iloc[:0]
        _buttons(view, found, _described(classes, which, sets, words), asked)


def _find(
    view: View, table: pd.DataFrame, classes: list[str], which: str, sets: list[str], words: str
) -> pd.DataFrame:
    keep = np.ones(len(table), bool)
    if sets:
        keep &= table["set"].isin(sets).to_numpy()
    if classes:
        keep &= np.isin(_classes(view, table, which), [view.run.classes.index(c) for c in classes])
    if words.strip():
        keep &= matches(table, _names(view, table), words)
    return table[keep]


def matches(table: pd.DataFrame, names: list[str], words: str) -> np.ndarray:
    """(N,) whether the words are in the sample's set, class and file, whatever their case.

    Parameters
    ----------
    table : columns set, index, key
    names : the samples' classes
    words : a number alone is an index or the name of a class
    """
    words = words.strip().casefold()
    if words.isascii() and words.isdigit():
        same = np.array([name.casefold() == words for name in names], bool)
        return same | (table["index"].to_numpy() == int(words[:18]))
    texts = [
        f"{set_name} {name} {key}".casefold()
        for set_name, name, key in zip(table["set"], names, table["key"], strict=True)
    ]
    return np.array([all(word in text for word in words.split()) for text in texts], bool)


def _names(view: View, table: pd.DataFrame) -> list[str]:
    columns = (table["set"], table["label"], table["key"])
    return [
        sample_loaders.class_name(view.run, set_name, label, key)
        for set_name, label, key in zip(*columns, strict=True)
    ]


def _classes(view: View, table: pd.DataFrame, which: str) -> np.ndarray:
    """(N,) class of each sample, -1 where it has none of the run's."""
    found = np.full(len(table), -1)
    for set_name, rows in table.groupby("set", sort=False).indices.items():
        if which == _PREDICTED:
            outputs = sample_loaders.outputs(view.run, view.epoch, set_name)
            if outputs is not None and len(outputs.predicted) == len(rows):
                found[rows] = outputs.predicted
        elif sample_loaders.is_known(view.run, set_name):
            found[rows] = table["label"].to_numpy()[rows]
    return found


def _described(classes: list[str], which: str, sets: list[str], words: str) -> str:
    parts = [f"{which} {' or '.join(classes)}"] if classes else []
    parts += [f"set {' or '.join(sets)}"] if sets else []
    parts += [f"words “{words.strip()}”"] if words.strip() else []
    return ", ".join(parts)


def _buttons(view: View, found: pd.DataFrame, how: str, asked: bool) -> None:
    rows = {name: part["row"].to_numpy() for name, part in found.groupby("set", sort=False)}
    with st.container(horizontal=True, vertical_alignment="center"):
        none = found.empty
        st.button(
            "Select", key="find_select", on_click=_select, args=(view, rows, how), disabled=none
        )
        st.button("Add", key="find_add", on_click=_add, args=(view, rows, how), disabled=none)
        if asked:
            st.caption(f"{len(found):,} samples found" if len(found) else "No sample is like that.")


def _select(view: View, rows: Mapping[str, np.ndarray], how: str) -> None:
    selection.select(view.run, rows, how)


def _add(view: View, rows: Mapping[str, np.ndarray], how: str) -> None:
    before = selection.current()
    both = {name: before.rows(view.run, name) for name in before.samples}
    for name, more in rows.items():
        both[name] = np.union1d(both.get(name, more), more)
    selection.select(view.run, both, f"{before.words}; {how}" if before.words else how)
