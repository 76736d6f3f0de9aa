"""The app's pages in every state of the checkpoints folder, without a browser."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from app_elements import figures_on, messages, sizes_on
from made_runs import add_maps, make_run
from streamlit.testing.v1 import AppTest

from ncviz.evaluation.summary import as_text
from ncviz.store import Run, open_run, write
from ncviz.thresholds import calibration_half, choose

ROOT = Path(__file__).resolve().parents[1]
COLLAPSE, SCORES = "pages/1_Neural_collapse.py", "pages/2_OOD_scores.py"
EMBEDDINGS, TRADE_OFF = "pages/3_Embeddings.py", "pages/4_Trade-off.py"
LEADERBOARD, UPLOAD = "pages/5_Leaderboard.py", "pages/6_Upload.py"
COMPARE = "pages/8_Compare.py"
CHART_PAGES = (None, COLLAPSE, SCORES, LEADERBOARD)
PAGES = (*CHART_PAGES, EMBEDDINGS, TRADE_OFF, COMPARE, UPLOAD)
SPEC_BUDGET = 350_000


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """A checkpoints folder with two runs that have everything; no test may change it."""
    folder = tmp_path_factory.mktemp("good")
    add_maps(make_run(folder, "cats", layers=("encoder", "projector"), superclasses="abab"))
    sets = {"noise": "far", "patches": "near"}
    add_maps(make_run(folder, "dogs", epochs=(2, 4, 30), ood_sets=sets))
    return folder


@pytest.fixture
def open_app(monkeypatch):
    """Open a page of the app on a checkpoints folder, with values in the URL."""

    def open_page(checkpoints: Path, page: str | None = None, **url: str | list[str]) -> AppTest:
        monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(checkpoints))
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        for name, value in url.items():
            app.query_params[name] = value
        if page is not None:
            app.switch_page(page)
        return app.run()

    return open_page


def charts(app: AppTest) -> dict[str, dict]:
    """The figures on a page by title."""
    return {figure["layout"]["title"]["text"]: figure for figure in figures_on(app)}


def words(app: AppTest) -> str:
    """Everything a page says."""
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.warning, app.error, app.code)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def healthy(app: AppTest) -> AppTest:
    """Fails the test if the page shows an exception or an error."""
    assert not app.exception, app.exception
    assert not app.error, [error.value for error in app.error]
    return app


def no_folder(root: Path) -> Path:
    return root / "missing"


def empty_folder(root: Path) -> Path:
    return root


def no_epoch(root: Path) -> Path:
    run = make_run(root, "young", features=False)
    for head in run.path.glob("epochs/*/head*"):
        head.unlink()
    return root


def no_results(root: Path) -> Path:
    make_run(root, "young", results=False)
    return root


def no_statistics(root: Path) -> Path:
    make_run(root, "young", features=False)
    return root


def no_ood_sets(root: Path) -> Path:
    add_maps(make_run(root, "alone", ood_sets={}))
    return root


def no_maps(root: Path) -> Path:
    make_run(root, "unmapped")
    return root


def one_epoch(root: Path) -> Path:
    add_maps(make_run(root, "short", epochs=(7,)))
    return root


def two_classes(root: Path) -> Path:
    add_maps(make_run(root, "pair", classes=("cat", "dog")))
    return root


def corrupt_beside_good(root: Path) -> Path:
    make_run(root, "good", epochs=(1, 2))
    (root / "broken").mkdir()
    (root / "broken" / "run.json").write_text('{"format": 1, "na', encoding="utf-8")
    return root


def damaged_results(root: Path) -> Path:
    run = make_run(root, "damaged", epochs=(1, 2))
    for path in run.path.glob("epochs/0002/results/*"):
        path.write_bytes(b"not what the name says")
    return root


STATES = (
    no_folder,
    empty_folder,
    no_epoch,
    no_results,
    no_statistics,
    no_ood_sets,
    no_maps,
    one_epoch,
    two_classes,
    corrupt_beside_good,
)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_every_page_opens_in_every_state(open_app, tmp_path, state):
    folder = state(tmp_path)
    for page in PAGES:
        app = healthy(open_app(folder, page))
        assert app.title[0].value.endswith("?")


@pytest.mark.parametrize("state", [no_folder, empty_folder])
def test_without_runs_every_page_says_how_to_make_one(open_app, tmp_path, state):
    folder = state(tmp_path)
    for page in PAGES:
        app = open_app(folder, page)
        assert "python scripts/train.py digits --run digits" in words(app)
        assert "python scripts/evaluate.py digits" in words(app)
        assert folder.name in words(app).replace("\\", "")


@pytest.mark.parametrize("page", PAGES)
def test_without_results_every_page_says_how_to_make_them(open_app, tmp_path, page):
    app = open_app(no_results(tmp_path), page)
    assert "python scripts/evaluate.py young" in words(app)


def test_without_results_the_geometry_is_shown_all_the_same(open_app, tmp_path):
    app = open_app(no_results(tmp_path), COLLAPSE)
    assert "Class means against the simplex ETF" in charts(app)


def test_without_statistics_the_geometry_says_how_to_make_them(open_app, tmp_path):
    app = open_app(no_statistics(tmp_path), COLLAPSE)
    assert "python scripts/extract.py young" in words(app)


def test_a_run_that_cannot_be_opened_is_named_with_its_reason(open_app, tmp_path):
    app = healthy(open_app(corrupt_beside_good(tmp_path)))
    (warning,) = app.warning
    assert "broken" in warning.value
    assert "run" in warning.value
    assert app.selectbox(key="run").options == ["good"]


@pytest.mark.parametrize("page", PAGES)
def test_damaged_results_are_explained_without_a_traceback(open_app, tmp_path, page):
    app = open_app(damaged_results(tmp_path), page)
    assert not app.exception
    assert app.error
    assert all("Traceback" not in error.value for error in app.error)
    assert "damaged" in words(app)


@pytest.mark.parametrize("page", PAGES)
def test_a_failure_nobody_foresaw_is_told_in_a_sentence(open_app, good, page, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("ncviz.store.Run.collapse", fail)
    monkeypatch.setattr("ncviz.store.Run.detection", fail)
    monkeypatch.setattr("ncviz.ui.loaders.stamp", lambda folder: f"fresh {page}")
    app = open_app(good, page)
    assert not app.exception
    assert "log of the server" in app.error[0].value
    assert "secret detail" not in words(app)


HOSTILE = (
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "no-such-run",
    "",
    "%00",
    "-1",
    "999999",
)


@pytest.mark.parametrize("value", HOSTILE)
def test_an_unusable_url_falls_back_to_the_default(open_app, good, value):
    names = ("run", "epoch", "layer", "detector", "sets", "compare", "cut", "accept", "score")
    names += ("map", "colour", "classes", "rule", "ask", "ratio", "expected", "neighbours")
    for page in PAGES:
        app = healthy(open_app(good, page, **dict.fromkeys((*names, "order", "group"), value)))
        assert app.selectbox(key="run").value == "cats"
        assert app.select_slider(key="epoch").value == 9


def test_a_url_chooses_run_epoch_and_layer(open_app, good):
    app = open_app(good, COLLAPSE, run="cats", epoch="4", layer="projector", order="superclass")
    assert "cats · epoch 4 · layer projector" in words(healthy(app)).replace("\\", "")
    subtitles = {figure["layout"]["title"]["subtitle"]["text"] for figure in charts(app).values()}
    assert "cats · epoch 4 · layer projector" in subtitles
    assert all(subtitle.startswith("cats · epoch 4 · ") for subtitle in subtitles)


def test_hostile_names_on_disk_are_shown_letter_by_letter(open_app, tmp_path):
    name = "![x](evil.example) <b>$y$**z**; ls"
    run = make_run(
        tmp_path, name, classes=("<i>cat</i>", "**dog**", "a|b"), ood_sets={"<u>": "near"}
    )
    add_maps(run)
    for page in PAGES:
        app = healthy(open_app(tmp_path, page))
        shown = [str(each.value) for kind in (app.markdown, app.caption) for each in kind]
        assert not any("![x]" in text or "<b>" in text.replace("\\<", "") for text in shown)


def test_commands_to_copy_quote_the_name_of_the_run(open_app, tmp_path):
    make_run(tmp_path, "a; ls", results=False)
    app = healthy(open_app(tmp_path, SCORES))
    assert app.code[0].value.splitlines()[1] == "python scripts/evaluate.py 'a; ls'"


def test_damaged_results_of_one_run_leave_the_others_to_be_seen(open_app, tmp_path):
    make_run(tmp_path, "whole", epochs=(1, 2))
    app = open_app(damaged_results(tmp_path))
    assert app.selectbox(key="run").value == "whole"
    assert "Collapse and OOD detection over epochs" in charts(app)
    (error,) = app.error
    assert "damaged" in error.value


@pytest.mark.parametrize("page", CHART_PAGES)
def test_the_last_epoch_is_shown_first_and_stepping_changes_every_chart(open_app, good, page):
    app = healthy(open_app(good, page))
    assert app.select_slider(key="epoch").value == 9
    before = charts(app)
    app = healthy(app.button(key="_previous_epoch").click().run())
    assert app.select_slider(key="epoch").value == 4
    after = charts(app)
    assert len(after) == len(before) >= 2
    assert not {json.dumps(figure) for figure in after.values()} & {
        json.dumps(figure) for figure in before.values()
    }
    app = healthy(app.button(key="_next_epoch").click().run())
    assert charts(app) == before


def test_the_buttons_end_with_the_epochs(open_app, good):
    app = open_app(good)
    assert app.button(key="_next_epoch").disabled
    app = app.select_slider(key="epoch").set_value(1).run()
    assert app.button(key="_previous_epoch").disabled
    assert not app.button(key="_next_epoch").disabled


def test_another_run_keeps_the_epoch_if_it_has_it_and_else_shows_its_last(open_app, good):
    app = open_app(good)
    app = healthy(app.selectbox(key="run").set_value("dogs").run())
    assert app.select_slider(key="epoch").value == 30
    app = app.select_slider(key="epoch").set_value(4).run()
    app = healthy(app.selectbox(key="run").set_value("cats").run())
    assert app.select_slider(key="epoch").value == 4
    app = app.select_slider(key="epoch").set_value(1).run()
    app = healthy(app.selectbox(key="run").set_value("dogs").run())
    assert app.select_slider(key="epoch").value == 30


def test_sets_of_another_run_do_not_linger(open_app, good):
    app = open_app(good, SCORES, sets=["letters"])
    assert app.multiselect(key="sets").value == ["letters"]
    app = healthy(app.selectbox(key="run").set_value("dogs").run())
    assert app.multiselect(key="sets").value == ["noise", "patches"]


@pytest.mark.parametrize("page", CHART_PAGES)
def test_figures_stay_within_their_budget(open_app, tmp_path, page):
    names = [f"class number {at}" for at in range(100)]
    groups = [f"superclass {at // 5}" for at in range(100)]
    make_run(tmp_path, "large", classes=names, superclasses=groups, epochs=(1, 2), dim=32)
    app = healthy(open_app(tmp_path, page, order="superclass"))
    sizes = sizes_on(app)
    assert max(sizes) < SPEC_BUDGET
    assert sum(sizes) < 2 * SPEC_BUDGET


def nc1_over_epochs(run: Run) -> str:
    table = run.collapse()
    of_layer = (table["metric"] == "nc1_pinv") & (table["layer"] == run.layers[-1])
    values = table[of_layer].set_index("epoch")["value"]
    return f"{values[run.epochs[0]]:.3g} to {values[run.epochs[-1]]:.3g}"


def test_overview_tells_what_each_run_is_and_did(open_app, good):
    app = healthy(open_app(good))
    said = words(app).replace("\\", "")
    assert "cats" in said
    assert "4 classes" in said
    nc1 = nc1_over_epochs(open_run(good / "cats"))
    assert f"From epoch 1 to 9, NC1 from {nc1}; AUROC on far OOD " in said
    labels = [metric.label for metric in app.metric]
    assert labels[:3] == ["Test accuracy", "AUROC near", "AUROC far"]


def test_overview_averages_over_the_ood_sets_that_runs_share(open_app, good, tmp_path):
    said = words(healthy(open_app(good))).replace("\\", "")
    assert "all runs on the same data share (made: noise)" in said
    problem = "no near OOD set that all of these were measured on (cats: letters; dogs: patches)"
    assert problem in said
    assert "The chart and the run cards compare runs over shared OOD sets only." in said
    assert "AUROC on near OOD" not in said
    make_run(tmp_path, "alone")
    said = words(healthy(open_app(tmp_path))).replace("\\", "")
    assert "all runs on the same data share (made: letters, noise)" in said
    assert "AUROC on near OOD" in said
    assert "No mean" not in said


def test_overview_shows_findings_of_the_run(open_app, tmp_path):
    run = make_run(tmp_path, "cats")
    make_run(tmp_path, "dogs")
    write.update_description(run, findings={"labels": "Labels appear to be permuted: *a*, b."})
    app = healthy(open_app(tmp_path, run="cats"))
    assert [each.value for each in app.warning] == [r"Labels appear to be permuted\: \*a\*, b\."]
    assert not healthy(open_app(tmp_path, run="dogs")).warning
    assert "Labels appear to be permuted: *a*, b." in as_text(open_run(run.path))


def test_overview_card_opens_its_run_on_another_page(open_app, good):
    app = open_app(good)
    app = app.button(key="_open_OOD scores_dogs").click().run()
    assert app.session_state["run"] == "dogs"


def test_collapse_page_explains_each_metric_beside_its_chart(open_app, good):
    app = healthy(open_app(good, COLLAPSE, details="Every definition"))
    assert [metric.label.split()[0] for metric in app.metric] == ["NC1", "NC2", "NC3", "NC4", "NC5"]
    assert "Papyan" in words(app)
    assert len(app.latex) >= 4
    app = healthy(app.button_group(key="group").set_value("NC5").run())
    (title,) = (title for title in charts(app) if "mean |cos" in title)
    assert [trace["name"] for trace in charts(app)[title]["data"]] == ["letters", "noise"]


def test_collapse_page_orders_classes(open_app, good):
    def order(app) -> list[str]:
        return charts(app)["Class means against the simplex ETF"]["layout"]["yaxis"]["ticktext"]

    assert order(open_app(good, COLLAPSE)) == ["cat", "dog", "fox", "hen"]
    assert order(open_app(good, COLLAPSE, order="superclass")) == ["cat", "fox", "dog", "hen"]
    assert sorted(order(open_app(good, COLLAPSE, order="cluster"))) == ["cat", "dog", "fox", "hen"]
    without = open_app(good, COLLAPSE, run="dogs")
    assert without.button_group(key="order").options == ["name", "cluster"]


def test_collapse_page_names_the_worst_pairs(open_app, good):
    table = healthy(open_app(good, COLLAPSE)).dataframe[0].value
    assert len(table) == 6
    assert set(table["Class A"]) <= {"cat", "dog", "fox", "hen"}
    excess = table["Above the ETF's"].abs().to_numpy()
    assert (np.diff(excess) <= 1e-12).all()


def threshold_of(app: AppTest) -> float:
    (title,) = (title for title in charts(app) if ", cut at" in title)
    return charts(app)[title]["layout"]["shapes"][0]["x0"]


def test_the_threshold_moves_line_points_and_counts_together(open_app, good):
    app = healthy(open_app(good, SCORES))
    before = threshold_of(app), charts(app)["ROC: what a threshold lets in"], app.dataframe[0].value
    app = healthy(app.slider(key="accept").set_value(60.0).run())
    after = threshold_of(app), charts(app)["ROC: what a threshold lets in"], app.dataframe[0].value
    assert after[0] > before[0]
    assert after[1]["data"][-1] != before[1]["data"][-1]
    accepted = [int(table["Accepted as ID"].iloc[0]) for table in (before[2], after[2])]
    assert accepted == [46, 29]  # 95% and 60% of all 48 samples, rounded up
    assert (before[2]["Set"] == ["made (test)", "letters", "noise"]).all()


@pytest.mark.parametrize("cut", ["ID", "OOD", "accuracy", "cost", "score"])
def test_every_kind_of_threshold_works(open_app, good, cut):
    app = healthy(open_app(good, SCORES, cut=cut, detector="MSP"))
    assert np.isfinite(threshold_of(app))
    samples = app.dataframe[0].value["Samples"].astype(int)
    assert list(samples) == ([48, 40, 40] if cut in ("ID", "score") else [24, 20, 20])


def test_a_threshold_is_judged_on_other_samples_than_it_was_chosen_on(open_app, good):
    epoch = open_run(good / "cats").epoch(9)
    known, letters = (epoch.scores("energy", name, "projector") for name in ("test", "letters"))
    half = calibration_half(epoch.features("test").labels)
    cut = choose("accuracy", known[half], letters[calibration_half(np.zeros(40))]).value
    app = healthy(open_app(good, SCORES, run="cats", cut="accuracy", sets="letters"))
    assert threshold_of(app) == pytest.approx(cut)
    accepted = int(app.dataframe[0].value["Accepted as ID"].iloc[0])
    assert accepted == np.count_nonzero(known[~half] >= cut)


def test_where_accepting_nothing_costs_least_the_page_says_so(open_app, tmp_path):
    make_run(tmp_path, "upside-down", ood_scale=40.0)
    app = open_app(tmp_path, SCORES, cut="cost", ratio=10.0, expected=0.99)
    assert any("accepting nothing" in each.value for each in healthy(app).subheader)
    assert any("none of which is accepted" in title for title in charts(app))


def test_compared_detectors_join_curves_and_table(open_app, good):
    app = healthy(open_app(good, SCORES, compare=["MSP", "NECO"], sets="noise", positive="OOD"))
    roc = charts(app)["ROC: what a threshold lets in"]["data"]
    lines = [trace for trace in roc if trace["mode"] == "lines"]
    assert [line["name"].split(" · ")[0] for line in lines] == ["Energy", "MSP", "NECO"]
    assert len({line["line"]["dash"] for line in lines}) == 3
    assert len([trace for trace in roc if trace["mode"] == "markers"]) == 1
    assert list(app.dataframe[1].value["Detector"]) == ["Energy", "MSP", "NECO"]
    assert "Precision and recall of OOD" in charts(app)


def test_both_conventions_of_fpr95_are_labelled(open_app, good):
    columns = json.loads(healthy(open_app(good, SCORES)).dataframe[1].proto.columns)
    labels = {column.get("label") for column in columns.values()}
    assert {"FPR95 (ID positive)", "FPR95 (OOD positive)"} <= labels


def test_a_score_that_ranks_the_wrong_way_round_is_flagged_and_not_flipped(open_app, tmp_path):
    run = make_run(tmp_path, "upside-down", ood_scale=40.0)
    detection = run.detection()
    rows = detection[(detection["detector"] == "energy") & (detection["epoch"] == 9)]
    assert (rows["auroc"] < 0.5).all()
    app = healthy(open_app(tmp_path, SCORES))
    (warning,) = app.warning
    assert "ranks the wrong way round on these sets: letters (AUROC 0." in warning.value
    app = healthy(app.multiselect(key="sets").set_value(["noise"]).run())
    assert "ranks the wrong way round on this set: noise (AUROC 0." in app.warning[0].value
    app = healthy(app.multiselect(key="sets").set_value(["letters", "noise"]).run())
    shown = app.dataframe[1].value
    np.testing.assert_allclose(shown["auroc"], rows["auroc"])
    assert (shown["Remark"] == "ranks the wrong way round on this set").all()


def drawn(app: AppTest) -> tuple[dict, bytes]:
    """What the map's two elements send: how to draw, and the points of all epochs."""
    view, points = messages(app, "scatter")
    return json.loads(view.json), points.bytes


def frames_of(packed: bytes) -> dict:
    """The header of the packed points."""
    return json.loads(packed[4 : 4 + int.from_bytes(packed[:4], "little")])


def test_maps_show_both_layers_with_their_nc1(open_app, good):
    view, packed = drawn(healthy(open_app(good, EMBEDDINGS, run="cats", epoch="4")))
    header = frames_of(packed)
    assert view["token"] == header["token"]
    assert (view["run"], view["epoch"]) == ("cats", 4)
    assert header["layers"] == ["encoder", "projector"]
    assert header["epochs"] == [1, 4, 9]
    assert all(value > 0 for row in header["nc1"] for value in row)
    assert "NC1 of the encoder is" in view["alt"]
    assert "NC1 of the projector is" in view["alt"]


def test_a_step_sends_the_points_once_and_only_the_view_anew(open_app, good):
    app = healthy(open_app(good, EMBEDDINGS))
    view, packed = drawn(app)
    app = healthy(app.button(key="_previous_epoch").click().run())
    after, same = drawn(app)
    assert same == packed
    assert (view["epoch"], after["epoch"]) == (9, 4)
    assert after["token"] == view["token"]


def test_a_run_without_projector_says_why_there_is_one_panel(open_app, good):
    app = healthy(open_app(good, EMBEDDINGS, run="dogs"))
    assert frames_of(drawn(app)[1])["layers"] == ["encoder"]
    assert "has no projector" in app.info[0].value
    assert not healthy(open_app(good, EMBEDDINGS, run="cats")).info


def test_epochs_without_maps_say_how_to_make_them(open_app, tmp_path):
    run = make_run(tmp_path, "half; ls")
    app = healthy(open_app(tmp_path, EMBEDDINGS))
    assert app.code[0].value == "python scripts/embed.py 'half; ls'"
    add_maps(run, epochs=(1, 4))
    app = healthy(open_app(tmp_path, EMBEDDINGS))
    assert app.code[0].value == "python scripts/embed.py 'half; ls'"
    app = healthy(app.button(key="_previous_epoch").click().run())
    assert frames_of(drawn(app)[1])["epochs"] == [1, 4]


@pytest.mark.parametrize("colour", ["class", "ID/OOD", "correctness", "score"])
@pytest.mark.parametrize("kind", ["UMAP", "PCA", "class means"])
def test_the_url_chooses_map_and_colours(open_app, good, kind, colour):
    app = open_app(good, EMBEDDINGS, map=kind, colour=colour, detector="MSP")
    view, packed = drawn(healthy(app))
    assert view["colour"] == colour
    assert view["detector"] == "MSP"
    assert view["title"].split()[0] == kind.split()[0].replace("class", "Class-mean")
    assert frames_of(packed)["arrays"]["scores"][2] == 3 * (48 + 80)


def test_chosen_classes_alone_have_colours_and_none_means_all(open_app, good):
    app = healthy(open_app(good, EMBEDDINGS, classes=["dog", "hen"]))
    assert [colour is not None for colour in drawn(app)[0]["colours"]] == [False, True, False, True]
    app = healthy(app.multiselect(key="classes").set_value([]).run())
    assert None not in drawn(app)[0]["colours"]


def test_two_classes_have_no_plane_of_class_means(open_app, tmp_path):
    app = healthy(open_app(two_classes(tmp_path), EMBEDDINGS))
    assert app.button_group(key="map").options == ["UMAP", "PCA"]


def test_maps_without_scores_are_drawn_and_say_how_to_make_scores(open_app, tmp_path):
    add_maps(make_run(tmp_path, "young", results=False))
    header = frames_of(drawn(healthy(open_app(tmp_path, EMBEDDINGS)))[1])
    assert header["nc1"] == [[None]] * 3
    assert "scores" not in header["arrays"]
    app = healthy(open_app(tmp_path, EMBEDDINGS, colour="score"))
    assert "python scripts/evaluate.py young" in words(app)


def test_all_epochs_of_a_map_stay_within_their_budget(open_app, tmp_path):
    names = [f"class number {at}" for at in range(100)]
    run = make_run(
        tmp_path,
        "large",
        classes=names,
        epochs=range(1, 11),
        layers=("encoder", "projector"),
        dim=16,
    )
    add_maps(run)
    view, packed = drawn(healthy(open_app(tmp_path, EMBEDDINGS)))
    samples = frames_of(packed)["samples"]
    assert samples == 100 * 12 + 80
    assert len(packed) < 10 * samples * (2 * 2 * 2 + 2 + 4 + 4) + 20_000
    assert len(json.dumps(view)) < 10_000


def test_no_set_chosen_is_told(open_app, good):
    app = open_app(good, SCORES)
    app = healthy(app.multiselect(key="sets").set_value([]).run())
    assert "Choose at least one OOD set" in words(app)


def test_new_results_are_shown_without_a_restart(open_app, tmp_path):
    run = make_run(tmp_path, "growing", epochs=(1, 4, 9), results=False)
    assert "python scripts/evaluate.py growing" in words(open_app(tmp_path, SCORES))
    from ncviz.evaluation import evaluate

    evaluate([run], progress=False)
    assert "Energy scores" in " ".join(charts(healthy(open_app(tmp_path, SCORES))))


def test_pages_on_disk_are_the_pages_in_the_sidebar():
    from ncviz.ui.navigation import PAGES as LISTED

    on_disk = {f"pages/{path.name}" for path in (ROOT / "pages").glob("*.py")}
    assert {page.path for page in LISTED} == on_disk | {"app.py"}


def test_the_overview_compares_the_layers_under_the_heads(open_app, tmp_path):
    make_run(tmp_path, "ants")
    make_run(tmp_path, "bees", layers=("encoder", "projector"), heads=("projector",))
    app = healthy(open_app(tmp_path))
    figure = charts(app)["Collapse and OOD detection over epochs"]
    headings = [note["text"] for note in figure["layout"]["annotations"]]
    assert headings == ["<b>ants</b><br>encoder", "<b>bees</b><br>projector"]
    assert "No Energy" not in words(app)

    app = healthy(open_app(tmp_path, run="bees", layer="encoder"))
    assert "No Energy of: bees (encoder). A layer without a head of its own has" in words(app)
    app = open_app(tmp_path, run="bees", layer="encoder", detector="Energy, linear probe")
    assert "A layer without a head" not in words(healthy(app))


@pytest.mark.parametrize("page", PAGES)
def test_layers_inside_the_backbone_can_be_looked_at(open_app, tmp_path, page):
    run = make_run(
        tmp_path,
        "bees",
        layers=("encoder", "projector"),
        heads=("projector",),
        stages={9: ("stage1", "stage2")},
    )
    add_maps(run)
    app = healthy(open_app(tmp_path, page, layer="stage2"))
    assert "layer stage2" in words(app) or page == EMBEDDINGS
    assert "python scripts" not in words(app) or page in (TRADE_OFF, UPLOAD)
    # Where the stages were not extracted, the layer under the head is shown.
    app = healthy(open_app(tmp_path, page, layer="stage2", epoch="4"))
    assert app.session_state["layer"] == "projector"


def test_damaged_statistics_leave_the_controls(open_app, tmp_path):
    run = make_run(tmp_path, "bees")
    (run.epoch(9).path / "statistics.safetensors").write_bytes(b"nothing")
    app = open_app(tmp_path, "pages/1_Neural_collapse.py")
    assert not app.exception
    assert any("Delete statistics" in error.value for error in app.error)
    assert app.selectbox(key="run").value == "bees"
