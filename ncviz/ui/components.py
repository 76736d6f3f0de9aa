"""The pieces pages are made of: charts, cards, definitions, provenance, empty states."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
import streamlit as st

from ncviz.definitions import MetricInfo
from ncviz.figures import themed
from ncviz.results.words import clauses, number, percent, reading
from ncviz.results.words import commands as commands
from ncviz.ui.plot import FORMATS, Gestures, plot

_EXPORT = "image_format"
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~:$&])")


def plain(value: object) -> str:
    """`value` as text that markdown shows letter by letter; names come from folders and files."""
    return _MARKDOWN.sub(r"\\\1", str(value))


def chart(figure: go.Figure, *, key: str, alt: str, gestures: Gestures | None = None) -> None:
    """A figure in the reader's theme; `alt` says in words what it shows."""
    figure = themed(figure, dark=st.context.theme.type == "dark")
    plot(
        figure,
        key=key,
        alt=alt,
        save_as=st.session_state.get(_EXPORT) or FORMATS[0],
        gestures=gestures,
    )


def choose_export() -> None:
    """Which kind of file a chart is saved as."""
    st.segmented_control(
        "Charts are saved as",
        FORMATS,
        default=FORMATS[0],
        required=True,
        key=_EXPORT,
        persist_state="session",
        help="The button at the top right of a chart saves it: as a picture, as a drawing, or as "
        "a page that works without a network.",
    )


@dataclass(frozen=True)
class Card:
    """One number with its name; its change since `before` is coloured by which way is better.

    `share` numbers are written in percent; `better` is "higher", "lower" or anything else for
    neither.
    """

    label: str
    now: float | None
    before: float | None = None
    share: bool = False
    help: str | None = None
    better: str = "none"

    @property
    def change(self) -> str | None:
        """The change as text; what is too small to show in the number is no change."""
        if self.now is None or self.before is None:
            return None
        if self.words(self.now) == self.words(self.before):
            return "no change"
        change = self.now - self.before
        return f"{100 * change:+.1f} points" if self.share else f"{change:+.2g}"

    def words(self, value: float | None) -> str:
        """`value` as the card writes it."""
        return percent(value) if self.share else number(value)


_DELTA_COLOURS = {"higher": "normal", "lower": "inverse"}


def cards(shown: Sequence[Card], before: int | None) -> None:
    """Cards of equal size side by side; changes are those since the epoch `before`."""
    for column, card in zip(st.columns(len(shown)), shown, strict=True):
        same = card.change == "no change"
        column.metric(
            card.label,
            card.words(card.now),
            delta=card.change,
            delta_color="off" if same else _DELTA_COLOURS.get(card.better, "off"),
            delta_arrow="off" if same else "auto",
            help=card.help,
            border=True,
            height="stretch",
        )
    if before is not None and any(card.change is not None for card in shown):
        st.caption(f"Small numbers: change since epoch {before}, the one saved before.")


def define(info: MetricInfo, value: str | None = None) -> None:
    """A metric in words: what it is, how it is computed, where it ends, who uses it."""
    st.markdown(f"**{plain(info.label)}**" + (f" = **{value}**" if value else ""))
    st.markdown(plain(info.definition))
    formula(info.formula)
    st.caption(f"{plain(reading(info))} Source: {plain(info.source)}.")
    if info.caveat:
        st.caption(f":material/warning: {plain(info.caveat)}")


def formula(latex: str) -> None:
    """A formula, each of its clauses on a line of its own: side by side they would be cut off."""
    parts = clauses(latex)
    if len(parts) > 1:
        latex = r"\begin{gathered}" + r" \\ ".join(parts) + r"\end{gathered}"
    st.latex(latex)


def provenance(*parts: str) -> None:
    """One line that says what is shown and where the numbers come from."""
    st.caption(" · ".join(plain(part) for part in parts if part))


def command_lines(*lines: str) -> None:
    """Commands to copy."""
    st.code("\n".join(lines), language="bash", wrap_lines=True)


def empty_state(message: str, *lines: str) -> None:
    """What is missing, and the exact commands that make it."""
    with st.container(border=True):
        st.markdown(f":material/info: {message}")
        if lines:
            command_lines(*lines)
