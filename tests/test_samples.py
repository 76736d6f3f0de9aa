"""The sections on samples at the end of pages, without a browser."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from app_elements import figures_on, messages
from made_runs import add_maps, add_samples, make_run
from PIL import Image
from streamlit.testing.v1 import AppTest

from ncviz import data, metrics
from ncviz.store import open_run, write
from ncviz.ui.gallery import tiles_of
from ncviz.ui.sample_choice import matches

ROOT = Path(__file__).resolve().parents[1]
COLLAPSE, SCORES = "pages/1_Neural_collapse.py", "pages/2_OOD_scores.py"
EMBEDDINGS = "pages/3_Embeddings.py"
PAGES = (COLLAPSE, SCORES, EMBEDDINGS)
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """The run `cats` with encoder and projector; no test may change it."""
    folder = tmp_path_factory.mktemp("samples")
    add_maps(make_run(folder, "cats", layers=("encoder", "projector")))
    return folder


@pytest.fixture
def open_page(monkeypatch):
    """Open a page on a checkpoints folder, with values in the address."""

    def open_it(checkpoints: Path, page: str = COLLAPSE, **url: str) -> AppTest:
        monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(checkpoints))
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        for name, value in url.items():
            app.query_params[name] = value
        return healthy(app.switch_page(page).run())

    return open_it


def healthy(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    assert not app.error, [error.value for error in app.error]
    return app


def words(app: AppTest) -> str:
    kinds = (app.subheader, app.markdown, app.caption, app.code)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


def grid(app: AppTest) -> list[dict]:
    """The tiles of the chosen samples."""
    return tiles_of(messages(app, "gallery")[0].bytes)


def chosen(app: AppTest) -> str:
    return str(app.session_state["selected"])


def detectors(app: AppTest):
    """The table of the one sample's scores."""
    return next(each.value for each in app.dataframe if "Percentile" in each.value)


# Nothing chosen


@pytest.mark.parametrize("page", PAGES)
def test_without_a_choice_the_page_says_how_to_choose(good, open_page, page):
    app = open_page(good, page)
    assert "No samples are selected." in words(app)
    assert not messages(app, "gallery")
    assert "One sample" not in words(app)


# The grid


@pytest.mark.parametrize("page", PAGES)
def test_an_address_opens_its_samples_with_classes_and_scores(good, open_page, page):
    app = open_page(good, page, epoch="4", selected="made/test:0-20;letters/test:3", sort="order")
    run = open_run(good / "cats")
    epoch = run.epoch(4)
    tiles = grid(app)
    assert len(tiles) == 22
    assert "22 samples, as the address says" in words(app).replace("*", "")
    known = epoch.scores("energy", "test", "projector")
    for at, tile in enumerate(tiles):
        name, row = ("made/test", at) if at < 21 else ("letters/test", 3)
        found = epoch.features(name, "projector")
        predicted = run.classes[found.logits[row].argmax()]
        score = epoch.scores("energy", name, "projector")[row]
        share = (sum(known < score) + sum(known == score) / 2) / len(known)
        assert f"{score:.4g} · {100 * share:.1f}%" in tile["lines"]
        if name == "made/test":
            truth = run.classes[found.labels[row]]
            assert tile["title"] == truth
            said = tile["warning"] if truth != predicted else tile["lines"][0]
            assert said == f"predicted {predicted}"
            assert bool(tile["warning"]) == (truth != predicted)
        else:
            assert tile["lines"][0] == f"taken for {predicted}"
            assert not tile["warning"]
        assert f"{name} {row}" in tile["alt"]


def test_some_of_these_samples_are_classified_wrongly_at_the_first_epoch(good, open_page):
    app = open_page(good, epoch="1", selected="made/test:0-47")
    assert any(tile["warning"] for tile in grid(app))
    assert "✗ marks a wrong prediction" in words(app)


def test_samples_are_sorted_by_score_class_and_set(good, open_page):
    shown = {}
    for sort in ("order", "lowest score", "highest score", "class", "set"):
        app = open_page(good, selected="made/test:40-46;noise/test:0-5", sort=sort)
        shown[sort] = [tile["alt"] for tile in grid(app)]
    assert all(sorted(alts) == sorted(shown["order"]) for alts in shown.values())
    run = open_run(good / "cats")
    score = {
        f"{name} {row}": run.epoch(9).scores("energy", name, "projector")[row]
        for name, rows in (("made/test", range(40, 47)), ("noise/test", range(6)))
        for row in rows
    }
    lowest = [score[alt.split(", ")[1]] for alt in shown["lowest score"]]
    assert lowest == sorted(lowest)
    assert [score[alt.split(", ")[1]] for alt in shown["highest score"]] == lowest[::-1]
    names = [alt.split(",")[0] for alt in shown["class"]]
    assert names == sorted(names)


def test_many_samples_come_in_pages(good, open_page):
    app = open_page(good, selected="made/test:0-47;letters/test:0-39", sort="order")
    first = grid(app)
    assert len(first) == 24
    app.session_state["samples_page"] = 4
    last = grid(healthy(app.run()))
    assert len(last) == 88 - 3 * 24
    assert last[-1]["alt"].startswith("letters, letters/test 39")
    # Another order starts at the first page again.
    app.selectbox(key="sort").set_value("class")
    assert len(grid(healthy(app.run()))) == 24


def test_samples_of_another_run_are_counted_and_not_shown(good, open_page):
    app = open_page(good, selected="made/test:0-3;elsewhere/test:0-9")
    assert "14 samples" in words(app)
    assert "4 of them are among the cached samples of this run." in words(app)
    app = open_page(good, selected="elsewhere/test:0-9", sample="elsewhere/test:1")
    assert "has none of these samples in its cache" in words(app)
    assert "One sample" not in words(app)


def test_clear_chooses_nothing(good, open_page):
    app = open_page(good, selected="made/test:0-3", sample="made/test:1")
    assert "One sample" in words(app)
    app = healthy(app.button(key="clear_samples").click().run())
    assert "No samples are selected." in words(app)
    assert "One sample" not in words(app)
    assert "selected" not in app.query_params


# Pictures


def test_pictures_of_generated_sets_are_made_on_the_spot(digits_checkpoints, open_page):
    app = open_page(digits_checkpoints, selected="digits/test:0-5;noise/test:2", sort="order")
    run = open_run(digits_checkpoints / "digits")
    samples = run.samples
    tiles = grid(app)
    keys = samples[samples["set"] == "digits/test"]["key"].tolist()[:6]
    for tile, key in zip(tiles, keys, strict=False):
        image = Image.open(io.BytesIO(tile["picture"]))
        expected = data.open_image("digits", "test", key)
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))
    assert tiles[-1]["picture"]
    assert "are missing" not in words(app)


def keyed(run, keys: dict[str, str]) -> None:
    samples = add_samples(run)
    for set_name, key in keys.items():
        mine = samples["set"] == set_name
        samples.loc[mine, "key"] = [key.format(index) for index in samples.loc[mine, "index"]]
    write.save_samples(run, samples)


def test_missing_pictures_are_explained_once_with_the_command(tmp_path, open_page, monkeypatch):
    monkeypatch.setenv("NCVIZ_DATA", str(tmp_path / "nothing here"))
    run = make_run(tmp_path / "runs", "cats", ood_sets={"cifar10": "near", "birds": "far"})
    keyed(run, {"cifar10/test": "index:{}", "birds/test": "test/robin/{}.png"})
    selected = "made/test:0-3;cifar10/test:0-4;birds/test:0-4"
    app = open_page(tmp_path / "runs", selected=selected, sample="birds/test:0", sort="order")
    tiles = grid(app)
    assert len(tiles) == 14
    assert not any(tile["picture"] for tile in tiles)
    assert tiles[-1]["title"] == "birds: robin"
    assert "no picture" in tiles[0]["alt"]
    said = words(app)
    for reason in (
        "which images of made/test",
        "cifar10/test are missing",
        "birds/test are missing",
    ):
        assert said.count(reason) == 1, reason
    assert "python -m ncviz.data cifar10" in [code.value for code in app.code]
    assert [code.value for code in app.code].count("NCVIZ_DATA=FOLDER make app") == 1
    assert str(tmp_path / "nothing here" / "birds" / "test") in said


def test_pictures_are_found_once_their_folder_is_there(tmp_path, open_page, monkeypatch):
    monkeypatch.setenv("NCVIZ_DATA", str(tmp_path / "data"))
    run = make_run(tmp_path / "runs", "cats", ood_sets={"birds": "far"})
    keyed(run, {"birds/test": "test/robin/{}.png"})
    app = open_page(tmp_path / "runs", selected="birds/test:0-1", sort="order")
    assert not grid(app)[0]["picture"]
    folder = tmp_path / "data" / "birds" / "test" / "robin"
    folder.mkdir(parents=True)
    Image.new("RGB", (300, 200), "red").save(folder / "0.png")
    (folder / "1.png").write_bytes(b"no image")
    app = healthy(app.run())
    first, second = grid(app)
    assert Image.open(io.BytesIO(first["picture"])).size == (96, 64)
    assert not second["picture"]
    assert "1.png is corrupt" in words(app)


# Choosing by words


def test_words_find_set_class_file_and_index():
    table = pd.DataFrame(
        {
            "set": ["a/test", "a/test", "mnist/test", "mnist/test"],
            "index": [3, 17, 3, 4],
            "label": [0, 1, 0, 0],
            "key": ["test/cat/3.png", "test/dog/17.png", "index:3", "index:4"],
        }
    )
    names = ["Cat", "dog", "17", "mnist"]

    def found(text: str) -> list[int]:
        return np.flatnonzero(matches(table, names, text)).tolist()

    assert found("cat") == [0]
    assert found("TEST dog") == [1]
    assert found("mnist") == [2, 3]
    assert found("3") == [0, 2]
    assert found("17") == [1, 2]
    assert found("9" * 5000) == []
    assert found("cat dog") == []
    assert found(MARKUP) == []


def test_samples_are_selected_and_added_by_class_set_and_words(good, open_page):
    app = open_page(good)
    assert app.button(key="find_select").disabled
    app.multiselect(key="find_classes").set_value(["dog"])
    app.multiselect(key="find_sets").set_value(["made/test"])
    app = healthy(app.run())
    assert "12 samples found" in words(app)
    app = healthy(app.button(key="find_select").click().run())
    assert chosen(app) == "made/test:12-23"
    assert "chosen by true class dog, set made/test" in words(app)
    app.multiselect(key="find_classes").set_value([])
    app.multiselect(key="find_sets").set_value([])
    app.text_input(key="find_words").set_value("7")
    app = healthy(app.run())
    app = healthy(app.button(key="find_add").click().run())
    # The training set is kept too, and its samples have no scores.
    assert chosen(app) == "made/test:7,12-23;letters/test:7;noise/test:7;made/train:7"
    assert "Training samples have no scores." in words(app)
    app.text_input(key="find_words").set_value("unicorn")
    app = healthy(app.run())
    assert "No sample is like that." in words(app)
    assert app.button(key="find_select").disabled


def test_a_predicted_class_finds_what_the_network_takes_for_it(good, open_page):
    app = open_page(good, epoch="1")
    app.multiselect(key="find_classes").set_value(["fox"])
    app.radio(key="find_by").set_value("predicted class")
    app.multiselect(key="find_sets").set_value(["made/test", "noise/test"])
    app = healthy(app.run())
    app = healthy(app.button(key="find_select").click().run())
    epoch = open_run(good / "cats").epoch(1)
    expected = {
        name: tuple(np.flatnonzero(epoch.features(name, "projector").logits.argmax(axis=1) == 2))
        for name in ("made/test", "noise/test")
    }
    assert app.session_state["selected"].samples == expected


# One sample


def test_one_sample_is_judged_by_every_detector(good, open_page):
    app = open_page(good, epoch="4", layer="encoder", sample="letters/test:5")
    run = open_run(good / "cats")
    epoch = run.epoch(4)
    table = detectors(app).set_index("Score")
    by_detector = epoch.layer_scores("encoder")
    assert len(table) == len(by_detector) > 20
    for by_set in by_detector.values():
        known, score = by_set["made/test"], by_set["letters/test"][5]
        row = table.loc[float(score)]
        row = row if row.ndim == 1 else row.iloc[0]
        threshold = metrics.threshold_at_tpr(known, 0.95)
        assert row["Threshold"] == pytest.approx(threshold)
        assert row["Percentile"] == pytest.approx(
            100 * (np.mean(known < score) + np.mean(known == score) / 2)
        )
        assert row["Side"] == ("known" if score >= threshold else "turned away")
    assert "near OOD" in words(app)


def test_its_nearest_samples_in_both_layers(good, open_page):
    app = open_page(good, epoch="4", sample="made/test:5")
    epoch = open_run(good / "cats").epoch(4)
    drawn = [tiles_of(each.bytes) for each in messages(app, "gallery")]
    places = [(layer, train) for layer in ("encoder", "projector") for train in (True, False)]
    assert len(drawn) == len(places)
    for (layer, train), tiles in zip(places, drawn, strict=True):
        sets = ["made/train"] if train else ["made/test", "letters/test", "noise/test"]
        own = epoch.features("made/test", layer).features[5].astype(float)
        near = sorted(
            (np.linalg.norm(point - own), name)
            for name in sets
            for row, point in enumerate(epoch.features(name, layer).features.astype(float))
            if (name, row) != ("made/test", 5)
        )
        assert [tile["lines"][:2] for tile in tiles] == [
            [name, f"distance {distance:.3g}"] for distance, name in near[:6]
        ]


def test_one_sample_through_training(good, open_page):
    app = open_page(good, epoch="4", layer="encoder", sample="made/test:5")
    figures = {figure["layout"]["title"]["text"]: figure for figure in figures_on(app)}
    scores = figures["Where its score lies among those of the ID test samples"]
    assert scores["data"][-1]["type"] == "heatmap"
    assert len(scores["data"][-1]["y"]) == len(detectors(app))
    classes = figures["Which class it is taken for, and how far it is from class means"]
    names = [trace["name"] for trace in classes["data"]]
    assert names == ["true class: cat", "predicted class", "own class mean", "nearest class mean"]
    # Foreign samples have neither.
    app = open_page(good, epoch="4", layer="encoder", sample="noise/test:5")
    figures = {figure["layout"]["title"]["text"]: figure for figure in figures_on(app)}
    classes = figures["Which class it is taken for, and how far it is from class means"]
    assert [trace["name"] for trace in classes["data"]] == ["predicted class", "nearest class mean"]
    assert "no own class mean" in words(app)


def test_a_training_sample_has_no_scores(good, open_page):
    app = open_page(good, sample="made/train:5")
    assert "Training samples have no scores" in words(app)
    assert len(messages(app, "gallery")) == 4


def test_next_and_previous_go_through_the_selection(good, open_page):
    app = open_page(good, selected="made/test:3-5", sample="made/test:4", sort="order")
    assert "2 of 3 selected samples" in words(app)
    app = healthy(app.button(key="next_sample").click().run())
    assert str(app.session_state["sample"]) == "made/test:5"
    assert app.button(key="next_sample").disabled
    app = healthy(app.button(key="previous_sample").click().run())
    assert str(app.session_state["sample"]) == "made/test:4"
    app = healthy(app.button(key="sample_close").click().run())
    assert "One sample" not in words(app)
    assert len(grid(app)) == 3


# Changed sides


def test_samples_that_changed_sides_are_listed_and_selected(good, open_page):
    app = open_page(good, SCORES, layer="encoder")
    app.session_state["changed_sides"] = True
    app = healthy(app.run())
    table = next(each.value for each in app.dataframe if "Sides changed" in each.value)
    run = open_run(good / "cats")
    sides = []
    for number in run.epochs:
        scores = run.epoch(number).scores("energy", "test", "encoder")
        sides.append(scores >= metrics.threshold_at_tpr(scores, 0.95))
    crossings = [
        sum(one != other for one, other in pairwise(path)) for path in np.array(sides).T.tolist()
    ]
    expected = {at: count for at, count in enumerate(crossings) if count}
    assert dict(zip(table["Sample"], table["Sides changed"], strict=True)) == expected
    assert table["Sides changed"].is_monotonic_decreasing
    app = healthy(app.button(key="changed_select").click().run())
    assert app.session_state["selected"].samples == {"made/test": tuple(sorted(expected))}


# States of a run


def one_epoch(root: Path) -> None:
    add_maps(make_run(root, "made", epochs=(7,)))


def no_ood_sets(root: Path) -> None:
    add_maps(make_run(root, "made", ood_sets={}))


def no_results(root: Path) -> None:
    add_samples(make_run(root, "made", results=False))


def no_features(root: Path) -> None:
    make_run(root, "made", features=False)


def no_list_of_samples(root: Path) -> None:
    make_run(root, "made")


def no_head_on_the_encoder(root: Path) -> None:
    add_samples(make_run(root, "made", layers=("encoder", "projector"), heads=("projector",)))


def stages(root: Path) -> None:
    add_samples(make_run(root, "made", stages={9: ("stage1",)}))


def damaged_pictures(root: Path) -> None:
    run = make_run(root, "made")
    keyed(run, {"made/test": "../../{}", "noise/test": "index:no number"})


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    "state",
    [
        one_epoch,
        no_ood_sets,
        no_results,
        no_features,
        no_list_of_samples,
        no_head_on_the_encoder,
        stages,
        damaged_pictures,
    ],
)
def test_every_state_is_drawn(tmp_path, open_page, page, state):
    state(tmp_path)
    choice = {"selected": "made/test:0-5;noise/test:0-3", "sample": "made/test:1"}
    app = open_page(tmp_path, page, **choice)
    for layer in ("stage1", "encoder"):
        app = open_page(tmp_path, page, layer=layer, **choice)
    if page == COLLAPSE and state is not no_features:
        assert len(grid(app)) == (6 if state is no_ood_sets else 10)
        assert "One sample" in words(app)
    app = open_page(tmp_path, page, sample="noise/test:1")


def test_no_results_leave_classes_without_scores(tmp_path, open_page):
    no_results(tmp_path)
    app = open_page(tmp_path, selected="made/test:0-5", sample="made/test:1")
    assert "has scored nothing here" in words(app)
    assert all(len(tile["lines"]) <= 1 for tile in grid(app))
    assert "python scripts/evaluate.py made" in words(app)


def test_imported_features_without_a_list_of_samples(tmp_path, open_page):
    run = make_run(tmp_path, "made")
    run.description["imported"] = {"from": "elsewhere"}
    write.create_run(tmp_path / "foreign", dict(run.description))
    app = open_page(tmp_path, run="made", selected="made/test:0-5", sample="made/test:0")
    assert "does not say which images of made/test" in words(app)
    assert len(grid(app)) == 6


def test_names_are_text(tmp_path, open_page):
    run = make_run(tmp_path, "zoo", classes=(f"{MARKUP}1", f"{MARKUP}2", "eel"))
    keyed(run, {"noise/test": "test/" + MARKUP.replace("/", "") + "/{}.png"})
    app = open_page(tmp_path, selected="made/test:0-5;noise/test:0", sample="noise/test:0")
    assert any(MARKUP in tile["title"] for tile in grid(app))
    shown = [element.value for kind in (app.markdown, app.caption) for element in kind]
    assert any("img src" in text for text in shown)
    assert not any(re.search(r"(?<!\\)<img", text) for text in shown)


def test_pictures_of_generated_sets_and_folders_load_no_torch(digits_checkpoints, tmp_path):
    program = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        "app = AppTest.from_file('app.py', default_timeout=60)\n"
        "app.query_params['selected'] = 'digits/test:0-5;letters/test:1'\n"
        "app.query_params['sample'] = 'digits/test:1'\n"
        f"app = app.switch_page({COLLAPSE!r}).run()\n"
        "assert not app.exception and not app.error\n"
        "assert max(len(each.proto.bytes) for each in app.get('bidi_component')\n"
        "           if each.proto.component_name == 'ncviz.gallery') > 1000\n"
        "from ncviz.ui import pictures\n"
        "assert isinstance(pictures.picture('cifar10/test', 'index:1'), pictures.Missing)\n"
        "assert isinstance(pictures.picture('birds/test', 'test/a/1.png'), pictures.Missing)\n"
        "assert 'torch' not in sys.modules\n"
    )
    places = {"NCVIZ_CHECKPOINTS": str(digits_checkpoints), "NCVIZ_DATA": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, **places, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
