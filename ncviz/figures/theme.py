"""The one visual language of all figures: colours, line styles, titles, light and dark."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ncviz.literal import readable

# Okabe and Ito's colours, which stay apart for colour-blind readers; blue lighter and orange darker
# than theirs, so that each has a contrast of 3 or more to a white and to a near-black page.
BLUE, VERMILLION, GREEN = "#1F83C6", "#D55E00", "#009E73"
PURPLE, AMBER, BROWN, GREY = "#CC79A7", "#C48200", "#A0614F", "#7A7F87"

FONT = '"Source Sans", "Source Sans Pro", "Helvetica Neue", Arial, sans-serif'
CLEAR = "rgba(0,0,0,0)"
_AXIS_ROOM = 52  # pixels below a plot for ticks and the axis title
MAX_NAMED_TICKS = 25
"""Class names are written at an axis up to this many; beyond, they overlap and hovering tells."""

_DIVERGING = {
    "light": ("#084B8A", "#6BAED6", "#FFFFFF", "#F4A261", "#A63C00"),
    "dark": ("#A6D8FF", "#2C79B3", "#14181F", "#BF5F1B", "#FFC894"),
}
_INK = {
    "light": {"text": "#262730", "muted": "#5F6570", "grid": "#E4E6EB", "hover": "#FFFFFF"},
    "dark": {"text": "#F2F3F5", "muted": "#A6ACB8", "grid": "#313641", "hover": "#1B1F28"},
}


@dataclass(frozen=True)
class Style:
    """How a data set or series looks; no two differ by colour alone."""

    colour: str
    dash: str
    symbol: str

    def line(self, width: float = 2.0) -> dict[str, Any]:
        """The `line` of a scatter trace."""
        return {"color": self.colour, "dash": self.dash, "width": width}

    def faded(self, opacity: float) -> str:
        """The colour as rgba text."""
        red, green, blue = (int(self.colour[at : at + 2], 16) for at in (1, 3, 5))
        return f"rgba({red},{green},{blue},{opacity})"


ID_STYLE = Style(BLUE, "solid", "circle")
_OOD_STYLES = (
    Style(VERMILLION, "dash", "square"),
    Style(GREEN, "dot", "diamond"),
    Style(PURPLE, "dashdot", "triangle-up"),
    Style(AMBER, "longdash", "x"),
    Style(GREY, "longdashdot", "cross"),
    Style(BROWN, "dash", "star"),
)
TRAIN_STYLE = Style(GREEN, "solid", "circle")
TEST_STYLE = Style(PURPLE, "dash", "diamond")


def ood_style(position: int) -> Style:
    """Style of the OOD set at `position` in the run's list; repeats after six."""
    return _OOD_STYLES[position % len(_OOD_STYLES)]


@dataclass(frozen=True)
class Shown:
    """What a figure shows; goes under its title, so that an exported figure explains itself.

    `side` is the letter of one of several that are compared.
    """

    run: str
    epoch: int | None = None
    layer: str | None = None
    side: str | None = None

    def __str__(self) -> str:
        parts = [f"{self.side}: {self.run}" if self.side else self.run]
        parts += [f"epoch {self.epoch}"] if self.epoch is not None else []
        parts += [f"layer {self.layer}"] if self.layer else []
        return " · ".join(parts)


def text(value: object) -> str:
    """`value` as literal text: plotly reads a subset of HTML in everything it writes."""
    # A name must not be filled in either, as "%{x}" in what a hover shows would be.
    return html.escape(readable(value), quote=False).replace("%{", "%\u2060{")


def float32(values: Any) -> np.ndarray:
    """`values` as the float32 array that plotly sends as bytes instead of as text."""
    return np.asarray(values, dtype=np.float32)


def symbols(label: str) -> str:
    """A label with subscripts written `_c`, as `text` with real subscripts."""
    return re.sub(r"_(\w+)", r"<sub>\1</sub>", text(label))


def signed(value: float, digits: int = 3) -> str:
    """A number with the typographic minus sign that surrounding formulas use."""
    return f"{value:.{digits}f}".replace("-", "−")


def log_axis(values: Iterable[float]) -> dict[str, Any]:
    """A logarithmic axis with labels a reader can read: 0.02, 0.05, 0.1 instead of bare digits."""
    positive = [float(value) for value in values if value > 0]
    if not positive:
        return {"type": "log"}
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    steps = (1, 2, 5) if high - low <= 2 else (1,)
    every = max(1, math.ceil((high - low) / 5))
    ticks = [step * 10.0**power for power in range(low, high + 1, every) for step in steps]
    return {
        "type": "log",
        "tickmode": "array",
        "tickvals": ticks,
        "ticktext": [f"{tick:.10g}" if 1e-4 < tick < 1e5 else f"{tick:.0e}" for tick in ticks],
    }


def layout(
    title: str,
    shown: Shown | str,
    *,
    height: int,
    legend_rows: int = 1,
    above: int = 0,
    **more,
) -> dict:
    """Layout of a figure: title, what is shown under it, and room for a legend below the axes.

    `above` is room in pixels for headings between the title and the axes.
    """
    top, bottom = 80 + above, _AXIS_ROOM + 24 * legend_rows
    return {
        "title": {"text": title, "subtitle": {"text": text(shown)}},
        "height": height,
        "showlegend": legend_rows > 0,
        # Right below the axis, whatever the number of rows the legend needs at this width.
        "legend": {"y": -_AXIS_ROOM / (height - top - bottom), "yanchor": "top"},
        "margin": {"t": top, "b": bottom, "l": 60, "r": 16},
        **more,
    }


def themed(figure: go.Figure, *, dark: bool = False) -> go.Figure:
    """`figure` in the colours of the light or dark theme; changes and returns it."""
    figure.layout.template = _template("dark" if dark else "light")
    return figure


@lru_cache(maxsize=2)
def _template(name: str) -> go.layout.Template:
    ink = _INK[name]
    axis = {
        "gridcolor": ink["grid"],
        "linecolor": ink["muted"],
        "zeroline": False,
        "automargin": True,
        "tickfont": {"size": 12, "color": ink["muted"]},
        "title": {"font": {"size": 13}, "standoff": 8},
    }
    shades = _DIVERGING[name]
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": ink["text"]},
            "paper_bgcolor": CLEAR,
            "plot_bgcolor": CLEAR,
            "colorway": [ID_STYLE.colour, *(style.colour for style in _OOD_STYLES)],
            "title": {
                "x": 0,
                "xanchor": "left",
                "y": 1,
                "yref": "container",
                "yanchor": "top",
                "pad": {"t": 10, "l": 4},
                "font": {"size": 16, "weight": 600},
                "subtitle": {"font": {"size": 12, "color": ink["muted"]}},
            },
            "legend": {"orientation": "h", "bgcolor": CLEAR, "x": 0, "font": {"size": 12}},
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": {
                "bgcolor": ink["hover"],
                "bordercolor": ink["grid"],
                "font": {"family": FONT, "color": ink["text"]},
            },
            "coloraxis": {
                "colorscale": [[i / (len(shades) - 1), shade] for i, shade in enumerate(shades)],
                "colorbar": {"outlinewidth": 0, "thickness": 12, "tickfont": {"size": 12}},
            },
            "annotationdefaults": {"font": {"size": 13, "color": ink["text"]}, "showarrow": False},
            "shapedefaults": {"line": {"color": ink["text"]}},
            "modebar": {"bgcolor": CLEAR, "color": ink["muted"], "activecolor": ink["text"]},
        }
    )
