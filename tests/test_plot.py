"""Charts that keep their element: what the browser is sent, and what it may answer."""

from __future__ import annotations

import json

import numpy as np
import plotly.graph_objects as go
import pytest

from ncviz.figures import Shown
from ncviz.figures.theme import layout
from ncviz.ui import plot
from ncviz.ui.plot import Gestures, Point


def message(figure: go.Figure, **options) -> tuple[dict, dict]:
    options = {"key": "k", "alt": "a", "save_as": "png", "gestures": Gestures()} | options
    sent = plot._message(figure, **options)
    return json.loads(sent.split(b"\n", 1)[0]), plot.figure_of(sent)


def chart(shown: Shown) -> go.Figure:
    values = np.linspace(0, 1, 1000, dtype=np.float32)
    return go.Figure([go.Scatter(x=values, y=values)], layout("A title", shown, height=333))


def test_arrays_travel_as_bytes_and_the_element_knows_its_height():
    about, figure = message(chart(Shown("digits", 4)), alt="A rising line")
    assert about["height"] == 333
    assert about["alt"] == "A rising line"
    assert about["gestures"] == []
    assert figure["data"][0]["x"]["dtype"] == "f4"
    assert len(json.dumps(figure)) < 15_000


def test_a_zoom_belongs_to_all_epochs_of_a_run_and_layer():
    places = [
        message(chart(Shown(run, epoch, layer)))[0]["place"]
        for run, epoch, layer in (("a", 4, "encoder"), ("a", 60, "encoder"), ("b", 4, "encoder"))
    ]
    assert places[0] == places[1] != places[2]


def test_gestures_are_told_to_whoever_asked():
    seen = []
    gestures = Gestures(
        click=seen.append,
        span=lambda low, high: seen.append((low, high)),
        lasso=seen.append,
    )
    assert gestures.names == ["click", "span", "lasso"]
    for told in (
        {"kind": "click", "trace": 1, "place": 7, "data": [2, 3.5]},
        {"kind": "click", "trace": 0, "place": [3, 4], "data": []},
        {"kind": "span", "span": [4, -1.5]},
        {"kind": "lasso", "points": {"0": [1, 2], "3": [0]}},
    ):
        plot._answer(gestures, told)
    assert seen == [
        Point(1, 7, (2.0, 3.5)),
        Point(0, (3, 4)),
        (-1.5, 4.0),
        {0: [1, 2], 3: [0]},
    ]


@pytest.mark.parametrize(
    "told",
    [
        None,
        "click",
        {},
        {"kind": "click"},
        {"kind": "click", "trace": "x", "place": 0, "data": []},
        {"kind": "click", "trace": 0, "place": None, "data": []},
        {"kind": "span", "span": [1]},
        {"kind": "span", "span": ["a", "b"]},
        {"kind": "lasso", "points": [1, 2]},
        {"kind": "__init__"},
    ],
)
def test_an_answer_that_makes_no_sense_is_ignored(told):
    def never(*_):
        raise AssertionError("called")

    plot._answer(Gestures(click=never, span=never, lasso=never), told)


def test_nothing_is_told_to_those_who_did_not_ask():
    plot._answer(Gestures(), {"kind": "span", "span": [0, 1]})
