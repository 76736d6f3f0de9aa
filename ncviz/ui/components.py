"""The pieces pages are made of: charts, cards, definitions, provenance, empty states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from ncviz import spreadsheet
from ncviz.definitions import MetricInfo
from ncviz.figures import Shown, themed
from ncviz.literal import markdown as plain
from ncviz.results.words import clauses, number, percent, reading
from ncviz.results.words import commands as commands
from ncviz.ui.plot import FORMATS, Gestures, plot

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

_EXPORT = "image_format"


def chart(figure: go.Figure, *, key: str, alt: str, gestures: Gestures | None = None) -> None:
    """A figure in the reader's theme; `alt` says in words what it shows."""
    figure = themed(figure, dark=st.context.theme.type == "dark")
    plot(
        figure,
        key=key,
        alt=alt,
        save_as=export_format(),
        gestures=gestures,
    )


def export_format() -> str:
    """The kind of file that charts are saved as, one of `FORMATS`."""
    return st.session_state.get(_EXPORT) or FORMATS[0]


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


def table(
    frame: pd.DataFrame | Styler,
    *,
    name: str,
    alt: str,
    config: Mapping | None = None,
    shown: Shown | None = None,
    values: Callable[[], pd.DataFrame] | None = None,
    words: str = "CSV",
    **more: Any,
) -> None:
    """A table with a button that saves its numbers, as exact as they are, as CSV.

    Parameters
    ----------
    name : in the file's name; no two tables of a page share one
    alt : says in words what the table shows
    config : Streamlit's column configuration
    shown : the run and epoch, for the file's name
    values : makes what is saved instead of `frame`, such as numbers where that holds words; is
        called when a reader presses the button
    words : on the button
    more : for Streamlit: a height, what a chosen row does
    """
    st.dataframe(frame, hide_index=True, column_config=config, alt=alt, **more)
    numbers = frame if isinstance(frame, pd.DataFrame) else frame.data
    offer_csv(words, values or (lambda: numbers), name=name, shown=shown)


def offer_csv(
    words: str, made: Callable[[], pd.DataFrame], *, name: str, shown: Shown | None = None
) -> None:
    """A button that saves a table, which is not made before a reader presses it."""
    place = () if shown is None else (shown.run, shown.epoch)
    st.download_button(
        words,
        lambda: spreadsheet.as_csv(made()),
        "-".join(map(str, ("ncviz", name, *(part for part in place if part is not None)))) + ".csv",
        "text/csv",
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
        key=f"_csv_{name}",
        help="Save the numbers of this table, unrounded, as a file for spreadsheets and scripts.",
    )


@dataclass(frozen=True)
class Card:
    """One number with its name; its change since `before` is coloured by which way is better.

    `share` numbers are written in percent; `better` is "higher", "lower" or anything else for
    neither. `clear` says whether the interval of the change excludes zero; None: the number is
    not measured on drawn samples. A change that is not clear has no colour.
    """

    label: str
    now: float | None
    before: float | None = None
    share: bool = False
    help: str | None = None
    better: str = "none"
    clear: bool | None = None

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
            delta_color="off"
            if same or card.clear is False
            else _DELTA_COLOURS.get(card.better, "off"),
            delta_arrow="off" if same else "auto",
            help=card.help,
            border=True,
            height="stretch",
        )
    # Held free where there is nothing to say: else the charts below would be drawn anew there.
    below = st.empty()
    if before is not None and any(card.change is not None for card in shown):
        unclear = any(card.clear is False for card in shown)
        below.caption(
            f"Small numbers: change since epoch {before}, the one saved before."
            + (" Without colour: the 95% interval of the change contains 0." if unclear else "")
        )


def define(info: MetricInfo, value: str | None = None) -> None:
    """A metric in words: what it is, how it is computed, where it ends, who uses it."""
    st.markdown(f"**{plain(info.label)}**" + (f" = **{value}**" if value else ""))
    st.markdown(plain(info.definition))
    formula(info.formula)
    st.caption(f"{plain(reading(info))} Needs: {plain(info.needs)}. Source: {plain(info.source)}.")
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
