"""Figures: the values that are drawn, what titles and axes say, colours, and size."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from ncviz import collapse, figures
from ncviz.figures import theme
from ncviz.figures.chosen import SelectedScores, thinned

SHOWN = figures.Shown("digits", 8, "encoder")
RNG = np.random.default_rng(0)
EPOCHS = np.array([1, 2, 8, 20])
KILOBYTE = 1000


def simplex_like(classes: int) -> np.ndarray:
    """(C, C) cosines of random directions."""
    rows = RNG.normal(size=(classes, 2 * classes))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows @ rows.T


def training_figure():
    history = {
        "epoch": np.arange(1, 5),
        "train_loss": np.array([2.0, 1.0, 0.5, 0.1]),
        "test_loss": np.array([2.2, 1.2, 0.9, 0.8]),
        "train_accuracy": np.array([0.3, 0.6, 0.9, 1.0]),
        "test_accuracy": np.array([0.2, 0.5, 0.7, 0.75]),
    }
    return figures.training_curves(history, shown=figures.Shown("digits", 3), saved=(1, 3))


def trend_figure():
    panels = [
        figures.Panel(
            "NC1", (figures.Series("", EPOCHS, np.array([9, 1, 0.1, 0.01])),), 0.0, log=True
        ),
        figures.Panel(
            "NC5",
            (
                figures.Series("letters", EPOCHS, np.array([0.9, 0.6, 0.5, 0.4])),
                figures.Series("noise", EPOCHS, np.array([0.8, 0.6, 0.5, np.nan])),
            ),
            0.0,
        ),
    ]
    return figures.over_epochs(panels, title="Collapse", shown=SHOWN)


def run_trend(name: str) -> figures.RunTrend:
    nc1 = figures.Series("NC1", EPOCHS, np.array([5.0, 1.0, 0.1, 0.02]))
    auroc = figures.Series("AUROC on near OOD", EPOCHS, np.array([0.6, 0.7, 0.8, 0.9]))
    return figures.RunTrend(name, "encoder", nc1, (auroc,))


def overview_figure(runs: int = 2):
    trends = [run_trend("digits" if at == 0 else f"run {at}") for at in range(runs)]
    return figures.collapse_and_auroc(trends, detector="Energy", chosen=SHOWN)


def gram_figure(classes: int = 6, order: figures.Order | None = None, limit: float = 1.0):
    gram = simplex_like(classes)
    return gram, figures.gram_heatmaps(
        gram,
        collapse.ideal_gram(classes),
        [f"class {at}" for at in range(classes)],
        order=order or figures.Order(np.arange(classes)),
        shown=SHOWN,
        limit=limit,
    )


def score_figure(**options):
    known, letters, noise = RNG.normal(3, 1, 500), RNG.normal(0, 1, 300), RNG.normal(-1, 2, 300)
    given = {
        "id_name": "digits test (ID)",
        "styles": {"letters": theme.ood_style(0), "noise": theme.ood_style(1)},
        "threshold": 1.5,
        "detector": "Energy",
        "shown": SHOWN,
    }
    ood = {"letters": letters, "noise": noise}
    return known, ood, figures.score_distributions(known, ood, **(given | options))


def curve(name: str = "letters", point=(0.2, 0.9), points: int = 5) -> figures.OperatingCurve:
    x = np.linspace(0, 1, points)
    return figures.OperatingCurve(name, 0.8, x, np.sqrt(x), point, theme.ood_style(0))


NAMES = (
    "training",
    "trends",
    "overview",
    "gram",
    "cosines",
    "lengths",
    "scores",
    "roc",
    "precision",
)


@cache
def every_figure():
    return {
        "training": training_figure(),
        "trends": trend_figure(),
        "overview": overview_figure(),
        "gram": gram_figure()[1],
        "cosines": figures.cosine_histogram(simplex_like(6), shown=SHOWN),
        "lengths": figures.class_lengths(
            np.ones(3), ["a", "b", "c"], order=np.arange(3), shown=SHOWN, weights=np.ones(3)
        ),
        "scores": score_figure()[2],
        "roc": figures.roc([curve()], shown=SHOWN),
        "precision": figures.precision_recall([curve()], positive="ID", shown=SHOWN),
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_says_what_it_shows_and_names_its_axes(name):
    figure = every_figure()[name]
    subtitle = figure.layout.title.subtitle.text
    assert figure.layout.title.text
    if name == "overview":
        names = {annotation.text for annotation in figure.layout.annotations}
        assert "<b>digits</b><br>encoder" in names
        assert "Energy" in subtitle
        assert "AUROC of Energy" in subtitle
    else:
        assert "digits" in subtitle
        assert "epoch" in subtitle
    if name not in ("training", "overview"):
        assert subtitle.startswith("digits · epoch 8 · layer encoder")
    if name != "gram":
        titles = [axis.title.text for axis in (*figure.select_xaxes(), *figure.select_yaxes())]
        assert sum(bool(title) for title in titles) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_arrays_travel_as_bytes_and_not_as_text(name):
    for trace in json.loads(every_figure()[name].to_json())["data"]:
        for axis in {"x", "y", "z"} & trace.keys():
            if isinstance(trace[axis], list):
                assert all(isinstance(value, str) for value in trace[axis])
            else:
                assert trace[axis]["dtype"] in ("f4", "i4", "i1", "i2", "u1")


def test_training_curves_draw_percent_and_mark_epochs():
    figure = training_figure()
    loss, accuracy = figure.data[0], figure.data[2]
    assert loss.name == "training set"
    np.testing.assert_allclose(loss.y, [2, 1, 0.5, 0.1], rtol=1e-6)
    np.testing.assert_allclose(accuracy.y, [30, 60, 90, 100], rtol=1e-6)
    assert list(loss.marker.size) == [6, 0, 6, 0]
    assert figure.layout.yaxis.type == "log"
    assert [shape.x0 for shape in figure.layout.shapes] == [3, 3]


def test_every_panel_marks_the_epoch_and_zero_has_no_line_on_a_log_axis():
    figure = trend_figure()
    upright = [shape for shape in figure.layout.shapes if shape.x0 == shape.x1 == 8]
    flat = [shape for shape in figure.layout.shapes if shape.y0 == shape.y1 == 0]
    assert {shape.xref for shape in upright} == {"x", "x2"}
    assert [shape.yref for shape in flat] == ["y2"]
    assert [trace.name for trace in figure.data if trace.showlegend] == ["letters", "noise"]
    np.testing.assert_allclose(figure.data[0].y, [9, 1, 0.1, 0.01], rtol=1e-6)


def test_a_flat_line_gets_a_range_around_itself():
    panel = figures.Panel("NC4", (figures.Series("", EPOCHS, np.ones(4)),), 1.0)
    low, high = figures.over_epochs([panel], title="NC4", shown=SHOWN).layout.yaxis.range
    assert 0.5 < low < 1 < high < 1.5


@pytest.mark.parametrize("runs", [1, 3, 4, 7])
def test_runs_share_their_axes_and_only_the_chosen_one_is_marked(runs):
    figure = overview_figure(runs)
    assert len(figure.data) == 2 * runs
    names = [annotation.text for annotation in figure.layout.annotations if annotation.text]
    assert len([name for name in names if name.startswith("<b>")]) == runs
    drawn = {trace.yaxis for trace in figure.data}
    axes = {axis: figure.layout[axis.replace("y", "yaxis", 1)] for axis in drawn}
    assert sum(axis.matches is None for axis in axes.values()) == 2
    marks = [shape for shape in figure.layout.shapes if shape.x0 == shape.x1 == 8]
    assert {mark.xref for mark in marks} == {figure.data[0].xaxis, figure.data[1].xaxis}
    assert sum(trace.showlegend for trace in figure.data) == 1


def test_heatmaps_share_one_scale_around_zero():
    gram, figure = gram_figure(6)
    first, ideal, difference = (np.asarray(trace.z) for trace in figure.data)
    np.testing.assert_allclose(first, gram, rtol=1e-6)
    np.testing.assert_allclose(difference, first - ideal, atol=1e-6)
    assert {trace.coloraxis for trace in figure.data} == {"coloraxis"}
    colours = figure.layout.coloraxis
    assert (colours.cmin, colours.cmid, colours.cmax) == (-1, 0, 1)
    assert all(trace.zmin is None and trace.colorscale is None for trace in figure.data)


def test_heatmaps_reorder_rows_and_columns_alike_and_part_groups():
    rows = np.array([2, 0, 1])
    order = figures.Order(rows, ("left", "right", "right"))
    gram, figure = gram_figure(3, order, limit=0.25)
    np.testing.assert_allclose(figure.data[0].z, gram[np.ix_(rows, rows)], rtol=1e-6)
    assert list(figure.data[0].x) == ["class 2", "class 0", "class 1"]
    assert [shape.path for shape in figure.layout.shapes] == 3 * [
        "M0.5,-0.5L0.5,2.5M-0.5,0.5L2.5,0.5"
    ]
    assert [shape.yref for shape in figure.layout.shapes] == ["y", "y2", "y3"]
    assert figure.layout.coloraxis.cmax == 0.25


def test_classes_of_one_name_stay_apart():
    figure = figures.gram_heatmaps(
        np.eye(3),
        collapse.ideal_gram(3),
        ["a", "a", "<i>a</i>"],
        order=figures.Order(np.arange(3)),
        shown=SHOWN,
    )
    assert list(figure.data[0].y) == ["a", "a (2)", "&lt;i&gt;a&lt;/i&gt;"]


@pytest.mark.parametrize("classes", [2, 3, 100])
def test_histogram_counts_every_pair_once(classes):
    gram = collapse.ideal_gram(classes)
    figure = figures.cosine_histogram(gram, shown=SHOWN)
    bars = figure.data[0]
    assert sum(bars.y) == classes * (classes - 1) / 2
    fullest = bars.x[int(np.argmax(bars.y))]
    assert fullest == pytest.approx(-1 / (classes - 1), abs=bars.width)
    assert figure.layout.shapes[0].x0 == pytest.approx(-1 / (classes - 1))


def test_lengths_are_relative_to_their_average_and_in_order():
    means, order = np.array([1.0, 2.0, 3.0]), np.array([2, 0, 1])
    figure = figures.class_lengths(means, ["a", "b", "c"], order=order, shown=SHOWN)
    np.testing.assert_allclose(figure.data[0].y, [1.5, 0.5, 1.0], rtol=1e-6)
    assert list(figure.data[0].text) == ["c", "a", "b"]
    assert len(figure.data) == 1


def test_densities_integrate_to_one_and_known_differs_from_unknown_by_more_than_colour():
    known, _, figure = score_figure()
    densities = [trace for trace in figure.data if trace.type == "scatter"]
    for trace in densities:
        area = np.trapezoid(np.asarray(trace.y, float), np.asarray(trace.x, float))
        assert area == pytest.approx(0.99, abs=0.012)
    first, *others = densities
    assert first.name == "digits test (ID)"
    assert first.fill == "tozeroy"
    assert first.line.dash == "solid"
    assert all(trace.fill is None and trace.line.dash != "solid" for trace in others)
    box = figure.data[-1]
    assert box.name == first.name
    quantiles = [box.lowerfence, box.q1, box.median, box.q3, box.upperfence]
    expected = np.quantile(known, [0.05, 0.25, 0.5, 0.75, 0.95])
    np.testing.assert_allclose(np.ravel(quantiles), expected, rtol=1e-5)


def test_the_threshold_crosses_densities_and_boxes_and_is_named():
    _, _, figure = score_figure(threshold=-40.0, log=True)
    lines = [shape for shape in figure.layout.shapes if shape.x0 == shape.x1 == -40]
    assert {line.xref for line in lines} == {"x", "x2"}
    assert figure.layout.xaxis.range[0] < -40
    assert "cut at -40" in figure.layout.title.text
    assert figure.layout.yaxis.type == "log"


def test_scores_that_are_all_equal_can_be_drawn():
    same = np.ones(50)
    figure = figures.score_distributions(
        same,
        {"letters": same},
        id_name="ID",
        styles={"letters": theme.ood_style(0)},
        threshold=1.0,
        detector="MSP",
        shown=SHOWN,
    )
    low, high = figure.layout.xaxis.range
    assert low < 1 < high


def test_curves_carry_the_operating_point_unless_there_is_none():
    figure = figures.roc([curve(), curve("noise", point=None)], shown=SHOWN)
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    points = [trace for trace in figure.data if trace.mode == "markers"]
    assert [line.name for line in lines] == ["letters 0.800", "noise 0.800"]
    assert len(points) == 1
    assert (points[0].x[0], points[0].y[0]) == pytest.approx((0.2, 0.9))
    assert points[0].marker.color == lines[0].line.color
    chance = figure.layout.shapes[0]
    assert (chance.x0, chance.y0, chance.x1, chance.y1) == (0, 0, 1, 1)


def test_precision_names_the_class_to_find():
    figure = figures.precision_recall([curve()], positive="OOD", shown=SHOWN)
    assert "OOD" in figure.layout.title.text
    assert "OOD rejected" in figure.layout.xaxis.title.text
    assert "rejected" in figure.layout.yaxis.title.text


def test_figures_of_a_hundred_classes_and_thousands_of_samples_stay_small():
    groups = tuple(f"group {at // 5}" for at in range(100))
    heatmaps = gram_figure(100, figures.Order(np.arange(100), groups))[1]
    assert len(figures.themed(heatmaps).to_json()) < 300 * KILOBYTE
    ood = {name: RNG.normal(size=26_000) for name in ("letters", "noise")}
    styles = {"letters": theme.ood_style(0), "noise": theme.ood_style(1)}
    scores = figures.score_distributions(
        RNG.normal(size=10_000),
        ood,
        id_name="ID",
        styles=styles,
        threshold=0.0,
        detector="Energy",
        shown=SHOWN,
    )
    assert len(figures.themed(scores).to_json()) < 20 * KILOBYTE
    curves = figures.roc([curve(points=400) for _ in range(5)], shown=SHOWN)
    assert len(figures.themed(curves).to_json()) < 60 * KILOBYTE


def luminance(colour: str) -> float:
    """Relative luminance of a #RRGGBB colour (WCAG 2)."""
    channels = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


STYLES = [theme.ID_STYLE, *(theme.ood_style(at) for at in range(6))]


@pytest.mark.parametrize("page", ["#FFFFFF", "#0E1117"])
@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.colour)
def test_lines_stand_out_from_the_page(style, page):
    lighter, darker = sorted((luminance(style.colour), luminance(page)), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 3


def test_no_two_styles_differ_by_colour_alone():
    assert len({style.colour for style in STYLES}) == len(STYLES)
    assert len({(style.dash, style.symbol) for style in STYLES}) == len(STYLES)


def test_themes_keep_the_page_visible_and_set_readable_text():
    light = figures.themed(training_figure()).layout.template.layout
    dark = figures.themed(training_figure(), dark=True).layout.template.layout
    assert light.paper_bgcolor == dark.paper_bgcolor == "rgba(0,0,0,0)"
    assert luminance(light.font.color) < 0.05 < 0.8 < luminance(dark.font.color)
    assert light.coloraxis.colorscale[2][1] == "#FFFFFF"


def test_names_are_literal_text():
    shown = figures.Shown("<b>bold</b>", 1, "encoder")
    figure = figures.roc([curve("<a href='x'>")], shown=shown)
    assert figure.layout.title.subtitle.text.startswith("&lt;b&gt;bold&lt;/b&gt;")
    assert figure.data[0].name.startswith("&lt;a href='x'&gt;")


def test_log_axes_are_labelled_in_full():
    assert theme.log_axis([0.03, 0.4])["ticktext"][:4] == ["0.01", "0.02", "0.05", "0.1"]
    assert theme.log_axis([1e-8, 1.0])["ticktext"][0] == "1e-08"
    assert theme.log_axis([0.0]) == {"type": "log"}


def test_selected_samples_get_a_row_of_marks_below_their_set():
    rng = np.random.default_rng(3)
    # Scores of kept samples are in the order of the samples, not in that of the distribution.
    known, noise = rng.normal(size=9), rng.normal(size=299)
    selected = {
        "digits test (ID)": SelectedScores(np.array([4, 0]), known[[4, 0]]),
        "noise": SelectedScores(np.arange(299), noise),
    }
    figure = score_figure(selected=selected)[2]
    rows = {trace.name: trace for trace in figure.data if trace.customdata is not None}
    assert set(rows) == {"digits test (ID), selected", "noise, selected"}
    first, second = rows["digits test (ID), selected"], rows["noise, selected"]
    np.testing.assert_allclose(sorted(first.x), sorted(known[[0, 4]]), rtol=1e-6)
    np.testing.assert_allclose(sorted(second.x), sorted(noise), rtol=1e-6)
    assert first.marker.symbol != second.marker.symbol
    # What a click tells: the set's position and the sample's.
    numbers, positions = second.customdata.T.astype(int)
    assert set(numbers) == {2}
    np.testing.assert_allclose(second.x, noise[positions], rtol=1e-6)
    ticks = dict(zip(figure.layout.yaxis2.tickvals, figure.layout.yaxis2.ticktext, strict=True))
    assert ticks["noise, selected"] == "299 selected"
    assert ticks["letters"] == "letters"
    # Rows go from the bottom to the top in the order in which they come.
    order = [trace.name for trace in figure.data if trace.type == "box" or trace in (first, second)]
    assert order.index("noise, selected") == order.index("noise") - 1


def test_a_choice_of_no_samples_changes_no_figure():
    state = RNG.bit_generator.state
    without = score_figure()[2]
    RNG.bit_generator.state = state
    nothing = SelectedScores(np.zeros(0, int), np.zeros(0))
    assert score_figure(selected={"noise": nothing})[2] == without


def test_many_selected_samples_are_thinned_over_their_whole_range():
    scores = RNG.normal(size=26_000)
    kept = thinned(scores, 500)
    assert len(kept) == len(set(kept)) == 500
    assert scores[kept].min() == scores.min()
    assert scores[kept].max() == scores.max()
    assert np.median(scores[kept]) == pytest.approx(np.median(scores), abs=0.02)
    assert thinned(scores[:3], 500).tolist() == np.argsort(scores[:3]).tolist()
    assert len(thinned(np.zeros(0), 5)) == 0


def test_a_sample_is_named_inside_the_figure_wherever_it_lies():
    for score, anchor in ((-90.0, "left"), (90.0, "right")):
        figure = figures.mark_sample(score_figure()[2], score, "sample <3> of letters")
        low, high = figure.layout.xaxis.range
        assert low < score < high
        assert figure.layout.xaxis2.range == (low, high)
        name = figure.layout.annotations[-1]
        assert (name.x, name.xanchor) == (score, anchor)
        assert name.text.strip() == "sample &lt;3&gt; of letters"


def test_the_name_of_a_sample_keeps_clear_of_the_threshold():
    for threshold, anchor in ((1.5, "right"), (0.5, "left")):
        figure = figures.mark_sample(score_figure(threshold=threshold)[2], 1.0, "sample 3")
        assert figure.layout.annotations[-1].xanchor == anchor


def test_selected_samples_are_hollow_marks_below_the_threshold_with_one_name():
    marks = figures.Marks(np.array([0.1, 0.3]), np.array([0.3, 0.5]), theme.ID_STYLE)
    empty = figures.Marks(np.zeros(0), np.zeros(0), theme.ood_style(0))
    lit = replace(curve(), chosen=(marks, empty))
    figure = figures.roc([lit, curve("noise")], shown=SHOWN, selected="selected (2)")
    hollow = [trace for trace in figure.data if "open" in str(trace.marker.symbol)]
    assert [trace.showlegend for trace in hollow] == [False, None]
    np.testing.assert_allclose(hollow[0].x, [0.1, 0.3], rtol=1e-6)
    assert hollow[1].name == "selected (2)"
    last = [trace.name for trace in figure.data][-2:]
    assert last == ["threshold, letters", "threshold, noise"]
    nothing = figures.roc([curve()], shown=SHOWN, selected="selected (2)")
    assert not any(trace.name == "selected (2)" for trace in nothing.data)
