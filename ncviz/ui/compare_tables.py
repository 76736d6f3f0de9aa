"""Differences of numbers as rows of a table, shaded by which side is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from ncviz.figures.side_by_side import SIDE_STYLES
from ncviz.ui import components

_STRONGEST = 0.45  # opacity of the largest difference, under text of either theme
# Tiny p-values would all be written as 0.
_FORMATS = {"A − B": "%+.3f", "p": "%.2g", "p, corrected": "%.2g"}
_WIDTHS = {"p": 85}
"""In pixels, where a heading is narrower than its numbers."""
_HELPS = {
    "Low": "Lower end of the 95% interval of A − B.",
    "High": "Upper end of the 95% interval of A − B.",
    "p": "How often a difference at least this large would come up if there were none.",
    "p, corrected": "The same, corrected for the number of tests in this table (Holm).",
}


@dataclass(frozen=True)
class Difference:
    """One number of both sides.

    Attributes
    ----------
    name : what was measured, or on what
    kind : what sort of thing that is
    a, b : the numbers
    low, high : 95% interval of a - b; NaN where there is none
    p, corrected : two-sided p-value, by itself and corrected for the number of tests; NaN for none
    better : "A" or "B"; empty where they are equal, or neither is better
    sure : whether the difference is significant; None where it was not tested
    samples : number of samples that the difference was tested on, and whether they are the same
    """

    name: str
    kind: str
    a: float
    b: float
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan
    corrected: float = np.nan
    better: str = ""
    sure: bool | None = None
    samples: str = ""

    @property
    def change(self) -> float:
        return self.a - self.b

    def reading(self, better: str = "better") -> str:
        """The row in two words."""
        if self.a == self.b:
            return "equal"
        if self.sure is False:
            return "not significant"
        return {"A": f"▲ A {better}", "B": f"▼ B {better}"}.get(self.better, "")


def better_side(direction: str, a: float, b: float) -> str:
    """Return "A" or "B"; empty if the numbers are equal or missing, or the metric ranks nothing."""
    if direction == "lower":
        a, b = -a, -b
    elif direction != "higher":
        return ""
    return "A" if a > b else "B" if b > a else ""


def as_frame(rows: Sequence[Difference], *, of: str, better: str = "better") -> pd.DataFrame:
    """The rows as a table; columns that would be empty are left out.

    Parameters
    ----------
    of : heading of the column of names
    better : what the better side is
    """
    frame = pd.DataFrame(
        {
            of: [row.name for row in rows],
            "Kind": [row.kind for row in rows],
            "A": [row.a for row in rows],
            "B": [row.b for row in rows],
            "A − B": [row.change for row in rows],
            "Reading": [row.reading(better) for row in rows],
            "Low": [row.low for row in rows],
            "High": [row.high for row in rows],
            "p": [row.p for row in rows],
            "p, corrected": [row.corrected for row in rows],
            "Samples": [row.samples for row in rows],
        }
    )
    if not any(row.samples for row in rows):
        frame = frame.drop(columns="Samples")
    empty = [name for name in ("Low", "High", "p", "p, corrected") if frame[name].isna().all()]
    return frame.drop(columns=empty)


def row_shades(rows: Sequence[Difference], *, each_alone: bool = False) -> list[str]:
    """A background for each row: the colour of the better side, the stronger the larger the change.

    `each_alone`: the numbers have different units, so that their sizes say nothing to each other.
    """
    sides = ["" if row.sure is False else row.better for row in rows]
    sizes = np.nan_to_num(np.abs([row.change for row in rows]))
    shares = np.full(len(rows), 0.5) if each_alone else sizes / (sizes.max(initial=0) or 1)
    return shades(sides, shares)


def shades(sides: Sequence[str], shares: np.ndarray) -> list[str]:
    """Backgrounds in the colour of each side, "A", "B" or none, as strong as its share of 0..1."""
    styles = dict(zip(("A", "B"), SIDE_STYLES, strict=True))
    return [
        f"background-color: {styles[side].faded(round(_STRONGEST * float(share), 3))}"
        if side in styles
        else ""
        for side, share in zip(sides, shares, strict=True)
    ]


def show_table(
    frame: pd.DataFrame,
    colours: Sequence[str],
    *,
    name: str,
    alt: str,
    columns: Sequence[str] = ("A − B", "Reading"),
    formats: Mapping[str, str] | None = None,
    **more,
) -> None:
    """A table of numbers, called `name`, with a background for some `columns` of each row.

    `formats` are of columns that are not written with three decimals; `more` is for Streamlit.
    """
    formats = _FORMATS | dict(formats or {})
    config = {
        each: st.column_config.NumberColumn(
            format=formats.get(each, "%.3f"), help=_HELPS.get(each), width=_WIDTHS.get(each)
        )
        for each in frame.select_dtypes(np.number)
    }
    shaded = frame.style.apply(lambda _: list(colours), subset=list(columns))
    components.table(shaded, name=name, config=config, alt=alt, placeholder="–", **more)
