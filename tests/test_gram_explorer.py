"""The Gram explorer of the Neural collapse page: a pair of classes picked, told and selected."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
import test_app
import test_importing
from app_elements import figures_on, sizes_on
from made_runs import add_samples, make_run
from test_app import COLLAPSE, charts, healthy, words
from test_importing import write_export

from ncviz import collapse
from ncviz.errors import MissingDataError
from ncviz.figures import Order
from ncviz.importing import import_features
from ncviz.store import open_run, write
from ncviz.ui import class_pair, gram, gram_loaders, loaders
from ncviz.ui.gram_loaders import Predictions
from ncviz.ui.plot import Point
from ncviz.ui.view import View

MARKUP = ("<img src=x onerror=alert(1)>", "**b** $x$", "[l](http://evil.example)", "cat")
HEATMAPS = "Class means against the simplex ETF"
open_app, good, arrays = test_app.open_app, test_app.good, test_importing.arrays
CLOSE, TAKEN = "How close the two classes are", "What the network takes them for"


def said(app) -> str:
    return words(app).replace("\\", "")


def picked(app) -> tuple[str, str]:
    return app.selectbox(key="class_a").value, app.selectbox(key="class_b").value


def framed(app) -> set[tuple[float, float]]:
    """(row, column) of the framed cells of the first heatmap."""
    shapes = charts(app)[HEATMAPS]["layout"].get("shapes", ())
    frames = [each for each in shapes if each["type"] == "rect" and each["xref"] == "x"]
    return {((each["y0"] + each["y1"]) / 2, (each["x0"] + each["x1"]) / 2) for each in frames}


def marks_on(app) -> str:
    """The path of the marks beside the first heatmap; empty without any."""
    shapes = charts(app)[HEATMAPS]["layout"].get("shapes", ())
    return "".join(each["path"] for each in shapes if each["xref"] == "x domain")


def confuse(run, epoch: int, taken: dict[tuple[int, int], int]) -> None:
    """Logits that are right except for so many samples of (true, predicted) classes."""
    name = f"{run.id_set}/test"
    samples = run.epoch(epoch).features(name, run.layers[-1])
    predicted = samples.labels.copy()
    for (label, other), count in taken.items():
        free = np.flatnonzero((samples.labels == label) & (predicted == label))
        predicted[free[:count]] = other
    logits = np.eye(len(run.classes), dtype=np.float32)[predicted]
    arrays = {layer: run.epoch(epoch).features(name, layer).features for layer in run.layers}
    write.save_features(
        run.epoch(epoch), name, arrays | {"labels": samples.labels, "logits": logits}, {}
    )


@pytest.fixture
def mistaken(tmp_path) -> Path:
    """A run whose last epoch takes 3 of 12 cats for dogs, 1 for a fox, and 2 dogs for cats."""
    run = make_run(tmp_path, "made", layers=("encoder", "projector"), superclasses="abab")
    add_samples(run)
    confuse(run, 9, {(0, 1): 3, (0, 2): 1, (1, 0): 2})
    return tmp_path


def test_at_first_the_pair_farthest_from_the_etf_at_the_last_epoch_is_picked(open_app, good):
    run = open_run(good / "cats")
    worst = collapse.worst_pairs(collapse.gram(run.epoch(9).statistics("projector")), 1)[0]
    expected = (run.classes[worst.first], run.classes[worst.second])
    for url in ({}, {"epoch": "1"}, {"layer": "encoder"}):
        app = healthy(open_app(good, COLLAPSE, run="cats", **url))
        assert picked(app) == expected
        assert framed(app) == {(worst.first, worst.second), (worst.second, worst.first)}


def test_an_address_picks_the_pair_which_every_chart_and_sentence_follows(open_app, mistaken):
    app = healthy(open_app(mistaken, COLLAPSE, class_a="dog", class_b="cat", order="superclass"))
    assert picked(app) == ("dog", "cat")
    rows = {"cat": 0, "fox": 1, "dog": 2, "hen": 3}
    assert framed(app) == {(rows["dog"], rows["cat"]), (rows["cat"], rows["dog"])}
    gram_of = loaders.geometry(open_run(mistaken / "made"), 9, "projector").gram
    assert f"have a cosine of {gram_of[1, 0]:.3f}".replace("-", "−") in said(app)
    assert (
        "Of 12 cached test samples of **dog** the network takes 10 for dog, 2 for cat and 0 for "
        "another class. Of 12 cached test samples of **cat** the network takes 3 for dog, 8 for "
        "cat and 1 for another class." in said(app)
    )
    lines = {(trace["xaxis"], trace["name"]) for trace in charts(app)[CLOSE]["data"]}
    assert {("x", "dog and cat"), ("x2", "dog and cat")} <= lines
    assert charts(app)[TAKEN]["data"][0]["text"][-1] == "10 of 12"


def test_lists_pick_a_pair_and_the_same_class_twice_is_explained(open_app, good):
    app = healthy(open_app(good, COLLAPSE, run="cats", class_a="cat", class_b="dog"))
    app = healthy(app.selectbox(key="class_b").set_value("hen").run())
    assert framed(app) == {(0, 3), (3, 0)}
    app = healthy(app.selectbox(key="class_b").set_value("cat").run())
    assert any("Choose two different ones" in each.value for each in app.info)
    assert not framed(app)
    assert CLOSE not in charts(app)


def test_an_address_with_one_class_alone_pairs_it_with_another(open_app, good):
    default = picked(open_app(good, COLLAPSE, run="cats"))
    app = healthy(open_app(good, COLLAPSE, run="cats", class_a=default[1]))
    assert picked(app) == default[::-1]


@pytest.mark.parametrize("value", ["../etc", "<script>", "", "%00", "lion", "-1"])
def test_an_unusable_class_in_the_address_means_the_default(open_app, good, value):
    expected = picked(open_app(good, COLLAPSE, run="cats"))
    url = dict.fromkeys(("class_a", "class_b", "details", "colours"), value)
    assert picked(healthy(open_app(good, COLLAPSE, run="cats", **url))) == expected


def test_another_run_without_these_classes_starts_with_its_own_pair(open_app, tmp_path):
    make_run(tmp_path, "first")
    make_run(tmp_path, "second", classes=("dog", "eel", "owl"))
    app = healthy(open_app(tmp_path, COLLAPSE, run="first", class_a="cat", class_b="dog"))
    app = healthy(app.selectbox(key="run").set_value("second").run())
    assert set(picked(app)) <= {"dog", "eel", "owl"}
    assert len(set(picked(app))) == 2


def test_a_click_picks_the_pair_of_its_cell_in_the_drawn_order():
    order = Order(np.array([2, 0, 3, 1]))
    cosines = collapse.ideal_gram(4)
    cosines[2, 0] = cosines[0, 2] = 0.5
    assert gram.pair_at(cosines, order, Point(1, (0, 3)))[:2] == (2, 1)
    assert gram.pair_at(cosines, order, Point(0, (2, 1)))[:2] == (3, 0)
    assert gram.pair_at(cosines, order, Point(2, (1, 1)))[:2] == (0, 2)
    for place in (3, (4, 0), (0, -1), (1, 2, 3), ()):
        assert gram.pair_at(cosines, order, Point(0, place)) is None


def test_a_click_on_a_block_picks_the_farthest_pair_in_it():
    cosines = collapse.ideal_gram(500)
    order = Order(np.random.default_rng(0).permutation(500))
    first, second = order.classes(4)[1], order.classes(90)[2]
    cosines[first, second] = cosines[second, first] = -0.9
    assert gram.pair_at(cosines, order, Point(0, (4, 90)))[:2] == (first, second)
    inside = gram.pair_at(cosines, order, Point(0, (7, 7)))
    assert inside.first != inside.second
    assert {inside.first, inside.second} <= set(order.classes(7))


def test_a_ticked_row_picks_its_pair_and_the_picked_pair_is_ticked(open_app, good, monkeypatch):
    app = healthy(open_app(good, COLLAPSE, run="cats"))
    table = app.dataframe[0].value
    assert app.session_state[gram.PAIRS_TABLE]["selection"]["rows"] == [0]
    pair = (table["Class A"][3], table["Class B"][3])
    app.selectbox(key="class_a").set_value(pair[1])
    app = healthy(app.selectbox(key="class_b").set_value(pair[0]).run())
    assert app.session_state[gram.PAIRS_TABLE]["selection"]["rows"] == [3]

    view = View(open_run(good / "cats"), 9, "projector")
    pairs = collapse.worst_pairs(loaders.geometry(view.run, 9, "projector").gram, 20)
    state = {gram.PAIRS_TABLE: {"selection": {"rows": [3]}}}
    monkeypatch.setattr(st, "session_state", state)
    gram.pick_row(view, pairs)
    assert (state["class_a"], state["class_b"]) == pair
    for rows in ([], [99]):
        state[gram.PAIRS_TABLE] = {"selection": {"rows": rows}}
        gram.pick_row(view, pairs)
        assert (state["class_a"], state["class_b"]) == pair


def test_the_table_counts_who_is_mistaken_for_the_other(open_app, mistaken):
    table = healthy(open_app(mistaken, COLLAPSE)).dataframe[0].value
    counts = {
        frozenset(pair): count
        for *pair, count in table[["Class A", "Class B", "Mistaken"]].itertuples(index=False)
    }
    assert counts[frozenset(("cat", "dog"))] == 5
    assert counts[frozenset(("cat", "fox"))] == 1
    assert sum(counts.values()) == 6


@pytest.mark.parametrize(
    ("key", "label", "other", "count"),
    [("a", 0, None, 12), ("b", 1, None, 12), ("a_for_b", 0, 1, 3), ("b_for_a", 1, 0, 2)],
)
def test_samples_of_the_pair_are_selected_and_light_up(
    open_app, mistaken, key, label, other, count
):
    app = healthy(open_app(mistaken, COLLAPSE, class_a="cat", class_b="dog"))
    assert not marks_on(app)
    app = healthy(app.button(key=f"_select_{key}").click().run())
    chosen = app.session_state["selected"]
    assert list(chosen.samples) == ["made/test"]
    indices = np.array(chosen.samples["made/test"])
    samples = open_run(mistaken / "made").epoch(9).features("test", "projector")
    assert set(samples.labels[indices]) == {label}
    if other is not None:
        assert set(samples.logits[indices].argmax(axis=1)) == {other}
    assert len(indices) == count
    assert marks_on(app).startswith(f"M1.01,{label}L")
    assert marks_on(app).count("M") == 1
    assert "Green triangles mark the class of the selected samples" in said(app)


def test_without_such_mistakes_there_is_nothing_to_select(open_app, mistaken):
    app = healthy(open_app(mistaken, COLLAPSE, class_a="hen", class_b="fox"))
    assert app.button(key="_select_a_for_b").disabled
    assert not app.button(key="_select_a").disabled


def test_samples_of_other_sets_mark_no_class(open_app, mistaken):
    app = healthy(open_app(mistaken, COLLAPSE, selected="noise/test:1-9"))
    assert not marks_on(app)
    app = healthy(open_app(mistaken, COLLAPSE, selected="made/test:0,47;noise/test:1"))
    assert marks_on(app).count("M") == 2


def test_clusters_and_colours_stay_while_stepping(open_app, good):
    def drawn(app) -> tuple:
        layout = charts(app)[HEATMAPS]["layout"]
        return layout["yaxis"]["ticktext"], layout["coloraxis"]["cmax"]

    limits = {}
    for colours in ("full", "fit", "last"):
        url = {"run": "cats", "order": "cluster", "colours": colours}
        seen = [drawn(open_app(good, COLLAPSE, **url, epoch=epoch)) for epoch in "149"]
        assert seen[0] == seen[1] == seen[2]
        limits[colours] = seen[0][1]
    run = open_run(good / "cats")
    above = np.triu_indices(4, k=1)
    largest = [
        np.abs(loaders.geometry(run, epoch, "projector").gram[above]).max() for epoch in (1, 4, 9)
    ]
    assert limits["full"] == 1
    assert limits["fit"] == pytest.approx(max(largest), rel=1e-6)
    assert limits["last"] == pytest.approx(largest[-1], rel=1e-6)


def test_cosines_of_all_pairs_over_epochs_are_those_of_each_epoch(good):
    run = open_run(good / "dogs")
    found = gram_loaders.cosines(run, "encoder")
    assert found.epochs.tolist() == [2, 4, 30]
    grams = [collapse.gram(run.epoch(epoch).statistics("encoder")) for epoch in (2, 4, 30)]
    for first in range(4):
        for second in set(range(4)) - {first}:
            course = found.of(first, second, 4, "encoder")
            expected = [each[first, second] for each in grams]
            np.testing.assert_allclose(course.values, expected, rtol=1e-5)
    above = np.triu_indices(4, k=1)
    np.testing.assert_allclose(
        found.bands,
        np.quantile([each[above] for each in grams], [0.05, 0.5, 0.95], axis=1),
        rtol=1e-5,
    )


def test_epochs_without_a_layer_are_left_out_of_its_course(open_app, tmp_path):
    run = make_run(tmp_path, "staged", stages={9: ("stage1",)})
    assert gram_loaders.cosines(run, "stage1").epochs.tolist() == [9]
    app = healthy(open_app(tmp_path, COLLAPSE, layer="stage1", order="cluster"))
    titles = [each["text"] for each in charts(app)[CLOSE]["layout"]["annotations"]]
    assert titles == ["stage1", "encoder"]
    with pytest.raises(MissingDataError, match=r"stage2.*extract\.py"):
        gram_loaders.cosines(run, "stage2")


def test_two_classes_make_one_pair(open_app, tmp_path):
    make_run(tmp_path, "pair", classes=("cat", "dog"))
    app = healthy(open_app(tmp_path, COLLAPSE))
    assert picked(app) == ("cat", "dog")
    assert "as far apart as a simplex ETF would have them" in said(app)
    assert "another class" not in said(app)
    assert framed(app) == {(0, 1), (1, 0)}


def test_a_class_more_than_one_has_the_name_of_can_be_picked(open_app, tmp_path):
    make_run(tmp_path, "twins", classes=("cat", "cat", "dog", "cat (2)"))
    app = healthy(open_app(tmp_path, COLLAPSE, class_a="cat (3)", class_b="cat"))
    assert app.selectbox(key="class_a").options == ["cat", "cat (3)", "dog", "cat (2)"]
    assert framed(app) == {(0, 1), (1, 0)}


def test_names_that_are_markup_are_shown_letter_by_letter(open_app, tmp_path):
    run = make_run(tmp_path, "odd", classes=MARKUP, superclasses=("<b>", "*x*", "<b>", "*x*"))
    add_samples(run)
    app = healthy(
        open_app(tmp_path, COLLAPSE, class_a=MARKUP[0], class_b=MARKUP[1], order="superclass")
    )
    assert picked(app) == MARKUP[:2]
    shown = [str(each.value) for kind in (app.markdown, app.caption) for each in kind]
    shown += [button.label for button in app.button]
    for text in shown:
        bare = re.sub(r"\\.", "", text)
        assert "<img" not in bare
        assert "$x" not in bare
        assert "](" not in bare
    for figure in figures_on(app):
        assert "<img" not in str(figure["data"])
    healthy(app.button(key="_select_a").click().run())


def test_without_test_samples_the_confusion_says_what_it_needs(open_app, tmp_path):
    run = make_run(tmp_path, "bare")
    for path in run.path.glob("epochs/*/features/*/test*"):
        path.unlink()
    app = healthy(open_app(tmp_path, COLLAPSE))
    assert CLOSE in charts(app)
    assert TAKEN not in charts(app)
    assert "needs its predictions on test samples" in said(app)
    assert "Mistaken" not in app.dataframe[0].value
    assert not [button for button in app.button if str(button.key).startswith("_select_")]


def test_an_epoch_without_test_samples_is_left_out_of_the_confusion(open_app, tmp_path):
    run = make_run(tmp_path, "holed")
    for path in run.path.glob("epochs/0004/features/*/test*"):
        path.unlink()
    app = healthy(open_app(tmp_path, COLLAPSE, epoch="4"))
    assert len(charts(app)[TAKEN]["data"][0]["text"]) == 2
    assert "the network takes 1" not in said(app)
    assert "at this epoch needs its predictions on test samples" in said(app)


def test_a_damaged_epoch_leaves_the_others_to_be_explored(open_app, tmp_path):
    run = make_run(tmp_path, "hurt", results=False)
    for pattern in ("statistics*", "features/*/test*"):
        for path in run.path.glob(f"epochs/0004/{pattern}"):
            path.write_bytes(b"not what the name says")
    app = healthy(open_app(tmp_path, COLLAPSE, order="cluster", colours="fit"))
    assert len(charts(app)[TAKEN]["data"][0]["text"]) == 2
    app = open_app(tmp_path, COLLAPSE, epoch="4")
    assert not app.exception
    assert "Delete statistics" in app.error[0].value


def test_one_epoch_is_enough(open_app, tmp_path):
    make_run(tmp_path, "short", epochs=(7,))
    app = healthy(open_app(tmp_path, COLLAPSE, order="cluster", colours="fit"))
    assert {CLOSE, TAKEN, HEATMAPS} <= set(charts(app))


def test_without_results_a_pair_can_be_picked_all_the_same(open_app, tmp_path):
    make_run(tmp_path, "young", results=False)
    app = healthy(open_app(tmp_path, COLLAPSE, class_a="fox", class_b="hen"))
    assert framed(app) == {(2, 3), (3, 2)}
    assert len(app.dataframe[0].value) == 6


def test_a_run_whose_last_layer_has_no_head_compares_its_predictions(open_app, tmp_path):
    make_run(tmp_path, "both", layers=("encoder", "projector"), heads=("projector",))
    app = healthy(open_app(tmp_path, COLLAPSE, layer="encoder"))
    assert TAKEN in charts(app)


@pytest.mark.parametrize("without", [(), ("head",), ("logits",)], ids=["whole", "head", "logits"])
def test_an_import_is_explored_like_any_run(open_app, arrays, tmp_path, without):
    source = write_export(tmp_path / "source", arrays, without=without)
    import_features(source, tmp_path / "runs" / "came")
    app = healthy(open_app(tmp_path / "runs", COLLAPSE))
    assert {HEATMAPS, CLOSE, TAKEN} <= set(charts(app))
    healthy(app.button(key="_select_a").click().run())
    assert len(app.session_state["selected"]) == 20


def test_hundreds_of_classes_are_drawn_in_blocks_and_stay_light(open_app, tmp_path):
    names = [f"class {at}" for at in range(320)]
    groups = [f"group {at // 40}" for at in range(320)]
    make_run(
        tmp_path, "large", classes=names, superclasses=groups, dim=6, epochs=(1, 2), results=False
    )
    app = healthy(open_app(tmp_path, COLLAPSE, class_a="class 3", class_b="class 300"))
    assert "A cell is the average over 2 × 2 neighbouring classes, as 320" in said(app)
    heatmaps = charts(app)[HEATMAPS]
    assert heatmaps["data"][0]["z"]["shape"] == "160, 160"
    assert len(framed(app)) == 2
    assert sum(sizes_on(app)) < 1_000_000


def test_of_tabs_that_are_hidden_nothing_is_drawn(open_app, good):
    app = healthy(open_app(good, COLLAPSE, run="cats"))
    assert "Lengths of class means" not in charts(app)
    assert not app.latex
    app = healthy(open_app(good, COLLAPSE, run="cats", details="All cosines and lengths"))
    assert {"Lengths of class means", "Cosines of 6 class pairs"} <= set(charts(app))
    assert not app.dataframe


def test_predictions_are_counted_by_hand():
    found = Predictions(
        np.array([0, 0, 0, 1, 2]),
        np.array([0, 1, 2, 1, 0]),
        np.array([[1, 1, 1], [0, 1, 0], [1, 0, 0]]),
    )
    assert found.rows(0).tolist() == [0, 1, 2]
    assert found.rows(0, 2).tolist() == [2]
    assert found.outcomes(0, 1, 2).tolist() == [1, 1, 1]
    assert found.outcomes(2, 1, 2).tolist() == [0, 0, 1]
    pair = class_pair.Pair(1, 2, ("b", "c"))
    assert class_pair.confusion_in_words(found, pair) == (
        "Of the one cached test sample of **b** the network takes 1 for b, 0 for c and 0 for "
        "another class. Of the one cached test sample of **c** the network takes 0 for b, 0 for c "
        "and 1 for another class."
    )
