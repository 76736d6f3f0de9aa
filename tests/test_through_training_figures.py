"""Figures of one sample through training: the values that are drawn, marks, names as text."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ncviz import figures

EPOCHS = (1, 4, 9, 60)
SHOWN = figures.Shown("digits", 9, "encoder")
PERCENTILES = {
    "Energy": np.array([0.5, 0.04, 0.9, 1.0]),
    "<b>odd</b>": np.array([np.nan, 0.2, 0.3, 0.4]),
    "MSP": np.array([0.1, 0.2, 0.3, 0.4]),
}


def scores(**more):
    options = {"lines": ["MSP", "Energy"], "cut": 0.05, "shown": SHOWN, **more}
    return figures.score_paths(EPOCHS, PERCENTILES, **options)


def path(**more) -> figures.ClassPath:
    given = {
        "epochs": EPOCHS,
        "predicted": ["cat", "dog", "dog", "<i>eel"],
        "confidence": np.array([0.4, 0.6, 0.7, 0.8]),
        "nearest": np.array([3.0, 2.0, 1.5, 1.0]),
        "nearest_class": ["cat", "dog", "dog", "<i>eel"],
    }
    return figures.ClassPath(**(given | more))


def test_chosen_detectors_are_lines_and_all_are_rows():
    *lines, heat = scores().data
    assert [line.name for line in lines] == ["MSP", "Energy"]
    np.testing.assert_allclose(lines[1].y, PERCENTILES["Energy"], rtol=1e-6)
    np.testing.assert_array_equal(lines[1].x, EPOCHS)
    assert list(heat.y) == ["Energy", "&lt;b&gt;odd&lt;/b&gt;", "MSP"]
    np.testing.assert_allclose(heat.z, np.stack(list(PERCENTILES.values())), rtol=1e-6)
    assert (heat.zmin, heat.zmax) == (0, 1)
    # No two lines look alike but for their colour.
    assert len({(line.line.dash, line.marker.symbol) for line in lines}) == 2


def test_epoch_and_cut_are_marked_in_both_panels():
    shapes = scores().layout.shapes
    (cut,) = (shape for shape in shapes if shape.y0 == shape.y1)
    assert cut.y0 == 0.05
    uprights = [(shape.xref, shape.x0) for shape in shapes if shape.y0 != shape.y1]
    # The heatmap has a column for each epoch, and the chosen one between two lines.
    assert uprights == [("x", 9), ("x2", 1.5), ("x2", 2.5)]
    assert list(scores().layout.xaxis2.ticktext) == [str(epoch) for epoch in EPOCHS]
    without = scores(shown=figures.Shown("digits", 5, "encoder")).layout.shapes
    assert len(without) == 1


def test_many_epochs_get_a_legible_number_of_ticks():
    epochs = range(1, 101)
    figure = figures.score_paths(
        epochs, {"Energy": np.linspace(0, 1, 100)}, lines=[], cut=0.05, shown=SHOWN
    )
    assert len(figure.layout.xaxis2.ticktext) <= 12
    assert len(figure.data) == 1


def test_the_predicted_class_is_written_where_it_changes():
    predicted, nearest = figures.class_paths(path(), shown=SHOWN).data
    assert list(predicted.text) == ["cat", "dog", "", "&lt;i&gt;eel"]
    np.testing.assert_allclose(predicted.y, [0.4, 0.6, 0.7, 0.8], rtol=1e-6)
    assert predicted.customdata[3] == "&lt;i&gt;eel, 80.0%"
    assert list(nearest.text) == ["cat", "dog", "dog", "&lt;i&gt;eel"]
    np.testing.assert_allclose(nearest.y, [3.0, 2.0, 1.5, 1.0], rtol=1e-6)


def test_the_true_class_is_drawn_where_there_is_one():
    known = path(true_class="dog", true_probability=np.full(4, 0.5), own=np.full(4, 2.0))
    traces = {trace.name: trace for trace in figures.class_paths(known, shown=SHOWN).data}
    assert list(traces) == [
        "true class: dog",
        "predicted class",
        "own class mean",
        "nearest class mean",
    ]
    np.testing.assert_allclose(traces["own class mean"].y, 2.0)
    np.testing.assert_allclose(traces["true class: dog"].y, 0.5)
    without = figures.class_paths(path(predicted=[], confidence=np.empty(0)), shown=SHOWN)
    assert [trace.name for trace in without.data] == ["nearest class mean"]


@pytest.mark.parametrize("figure", [scores(), figures.class_paths(path(), shown=SHOWN)])
def test_a_figure_says_what_it_shows_and_holds_no_markup_of_others(figure):
    assert figure.layout.title.subtitle.text == "digits · epoch 9 · layer encoder"
    text = json.dumps(figure.to_plotly_json(), default=str)
    assert "<b>odd" not in text
    assert "<i>eel" not in text
