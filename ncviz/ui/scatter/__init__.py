"""Maps that move: all epochs go to the browser once, and its canvas steps through them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from ncviz.ui import frontend


@dataclass(frozen=True)
class Lasso:
    """Samples that a reader has drawn a line around.

    Attributes
    ----------
    samples : (K,) increasing numbers among those of the map
    layer : position of the panel that the line is in
    epoch : that the panel showed
    """

    samples: np.ndarray
    layer: int
    epoch: int


def scatter(
    packed: bytes,
    view: dict[str, Any],
    *,
    key: str,
    on_lasso: Callable[[Lasso], None],
    on_look: Callable[[int | None], None],
) -> None:
    """Draw what `ncviz.figures.maps.pack` made, the way `view` says.

    Two elements, because the first is large and changes rarely, the second is small and changes
    with every step: the browser already has the message of the first and is not sent it again. It
    shows nothing. They find each other by the token in both.

    Parameters
    ----------
    view : JSON: token, epoch, colours, words; see `scatter.js`
    on_lasso : called with the samples that were drawn around
    on_look : called with the sample that was clicked; None: the reader looks away
    """

    def drawn_around() -> None:
        lasso = _lasso(st.session_state[key]["lasso"])
        if lasso is not None:
            on_lasso(lasso)

    def clicked() -> None:
        told = st.session_state[key]["look"]
        sample = told.get("sample") if isinstance(told, dict) else None
        if sample is None or (isinstance(sample, int) and sample >= 0):
            on_look(sample)

    component = frontend.component("scatter", isolated=True)
    component(data=view, key=key, on_lasso_change=drawn_around, on_look_change=clicked)
    component(data=packed, key=f"{key}_points")


def as_bits(chosen: np.ndarray) -> str:
    """(N,) booleans as text, a bit for each; empty where none is true."""
    if not chosen.any():
        return ""
    return base64.b64encode(np.packbits(chosen, bitorder="little").tobytes()).decode()


def numbers(text: str) -> np.ndarray:
    """(K,) places of the ones in what `as_bits` wrote."""
    found = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    return np.flatnonzero(np.unpackbits(found, bitorder="little"))


def _lasso(told: Any) -> Lasso | None:
    """What the browser tells, if it makes sense: anyone may send anything."""
    try:
        return Lasso(numbers(told["chosen"]), int(told["layer"]), int(told["epoch"]))
    except (KeyError, TypeError, ValueError, binascii.Error):
        return None
