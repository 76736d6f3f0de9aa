"""Controls whose values live in the URL and follow the reader from page to page.

The URL holds the words that a control shows, so these should be short and stay the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from ncviz import literal
from ncviz.errors import NcvizError
from ncviz.store import Run
from ncviz.ui.player import player
from ncviz.ui.view import View

_BOUND = {"bind": "query-params", "persist_state": "session"}
_EPOCHS_OF_RUN = "_epochs_of_run"


def choose(
    label: str,
    options: Sequence[str],
    *,
    key: str,
    default: str | None = None,
    words: Callable[[str], str] = str,
    help: str | None = None,
) -> str:
    """One of `options` from a list; `key` is its name in the URL."""
    default = default if default in options else options[0]
    _settle(key, options, default)
    return st.selectbox(
        label,
        options,
        index=options.index(default),
        format_func=words,
        key=key,
        help=help,
        **_BOUND,
    )


def switch(
    label: str,
    options: Sequence[str],
    *,
    key: str,
    default: str | None = None,
    help: str | None = None,
    bare: bool = False,
    wraps: bool = False,
) -> str:
    """One of a few `options`, all in sight; without a `default` the first.

    `bare` hides the label; `wraps` draws options apart, so that they may fill more than one line.
    """
    default = default or options[0]
    _settle(key, options, default)
    chosen = (st.pills if wraps else st.segmented_control)(
        label,
        options,
        default=default,
        format_func=literal.label,
        required=True,
        key=key,
        help=help,
        label_visibility="collapsed" if bare else "visible",
        **_BOUND,
    )
    # A URL that names the control without a value empties it.
    return chosen or default


def choose_several(
    label: str,
    options: Sequence[str],
    *,
    key: str,
    default: Sequence[str] = (),
    words: Callable[[str], str] = str,
    help: str | None = None,
    placeholder: str | None = None,
) -> list[str]:
    """Any of `options`."""
    kept = [value for value in st.session_state.get(key, ()) if value in options]
    if key in st.session_state and kept != st.session_state[key]:
        st.session_state[key] = kept or list(default)
    return st.multiselect(
        label,
        options,
        default=list(default),
        format_func=words,
        key=key,
        help=help,
        placeholder=placeholder,
        **_BOUND,
    )


def text(label: str, *, key: str, placeholder: str | None = None) -> str:
    """Words that a reader types."""
    return st.text_input(label, key=key, placeholder=placeholder, **_BOUND).strip()


def share(label: str, *, key: str, default: float = 95.0, help: str | None = None) -> float:
    """A percentage as a fraction."""
    percent = st.slider(
        label, 50.0, 100.0, default, 0.5, format="%.1f%%", key=key, help=help, **_BOUND
    )
    return percent / 100


def number(
    label: str, low: float, high: float, *, key: str, default: float, help: str | None = None
) -> float:
    """A number between `low` and `high`."""
    if key in st.session_state:
        st.session_state[key] = min(max(st.session_state[key], low), high)
    return st.slider(
        label,
        low,
        high,
        min(max(default, low), high),
        (high - low) / 400,
        format="%.4g",
        key=key,
        help=help,
        **_BOUND,
    )


def slide(label: str, epochs: tuple[int, ...], *, key: str, default: int) -> int:
    """One of the saved epochs, beside that of the view."""
    if len(epochs) == 1:
        # A slider needs two ends.
        st.markdown(f"{label} **{epochs[0]}**, the only one saved")
        return epochs[0]
    _settle(key, epochs, default)
    return st.select_slider(label, epochs, default, key=key, **_BOUND)


def go_to(view: View) -> None:
    """Let every page show `view`; called before the next drawing."""
    for key, value in (("run", view.run.name), ("epoch", view.epoch), ("layer", view.layer)):
        st.session_state[key] = value
    st.session_state[_EPOCHS_OF_RUN] = view.run.epochs


def choose_view(runs: Mapping[str, Run], default: str | None = None) -> View:
    """Run, epoch and layer, in this order; each of `runs` has a saved epoch.

    `default` is the run to start with.
    """
    run = runs[choose("Run", list(runs), key="run", default=default)]
    epoch = _choose_epoch(run.name, run.epochs)
    layer = switch(
        "Layer",
        layers_at(run, epoch),
        key="layer",
        default=run.layers[-1],
        wraps=True,
        help="encoder: the pooled output of the backbone. projector: after the fixed simplex-ETF "
        "projector, where the network has one; the head sits on the last of them. stage1, ...: "
        "pooled outputs inside the backbone, at epochs where they were extracted.",
    )
    return View(run, epoch, layer)


def layers_at(run: Run, epoch: int) -> tuple[str, ...]:
    """The layers that there are at an epoch."""
    try:
        return run.epoch(epoch).layers
    except NcvizError:
        # Damaged statistics are reported by what shows them; they must not hide the controls.
        return run.layers


def _choose_epoch(run: str, epochs: tuple[int, ...]) -> int:
    """A slider over the saved epochs, the last by default, a player, and buttons for the arrows."""
    before = st.session_state.get(_EPOCHS_OF_RUN)
    if before not in (None, epochs) and st.session_state.get("epoch") == before[-1]:
        # Whoever looked at the end of one run wants to see the end of the other.
        st.session_state["epoch"] = epochs[-1]
    st.session_state[_EPOCHS_OF_RUN] = epochs
    _settle("epoch", epochs, epochs[-1])
    if len(epochs) == 1:
        # A slider needs two ends; the value still belongs into the state.
        st.session_state["epoch"] = epochs[0]
        st.markdown(f"Epoch **{epochs[0]}**, the only one saved")
        return epochs[0]
    epoch = st.select_slider("Epoch", epochs, epochs[-1], key="epoch", **_BOUND)
    player(run, epochs, epoch, on_epoch=_go_to)
    back, forth = st.columns(2)
    for column, label, key, by, end in (
        (back, "Previous", "Left", -1, epochs[0]),
        (forth, "Next", "Right", 1, epochs[-1]),
    ):
        column.button(
            label,
            key=f"_{label.lower()}_epoch",
            on_click=_step,
            args=(epochs, by),
            disabled=epoch == end,
            shortcut=key,
            width="stretch",
        )
    return epoch


def _go_to(epoch: int) -> None:
    st.session_state["epoch"] = epoch


def _step(epochs: tuple[int, ...], by: int) -> None:
    # From where the state is now, not from what was drawn: keys are pressed faster than that.
    position = epochs.index(st.session_state["epoch"]) + by
    st.session_state["epoch"] = epochs[min(max(position, 0), len(epochs) - 1)]


def _settle(key: str, options: Sequence, default) -> None:
    """Replace a value that another run or page left behind and that does not exist here."""
    if key in st.session_state and st.session_state[key] not in options:
        st.session_state[key] = default
