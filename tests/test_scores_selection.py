"""Samples chosen by their scores: by range, by the side of the threshold, and what lights up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from app_elements import figures_on, messages
from made_runs import add_samples, make_run
from streamlit.testing.v1 import AppTest

from ncviz import metrics
from ncviz.figures.chosen import SelectedScores
from ncviz.figures.theme import ID_STYLE, ood_style
from ncviz.store import Run, open_run
from ncviz.thresholds import Criterion, SetScores, calibration_half
from ncviz.ui import score_selection
from ncviz.ui.plot import Point
from ncviz.ui.score_selection import Scored, place_on_curve
from ncviz.ui.threshold import Cut
from ncviz.ui.view import View

ROOT = Path(__file__).resolve().parents[1]
PAGE = "pages/2_OOD_scores.py"
SETS = ("made", "letters", "noise")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scores")
    add_samples(make_run(folder, "cats"))
    return folder


@pytest.fixture
def open_page(folder, monkeypatch):
    def open_page(**url: str) -> AppTest:
        monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(folder))
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        for name, value in url.items():
            app.query_params[name] = value
        return healthy(app.switch_page(PAGE).run())

    return open_page


def healthy(app: AppTest) -> AppTest:
    assert not app.exception
    assert not app.error
    return app


def scores_of(run: Run, name: str) -> np.ndarray:
    return run.epoch(9).scores("energy", name, "encoder").astype(np.float64)


def halves(run: Run, name: str) -> np.ndarray:
    """Which samples a threshold may be chosen on."""
    labels = run.epoch(9).features(name).labels
    return calibration_half(labels)


def chosen_in(app: AppTest) -> dict[str, list[int]]:
    return {name: list(found) for name, found in app.session_state["selected"].samples.items()}


def threshold_of(app: AppTest) -> float:
    return figures_on(app)[0]["layout"]["shapes"][0]["x0"]


def test_two_fields_select_the_samples_of_that_range_in_every_set_drawn(open_page, folder):
    app = open_page()
    low, high = sorted(np.quantile(scores_of(open_run(folder / "cats"), "test"), (0.2, 0.5)))
    app.number_input(key=score_selection.FROM).set_value(high)  # the wrong way round on purpose
    app.number_input(key=score_selection.TO).set_value(low)
    app = healthy(app.button(key="_select_range").click().run())
    run = open_run(folder / "cats")
    expected = {}
    for name in SETS:
        scores = scores_of(run, f"{name}/test")
        inside = [at for at, score in enumerate(scores) if low <= score <= high]
        expected |= {f"{name}/test": inside} if inside else {}
    assert chosen_in(app) == expected
    words = app.session_state["selected"].words
    assert words == f"Energy score from {low:.4g} to {high:.4g}, epoch 9, encoder"


def test_fields_start_anew_with_the_scale_of_another_score(open_page):
    app = open_page()
    before = app.number_input(key=score_selection.FROM).value
    app = healthy(app.selectbox(key="detector").set_value("msp").run())
    low, high = (app.number_input(key=key).value for key in ("_scores_from", "_scores_to"))
    assert before != low
    assert [low, high] == pytest.approx(figures_on(app)[0]["layout"]["xaxis"]["range"], rel=1e-3)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("cut", ["ID", "OOD", "score"])
@pytest.mark.parametrize("word", ["accepted", "rejected"])
def test_one_side_of_a_set_is_exactly_those_that_the_table_counts(
    open_page, folder, name, cut, word
):
    app = open_page(cut=cut)
    run = open_run(folder / "cats")
    table = app.dataframe[0].value
    count = int(
        table["Accepted as ID" if word == "accepted" else "Rejected as OOD"][SETS.index(name)]
    )
    button = app.button(key=f"_select_{word}_{SETS.index(name)}")
    assert button.label == f"{count} {word}"
    assert button.disabled == (count == 0)
    if not count:
        return
    app = healthy(button.click().run())
    full = f"{name}/test"
    (found,) = chosen_in(app).items()
    assert found[0] == full
    assert len(found[1]) == count
    scores = scores_of(run, full)[found[1]]
    assert ((scores >= threshold_of(app)) == (word == "accepted")).all()
    if cut == "OOD":
        assert not halves(run, full)[found[1]].any()


@pytest.mark.parametrize("cut", ["ID", "OOD"])
def test_the_wrong_side_is_known_samples_rejected_and_others_accepted(open_page, folder, cut):
    app = open_page(accept="80.0", reject="60.0", cut=cut)
    run = open_run(folder / "cats")
    app = healthy(app.button(key="_select_wrong").click().run())
    value, found = threshold_of(app), chosen_in(app)
    for name in SETS:
        full = f"{name}/test"
        scores = scores_of(run, full)
        judged = ~halves(run, full) if cut == "OOD" else np.ones(len(scores), bool)
        wrong = (scores < value) if name == "made" else (scores >= value)
        assert found.get(full, []) == np.flatnonzero(wrong & judged).tolist()
    assert found
    assert "on the wrong side of Energy's threshold" in app.session_state["selected"].words


def test_selected_samples_light_up_in_every_chart(open_page):
    plain, lit = open_page(), open_page(selected="made/test:1-3;letters/test:7;train/test:5")
    distributions, roc, precision = figures_on(lit)[:3]
    rugs = [trace for trace in distributions["data"] if trace["name"].endswith(", selected")]
    assert [trace["name"] for trace in rugs] == ["letters, selected", "made test (ID), selected"]
    assert rugs[0]["marker"]["symbol"] != rugs[1]["marker"]["symbol"]
    assert "3 selected" in distributions["layout"]["yaxis2"]["ticktext"]
    assert distributions["layout"]["height"] > figures_on(plain)[0]["layout"]["height"]
    for figure in (roc, precision):
        assert "selected (4)" in [trace.get("name") for trace in figure["data"]]
    for figure in figures_on(plain)[1:3]:
        assert not any("selected" in (trace.get("name") or "") for trace in figure["data"])
    about = messages(lit, "plot")[0].bytes.split(b"\n")[0].decode()
    assert "Selected and marked below: 3 of made test (ID), 1 of letters." in about


def test_the_sample_looked_at_is_named_at_its_score(open_page, folder):
    score = scores_of(open_run(folder / "cats"), "letters/test")[7]
    figure = figures_on(open_page(sample="letters/test:7"))[0]
    (said,) = (each for each in figure["layout"]["annotations"] if "sample 7 of" in each["text"])
    assert said["text"].strip() == f"sample 7 of letters: {score:.4g}"
    assert said["x"] == pytest.approx(score)
    assert sum(shape["x0"] == said["x"] for shape in figure["layout"]["shapes"]) == 2


@pytest.mark.parametrize("text", ["elsewhere/test:3", "letters/test:400", "made/train:1"])
def test_what_the_page_does_not_draw_changes_nothing(open_page, text):
    figure, same = (
        figures_on(open_page(**url))[0] for url in ({}, {"selected": text, "sample": text})
    )
    assert figure == same


@pytest.fixture
def scored(folder) -> Scored:
    rng = np.random.default_rng(1)

    def samples(middle: float, count: int) -> SetScores:
        kept = rng.normal(middle, 1, count)
        return SetScores(np.sort(kept), kept, np.arange(count) % 2 == 0)

    return Scored(
        view=View(open_run(folder / "cats"), 9, "encoder"),
        detector="energy",
        samples={"known": samples(2, 48), "letters": samples(0, 40)},
        full_names={"known": "made/test", "letters": "letters/test"},
        cut=Cut(1.0, Criterion("accuracy")),
    )


@pytest.mark.parametrize("positive", [None, "ID", "OOD"])
def test_marks_lie_on_the_curve(scored, positive):
    known, letters = (each.kept for each in scored.samples.values())
    chosen = {
        "known": SelectedScores(np.array([0, 5]), known[[0, 5]]),
        "letters": SelectedScores(np.arange(40), letters),
    }
    marks = scored.marks("letters", chosen, ood_style(0), positive)
    curve = (
        metrics.roc_curve(known, letters)
        if positive is None
        else metrics.precision_recall_curve(known, letters, positive=positive.lower())
    )
    points = np.column_stack([curve.x, curve.y])
    assert [each.style for each in marks] == [ID_STYLE, ood_style(0)]
    assert 1 <= len(marks[0].x) <= 2  # neighbours that would hide each other are left out
    assert 3 < len(marks[1].x) <= 40
    for each in marks:
        for point in zip(each.x, each.y, strict=True):
            assert np.abs(points - point).sum(axis=1).min() < 1e-12


def test_a_mark_is_where_the_samples_own_score_cuts(scored):
    known, letters = (each.kept for each in scored.samples.values())
    (mark, none) = scored.marks(
        "letters", {"known": SelectedScores(np.array([7]), known[[7]])}, ood_style(0), None
    )
    assert mark.x[0] == pytest.approx(np.mean(letters >= known[7]))
    assert mark.y[0] == pytest.approx(np.mean(known >= known[7]))
    assert len(none.x) == 0


def test_a_threshold_that_finds_nothing_lies_on_no_curve():
    nothing = metrics.operating_point(np.ones(3), np.zeros(3), 2.0)
    everything = metrics.operating_point(np.ones(3), np.zeros(3), -2.0)
    assert place_on_curve(nothing, None) == (0, 0)
    assert place_on_curve(nothing, "ID") is None
    assert place_on_curve(everything, "OOD") is None
    assert place_on_curve(nothing, "OOD") == (1, 0.5)


@pytest.mark.parametrize("data", [(), (0.0,), (9.0, 1.0), (0.0, 4000.0), (-1.0, 2.0), (0.0, -1.0)])
def test_a_click_beside_the_marks_looks_at_nothing(scored, data, monkeypatch):
    looked = []
    monkeypatch.setattr(score_selection.selection, "look_at", lambda *what: looked.append(what))
    scored.look(Point(0, 0, data))
    assert looked == []
    scored.look(Point(0, 0, (1.0, 3.0)))
    assert [what[1:] for what in looked] == [("letters/test", 3)]
