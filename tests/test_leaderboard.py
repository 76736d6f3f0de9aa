"""The Leaderboard: its numbers, its figures, and the page in every state of the results."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from app_elements import figures_on, sizes_on
from made_runs import add_samples, make_run
from streamlit.testing.v1 import AppTest

from ncviz import detectors, figures, metrics
from ncviz.figures import Board, Column
from ncviz.figures.near_far import unbeaten
from ncviz.figures.theme import ID_STYLE, ood_style
from ncviz.metrics import DEFINITIONS, INTERVAL_METRICS, PairedTest
from ncviz.results.board import as_frame, group_means, in_long_form, make_board
from ncviz.results.detectors import label
from ncviz.store import Run
from ncviz.ui.differences import corrected, verdict

ROOT = Path(__file__).resolve().parents[1]
PAGE = "pages/5_Leaderboard.py"
SHOWN = figures.Shown("digits", 8, "encoder")
SETS = {"letters": "near", "birds": "near", "noise": "far"}
TABS = (
    "Over epochs",
    "Near against far",
    "Is the difference real?",
    "Temperature and calibration",
)


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """Two runs that scored the same samples, and one of other sets; no test may change them."""
    folder = tmp_path_factory.mktemp("good")
    add_samples(make_run(folder, "cats", ood_sets=SETS), keys=True)
    add_samples(make_run(folder, "dogs", ood_sets=SETS, epochs=(2, 9)), keys=True)
    add_samples(make_run(folder, "eels", ood_sets={"patches": "far"}))
    return folder


@pytest.fixture(scope="module")
def run(good) -> Run:
    return Run(good / "cats", json.loads((good / "cats" / "run.json").read_text()))


@pytest.fixture
def open_page(monkeypatch):
    """Open the Leaderboard on a checkpoints folder, with values in the URL."""

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


def figure_of(app: AppTest, title: str) -> dict:
    (figure,) = (each for each in figures_on(app) if title in each["layout"]["title"]["text"])
    return figure


def titles(app: AppTest) -> list[str]:
    return [figure["layout"]["title"]["text"] for figure in figures_on(app)]


def words(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.code, app.warning)
    return "\n".join(str(each.value) for kind in kinds for each in kind).replace("\\", "")


# The numbers


def results(run: Run, epoch: int = 9) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    tables = run.detection(), run.detection_means(), run.comparisons()
    return tuple(table[table["epoch"] == epoch] for table in tables)


@pytest.mark.parametrize("metric", INTERVAL_METRICS)
def test_the_board_holds_the_results_and_their_plain_means_best_first(run, metric):
    rows, means, compared = results(run)
    board = make_board(rows, means, compared, metric, SETS)
    names = [column.title for column in board.columns]
    assert names == ["letters", "birds", "noise", "mean near", "mean far", "mean"]
    assert set(board.detectors) == set(rows["detector"])
    members = {"mean near": ["letters", "birds"], "mean far": ["noise"], "mean": list(SETS)}
    for k, detector in enumerate(board.detectors):
        of = {r["set"]: r for r in rows[rows["detector"] == detector].to_dict("records")}
        for c, name in enumerate(names):
            sets = members.get(name, [name])
            expected = sum(of[each][metric] for each in sets) / len(sets)
            assert board.values[k, c] == pytest.approx(expected)
            assert board.aurocs[k, c] == pytest.approx(
                sum(of[each]["auroc"] for each in sets) / len(sets)
            )
            assert not board.lows[k, c] > board.values[k, c] + 0.05
            if name in of:
                ends = of[name][f"{metric}_low"], of[name][f"{metric}_high"]
                np.testing.assert_array_equal((board.lows[k, c], board.highs[k, c]), ends)
    last = board.values[:, -1]
    assert (np.diff(last) <= 0).all() if board.higher_is_better else (np.diff(last) >= 0).all()


def test_means_agree_with_those_of_the_evaluation_and_bring_their_intervals(run):
    detection, means = run.detection(), run.detection_means()
    for group in ("near", "far", "all"):
        found = group_means(detection, means, "fpr95", group)
        written = means[means["group"] == group].set_index(["detector", "epoch"])
        assert len(found) == len(written)
        written = written.reindex(found.index)
        np.testing.assert_allclose(found["value"], written["fpr95"])
        np.testing.assert_array_equal(found["low"], written["fpr95_low"])
        np.testing.assert_array_equal(found["high"], written["fpr95_high"])


def test_ranks_are_places_averaged_over_sets(run):
    rows, means, compared = results(run)
    board = make_board(rows, means, compared, "fpr95", SETS)
    values = board.values[:, :3]
    for k in range(len(values)):
        places = [
            1 + (values[:, c] < values[k, c]).sum() + ((values[:, c] == values[k, c]).sum() - 1) / 2
            for c in range(3)
        ]
        assert board.ranks[k] == pytest.approx(np.mean(places))


def test_a_mean_over_a_set_that_was_not_measured_is_no_number_and_comes_last(run):
    rows, means, compared = results(run)
    top = make_board(rows, means, compared, "auroc", SETS).detectors[0]
    rows = rows[(rows["detector"] != top) | (rows["set"] != "birds")]
    board = make_board(rows, means, compared, "auroc", SETS)
    assert board.detectors[-1] == top
    measured = ~np.isnan(board.values[-1])
    assert measured.tolist() == [True, False, True, False, True, False]
    assert not board.best[-1][~measured].any()


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ({"noise": "far"}, ["noise"]),
        ({"letters": "near", "birds": "near"}, ["letters", "birds", "mean near"]),
        ({"noise": "far", "birds": "near"}, ["birds", "noise", "mean near", "mean far", "mean"]),
    ],
)
def test_there_is_no_mean_of_one_set_and_none_twice(run, sets, expected):
    rows, means, compared = results(run)
    board = make_board(rows[rows["set"].isin(list(sets))], means, compared, "auroc", sets)
    assert [column.title for column in board.columns] == expected


def test_the_table_is_numeric_with_intervals_in_columns_of_their_own(run):
    board = make_board(*results(run), "auroc", SETS)
    labels = families = {name: name for name in board.detectors}
    fitted = dict.fromkeys(board.detectors, "no samples") | {"knn": "n = 48, k = 48"}
    frame = as_frame(board, labels, families, intervals=True, fitted=fitted)
    assert dict(zip(frame["Detector"], frame["Fitted on"], strict=True)) == fitted
    text = ["Detector", "Family", "Fitted on"]
    text += ["Worse than chance on", "Not different from the best on", "Approximate on"]
    numeric = frame.drop(columns=text, errors="ignore")
    assert all(np.issubdtype(kind, np.floating) for kind in numeric.dtypes)
    np.testing.assert_array_equal(frame["noise low"], board.lows[:, 2])
    np.testing.assert_array_equal(frame["mean high"], board.highs[:, -1])
    np.testing.assert_array_equal(frame["mean near p"], board.corrected[:, 3])
    bare = as_frame(board, labels, families, intervals=False, fitted=fitted)
    assert not {"noise low", "noise p"} & set(bare)


def test_the_long_form_holds_every_metric_with_its_interval(run):
    rows = run.detection()
    rows = rows[(rows["epoch"] == 9) & (rows["layer"] == "encoder")]
    labels = {name: name.upper() for name in rows["detector"]}
    table = in_long_form(rows, labels, {})
    assert len(table) == len(rows) * len(DEFINITIONS)
    for name in INTERVAL_METRICS:
        part = table[table["Metric"] == DEFINITIONS[name].label]
        np.testing.assert_array_equal(part["Value"], rows[name])
        np.testing.assert_array_equal(part["Low"], rows[f"{name}_low"])
        np.testing.assert_array_equal(part["High"], rows[f"{name}_high"])
        assert part["Detector"].tolist() == rows["detector"].str.upper().tolist()
        assert part["OOD set"].tolist() == rows["set"].tolist()


# Is the difference real?


def paired(difference: float, p_value: float) -> PairedTest:
    return PairedTest(
        0.8, 0.8 - difference, difference, difference - 0.1, difference + 0.1, p_value
    )


def test_the_verdict_says_on_which_sets_the_difference_is_significant():
    tests = {"a": paired(0.1, 0.001), "b": paired(-0.1, 0.001), "c": paired(0.1, 0.04)}
    tests["d"] = tests["c"]
    said = verdict("KNN", "MSP", tests)
    start = "**KNN** is significantly better than **MSP** on a and worse than **MSP** on b "
    assert said.startswith(start)
    assert said.endswith("No significant difference on c, d.")
    assert "better than **MSP** on c" in verdict("KNN", "MSP", {"c": tests["c"]})
    assert "No significant difference" in verdict("KNN", "MSP", {"c": tests["c"], "d": tests["d"]})


def test_the_p_values_of_all_sets_are_corrected_together():
    tests = {"a": paired(0.1, 0.04), "b": paired(0.1, 0.01), "c": paired(0.1, 0.9)}
    assert corrected(tests) == pytest.approx({"a": 0.08, "b": 0.03, "c": 0.9})


# The figures


def small_board(**changes) -> Board:
    values = np.array([[0.9, 0.95, 0.925], [0.9, 0.4, 0.65], [np.nan, 0.7, np.nan]])
    board = Board(
        metric="auroc",
        label="AUROC",
        higher_is_better=True,
        detectors=("knn", "msp", "vim"),
        columns=(Column("a", "near"), Column("b", "far"), Column("mean", "all", mean=True)),
        values=values,
        lows=values - 0.02,
        highs=values + 0.02,
        aurocs=values,
        ranks=np.array([1.25, 2.25, 2.0]),
        corrected=np.array([[1.0, 1.0, 1.0], [1.0, 1e-9, 0.02], [np.nan, 0.051, np.nan]]),
        compared_with=("knn", "knn", "<b>knn"),
    )
    return replace(board, **changes)


def heatmap(board: Board):
    labels = [f"<b>{name}" for name in board.detectors]
    return figures.leaderboard(board, labels, ["logits"] * len(labels), shown=SHOWN)


def test_cells_write_the_value_and_mark_the_best_and_the_wrong_way_round():
    (cells,) = heatmap(small_board()).data
    assert list(cells.text) == [
        ["<b>★\u20090.900</b>", "<b>★\u20090.950</b>", "<b>★\u20090.925</b>"],
        ["<b>★\u20090.900</b>", "!\u20090.400", "0.650"],
        ["", "★\u20090.700", ""],
    ]
    assert "significantly different from knn (corrected p < 0.001)" in cells.hovertext[1][1]
    assert "not significantly different from knn (corrected p = 0.051)" in cells.hovertext[2][1]
    # The best of a column is not compared with itself.
    assert "different" not in cells.hovertext[0][2]
    assert "AUROC 0.400 [0.380, 0.420]" in cells.hovertext[1][1]
    assert "worse than chance" in cells.hovertext[1][1]
    assert "not measured" in cells.hovertext[2][0]
    assert cells.hovertext[0][0].startswith("&lt;b&gt;knn (looks at logits)")


def test_the_lowest_is_the_best_where_lower_is_better():
    board = small_board(metric="fpr95", label="FPR95", higher_is_better=False)
    assert board.best.tolist() == [[True, False, False], [True, True, True], [False] * 3]
    (cells,) = heatmap(board).data
    assert cells.text[1][1] == "<b>!\u20090.400</b>"


def test_nothing_is_marked_where_nothing_was_tested():
    board = small_board(corrected=np.full((3, 3), np.nan), compared_with=("", "", ""))
    (cells,) = heatmap(board).data
    assert not board.tested
    assert "★" not in str(cells.text)
    assert "different" not in str(cells.hovertext)


@pytest.mark.parametrize("metric", INTERVAL_METRICS)
@pytest.mark.parametrize("worst", [0.1, 0.6])
def test_blue_is_better_and_neutral_is_chance_or_the_worst(metric, worst):
    higher = DEFINITIONS[metric].direction == "higher"
    values = np.linspace(worst, 0.9, 9).reshape(3, 3)
    values[1, 1] = np.nan
    values = values if higher else 1 - values
    figure = heatmap(small_board(metric=metric, higher_is_better=higher, values=values))
    scale = figure.layout.coloraxis
    # Of the template's colours blue is at 0 and orange at 1.
    assert figures.themed(figure).layout.template.layout.coloraxis.colorscale[0][1] == "#084B8A"
    at = (values - scale.cmin) / (scale.cmax - scale.cmin)
    shade = (1 - at if scale.reversescale else at).ravel()[[0, 1, 2, 3, 5, 6, 7, 8]]
    assert (np.diff(shade) < 0).all()
    if metric == "auroc" and worst < 0.5:
        assert shade[0] == pytest.approx(0.75)
        np.testing.assert_array_equal(shade > 0.5, np.delete(values, 4) < 0.5)
    else:
        assert shade[0] == pytest.approx(0.5)
        assert shade[-1] == pytest.approx(0.25)


def test_without_intervals_nothing_is_said_of_them():
    nothing = np.full((3, 3), np.nan)
    board = small_board(lows=nothing, highs=nothing)
    assert not board.has_intervals
    assert "[" not in "".join(map("".join, heatmap(board).data[0].hovertext))


def test_a_large_board_stays_small():
    rows, columns = 40, 12
    values = np.random.default_rng(0).random((rows, columns))
    board = small_board(
        detectors=tuple(f"detector {k}" for k in range(rows)),
        columns=tuple(Column(f"a set with a long name {c}", "near") for c in range(columns)),
        values=values,
        lows=values,
        highs=values,
        aurocs=values,
        corrected=values,
        compared_with=("detector 7",) * columns,
    )
    assert len(heatmap(board).to_json()) < 200_000


def band(name: str, *, style=None, intervals: bool = True) -> figures.Band:
    values = np.array([0.5, 0.6, 0.8])
    ends = (values - 0.1, values + 0.1) if intervals else (np.full(3, np.nan),) * 2
    return figures.Band(name, np.array([1, 2, 8]), values, *ends, style)


def test_chosen_detectors_have_bands_and_the_others_share_one_faint_line():
    bands = (
        band("KNN", style=ID_STYLE),
        band("old", style=ood_style(0), intervals=False),
        band("x"),
        band("y"),
    )
    panels = [figures.BandPanel(kind, bands) for kind in ("near", "far")]
    figure = figures.bands_over_epochs(panels, title="T", value="AUROC", shown=SHOWN, chance=0.5)
    first = [trace for trace in figure.data if trace.yaxis == "y"]
    assert [trace.name for trace in first] == ["other detectors", None, "KNN", "old"]
    faint, area = first[:2]
    assert np.isnan(faint.y).sum() == 2
    assert set(faint.text) == {"x", "y"}
    np.testing.assert_allclose(area.y, [0.6, 0.7, 0.9, 0.7, 0.5, 0.4], rtol=1e-6)
    np.testing.assert_allclose(area.x, [1, 2, 8, 8, 2, 1])
    assert "[0.700, 0.900]" in first[2].text[2]
    assert [trace.name for trace in figure.data if trace.showlegend] == [
        "other detectors",
        "KNN",
        "old",
    ]
    assert {shape.xref for shape in figure.layout.shapes if shape.x0 == shape.x1 == 8} == {
        "x",
        "x2",
    }


@pytest.mark.parametrize("higher", [True, False])
def test_unbeaten_detectors_are_those_that_none_beats_on_both(higher):
    near, far = np.random.default_rng(3).integers(0, 6, (2, 40)) / 5
    near[7] = np.nan
    sign = 1 if higher else -1
    found = unbeaten(near, far, higher_is_better=higher)
    for k in range(40):
        beaten = any(
            sign * near[j] >= sign * near[k]
            and sign * far[j] >= sign * far[k]
            and (near[j], far[j]) != (near[k], far[k])
            for j in range(40)
        )
        assert found[k] == (not beaten and k != 7)


def test_names_stand_at_the_unbeaten_where_there_is_room():
    near, far = np.array([0.9, 0.5, 0.899, 0.2, 0.1]), np.array([0.5, 0.9, 0.501, 0.2, 0.1])
    family = figures.Family("logits", tuple("abcde"), near, far, ID_STYLE)
    figure = figures.near_against_far([family], label="AUROC", higher_is_better=True, shown=SHOWN)
    (points,) = figure.data
    assert points.text == ("a", "b", "", "", "")
    assert points.marker.size == (13, 13, 13, 8, 8)
    assert points.hovertext == tuple("abcde")


def test_differences_have_a_row_each_around_zero():
    figure = figures.differences(
        ["a", "b"],
        np.array([0.1, -0.2]),
        np.array([0.05, -0.3]),
        np.array([0.2, -0.15]),
        title="Difference",
        axis="better",
        styles=[ood_style(0), ood_style(1)],
        shown=SHOWN,
    )
    assert [trace.error_x.array[0] for trace in figure.data] == pytest.approx([0.1, 0.05])
    assert [trace.error_x.arrayminus[0] for trace in figure.data] == pytest.approx([0.05, 0.1])
    low, high = figure.layout.xaxis.range
    assert low == -high
    assert low < -0.3


def test_bins_of_many_samples_are_large():
    line = figures.Reliable(
        "as it is", np.array([0.5, 0.9]), np.array([0.4, 0.8]), np.array([1, 100]), ID_STYLE
    )
    (points,) = figures.reliability_diagram([line], shown=SHOWN).data
    assert points.marker.size[0] < points.marker.size[1]
    assert list(points.customdata) == [1, 100]


def test_temperature_is_on_a_log_axis_with_the_fitted_one_marked():
    line = figures.Series("MSP", np.array([0.1, 1, 10]), np.array([0.5, 0.6, 0.7]))
    figure = figures.against_temperature([line], value="AUROC", fitted=2.5, shown=SHOWN)
    assert figure.layout.xaxis.type == "log"
    assert [shape.x0 for shape in figure.layout.shapes] == [1.0, 2.5]
    figure = figures.against_temperature([line], value="AUROC", fitted=None, shown=SHOWN)
    assert len(figure.layout.shapes) == 1


# The page


def test_the_page_shows_every_detector_on_every_set(open_page, good, run):
    app = healthy(open_page(good))
    (cells,) = figure_of(app, "AUROC of")["data"]
    rows, *_ = results(run)
    assert len(cells["text"]) == rows["detector"].nunique()
    assert len(cells["text"][0]) == 6
    frame = app.dataframe[0].value
    assert list(frame.columns[:6]) == [
        *("Detector", "Family", "Average rank"),
        *("letters", "birds", "noise"),
    ]
    energy = frame.set_index("Detector").loc[detectors.info("energy").label]
    expected = rows[(rows["detector"] == "energy") & (rows["set"] == "noise")]["auroc"].iloc[0]
    assert energy["noise"] == pytest.approx(expected)
    said = words(app)
    assert "other draws of ID and OOD test samples" in said
    assert "every set counts the same" in said
    assert "Average rank" in said
    assert "Energy, linear probe" in list(frame["Detector"])


def test_the_page_marks_all_that_are_not_different_from_the_best(open_page, good, run):
    app = healthy(open_page(good))
    (cells,) = figure_of(app, "AUROC of")["data"]
    frame = app.dataframe[0].value.set_index("Detector")
    table = run.comparisons()
    table = table[table["epoch"] == 9]
    for at, (name, group) in enumerate({**SETS, "": "near"}.items()):
        own = table[(table["set"] == name) & (table["group"] == group)]
        tied = {label(each) for each in own.loc[own["tied"], "detector"]}
        marked = {frame.index[k] for k, row in enumerate(cells["text"]) if "★" in row[at]}
        assert marked == tied
        assert 1 <= len(tied) < len(own)
        column = frame["Not different from the best on"].str.split(", ")
        assert {each for each, on in column.items() if (name or "mean near") in on} == tied
    assert "not significantly different from the best of all detectors" in words(app)
    others = words(healthy(open_page(good, metric=DEFINITIONS["fpr95"].label)))
    assert "which is done for AUROC only" in others
    assert "★" not in others


@pytest.mark.parametrize("metric", INTERVAL_METRICS)
def test_the_url_chooses_the_metric(open_page, good, metric):
    label = DEFINITIONS[metric].label
    app = healthy(open_page(good, metric=label))
    figure = figure_of(app, f"{label} of")
    assert label in figure["data"][0]["hovertext"][0][0]


def test_families_and_kinds_are_filters(open_page, good):
    app = healthy(open_page(good, families=["logits"], kind="near"))
    frame = app.dataframe[0].value
    assert set(frame["Family"]) == {"logits"}
    assert {"letters", "birds", "mean near"} <= set(frame.columns)
    assert not {"noise", "mean far", "mean"} & set(frame.columns)


def test_intervals_are_columns_when_asked_for(open_page, good):
    assert "noise low" not in healthy(open_page(good)).dataframe[0].value
    assert "noise low" in healthy(open_page(good, intervals="on")).dataframe[0].value


DRAWN = {
    TABS[0]: {"Detectors over epochs"},
    TABS[1]: {"AUROC on near and on far OOD sets"},
    TABS[2]: {"Difference in AUROC"},
    TABS[3]: {
        "Confidence against accuracy",
        "Detectors of the logits against temperature",
        "Calibration over epochs",
    },
}


@pytest.mark.parametrize("tab", TABS)
def test_the_open_tab_alone_is_drawn(open_page, good, tab):
    app = healthy(open_page(good, tab=tab))
    assert set(titles(app)[1:]) == DRAWN[tab]
    assert sum(sizes_on(app)) < 1_000_000


def test_followed_detectors_stand_out(open_page, good):
    app = healthy(open_page(good, follow=["GEN"]))
    figure = figure_of(app, "Detectors over epochs")
    names = [trace["name"] for trace in figure["data"] if trace.get("showlegend")]
    assert names == ["other detectors", "GEN"]
    app = healthy(app.multiselect(key="follow").set_value([]).run())
    names = [t.get("name") for t in figure_of(app, "Detectors over epochs")["data"]]
    assert set(names) == {"other detectors"}


def test_the_difference_is_that_of_the_results_with_a_test(open_page, good, run):
    app = healthy(open_page(good, tab=TABS[2], first="KNN", second="MSP"))
    table = app.dataframe[1].value.set_index("OOD set")
    rows, *_ = results(run)
    aurocs = rows.set_index(["detector", "set"])["auroc"]
    for name in SETS:
        expected = aurocs["knn", name] - aurocs["msp", name]
        assert table.loc[name, "Difference"] == pytest.approx(expected)
        assert table.loc[name, "Low"] <= expected <= table.loc[name, "High"]
    epoch = run.epoch(9)
    scores = [epoch.scores(d, s).astype(float) for d in ("knn", "msp") for s in ("test", "noise")]
    found = metrics.delong(*scores)
    assert table.loc["noise", "p"] == pytest.approx(found.p_value)
    np.testing.assert_allclose(table["p, corrected"], metrics.holm(table["p"]))
    assert "Holm" in words(app)
    assert "KNN" in words(app)


def test_the_same_score_is_compared_with_another_run_of_the_same_samples(open_page, good):
    app = open_page(good, tab=TABS[2], against="dogs", first="Energy", second="Energy")
    app = healthy(app)
    # Without the same samples a test is unpaired, so every run of the ID data set can be chosen.
    assert app.selectbox(key="against").options == ["cats", "dogs", "eels"]
    table = app.dataframe[1].value
    assert set(table["Samples"]) == {"48 + 40 paired"}
    assert "DeLong's test on the same samples" in words(app)
    figure = figure_of(app, "Difference")
    subtitle = figure["layout"]["title"]["subtitle"]["text"]
    assert subtitle.startswith("Energy of cats minus Energy of dogs (epoch 9, encoder)")


def test_a_score_is_not_compared_with_itself(open_page, good):
    app = healthy(open_page(good, tab=TABS[2], first="MSP", second="MSP"))
    assert "Choose two different scores" in words(app)


@pytest.mark.parametrize("tab", TABS)
def test_a_layer_without_a_head_says_why_it_has_few_detectors(open_page, tmp_path, tab):
    make_run(tmp_path, "bees", layers=("encoder", "projector"), heads=("projector",))
    app = healthy(open_page(tmp_path, layer="encoder", tab=tab))
    assert "encoder has no classifier of its own" in words(app)
    assert "detectors that need one are missing" in words(app)
    assert "MSP" not in list(app.dataframe[0].value["Detector"])
    assert "Energy, linear probe" in list(app.dataframe[0].value["Detector"])
    assert "no classifier" not in words(healthy(open_page(tmp_path, layer="projector", tab=tab)))


def test_without_results_the_page_says_how_to_make_them(open_page, tmp_path):
    make_run(tmp_path, "young", results=False)
    app = healthy(open_page(tmp_path))
    assert "python scripts/evaluate.py young" in words(app)
    assert not titles(app)


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize(
    "sets", [{"noise": "near"}, {"noise": "far", "dots": "far"}], ids=["one set", "far alone"]
)
def test_few_sets_are_enough(open_page, tmp_path, tab, sets):
    make_run(tmp_path, "few", epochs=(1, 4), ood_sets=sets)
    app = healthy(open_page(tmp_path, tab=tab, kind="near"))
    columns = set(app.dataframe[0].value.columns)
    assert set(sets) <= columns
    assert ("mean far" in columns) == (len(sets) == 2)
    if tab == TABS[1]:
        assert "OOD sets of one kind alone" in words(app)
    if tab == TABS[2] and len(sets) == 1:
        assert "chances for a difference" not in words(app)


def test_scores_that_rank_the_wrong_way_round_are_remarked(open_page, tmp_path):
    make_run(tmp_path, "odd", ood_scale=6.0)
    app = healthy(open_page(tmp_path))
    frame = app.dataframe[0].value.set_index("Detector")
    assert frame.loc["Energy", "noise"] < 0.5
    assert "noise" in frame.loc["Energy", "Worse than chance on"]
    cells = figure_of(app, "AUROC of")["data"][0]["text"]
    assert any(cell.startswith("!\u2009") for row in cells for cell in row)


@pytest.mark.parametrize("value", ["", "<script>", "999", "no-such"])
@pytest.mark.parametrize("tab", [*TABS, None])
def test_an_unusable_url_falls_back(open_page, good, value, tab):
    names = ("metric", "families", "kind", "intervals", "follow", "first", "second", "against")
    app = healthy(open_page(good, **dict.fromkeys(names, value), tab=tab or value))
    assert app.selectbox(key="metric").value == "AUROC"
    assert set(titles(app)[1:]) == DRAWN[tab or TABS[0]]
