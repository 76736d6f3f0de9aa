"""Numbers come from all evaluated samples and the 95% rule has one threshold, on every page."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from app_elements import figures_on
from made_runs import add_maps, make_run
from streamlit.testing.v1 import AppTest

from ncviz import metrics
from ncviz.inference.reference import read_reference
from ncviz.packing import PackedSizes, pack
from ncviz.report import detection as report_detection
from ncviz.report.study import choose
from ncviz.results.sample_counts import computed_on
from ncviz.store import Epoch, Run, open_run
from ncviz.thresholds import ID_95, Criterion, choose_threshold, promise
from ncviz.ui import loaders, path_loaders, sample_loaders, source_numbers
from ncviz.ui.differences import Contender, auroc_tests
from ncviz.ui.view import View

ROOT = Path(__file__).resolve().parents[1]
SCORES, COMPARE = "pages/2_OOD_scores.py", "pages/8_Compare.py"
TIMES = 7
LAYER, DETECTOR, NUMBER = "encoder", "energy", 9


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("all")
    add_maps(make_run(folder, "cats"))
    return folder


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """A folder of its own for each test: pages cache what they read by the run's path."""
    return Path(shutil.copytree(made, tmp_path / "runs"))


@pytest.fixture
def run(folder) -> Run:
    return open_run(folder / "cats")


@pytest.fixture
def packed(monkeypatch):
    """Seven times as many samples were evaluated as are kept, with other scores."""
    kept_only = Epoch.distribution

    def distribution(self, detector, set_name, layer="encoder"):
        scores = kept_only(self, detector, set_name, layer)
        spread = np.std(scores) or 1.0
        return np.sort(np.concatenate([scores + 0.3 * at * spread for at in range(-5, 2)]))

    kept_sets = Run.sets.fget

    def sets(self):
        return {
            name: replace(info, samples=TIMES * info.samples, available=2 * TIMES * info.samples)
            for name, info in kept_sets(self).items()
        }

    monkeypatch.setattr(Epoch, "distribution", distribution)
    monkeypatch.setattr(Run, "sets", property(sets))
    monkeypatch.setattr(Run, "packed", True)


@pytest.fixture
def open_page(folder, monkeypatch):
    def open_page(page: str, **url: str) -> AppTest:
        monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(folder))
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        for name, value in url.items():
            app.query_params[name] = value
        app = app.switch_page(page).run()
        assert not app.exception, app.exception
        assert not app.error, [error.value for error in app.error]
        return app

    return open_page


def words(app: AppTest) -> str:
    kinds = (app.markdown, app.caption)
    return "\n".join(str(each.value) for kind in kinds for each in kind).replace("\\", "")


def known_of(run: Run) -> np.ndarray:
    return run.epoch(NUMBER).distribution(DETECTOR, "test", LAYER)


def thresholds_on_every_page(open_page, run: Run) -> dict[str, float]:
    """The threshold of the 95% rule wherever one is drawn, printed or used."""
    figure = figures_on(open_page(SCORES))[0]
    compared = figures_on(open_page(COMPARE))[0]
    study = choose(run, epoch=NUMBER, layer=LAYER, detector=DETECTOR)
    (picture,) = (
        block.figure
        for block in report_detection.scores(study)
        if hasattr(block, "figure") and "scores, cut" in (block.figure.layout.title.text or "")
    )
    judged = path_loaders.judged(run, LAYER, "letters/test", 3)
    column = judged.detectors.index(DETECTOR)
    found = {
        "OOD scores": figure["layout"]["shapes"][0]["x0"],
        "Compare": compared["layout"]["shapes"][0]["x0"],
        "report": picture.layout.shapes[0].x0,
        "one sample": judged.thresholds[judged.epochs.index(NUMBER), column],
        "Upload, score.py": read_reference(run.epoch(NUMBER), LAYER)
        .threshold(DETECTOR, ID_95)
        .value,
    }
    return {name: float(value) for name, value in found.items()}


def test_the_95_percent_rule_has_one_threshold_which_is_that_of_the_table(open_page, run):
    table = run.detection()
    rows = table[
        (table["epoch"] == NUMBER) & (table["layer"] == LAYER) & (table["detector"] == DETECTOR)
    ]
    expected = set(rows["threshold95"])
    assert len(expected) == 1  # it needs no OOD set
    found = thresholds_on_every_page(open_page, run)
    assert {name: {value} for name, value in found.items()} == dict.fromkeys(found, expected)


def test_the_threshold_of_a_packed_run_is_that_of_all_samples(packed, open_page, run):
    expected = metrics.threshold_at_tpr(known_of(run))
    kept = loaders.scores(run, NUMBER, LAYER, DETECTOR, "test")
    assert expected != metrics.threshold_at_tpr(kept)
    found = thresholds_on_every_page(open_page, run)
    assert found == dict.fromkeys(found, expected)


def test_sides_and_percentiles_of_kept_samples_are_those_among_all_samples(packed, run):
    known = known_of(run)
    cut = metrics.threshold_at_tpr(known)
    for name in ("made/test", "letters/test"):
        scores = loaders.scores(run, NUMBER, LAYER, DETECTOR, name)
        history = sample_loaders.histories(run, LAYER, DETECTOR)[name]
        at = history.epochs.index(NUMBER)
        np.testing.assert_array_equal(history.accepted[at], scores >= cut)
        shares = [(np.mean(known < s) + np.mean(known <= s)) / 2 for s in scores]
        np.testing.assert_allclose(history.percentiles[at], shares, atol=1e-6)
        judged = path_loaders.judged(run, LAYER, name, 3)
        at, column = judged.epochs.index(NUMBER), judged.detectors.index(DETECTOR)
        assert judged.percentiles[at, column] == pytest.approx(shares[3])
    mapped = loaders._mapped_scores(run, loaders.maps(run), DETECTOR, LAYER)
    at = loaders.maps(run).epochs.index(NUMBER)
    shares = [(np.mean(known < s) + np.mean(known <= s)) / 2 for s in mapped[0][at]]
    np.testing.assert_allclose(mapped[1][at], shares, atol=1e-12)


def test_counts_and_curves_are_of_all_samples_and_clicks_select_kept_ones(packed, open_page, run):
    app = open_page(SCORES)
    kept = {
        name: len(loaders.scores(run, NUMBER, LAYER, DETECTOR, name))
        for name in ("test", "letters", "noise")
    }
    table = app.dataframe[0].value
    assert list(table["Samples"]) == [TIMES * count for count in kept.values()]
    epoch = run.epoch(NUMBER)
    cut = metrics.threshold_at_tpr(known_of(run))
    for row, name in enumerate(kept):
        scores = epoch.distribution(DETECTOR, name, LAYER)
        assert int(table["Accepted as ID"][row].replace(",", "")) == np.sum(scores >= cut)
    said = words(app)
    counts = f"{TIMES * kept['test']:,} of {2 * TIMES * kept['test']:,} test"
    assert f"computed on {counts} and " in said
    assert f" training samples; {kept['test']} kept for inspection" in said
    every, listed = TIMES * sum(kept.values()), sum(kept.values())
    assert f"The counts are of {every:,} samples; {listed:,} of them are kept" in said
    wrong = np.sum(loaders.scores(run, NUMBER, LAYER, DETECTOR, "test") < cut) + sum(
        np.sum(loaders.scores(run, NUMBER, LAYER, DETECTOR, name) >= cut)
        for name in ("letters", "noise")
    )
    button = app.button(key="_select_wrong")
    assert button.label == f"Select the {wrong} kept samples on the wrong side"
    pair = known_of(run), epoch.distribution(DETECTOR, "noise", LAYER)
    whole = metrics.thin(metrics.roc_curve(*pair), loaders.CURVE_POINTS)
    drawn = loaders.roc_curve(run, NUMBER, LAYER, DETECTOR, "noise")
    np.testing.assert_array_equal(drawn.y, whole.y)
    np.testing.assert_array_equal(drawn.x, whole.x)


def test_rules_with_ood_samples_split_the_kept_ones_and_say_how_many(packed, open_page, run):
    app = open_page(SCORES, cut="OOD")
    names = ("test", "letters", "noise")
    halves = {name: loaders.calibration_half(run, NUMBER, name) for name in names}
    assert list(app.dataframe[0].value["Samples"]) == [
        int((~half).sum()) for half in halves.values()
    ]
    known, unknown = int(halves["test"].sum()), sum(int(halves[n].sum()) for n in names[1:])
    said = words(app)
    assert "95% of OOD rejected, chosen on one half of the samples" in said
    assert f"({known} ID and {unknown} OOD)" in said
    found = figures_on(app)[0]["layout"]["shapes"][0]["x0"]
    reference = read_reference(run.epoch(NUMBER), LAYER)
    assert reference.threshold(DETECTOR, Criterion("OOD")).value == found
    about = reference.about_threshold(DETECTOR, Criterion("OOD"))
    assert f"one half of the samples ({known} ID and {unknown} OOD)" in about
    sets = [loaders.set_scores(run, NUMBER, LAYER, DETECTOR, name) for name in names]
    assert choose_threshold(Criterion("OOD"), sets[0], sets[1:]).value == found


def test_the_page_states_what_the_threshold_promises(packed, open_page, run):
    count = len(known_of(run))
    assert promise(ID_95, count) in words(open_page(SCORES))
    assert promise(Criterion("ID", 0.8), count) in words(open_page(SCORES, accept="80.0"))


def test_unpaired_tests_take_all_samples_and_paired_ones_the_kept(packed, run):
    other = open_run(Path(shutil.copytree(run.path, run.path.with_name("dogs"))))
    one, two = (Contender(run, NUMBER, LAYER, name) for name in ("energy", "msp"))
    elsewhere = Contender(other, NUMBER, LAYER, "msp")  # its samples have no identity
    unpaired, paired = (auroc_tests(one, each, ["noise"])["noise"] for each in (elsewhere, two))
    area = metrics.detection_metrics(*(one.distribution(s) for s in ("test", "noise"))).auroc
    assert (unpaired.first, unpaired.paired) == (pytest.approx(area), False)
    area = metrics.detection_metrics(*(one.scores(s) for s in ("test", "noise"))).auroc
    assert (paired.first, paired.paired) == (pytest.approx(area), True)


def test_the_reference_page_quotes_the_range_of_all_scores(packed, run):
    view = View(run, NUMBER, LAYER)
    known = known_of(run)
    found = source_numbers._span(view, DETECTOR, "test")
    assert (found.low, found.high) == (known[0], known[-1])


def test_compare_states_which_samples_paired_tests_use(packed, open_page, run):
    kept, evaluated = len(loaders.scores(run, NUMBER, LAYER, DETECTOR, "test")), len(known_of(run))
    said = words(open_page(COMPARE))
    oods = 2 * 40
    assert (
        f"use the samples that are kept: {kept} of {evaluated} ID and {oods} of {TIMES * oods} "
        "OOD samples."
    ) in said


def test_counts_of_a_run_that_keeps_every_sample(run):
    trained = run.sets["made/train"].samples
    assert computed_on(run) == f"computed on 48 test and {trained} training samples"


def test_a_run_that_states_no_counts_has_no_phrase(run, monkeypatch):
    monkeypatch.setattr(Run, "sets", {})
    assert computed_on(run) == ""


def test_a_packed_run_judges_new_images_by_the_thresholds_of_all_samples(digits_run, tmp_path):
    sizes = PackedSizes(train_samples=40, test_samples=30, ood_samples=20)
    packed_run = pack(digits_run, tmp_path / "packed" / "digits", weights=(6,), sizes=sizes).run
    table = packed_run.detection()
    table = table[(table["epoch"] == 6) & (table["layer"] == LAYER)].set_index("detector")
    reference = read_reference(packed_run.epoch(6), LAYER)
    assert {"knn", "nnguide"} <= set(reference.refitted)
    assert not {"energy", "msp", "vim", "mahalanobis"} & set(reference.refitted)
    for name in reference.names:
        found = reference.threshold(name, ID_95).value
        assert found == metrics.threshold_at_tpr(reference.known[name])
        if name not in reference.refitted:
            assert {found} == set(table.loc[[name], "threshold95"])
            assert len(reference.known[name]) == packed_run.sets["digits/test"].samples
        assert np.isfinite(reference.threshold(name, Criterion("OOD")).value)
    about = reference.about_threshold("energy", ID_95)
    assert about == promise(ID_95, packed_run.sets["digits/test"].samples)
    about = reference.about_threshold("knn", Criterion("OOD"))
    assert "chosen on all samples" in about
    assert "fitted to the 40 training samples kept in this run" in about
