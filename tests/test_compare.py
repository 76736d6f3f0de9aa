"""The Compare page: its figures and numbers, and the page in every state of both sides."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from app_elements import figures_on, sizes_on
from made_runs import add_maps, add_samples, make_run
from scipy.stats import binomtest
from streamlit.testing.v1 import AppTest

from ncviz import figures, metrics
from ncviz.collapse import METRICS
from ncviz.figures import PointSet, side_by_side
from ncviz.figures.side_by_side import MappedSide, RocPanel, ScoredSide
from ncviz.figures.theme import ID_STYLE, Shown, ood_style
from ncviz.metrics import DEFINITIONS, Moves
from ncviz.store import Run, open_run, write
from ncviz.ui import loaders, pairing
from ncviz.ui.compare_moves import MovedSet, listed
from ncviz.ui.compare_numbers import detection_rows
from ncviz.ui.compare_points import Drawn
from ncviz.ui.compare_tables import Difference, as_frame, better_side, row_shades
from ncviz.ui.differences import AurocTest, Contender, auroc_tests

ROOT = Path(__file__).resolve().parents[1]
PAGE = "pages/8_Compare.py"
CHARTS = ("Distributions", "ROC", "Gram", "Map", "Collapse")
A, B = Shown("cats", 9, "encoder", "A"), Shown("dogs", 4, "encoder", "B")
SETS = {"letters": "near", "noise": "far"}


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """Two runs of the same samples and one of other classes and sets; no test may change them."""
    folder = tmp_path_factory.mktemp("good")
    runs = (
        make_run(folder, "cats", layers=("encoder", "projector"), superclasses="abab"),
        make_run(folder, "dogs", epochs=(2, 4, 30)),
        make_run(folder, "eels", classes=("x", "y", "z"), ood_sets={"patches": "far"}),
    )
    for run in runs:
        add_samples(run, keys=True)
        add_maps(open_run(run.path))
    return folder


@pytest.fixture
def open_page(monkeypatch):
    """Open the Compare page on a checkpoints folder, with values in the URL."""

    def open_page(checkpoints: Path, **url: str | list[str]) -> AppTest:
        monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(checkpoints))
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        for name, value in url.items():
            app.query_params[name] = value
        return app.switch_page(PAGE).run()

    return open_page


def healthy(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    assert not app.error, [error.value for error in app.error]
    return app


def words(app: AppTest) -> str:
    kinds = (app.subheader, app.markdown, app.caption, app.code, app.error)
    return "\n".join(str(each.value) for kind in kinds for each in kind).replace("\\", "")


def drawn(app: AppTest, title: str) -> list[dict]:
    return [each for each in figures_on(app) if title in each["layout"]["title"]["text"]]


def subtitle(figure: dict) -> str:
    return figure["layout"]["title"]["subtitle"]["text"]


def sides(app: AppTest) -> tuple[str, str]:
    """What the first line of the page says of both sides."""
    a, b = app.caption[0].value.replace("\\", "").removeprefix("A: ").split(" · B: ", 1)
    remarks = (" · the same samples", " · trained on", " · different samples", " · samples without")
    for remark in remarks:
        b = b.split(remark)[0]
    return a, b


def values_of(trace: dict, axis: str) -> np.ndarray:
    """Numbers of a trace, which travel as bytes."""
    import base64

    packed = trace[axis]
    if isinstance(packed, dict):
        return np.frombuffer(base64.b64decode(packed["bdata"]), packed["dtype"]).astype(float)
    return np.array(packed, float)


# Figures


def scored(shown: Shown, shift: float, scale: float, seed: int) -> ScoredSide:
    rng = np.random.default_rng(seed)
    return ScoredSide(
        shown,
        "made test (ID)",
        shift + scale * rng.normal(1, 1, 300),
        {"noise": shift + scale * rng.normal(0, 1, 100)},
        {"noise": ood_style(0)},
        shift,
    )


def test_distributions_have_the_same_axes_and_hold_both_sides():
    pair = [scored(A, 0, 1, 0), scored(B, 10, 5, 1)]
    first, second = side_by_side.draw_distributions(pair, detector="<b>")
    alone = [side_by_side.draw_distributions([each], detector="<b>")[0] for each in pair]
    for figure in (first, second):
        assert figure.layout.xaxis.range == figure.layout.xaxis2.range == first.layout.xaxis.range
        assert figure.layout.yaxis.range == first.layout.yaxis.range
        assert figure.layout.height == first.layout.height
        for trace in figure.data[:2]:
            assert trace.y.max() <= figure.layout.yaxis.range[1]
    lows, highs = zip(*(each.layout.xaxis.range for each in alone), strict=True)
    assert first.layout.xaxis.range == (min(lows), max(highs))
    assert first.layout.title.subtitle.text == "A: cats · epoch 9 · layer encoder"
    assert second.layout.title.subtitle.text.startswith("B: dogs")
    assert "&lt;b&gt;" in first.layout.title.text
    named = side_by_side.draw_distributions(pair, detector="x", axis="percent")
    low, high = named[0].layout.yaxis.range
    for figure in named:
        assert figure.layout.xaxis2.title.text == "percent"
        assert figure.layout.yaxis.type == "log"
        assert figure.layout.yaxis.range == (low, high)
        for trace in figure.data[:2]:
            heights = np.log10(trace.y[trace.y > 0])
            assert low < heights.min()
            assert heights.max() < high


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_each_set_has_a_panel_with_a_curve_of_each_side(count):
    line = np.array([0.0, 1.0])
    curves = {
        side: figures.OperatingCurve(f"{side}: x", area, line, line, None, style)
        for side, area, style in (("A", 0.9, ID_STYLE), ("B", 0.75, ood_style(0)))
    }
    panels = [RocPanel(f"<i>{at}", curves) for at in range(count)]
    figure = side_by_side.draw_rocs(panels, detector="MSP", shown="both")
    assert len(figure.data) == 2 * count
    assert len({trace.xaxis for trace in figure.data}) == count
    assert [trace.showlegend for trace in figure.data] == [True, True] + [False] * 2 * (count - 1)
    notes = [note.text for note in figure.layout.annotations]
    assert notes[0] == "<b>&lt;i&gt;0</b><br>AUROC A 0.900 · B 0.750"
    # No two panels overlap.
    boxes = [
        (*figure.layout[f"xaxis{end}"].domain, *figure.layout[f"yaxis{end}"].domain)
        for end in ["", *map(str, range(2, count + 1))]
    ]
    for one in range(count):
        for other in range(one):
            a, b = boxes[one], boxes[other]
            assert a[0] >= b[1] or b[0] >= a[1] or a[2] >= b[3] or b[2] >= a[3]


def test_both_epochs_are_marked_on_the_lines_of_collapse():
    series = figures.Series("cats", np.array([1, 9]), np.array([0.5, 0.1]))
    panels = [figures.Panel("NC1", (series,), 0.0), figures.Panel("NC2", (series,))]
    figure = side_by_side.draw_collapse(panels, marked={"A": A, "B": B}, shown="both <")
    upright = [(s.x0, s.xref, s.line.dash) for s in figure.layout.shapes if s.x0 == s.x1]
    assert upright == [(9, "x", "dot"), (9, "x2", "dot"), (4, "x", "dash"), (4, "x2", "dash")]
    assert figure.layout.title.subtitle.text == "both &lt;"
    alone = side_by_side.draw_collapse(panels, marked={"B": B}, shown="B")
    assert {s.x0 for s in alone.layout.shapes if s.x0 == s.x1} == {4}


def points(seed: int, **more) -> PointSet:
    xy = np.random.default_rng(seed).normal(size=(2, 50))
    return PointSet("<u>", ood_style(1), *xy, index=np.arange(50), **more)


def test_maps_share_axes_only_where_a_place_means_the_same():
    near, far = points(0), PointSet("b", ID_STYLE, *(points(1).x + 9, points(1).y), np.arange(50))
    pair = [MappedSide(A, [near]), MappedSide(B, [far], np.array([1.0, 2.0]))]
    first, second = side_by_side.draw_maps(pair, kind="PCA", same_axes=True)
    assert first.layout.xaxis.range == second.layout.xaxis.range
    assert first.layout.yaxis.range == second.layout.yaxis.range
    assert first.layout.xaxis.range[1] > 9
    first, second = side_by_side.draw_maps(pair, kind="PCA", same_axes=False)
    assert first.layout.xaxis.range[1] < 9 < second.layout.xaxis.range[1]
    assert len(first.data) == 1
    assert (second.data[1].x[0], second.data[1].y[0]) == (1, 2)
    assert first.data[0].name == "&lt;u&gt;"
    assert first.data[0].marker.symbol == ood_style(1).symbol


def test_chosen_samples_are_lit_and_the_others_dimmed():
    (trace,) = figures.moved([points(0, lit=np.array([3, 7]))], detector="d", shown=["s"]).data
    assert list(trace.selectedpoints) == [3, 7]
    assert trace.selected.marker.opacity > 3 * trace.unselected.marker.opacity
    (trace,) = figures.moved([points(0)], detector="d", shown=["s"]).data
    assert trace.selectedpoints is None
    (trace,) = figures.moved([points(0, lit=np.zeros(0, int))], detector="d", shown=["s"]).data
    assert list(trace.selectedpoints) == []


def test_points_of_many_colours_are_numbers_on_a_scale_of_steps():
    palette = ("#000000", "#111111", "#222222")
    tinted = points(0, tints=np.arange(50) % 3, palette=palette)
    (trace,) = figures.moved([tinted], detector="d", shown=["s"]).data
    assert [colour for _, colour in trace.marker.colorscale] == list(palette)
    at = np.asarray(trace.marker.color) / trace.marker.cmax
    scale = dict(trace.marker.colorscale)
    assert [scale[share] for share in at[:3]] == list(palette)


def test_the_looked_at_sample_is_ringed_and_a_new_state_forgets_the_lasso():
    one = figures.moved([points(0)], detector="d", shown=["s"], looked_at=(0.2, 0.7), state="1")
    assert (one.data[1].x[0], one.data[1].y[0]) == (pytest.approx(0.2), pytest.approx(0.7))
    assert one.layout.selectionrevision == "1"
    line = one.layout.shapes[0]
    assert (line.x0, line.y0, line.x1, line.y1) == (0, 0, 1, 1)


# Numbers


@pytest.mark.parametrize(
    ("name", "a", "b", "expected"),
    [
        ("auroc", 0.9, 0.8, "A"),
        ("fpr95", 0.9, 0.8, "B"),
        ("auroc", 0.8, 0.8, ""),
        ("auroc", np.nan, 0.8, ""),
        ("threshold95", 1.0, 0.0, ""),
        ("nc2_cosine_mean", 1.0, 0.0, ""),  # where it goes depends on the number of classes
        ("nc1_pinv", 1.0, 0.0, "B"),
    ],
)
def test_the_better_side_follows_the_direction_of_the_metric(name, a, b, expected):
    assert better_side((DEFINITIONS | METRICS)[name].direction, a, b) == expected


def test_rows_say_what_is_sure_and_shade_what_is():
    rows = [
        Difference("a", "near", 0.9, 0.8, 0.05, 0.15, 0.001, 0.002, "A", True),
        Difference("b", "far", 0.7, 0.75, -0.1, 0.01, 0.2, 0.2, "B", False),
        Difference("c", "far", 0.5, 0.55, better="B"),
        Difference("d", "far", 0.5, 0.5),
    ]
    frame = as_frame(rows, of="Set")
    assert list(frame["Reading"]) == ["▲ A better", "not significant", "▼ B better", "equal"]
    np.testing.assert_allclose(frame["A − B"], [0.1, -0.05, -0.05, 0])
    strong, unsure, weak, equal = row_shades(rows)
    assert unsure == equal == ""
    assert "31,131,198" in strong
    assert "213,94,0" in weak
    assert float(strong.split(",")[-1][:-1]) == pytest.approx(
        2 * float(weak.split(",")[-1][:-1]), abs=2e-3
    )
    assert "p" not in as_frame(rows[2:], of="Set").columns
    assert row_shades([]) == []


def test_rows_of_detection_hold_each_set_and_plain_means():
    groups = {"a": "near", "b": "near", "c": "far"}
    rng = np.random.default_rng(0)
    tables = [
        pd.DataFrame(
            {"group": groups.values(), "auroc": rng.random(3), "fpr95": rng.random(3)}, index=groups
        )
        for _ in range(2)
    ]
    known = rng.normal(1, 1, 300)
    first, second = (
        {
            name: metrics.detection_estimates(
                known + at * rng.normal(size=300), rng.normal(0, 1, 200), ood_name=name
            )["fpr95"]
            for name in groups
        }
        for at in (0, 1)
    )
    estimates = (first, second)
    tests = {
        name: AurocTest(0.0, 0.0, 0.0, -0.01, 0.02, p, True, "500")
        for name, p in zip(groups, (0.001, 0.03, 0.2), strict=True)
    }
    rows = detection_rows("fpr95", *tables, tests=tests, estimates=estimates)
    assert [row.name for row in rows] == ["a", "b", "c", "mean near", "mean far", "mean"]
    assert rows[3].a == pytest.approx((tables[0]["fpr95"]["a"] + tables[0]["fpr95"]["b"]) / 2)
    assert rows[5].b == pytest.approx(tables[1]["fpr95"].mean())
    together = metrics.difference_estimate(
        *(metrics.mean_estimate(list(side.values())) for side in estimates)
    )
    assert (rows[5].low, rows[5].high) == pytest.approx((together.low, together.high))
    assert rows[1].sure == (not rows[1].low <= 0 <= rows[1].high)
    assert np.isnan(rows[0].p)
    rows = detection_rows("auroc", *tables, tests=tests, estimates=estimates)
    assert [row.corrected for row in rows[:3]] == pytest.approx([0.003, 0.06, 0.2])
    assert [row.sure for row in rows[:3]] == [True, False, False]
    assert (rows[0].low, rows[0].high, rows[0].p) == (-0.01, 0.02, 0.001)


def test_the_list_of_moves_takes_the_farthest_of_all_sets():
    def moved_set(name: str, first: list, second: list) -> MovedSet:
        rows = np.arange(len(first))
        moves = Moves(np.array(first, float), np.array(second, float))
        return MovedSet(name, f"{name}/test", rows, rows, moves)

    sets = [moved_set("a", [0.1, 0.9, 0.5], [0.2, 0.1, 0.5]), moved_set("b", [0.0], [0.5])]
    frame = listed(sets, 3)
    assert list(zip(frame["full_name"], frame["at"], strict=True)) == [
        ("a/test", 1),
        ("b/test", 0),
        ("a/test", 0),
    ]
    np.testing.assert_allclose(frame["change"], [0.8, -0.5, -0.1])


# Samples that both have


def two_runs(folder, change=lambda samples: None, *, keys=True) -> list[Run]:
    """Two runs with equal samples, but for what `change` does to the list of the second."""
    runs = [make_run(folder, name, epochs=(1,)) for name in ("a", "b")]
    for run in runs:
        samples = add_samples(run, keys=keys)
        if run is runs[1]:
            change(samples)
            write.save_samples(run, samples)
    loaders.look_again()
    return [open_run(run.path) for run in runs]


def of_set(samples, name, column, how) -> None:
    mine = samples["set"] == name
    samples.loc[mine, column] = how(samples.loc[mine, column].to_numpy())


def test_samples_with_equal_keys_are_paired_in_any_order(tmp_path):
    def roll(samples):
        of_set(samples, "letters/test", "key", lambda keys: np.roll(keys, 3))

    one, other = two_runs(tmp_path, roll)
    same, rolled = (pairing.shared_samples(one, other, name) for name in ("noise", "letters"))
    assert same.rows.tolist() == same.others.tolist() == list(range(len(same)))
    assert same.are_all_of(one, other, "noise/test")
    assert rolled.others.tolist() == np.roll(np.arange(40), -3).tolist()
    assert not rolled.are_all_of(one, other, "letters/test")
    assert pairing.paired_sets(one, other) == ["letters", "noise"]
    assert len(pairing.shared_samples(one, other, "nowhere")) == 0


def test_samples_without_identity_are_not_paired_though_labels_agree(tmp_path):
    one, other = two_runs(tmp_path, keys=False)
    assert len(pairing.shared_samples(one, one, "letters")) == 40
    assert len(pairing.shared_samples(one, other, "letters")) == 0
    assert pairing.paired_sets(one, other) == []
    assert not pairing.have_identity(one, other)


def test_samples_with_other_keys_are_not_paired(tmp_path):
    def replace_one(samples):
        of_set(samples, "letters/test", "key", lambda keys: ["other.png", *keys[1:]])

    one, other = two_runs(tmp_path, replace_one)
    assert len(pairing.shared_samples(one, other, "letters")) == 0
    assert pairing.paired_sets(one, other) == ["noise"]


def test_hashes_of_inputs_pair_the_samples_that_both_have(tmp_path):
    def shift(samples):
        of_set(samples, "noise/test", "key", lambda keys: [*keys[5:], *"vwxyz"])

    runs = two_runs(tmp_path, shift)
    for run in runs:
        write.save_samples(run, run.samples, identities={"noise/test": "inputs"})
    one, other = (open_run(run.path) for run in runs)
    loaders.look_again()
    shared = pairing.shared_samples(one, other, "noise")
    assert len(shared) == len(loaders.sample_indices(one, "noise/test")) - 5
    assert set(shared.rows - shared.others) == {5}


def test_auroc_tests_use_the_samples_that_both_keep(tmp_path):
    def roll(samples):
        of_set(samples, "noise/test", "key", lambda keys: np.roll(keys, 3))
        of_set(samples, "letters/test", "key", lambda keys: [f"b{key}" for key in keys])

    one, other = (Contender(run, 1, "encoder", "msp") for run in two_runs(tmp_path, roll))
    tests = auroc_tests(one, other, ["letters", "noise"])
    test, noise = (each.scores("test") for each in (one, other)), other.scores("noise")
    first, second = test
    expected = metrics.delong(first, one.scores("noise"), second, np.roll(noise, -3))
    assert tests["noise"].p_value == expected.p_value
    assert tests["noise"].paired
    count = f"{len(first):,} + {len(noise):,}"
    assert tests["noise"].samples == f"{count} paired"
    letters = metrics.unpaired(first, one.scores("letters"), second, other.scores("letters"))
    assert tests["letters"].p_value == pytest.approx(letters.p_value)
    assert tests["letters"].samples == f"{len(first):,} + 40 unpaired"


@pytest.mark.parametrize("told", [{0: [0, 2]}, {0: [0, 2, 99, -1], 7: [1], -1: [0]}])
def test_a_lasso_chooses_the_samples_behind_its_points(monkeypatch, told):
    seen = []
    monkeypatch.setattr("ncviz.ui.selection.select", lambda *what: seen.append(what))
    chart = Drawn("run", (("a/test", np.array([5, 6, 7])), ("b/test", np.array([1]))))
    chart.gestures("circled").lasso(told)
    ((run, rows, words),) = seen
    assert (run, words) == ("run", "circled")
    assert {name: list(found) for name, found in rows.items()} == {"a/test": [5, 7]}


# The page


@pytest.mark.parametrize("chart", CHARTS)
def test_at_once_two_epochs_of_one_training_are_compared(open_page, good, chart):
    app = healthy(open_page(good, chart=chart))
    assert sides(app) == ("cats · epoch 9 · layer projector", "cats · epoch 1 · layer projector")
    assert "the same samples on both sides" in words(app)
    assert sum(sizes_on(app)) < 1_000_000
    assert drawn(app, "Difference in AUROC")
    assert drawn(app, "rank among known samples")


def test_distributions_of_both_sides_say_which_is_which(open_page, good):
    app = healthy(open_page(good))
    first, second = drawn(app, "scores, cut at")
    assert subtitle(first) == "A: cats · epoch 9 · layer projector"
    assert subtitle(second) == "B: cats · epoch 1 · layer projector"
    assert first["layout"]["xaxis"]["range"] == second["layout"]["xaxis"]["range"]


def test_percentiles_put_networks_on_one_scale(open_page, good):
    app = healthy(open_page(good, scale="percentile"))
    for figure in drawn(app, "scores, cut at"):
        low, high = figure["layout"]["xaxis2"]["range"]
        assert -0.1 < low < high < 1.1
        assert "Share of known samples" in figure["layout"]["xaxis2"]["title"]["text"]
    assert "scale" not in app.caption[1].value


def test_epochs_of_different_scale_are_said_to_be(open_page, tmp_path):
    make_run(tmp_path, "cats", epochs=(1, 50))
    assert "on different scales" in words(healthy(open_page(tmp_path, detector="Energy")))


def test_the_gram_matrices_and_their_difference_share_a_range(open_page, good):
    app = healthy(open_page(good, chart="Gram", colours="fit", order="superclass"))
    (figure,) = drawn(app, "Cosines of class means")
    headings = [note["text"] for note in figure["layout"]["annotations"]]
    assert headings == ["A", "B", "A − B"]
    a, b, change = (values_of(trace, "z") for trace in figure["data"])
    np.testing.assert_allclose(change, a - b, atol=1e-6)
    axis = figure["layout"]["coloraxis"]
    assert axis["cmin"] == -axis["cmax"]
    assert "on average, most for" in words(app)


def test_other_classes_are_compared_where_they_can_be(open_page, good):
    app = healthy(open_page(good, chart="Gram", other_run="eels"))
    assert "know different classes" in words(app)
    assert "trained on different data" not in words(app)  # both were made of one data set
    assert "on no OOD set of the same name" in words(app)
    app = healthy(open_page(good, chart="Collapse", other_run="eels"))
    (figure,) = drawn(app, "Collapse over epochs")
    assert {trace["name"] for trace in figure["data"]} == {
        "cats · layer projector",
        "eels · layer encoder",
    }


def test_one_training_has_one_line_and_two_marks(open_page, good):
    (figure,) = drawn(healthy(open_page(good, chart="Collapse")), "Collapse over epochs")
    assert len({trace["name"] for trace in figure["data"]}) == 1
    marks = {s["x0"] for s in figure["layout"]["shapes"] if s["x0"] == s["x1"]}
    assert marks == {1, 9}
    app = healthy(open_page(good, chart="Collapse", other_layer="encoder"))
    (figure,) = drawn(app, "Collapse over epochs")
    assert len({trace["name"] for trace in figure["data"]}) == 2


def test_maps_show_the_same_samples_with_chosen_ones_lit_on_both(open_page, good):
    url = {"selected": "letters/test:3-5", "sample": "made/test:2"}
    app = healthy(open_page(good, chart="Map", map="PCA", other_run="dogs", **url))
    pair = drawn(app, "PCA map")
    assert len(pair) == 2
    for figure in pair:
        names = [trace["name"] for trace in figure["data"]]
        assert names == ["made/test (ID)", "letters/test", "noise/test", "looked at"]
        lit = [values_of(trace, "selectedpoints").tolist() for trace in figure["data"][:3]]
        assert lit == [[], [3, 4, 5], []]
    assert "maps of their own" in words(app)
    assert "same axes" in words(healthy(open_page(good, chart="Map")))


def results(run: Run, epoch: int, layer: str) -> pd.DataFrame:
    table = run.detection()
    rows = table[(table["epoch"] == epoch) & (table["layer"] == layer)]
    return rows.set_index(["detector", "set"])


@pytest.mark.parametrize("metric", ["auroc", "fpr95", "aupr_in", "aupr_out"])
def test_differences_are_those_of_the_results_with_paired_intervals(open_page, good, metric):
    label = DEFINITIONS[metric].label
    app = open_page(good, metric=label, detector="MSP", other_run="dogs", other_epoch="4")
    frame = healthy(app).dataframe[0].value.set_index("OOD set")
    one, two = open_run(good / "cats"), open_run(good / "dogs")
    first, second = results(one, 9, "projector"), results(two, 4, "encoder")
    for name in SETS:
        expected = first.loc[("msp", name), metric] - second.loc[("msp", name), metric]
        assert frame.loc[name, "A − B"] == pytest.approx(expected)
        if "Low" in frame:
            assert frame.loc[name, "Low"] - 0.05 <= expected <= frame.loc[name, "High"] + 0.05
    scores = [
        run.epoch(epoch).scores("msp", name, layer).astype(float)
        for run, epoch, layer in ((one, 9, "projector"), (two, 4, "encoder"))
        for name in ("test", "noise")
    ]
    if metric == "auroc":
        test = metrics.delong(*scores)
        assert frame.loc["noise", "p"] == pytest.approx(test.p_value)
        assert (frame.loc["noise", "Low"], frame.loc["noise", "High"]) == (test.low, test.high)
        assert "DeLong's test" in words(app)
    else:
        sides = (
            metrics.detection_estimates(known, unknown)[metric]
            for known, unknown in (scores[:2], scores[2:])
        )
        interval = metrics.difference_estimate(*sides).interval
        if interval.exists:
            assert (frame.loc["noise", "Low"], frame.loc["noise", "High"]) == pytest.approx(
                (interval.low, interval.high)
            )
        else:
            assert "Low" not in frame
        assert "p" not in frame
    assert "scored the same samples" in words(app)


def test_other_samples_are_compared_unpaired_and_that_is_said(open_page, tmp_path):
    one, other = (make_run(tmp_path, name) for name in ("cats", "dogs"))
    samples = add_samples(one, keys=True)
    of_set(samples, "noise/test", "key", lambda keys: [f"other/{key}" for key in keys])
    write.save_samples(other, samples)
    app = healthy(open_page(tmp_path, other_run="dogs", other_epoch="1", detector="MSP"))
    frame = app.dataframe[0].value.set_index("OOD set")
    scores = [
        run.epoch(epoch).scores("msp", name).astype(float)
        for run, epoch in ((one, 9), (other, 1))
        for name in ("test", "noise")
    ]
    assert frame.loc["noise", "p"] == pytest.approx(metrics.unpaired(*scores).p_value)
    said = words(app)
    assert "same samples of letters, where tests are paired" in said
    assert frame.loc["noise", "Samples"].endswith("unpaired")
    assert frame.loc["letters", "Samples"].endswith("paired")
    options = app.get("button_group")
    assert any(each.key == "moved" and "noise" not in each.options for each in options)


def test_accuracy_is_tested_on_the_same_samples(open_page, good):
    app = healthy(open_page(good, other_epoch="4"))
    frame = app.dataframe[1].value.set_index("Measure")
    run = open_run(good / "cats")
    right = []
    for number in (9, 4):
        test = run.epoch(number).features("test", "projector")
        right.append(test.logits.argmax(axis=1) == test.labels)
    assert frame.loc["Accuracy", "A"] == pytest.approx(right[0].mean())
    assert frame.loc["Accuracy", "A − B"] == pytest.approx(right[0].mean() - right[1].mean())
    alone = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    expected = binomtest(alone[0], sum(alone), 0.5).pvalue if sum(alone) else 1.0
    assert frame.loc["Accuracy", "p"] == pytest.approx(expected)
    ece = run.calibration().set_index("epoch")["ece"]
    assert frame.loc["Calibration error (ECE)", "A − B"] == pytest.approx(ece[9] - ece[4])
    assert "McNemar" in words(app)


def test_collapse_is_compared_without_an_interval_and_why(open_page, good):
    app = healthy(open_page(good))
    frame = app.dataframe[2].value.set_index("Collapse metric")
    assert not {"Low", "High", "p"} & set(frame.columns)
    table = open_run(good / "cats").collapse()
    nc1 = table[(table["metric"] == "nc1_pinv") & (table["layer"] == "projector")]
    nc1 = nc1.set_index("epoch")["value"]
    row = frame.loc[METRICS["nc1_pinv"].label]
    assert (row["A"], row["B"]) == (nc1[9], nc1[1])
    assert row["Reading"] == "▲ A more collapsed"
    assert "whole training set" in words(app)


def test_the_samples_that_moved_most_are_listed_and_selected(open_page, good):
    app = healthy(open_page(good, moved="noise"))
    frame = app.dataframe[3].value
    assert set(frame["Set"]) == {"noise"}
    change = frame["A − B"].to_numpy()
    assert (np.diff(np.abs(change)) <= 1e-9).all()
    epoch = [open_run(good / "cats").epoch(n) for n in (9, 1)]
    shares = [
        metrics.percentiles(
            *(e.scores("energy", s, "projector").astype(float) for s in ("noise", "test"))
        )
        for e in epoch
    ]
    expected = 100 * (shares[0] - shares[1])
    np.testing.assert_allclose(change, expected[frame["Sample"]], atol=1e-9)
    predicted = epoch[0].features("noise", "projector").logits.argmax(axis=1)
    classes = open_run(good / "cats").classes
    assert list(frame["A predicts"]) == [classes[predicted[at]] for at in frame["Sample"]]
    app = healthy(app.button(key="_select_moved").click().run())
    chosen = app.session_state["selected"]
    assert dict(chosen.samples) == {"noise/test": tuple(sorted(frame["Sample"]))}
    (figure,) = drawn(app, "rank among known samples")
    assert len(values_of(figure["data"][0], "selectedpoints")) == len(frame)


def test_ranks_of_known_samples_name_their_class(open_page, good):
    frame = healthy(open_page(good, moved="ID test")).dataframe[3].value
    run = open_run(good / "cats")
    labels = run.epoch(9).features("test", "projector").labels
    assert list(frame["True class"]) == [run.classes[labels[at]] for at in frame["Sample"]]


def test_swapping_twice_leads_back(open_page, good):
    app = healthy(open_page(good, run="dogs", epoch="30", other_run="cats", other_epoch="4"))
    before = sides(app)
    assert before == ("dogs · epoch 30 · layer encoder", "cats · epoch 4 · layer encoder")
    app = healthy(app.button(key="_swap").click().run())
    assert sides(app) == before[::-1]
    app = healthy(app.button(key="_swap").click().run())
    assert sides(app) == before


def test_steps_of_a_leave_b_where_it_is(open_page, good):
    app = healthy(open_page(good))
    app = healthy(app.button(key="_previous_epoch").click().run())
    assert [side.split(" · ")[1] for side in sides(app)] == ["epoch 4", "epoch 1"]
    app = app.button(key="_previous_epoch").click().run()
    assert "Both sides show cats · epoch 1" in words(healthy(app))
    app = healthy(app.select_slider(key="other_epoch").set_value(9).run())
    assert [side.split(" · ")[1] for side in sides(app)] == ["epoch 1", "epoch 9"]


def test_epochs_of_another_run_are_compared_after_a_change_of_run(open_page, good):
    app = healthy(open_page(good))
    app = healthy(app.selectbox(key="run").set_value("dogs").run())
    assert sides(app) == ("dogs · epoch 30 · layer encoder", "dogs · epoch 2 · layer encoder")
    app = healthy(app.selectbox(key="other_run").set_value("cats").run())
    assert sides(app) == ("dogs · epoch 30 · layer encoder", "cats · epoch 9 · layer encoder")
    app = healthy(app.select_slider(key="epoch").set_value(4).run())
    app = healthy(app.selectbox(key="run").set_value("eels").run())
    assert sides(app)[1] == "cats · epoch 4 · layer encoder"


def test_the_first_epoch_is_compared_with_the_last(open_page, good):
    assert "epoch 9" in sides(healthy(open_page(good, epoch="1")))[1]


@pytest.mark.parametrize("value", ["", "<script>", "999", "no-such", "-1"])
@pytest.mark.parametrize("chart", [*CHARTS, None])
def test_an_unusable_url_falls_back(open_page, good, value, chart):
    names = ("other_run", "other_epoch", "other_layer", "detector", "metric", "scale", "moved")
    names += ("map", "points_by", "order", "colours", "selected", "sample")
    app = healthy(open_page(good, **dict.fromkeys(names, value), chart=chart or value))
    assert sides(app)[1] == "cats · epoch 1 · layer projector"
    assert app.selectbox(key="metric").value == "AUROC"


# States


def test_one_run_with_one_epoch_has_nothing_to_compare(open_page, tmp_path):
    make_run(tmp_path, "short", epochs=(7,))
    app = healthy(open_page(tmp_path))
    assert "nothing to compare yet" in words(app)
    assert "python scripts/train.py RECIPE --run another" in words(app)
    assert not figures_on(app)


def test_layers_of_the_only_epoch_are_compared(open_page, tmp_path):
    add_maps(make_run(tmp_path, "short", epochs=(7,), layers=("encoder", "projector")))
    for chart in CHARTS:
        app = healthy(open_page(tmp_path, chart=chart))
        assert sides(app) == (
            "short · epoch 7 · layer projector",
            "short · epoch 7 · layer encoder",
        )


@pytest.mark.parametrize("chart", CHARTS)
def test_without_results_the_page_says_how_to_make_them(open_page, tmp_path, chart):
    make_run(tmp_path, "young", results=False)
    app = healthy(open_page(tmp_path, chart=chart))
    assert "python scripts/evaluate.py young" in words(app)
    assert bool(drawn(app, "Cosines")) == (chart == "Gram")
    # Predictions are there before results are.
    assert "Accuracy" in list(app.dataframe[0].value["Measure"])


@pytest.mark.parametrize("chart", CHARTS)
def test_without_results_of_b_the_chart_of_a_stays(open_page, tmp_path, chart):
    add_maps(make_run(tmp_path, "cats"))
    make_run(tmp_path, "young", results=False)
    app = healthy(open_page(tmp_path, chart=chart, other_run="young"))
    assert "python scripts/evaluate.py young" in words(app)
    assert figures_on(app)
    assert not drawn(app, "Difference")


@pytest.mark.parametrize("chart", CHARTS)
def test_without_ood_sets_what_needs_none_is_compared(open_page, tmp_path, chart):
    add_maps(make_run(tmp_path, "alone", ood_sets={}))
    app = healthy(open_page(tmp_path, chart=chart))
    assert "no OOD sets" in words(app)
    assert app.dataframe
    assert bool(figures_on(app)) == (chart not in ("Distributions", "ROC"))


@pytest.mark.parametrize("chart", CHARTS)
def test_without_maps_statistics_or_features_nothing_breaks(open_page, tmp_path, chart):
    make_run(tmp_path, "unmapped")
    app = healthy(open_page(tmp_path, chart=chart))
    assert ("python scripts/embed.py unmapped" in words(app)) == (chart == "Map")
    bare = tmp_path / "bare"
    make_run(bare, "bare", features=False)
    app = healthy(open_page(bare, chart=chart))
    assert "scripts/extract.py bare" in words(app)


@pytest.mark.parametrize("chart", ["Distributions", "ROC", "Collapse"])
def test_damaged_results_of_b_are_named_and_a_stays(open_page, tmp_path, chart):
    make_run(tmp_path, "whole")
    run = make_run(tmp_path, "torn")
    for path in run.path.glob("epochs/0009/results/*"):
        path.write_bytes(b"not what the name says")
    app = open_page(tmp_path, run="whole", other_run="torn", chart=chart)
    assert not app.exception
    said = [error.value for error in app.error]
    assert any("torn" in text.replace("\\", "") for text in said)
    assert not any("Traceback" in text or "log of the server" in text for text in said)
    first = figures_on(app)[0]
    assert "A: whole · epoch 9" in subtitle(first)


@pytest.mark.parametrize("chart", CHARTS)
def test_damage_is_told_once(open_page, tmp_path, chart):
    run = make_run(tmp_path, "torn")
    for path in run.path.glob("epochs/0009/results/*"):
        path.write_bytes(b"not what the name says")
    app = open_page(tmp_path, chart=chart)
    assert not app.exception
    said = [error.value for error in app.error]
    assert len(said) == len(set(said)) > 0


def test_a_layer_without_a_head_says_why_a_detector_is_missing(open_page, tmp_path):
    make_run(tmp_path, "bees", layers=("encoder", "projector"), heads=("projector",))
    app = healthy(open_page(tmp_path, other_layer="encoder"))
    assert app.selectbox(key="detector").value not in ("msp", "energy")
    make_run(tmp_path, "flat", ood_sets={"patches": "far"})
    app = healthy(open_page(tmp_path, run="bees", other_run="flat"))
    assert "on no OOD set of the same name" in words(app)


def test_figures_of_many_classes_stay_within_their_budget(open_page, tmp_path):
    names = [f"class number {at}" for at in range(100)]
    make_run(tmp_path, "large", classes=names, epochs=(1, 2), dim=32)
    for chart in CHARTS:
        app = healthy(open_page(tmp_path, chart=chart))
        assert sum(sizes_on(app)) < 1_000_000


def test_hostile_names_are_shown_letter_by_letter(open_page, tmp_path):
    for name in ("<b>$y$**z**", "[x](evil.example)"):
        add_maps(
            make_run(tmp_path, name, classes=("<i>", "**d**", "a|b"), ood_sets={"<u>": "near"})
        )
    for chart in CHARTS:
        app = healthy(open_page(tmp_path, chart=chart, other_run="[x](evil.example)"))
        shown = [str(each.value) for kind in (app.markdown, app.caption) for each in kind]
        assert not any("[x]" in text or "<b>" in text for text in shown)
        for figure in figures_on(app):
            assert "<u>" not in json.dumps([trace.get("name") for trace in figure["data"]])
            assert "<b>$y" not in subtitle(figure)
