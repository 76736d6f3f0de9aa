"""The heatmaps of class means with their marks, and the figures of a pair of classes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncviz import collapse, figures
from ncviz.figures import Order, PairCosines, TakenFor
from ncviz.figures.gram import MARK_COLOUR
from ncviz.figures.names import MAX_TICK_LENGTH, categories, shortened
from ncviz.literal import distinct

SHOWN = figures.Shown("digits", 8, "encoder")
MEGABYTE = 1_000_000


def cosines_of(classes: int) -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(classes, 8))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows @ rows.T


def heatmaps(classes: int, order: Order | None = None, **more):
    names = more.pop("names", [f"class {at}" for at in range(classes)])
    gram = cosines_of(classes)
    order = order or Order(np.arange(classes))
    ideal = collapse.ideal_gram(classes)
    return figures.gram_heatmaps(gram, ideal, names, order=order, shown=SHOWN, **more)


def rectangles(figure) -> list[tuple]:
    return [
        (shape.xref, shape.x0, shape.x1, shape.yref, shape.y0, shape.y1)
        for shape in figure.layout.shapes
        if shape.type == "rect"
    ]


def test_a_pair_is_framed_in_all_heatmaps_on_both_sides_of_the_diagonal():
    figure = heatmaps(4, Order(np.array([3, 1, 0, 2])), pair=(3, 0))
    assert rectangles(figure) == [
        frame
        for end in ("", "2", "3")
        for frame in (
            (f"x{end}", 1.5, 2.5, f"y{end}", -0.5, 0.5),
            (f"x{end}", -0.5, 0.5, f"y{end}", 1.5, 2.5),
        )
    ]
    assert not rectangles(heatmaps(4))


def test_a_frame_around_a_tiny_cell_is_larger_than_the_cell():
    (_, left, right, *_), *_ = rectangles(heatmaps(100, pair=(20, 80)))
    assert right - left > 2
    assert (left + right) / 2 == 80


def test_rows_of_marked_classes_have_a_mark_each_in_every_heatmap():
    order = Order(np.array([3, 1, 0, 2]))
    marks = [each for each in heatmaps(4, order, marked=[2, 1]).layout.shapes if each.path]
    assert [mark.xref for mark in marks] == ["x domain", "x2 domain", "x3 domain"]
    assert [mark.yref for mark in marks] == ["y", "y2", "y3"]
    assert {mark.fillcolor for mark in marks} == {MARK_COLOUR}
    assert marks[0].path.count("M") == 2
    assert [part.split("L")[0] for part in marks[0].path.split("M")[1:]] == ["1.01,1", "1.01,3"]
    assert not heatmaps(4, order).layout.shapes


def test_names_are_written_at_the_axis_and_superclasses_told_on_pointing():
    order = Order(np.array([2, 0, 1]))
    figure = heatmaps(3, order, names=["a", "b", "c"], superclasses=["x", "<i>", "x"])
    assert list(figure.data[0].y) == ["c (x)", "a (x)", "b (&lt;i&gt;)"]
    assert list(figure.layout.yaxis.ticktext) == ["c", "a", "b"]
    assert figure.layout.xaxis.type == figure.layout.yaxis3.type == "category"


def test_names_that_are_numbers_are_no_positions():
    figure = heatmaps(3, Order(np.array([2, 0, 1])), names=["0", "1", "2"])
    written = [name.strip("\u200b") for name in figure.data[0].x]
    assert written == ["2", "0", "1"]
    assert not {str(at) for at in range(3)} & set(figure.data[0].x)


def test_long_names_of_superclasses_leave_room_for_the_heatmaps():
    groups = ("fish",) * 20 + ("large man-made outdoor things",) * 20
    figure = heatmaps(40, Order(np.arange(40), groups))
    assert list(figure.layout.yaxis.ticktext) == ["fish", "large man-…or things"]
    assert list(figure.layout.yaxis.tickvals) == [9.5, 29.5]


@pytest.mark.parametrize("classes", [200, 201, 450, 1000])
def test_many_classes_are_averaged_in_blocks(classes):
    rows = np.random.default_rng(1).permutation(classes)
    order = Order(rows)
    matrix = cosines_of(classes)
    found = order.averaged(matrix)
    assert found.shape == (order.cells, order.cells)
    assert order.cells <= 200
    assert (order.per_cell == 1) == (classes <= 200)
    for row, column in [(0, 0), (3, 7), (order.cells - 1, 2), (order.cells - 1,) * 2]:
        block = matrix[np.ix_(order.classes(row), order.classes(column))]
        assert found[row, column] == pytest.approx(block.mean())
    assert sorted(np.concatenate([order.classes(at) for at in range(order.cells)])) == list(
        range(classes)
    )
    assert all(label in order.classes(order.cell_of(label)) for label in (0, 17, classes - 1))


def test_blocks_are_named_by_their_ends_and_stay_small():
    groups = tuple(f"group {at // 100}" for at in range(1000))
    figure = heatmaps(
        1000, Order(np.arange(1000), groups), pair=(3, 999), superclasses=groups, marked=[0, 500]
    )
    assert figure.data[0].x[0] == "class 0 … class 4"
    assert len(figures.themed(figure).to_json()) < MEGABYTE
    borders = figure.layout.shapes[0].path
    assert borders.startswith("M19.5,-0.5L19.5,199.5")
    assert figure.layout.yaxis.tickvals[0] == pytest.approx(9.5)


@given(st.lists(st.sampled_from(["a", "a (2)", "b", "a (2) (2)", "1"]), max_size=9))
def test_no_two_names_are_alike_and_the_first_of_each_stays(names):
    found = distinct(names)
    assert len(set(found)) == len(found) == len(names)
    for at, (name, words) in enumerate(zip(names, found, strict=True)):
        assert words.startswith(name)
        assert at != names.index(name) or words == name
    assert len(set(categories(found))) == len(names)


def cosine_figure(layers: int = 2, classes: int = 10):
    epochs = np.array([1, 5, 9])
    panels = [
        PairCosines(f"layer {at}", epochs, np.array([0.9, 0.5, at / 10]), *np.zeros((3, 3)) + 0.1)
        for at in range(layers)
    ]
    return figures.pair_cosines(panels, ("<b>", "pear"), classes=classes, shown=SHOWN, epoch=5)


def test_the_cosine_of_a_pair_is_drawn_against_the_etf_and_all_pairs():
    figure = cosine_figure()
    lines = {trace.name: trace for trace in figure.data if trace.xaxis == "x2"}
    assert set(lines) == {
        *("9 in 10 of all pairs", "median of all pairs"),
        *("simplex ETF: −0.111", "&lt;b&gt; and pear"),
    }
    np.testing.assert_allclose(lines["&lt;b&gt; and pear"].y, [0.9, 0.5, 0.1], rtol=1e-6)
    etf = lines["simplex ETF: −0.111"]
    assert etf.line.dash == "dash"
    np.testing.assert_allclose(etf.y, [-1 / 9, -1 / 9], rtol=1e-6)
    assert [shape.x0 for shape in figure.layout.shapes] == [5, 5]
    assert [trace.name for trace in figure.data if trace.showlegend] == list(lines)
    assert figure.layout.yaxis2.matches == "y"


def test_of_two_classes_there_are_no_other_pairs_to_draw():
    names = [trace.name for trace in cosine_figure(1, classes=2).data]
    assert names == ["simplex ETF: −1.000", "&lt;b&gt; and pear"]


def confusion_figure(classes: int = 3):
    epochs = np.array([1, 5])
    first = TakenFor("apple", epochs, np.array([[1, 2, 1], [4, 0, 0]]))
    second = TakenFor("<i>", epochs, np.array([[0, 0, 0], [0, 5, 0]]))
    return figures.pair_confusion((first, second), classes=classes, shown=SHOWN, epoch=5)


def test_what_a_class_is_taken_for_adds_up_to_all_of_it():
    figure = confusion_figure()
    drawn = {(trace.xaxis, trace.name): (list(trace.y), list(trace.text)) for trace in figure.data}
    assert drawn["x", "taken for apple"] == ([25, 100], ["1 of 4", "4 of 4"])
    assert drawn["x", "taken for &lt;i&gt;"] == ([50, 0], ["2 of 4", "0 of 4"])
    assert drawn["x", "taken for another class"] == ([25, 0], ["1 of 4", "0 of 4"])
    assert drawn["x2", "taken for &lt;i&gt;"] == ([0, 100], ["0 of 0", "5 of 5"])
    assert sum(trace.showlegend for trace in figure.data) == 3
    titles = [annotation.text for annotation in figure.layout.annotations]
    assert titles == ["samples of apple", "samples of &lt;i&gt;"]


def test_two_classes_leave_no_other_to_be_taken_for():
    assert {trace.name for trace in confusion_figure(2).data} == {
        "taken for apple",
        "taken for &lt;i&gt;",
    }


@pytest.mark.parametrize("figure", [cosine_figure(), confusion_figure()], ids=["cosines", "taken"])
def test_arrays_of_a_pair_travel_as_bytes_and_looks_differ_by_more_than_colour(figure):
    for trace in json.loads(figure.to_json())["data"]:
        assert {trace[axis]["dtype"] for axis in "xy"} == {"f4"}
    looks = {
        (trace.name, trace.line.dash, trace.marker.symbol)
        for trace in figure.data
        if trace.fill is None
    }
    assert len({look[1:] for look in looks}) == len(looks)


def test_long_class_names_are_shortened_on_axes_and_whole_on_hover():
    names = ("x" * 120, "bee", "x" * 119 + "y")
    figure = heatmaps(3, names=names)
    ticks = figure.layout.xaxis.ticktext
    assert list(ticks) == list(figure.layout.yaxis.ticktext)
    assert max(map(len, ticks)) == MAX_TICK_LENGTH
    assert ticks[0] != ticks[2]
    assert list(figure.data[0].x) == list(names)  # what hovering shows
    lengths = figures.class_lengths(np.ones(3), names, order=np.arange(3), shown=SHOWN)
    assert max(map(len, lengths.layout.xaxis.ticktext)) == MAX_TICK_LENGTH
    assert list(lengths.data[0].text) == list(names)


def test_short_class_names_stay_whole():
    assert shortened("x" * MAX_TICK_LENGTH) == "x" * MAX_TICK_LENGTH
    assert shortened("a very long class name (2)") == "a very lon…name (2)"
