"""Maps that move: all epochs go to the browser once, and its canvas steps through them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from ncviz.ui import frontend


def scatter(
    packed: bytes, view: dict[str, Any], *, key: str, on_epoch: Callable[[int], None]
) -> None:
    """Draw what `ncviz.figures.maps.pack` made, the way `view` says.

    Two elements, because the first is large and changes rarely, the second is small and changes
    with every step: the browser already has the message of the first and is not sent it again. It
    shows nothing. They find each other by the token in both.

    Parameters
    ----------
    view : JSON: token, epoch, colours, words; see `scatter.js`
    on_epoch : called with the epoch that the reader's play button has reached
    """

    def played() -> None:
        on_epoch(st.session_state[key]["epoch"])

    component = frontend.component("scatter", isolated=True)
    component(data=view, key=key, on_epoch_change=played)
    component(data=packed, key=f"{key}_points")
