"""Play: the epoch control that runs by itself, on every page with more than one epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from ncviz.ui import frontend

_KEY = "_player"


def player(run: str, epochs: Sequence[int], epoch: int, *, on_epoch: Callable[[int], None]) -> None:
    """A button that walks through `epochs`, its speed, and how far it is.

    On a page with a map the browser moves the points by itself, and the server hears of the epoch
    at which they come to rest. On other pages each step is a run of the page's script; `page_ends`
    tells that it is through.

    Parameters
    ----------
    run : its name; the player stops when another is chosen
    on_epoch : called with an epoch that the player has come to, one of `epochs`
    """

    def came() -> None:
        reached = st.session_state[_KEY]["epoch"]
        # A step can be on its way while the reader chooses another run.
        if reached["run"] == run and reached["epoch"] in epochs:
            on_epoch(reached["epoch"])

    data = {"run": run, "epochs": list(epochs), "epoch": epoch}
    frontend.component("player", isolated=True)(data=data, key=_KEY, on_epoch_change=came)


def page_ends(epoch: int) -> None:
    """Say that a page has drawn everything of `epoch`: a step before that would cut it short."""
    frontend.component("player", isolated=True)(data={"drawn": epoch}, key=f"{_KEY}_end")
