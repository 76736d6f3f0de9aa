"""Plotly charts that keep their element: a new epoch moves what is drawn already."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
import plotly.io as pio
import streamlit as st

from ncviz.ui import frontend

FORMATS = ("png", "svg", "html")


@dataclass(frozen=True)
class Gestures:
    """What is called when a reader has pointed at something; None: nothing happens.

    Attributes
    ----------
    click : gets a `Point`
    span : gets (low, high), the part of the x axis that was dragged over
    lasso : gets the points that were circled, their positions by trace
    """

    click: Callable[[Point], None] | None = None
    span: Callable[[float, float], None] | None = None
    lasso: Callable[[dict[int, list[int]]], None] | None = None

    @property
    def names(self) -> list[str]:
        return [name for name in ("click", "span", "lasso") if getattr(self, name)]


@dataclass(frozen=True)
class Point:
    """What was clicked.

    Attributes
    ----------
    trace : position in the figure's data
    place : position of the point in its trace, for a heatmap (row, column)
    data : numbers that the figure's `customdata` holds for it
    """

    trace: int
    place: int | tuple[int, int]
    data: tuple[float, ...] = ()


def plot(
    figure: go.Figure, *, key: str, alt: str, save_as: str, gestures: Gestures | None = None
) -> None:
    """Draw `figure`; `alt` says in words what it shows.

    `save_as` is the kind of file that its save button writes, one of `FORMATS`.
    """
    gestures = gestures or Gestures()
    frontend.serve_plotly()

    def told() -> None:
        _answer(gestures, st.session_state[key].get("gesture"))

    frontend.component("plot")(
        data=_message(figure, key=key, alt=alt, save_as=save_as, gestures=gestures),
        key=key,
        on_gesture_change=told,
    )


def _message(figure: go.Figure, *, key: str, alt: str, save_as: str, gestures: Gestures) -> bytes:
    """A line of JSON for the element, then the figure as JSON: arrays as bytes in base64."""
    about = {
        "plotly": frontend.PLOTLY,
        "alt": alt,
        "file": f"ncviz-{key}",
        "format": save_as,
        "gestures": gestures.names,
        "place": _place(figure),
        "height": figure.layout.height,
    }
    return f"{json.dumps(about)}\n{pio.to_json(figure, validate=False, engine='orjson')}".encode()


def figure_of(message: bytes) -> dict[str, Any]:
    """The figure in what `plot` sends to the browser."""
    return json.loads(message.split(b"\n", 1)[1])


def _place(figure: go.Figure) -> str:
    """What a zoom belongs to: it stays from epoch to epoch and not from run to run."""
    return re.sub(r"epoch \d+", "epoch", str(figure.layout.title.subtitle.text))


def _answer(gestures: Gestures, told: Any) -> None:
    """Pass on what the browser tells, if it is what was asked for: anyone may send anything."""
    if not isinstance(told, dict) or told.get("kind") not in gestures.names:
        return
    try:
        arguments = _READ[told["kind"]](told)
    except (AttributeError, KeyError, TypeError, ValueError):
        return
    getattr(gestures, told["kind"])(*arguments)


def _read_click(told: dict) -> tuple[Point]:
    place = told["place"]
    place = tuple(map(int, place)) if isinstance(place, list) else int(place)
    return (Point(int(told["trace"]), place, tuple(map(float, told["data"]))),)


def _read_span(told: dict) -> tuple[float, float]:
    low, high = sorted(map(float, told["span"]))
    return low, high


def _read_lasso(told: dict) -> tuple[dict[int, list[int]]]:
    return ({int(trace): [int(at) for at in places] for trace, places in told["points"].items()},)


_READ = {"click": _read_click, "span": _read_span, "lasso": _read_lasso}
