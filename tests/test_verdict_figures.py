"""Figures about one image: the values that are drawn, what tells groups apart, and size."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ncviz import figures
from ncviz.figures import theme

SHOWN = figures.Shown("digits", 8, "encoder")
RNG = np.random.default_rng(0)
KEPT = (None, True)


def strips(count: int = 3) -> list[figures.Strip]:
    return [
        figures.Strip(f"<b>{at}</b>", at / 40, 0.05, RNG.uniform(0, 0.5, 400), known=at > 1)
        for at in range(count)
    ]


def strips_figure(given: list[figures.Strip] | None = None):
    given = strips() if given is None else given
    return figures.score_strips(given, title="What every detector says", shown=SHOWN)


def score_figure():
    return figures.score_distributions(
        np.linspace(0, 10, 400),
        {"letters": np.linspace(-5, 5, 300)},
        id_name="digits test (ID)",
        styles={"letters": theme.ood_style(0)},
        threshold=1.0,
        detector="Energy",
        shown=SHOWN,
    )


def moments_figure():
    moments = [
        figures.Moment(1, 0.8, True, "<i>cat</i>", 0.3),
        figures.Moment(8, 0.01, False, "dog", 0.9),
    ]
    return figures.verdict_over_epochs(moments, detector="Energy", shown=SHOWN)


def map_figure(samples: int = 50):
    sets = {"digits/test": RNG.normal(size=(samples, 2)), "letters/test": RNG.normal(size=(30, 2))}
    return figures.placed_on_map(
        sets,
        styles={"digits/test": theme.ID_STYLE, "letters/test": theme.ood_style(0)},
        image=np.array([7.0, -9.0]),
        neighbours=sets["digits/test"][:10],
        kind="UMAP",
        shown=SHOWN,
    )


FIGURES = {
    "strips": strips_figure,
    "marked": lambda: figures.mark_image(score_figure(), 3.0, known=True),
    "moments": moments_figure,
    "map": map_figure,
}


def named(figure, name: str):
    """The trace called `name`."""
    (trace,) = (trace for trace in figure.data if trace.name == name and trace.showlegend in KEPT)
    return trace


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES)
@pytest.mark.parametrize("dark", [False, True])
def test_every_figure_says_what_it_shows_in_both_themes(make, dark):
    figure = figures.themed(make(), dark=dark)
    assert figure.layout.title.subtitle.text == "digits · epoch 8 · layer encoder"
    assert figure.layout.title.text
    spec = json.loads(figure.to_json())
    assert len(json.dumps(spec)) < 80_000


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES)
def test_names_are_text_and_not_markup(make):
    assert "<b>" not in make().to_json()
    assert "<i>" not in make().to_json()


def test_known_and_unknown_differ_by_more_than_colour():
    known, unknown = (
        named(strips_figure(), f"this image ({word})").marker for word in ("known", "unknown")
    )
    assert known.symbol != unknown.symbol
    assert known.color != unknown.color
    bands = [named(strips_figure(), name) for name in ("ID test", "OOD")]
    thin = [trace.line.dash for trace in strips_figure().data if trace.line.width == 2][:2]
    assert thin[0] != thin[1]
    assert bands[0].y[0] < bands[1].y[0]


def test_strips_show_places_on_a_root_scale():
    given = strips()
    figure = strips_figure(given)
    unknown = named(figure, "this image (unknown)")
    np.testing.assert_allclose(unknown.x, np.sqrt([0, 1 / 40]), rtol=1e-6)
    np.testing.assert_array_equal(unknown.y, [0, 1])
    known = named(figure, "this image (known)")
    np.testing.assert_allclose(known.x, np.sqrt([2 / 40]), rtol=1e-6)
    np.testing.assert_allclose(named(figure, "operating point").x[:2], np.sqrt(0.05), rtol=1e-6)
    ticks = dict(zip(figure.layout.xaxis.ticktext, figure.layout.xaxis.tickvals, strict=True))
    assert ticks["25%"] == 0.5
    assert next(iter(figure.layout.yaxis.ticktext)) == "&lt;b&gt;0&lt;/b&gt;"


def test_bands_are_quantiles():
    given = strips()
    figure = strips_figure(given)
    middle = np.quantile(given[0].unknown, [0.25, 0.75])
    np.testing.assert_allclose(named(figure, "OOD").x[:2], np.sqrt(middle), rtol=1e-6)
    np.testing.assert_allclose(named(figure, "ID test").x[:2], np.sqrt([0.25, 0.75]), rtol=1e-6)


def test_strips_without_any_unknown_samples():
    given = [figures.Strip("Energy", 0.5, 0.05, np.empty(0), known=True)]
    assert len(named(strips_figure(given), "OOD").x) == 0


def test_thirty_detectors_stay_small_and_grow_in_height():
    few, many = strips_figure(), strips_figure(strips(30))
    assert many.layout.height > few.layout.height
    assert len(many.to_json()) < 30_000


@pytest.mark.parametrize("score", [-40.0, 3.0, 90.0])
def test_the_image_is_in_sight_wherever_it_scores(score):
    figure = figures.mark_image(score_figure(), score, known=score > 0)
    low, high = figure.layout.xaxis.range
    assert low < score < high
    assert tuple(figure.layout.xaxis2.range) == (low, high)
    assert figure.data[-1].x[0] == pytest.approx(score)
    marks = [shape for shape in figure.layout.shapes if shape.x0 == score]
    assert len(marks) == 2


def test_moments_are_drawn_by_verdict():
    figure = moments_figure()
    assert named(figure, "known").x.tolist() == [1]
    assert named(figure, "unknown").y.tolist() == pytest.approx([0.01])
    (classes,) = (trace for trace in figure.data if trace.text is not None)
    assert list(classes.text) == ["&lt;i&gt;cat&lt;/i&gt;", "dog"]
    assert classes.y.tolist() == pytest.approx([0.3, 0.9])


def test_the_image_is_on_the_map_even_outside_of_all_samples():
    figure = map_figure()
    assert figure.layout.xaxis.range[1] > 7
    assert figure.layout.yaxis.range[0] < -9
    assert named(figure, "this image").x.tolist() == [7]
    assert len(named(figure, "nearest in feature space").x) == 10
    shapes = {trace.marker.symbol for trace in figure.data}
    assert len(shapes) == 4
    assert "interpolated" in figure.layout.title.text
