"""The report of a run: what it says in every state, its numbers, hostile names, its file."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from made_runs import add_maps, make_run
from report_reader import ReportReader, values
from streamlit.testing.v1 import AppTest
from test_app import STATES, open_app  # noqa: F401 - a fixture
from test_importing import arrays, imported  # noqa: F401 - fixtures

from ncviz import collapse, detectors, metrics, report, transfer
from ncviz.detectors import probe_energy
from ncviz.errors import MissingDataError, NcvizError, StorageError, UnknownNameError
from ncviz.report import definitions, formulas
from ncviz.report.page import anchor
from ncviz.results.maps import quality_in_words
from ncviz.store import list_runs, open_run
from ncviz.store.inventory import inventory

SECTIONS = (
    *("run", "numbers", "training", "collapse", "class-means", "collapse-definitions", "scores"),
    *("leaderboard", "detectors", "calibration", "trade-off", "maps", "definitions", "provenance"),
)
PLOTLY_BYTES = 4_900_000
FIGURES_BUDGET = 3_000_000
INFOS = [
    *(info for table in definitions.TABLES.values() for info in table.values()),
    *map(detectors.info, detectors.names()),
    probe_energy.INFO,
]


@pytest.fixture(scope="module")
def cats(tmp_path_factory):
    """A run that has everything; no test may change it."""
    folder = tmp_path_factory.mktemp("report")
    stages = {9: ("stage1", "stage2")}
    layers = ("encoder", "projector")
    heads = ("projector",)
    run = make_run(folder, "cats", layers=layers, heads=heads, superclasses="abab", stages=stages)
    add_maps(run)
    return open_run(run.path)


@pytest.fixture(scope="module")
def page(cats) -> ReportReader:
    return ReportReader(report.compose(report.choose(cats)))


def read(run, **choices) -> ReportReader:
    return ReportReader(report.compose(report.choose(run, **choices)))


def sound(reader: ReportReader) -> ReportReader:
    """Fails the test unless the page is whole: sections, headings, links, text alternatives."""
    assert tuple(reader.sections) == SECTIONS
    assert not reader.open
    assert reader.headings[0] == 1
    steps = np.diff(reader.headings)
    assert steps.max() == 1  # no level is left out
    names = reader.attributes("id")
    assert len(names) == len(set(names))
    assert {link.removeprefix("#") for link in reader.attributes("href")} <= set(names)
    plots = [each for each in reader.all("div") if each.get("class") == "plot"]
    assert {each["id"] for each in plots} == set(reader.figures)
    assert all(len(each["aria-label"]) > 20 for each in plots)
    assert all("template" not in figure["layout"] for figure in reader.figures.values())
    cells = [cell for rows in reader.tables.values() for row in rows for cell in row]
    assert not {"nan", "None", "NaN"} & set(cells)
    assert not reader.all("img")
    return reader


# In every state of a run


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_every_run_has_a_report(tmp_path, state):
    for run in list_runs(state(tmp_path)).runs.values():
        if run.epochs:
            sound(read(run))


@pytest.mark.parametrize("name", ["headed", "headless", "fresh"])
def test_an_imported_run_has_a_report_that_asks_for_no_network(imported, name):  # noqa: F811
    reader = sound(read(open_run(imported / name)))
    assert "extract.py" not in "".join(reader.sections.values())
    assert "trained elsewhere" in reader.sections["run"]
    assert "there is no history to draw" in reader.sections["training"]


def test_a_run_with_everything_misses_nothing(page, cats):
    sound(page)
    missing = [each for each in page.all("div") if each.get("class") == "missing"]
    # Transfer takes images, which made runs do not have; nor were temperatures kept of them.
    assert len(missing) == 1
    assert "python scripts/extract.py cats --transfer" in page.sections["trade-off"]
    for words in ("resnet18", "cat, dog, fox, hen", "letters (near), noise (far)", "1, 4, 9"):
        assert words in page.sections["run"]
    assert len(page.drawn("Cosines of class means")) == 4  # two layers, first and chosen epoch
    measured = set(cats.collapse()["metric"])
    assert len(page.drawn("")) > len(measured)
    for name in measured:
        assert page.drawn(f"{collapse.METRICS[name].label} over epochs")


def test_what_is_missing_is_told_with_the_command_that_makes_it(tmp_path):
    reader = read(make_run(tmp_path, "two words", results=False))
    for section in ("numbers", "collapse", "scores", "leaderboard", "detectors", "trade-off"):
        assert "python scripts/evaluate.py 'two words'" in reader.sections[section], section
    assert "python scripts/embed.py 'two words'" in reader.sections["maps"]
    assert len(reader.drawn("Cosines of class means")) == 2  # these come from the statistics
    assert "report.py 'two words' --epoch 9 --layer encoder" in reader.sections["provenance"]


def test_without_ood_sets_the_report_says_so(tmp_path):
    reader = read(make_run(tmp_path, "alone", ood_sets={}))
    assert "No OOD set was extracted" in reader.sections["numbers"]
    assert reader.drawn("NC1 to NC5 of the layer encoder")


def test_sets_of_one_kind_cannot_be_held_against_another(tmp_path):
    reader = read(make_run(tmp_path, "near", ood_sets={"letters": "near"}))
    assert "sets of one kind alone" in reader.sections["detectors"]


def test_damaged_results_are_told_and_leave_the_rest(tmp_path):
    run = make_run(tmp_path, "damaged", epochs=(1, 2))
    for path in run.path.glob("epochs/0002/results/*"):
        path.write_bytes(b"not what the name says")
    reader = sound(read(run))
    assert "cannot be read" in reader.sections["leaderboard"]
    assert reader.drawn("Loss and accuracy")
    assert reader.drawn("Cosines of class means")


def test_a_score_that_ranks_the_wrong_way_round_is_told(tmp_path):
    run = make_run(tmp_path, "inverted", ood_scale=40.0)
    assert "ranks the wrong way round on" in read(run, detector="energy").sections["scores"]


# Its numbers are those of the tables


def with_interval(row: pd.Series, metric: str) -> str:
    """Return how the report writes a metric; too few samples give FPR95 no interval."""
    low, high = row[f"{metric}_low"], row[f"{metric}_high"]
    assert np.isfinite([low, high]).all() or metric == "fpr95"
    ends = f" [{low:.3f}, {high:.3f}]" if np.isfinite(low) else ""
    return f"{row[metric]:.3f}{ends}"


def test_key_numbers_are_those_of_the_results(page, cats):
    (rows,) = (rows for name, rows in page.tables.items() if name.startswith("Epoch 9, layer"))
    numbers = {row[0]: row[1] for row in rows}
    means = cats.detection_means()
    means = means[(means["epoch"] == 9) & (means["layer"] == "projector")]
    energy = means[means["detector"] == "energy"].set_index("group")
    for kind in ("near", "far", "all"):
        row = energy.loc[kind]
        for metric in ("auroc", "fpr95"):
            label = metrics.DEFINITIONS[metric].label
            assert numbers[f"{label}, {kind}"] == with_interval(row, metric)
    table = cats.collapse()
    table = table[(table["epoch"] == 9) & (table["layer"] == "projector")]
    nc1 = table.loc[table["metric"] == "nc1_pinv", "value"].item()
    assert numbers["NC1 spread"] == f"{nc1:.3g}"
    overlap = table.loc[table["metric"] == "nc5_cosine", "value"].mean()
    assert numbers["NC5 overlap"] == f"{overlap:.3g}"
    assert numbers["Test accuracy"] == f"{100 * (0.9 - 0.5 / 9):.2f}%"
    best = means.loc[means["group"] == "all", "auroc"].max()
    assert numbers["Best AUROC"].startswith(f"{best:.3f}")


@pytest.mark.parametrize("metric", ["auroc", "fpr95"])
def test_the_leaderboard_holds_every_result(cats, metric):
    reader = read(cats, epoch=4, layer="encoder")
    label = metrics.DEFINITIONS[metric].label
    heading, *rows = reader.tables[f"{label} of each detector, with 95% intervals, best mean first"]
    found = cats.detection()
    found = found[(found["epoch"] == 4) & (found["layer"] == "encoder")]
    assert len(rows) == found["detector"].nunique()
    labels = {detectors.info(name).label: name for name in detectors.names()}
    labels[probe_energy.INFO.label] = probe_energy.INFO.name
    by_name = found.set_index(["detector", "set"])
    for row in rows:
        for name in ("letters", "noise"):
            result = by_name.loc[(labels[row[0]], name)]
            assert row[heading.index(name)] == with_interval(result, metric)


def test_curves_are_those_of_the_results(page, cats):
    table = cats.collapse()
    (figure,) = page.drawn("NC1 to NC5 of the layer encoder")
    expected = table[(table["layer"] == "encoder") & (table["metric"] == "nc1_pinv")]
    np.testing.assert_array_equal(values(figure["data"][0]["x"]), expected["epoch"])
    np.testing.assert_allclose(values(figure["data"][0]["y"]), expected["value"], rtol=1e-6)


def test_roc_passes_through_the_point_of_fpr95(page, cats):
    (figure,) = page.drawn("ROC of Energy")
    found = cats.detection()
    found = found[(found["epoch"] == 9) & (found["layer"] == "projector")]
    found = found[found["detector"] == "energy"].set_index("set")
    points = [trace for trace in figure["data"] if trace["mode"] == "markers"]
    assert len(points) == 2
    for trace, name in zip(points, ("letters", "noise"), strict=True):
        np.testing.assert_allclose(values(trace["x"])[0], found.loc[name, "fpr95"], atol=1e-6)


def test_maps_state_their_quality_at_both_epochs(cats):
    reader = read(cats, epoch=4)
    for number in (1, 4):
        found = cats.epoch(number).maps("encoder").quality["pca"]
        words = f"epoch {number}, {quality_in_words(found)}"
        assert words in reader.sections["maps"]


def test_maps_show_every_sample_at_the_first_epoch_and_the_chosen_one(cats):
    reader = read(cats, epoch=4)
    figures = [
        *reader.drawn("UMAP map"),
        *reader.drawn("PCA map"),
        *reader.drawn("Class means map"),
    ]
    assert len(figures) == 6
    made = cats.epoch(4).maps("encoder")
    traces = figures[0]["data"]
    assert sum(len(values(trace["x"])) for trace in traces) == 2 * len(made.rows)
    known = traces[-1]
    assert known["name"] == "made test (ID)"
    count = len(values(known["x"]))
    np.testing.assert_array_equal(values(known["x"]), made.points["umap"][:count, 0])
    labels = cats.samples["label"].to_numpy()[made.rows][:count]
    assert known["text"] == [cats.classes[label] for label in labels]
    assert len(set(known["marker"]["color"])) == len(cats.classes)


def test_layers_inside_the_backbone_are_in_the_table_of_layers(page, cats):
    ((caption, rows),) = (
        found for found in page.tables.items() if found[0].startswith("The layers of cats")
    )
    assert caption.endswith("Measured detection on letters, noise.")
    assert [row[0] for row in rows[1:]] == ["stage1", "stage2", "encoder", "projector"]
    table = cats.collapse()
    rows_here = table[(table["epoch"] == 9) & (table["metric"] == "nc1_pinv")]
    by_layer = dict(zip(rows_here["layer"], rows_here["value"], strict=True))
    assert [row[1] for row in rows[1:]] == [f"{by_layer[row[0]]:.3g}" for row in rows[1:]]
    # The energy of a probe is a score that all of them have.
    assert all(row[rows[0].index("FPR95 (ID positive)")] != "–" for row in rows[1:])


def test_a_layer_inside_the_backbone_can_be_chosen(cats):
    reader = sound(read(cats, layer="stage1"))
    (figure,) = reader.drawn("NC1 to NC5 of the layer stage1")
    assert figure["layout"]["title"]["subtitle"]["text"] == "cats · epoch 9 · layer stage1"
    assert "has no classifier of its own" in reader.sections["leaderboard"]


# Definitions


@pytest.mark.parametrize("info", INFOS, ids=anchor)
def test_every_formula_becomes_mathml(info):
    clauses = formulas.mathml(info.formula)
    assert clauses
    for clause in clauses:
        root = ElementTree.fromstring(clause)
        assert root.tag.endswith("math")
        written = "".join(root.itertext())
        assert written.strip()
        assert "\\" not in written
        assert not re.search(r"operatorname|frac|quad|left|right|text", written)
        assert not [each for each in root.iter() if each.tag.endswith("merror")]


def test_every_definition_is_there_and_links_lead_to_it(page):
    places = set(page.attributes("id"))
    assert {anchor(info) for info in INFOS} <= places
    for info in INFOS:
        assert info.caveat in page.sections["definitions"]
        assert info.source in page.sections["definitions"]
    links = page.attributes("href")
    assert f"#{anchor(transfer.DEFINITIONS['probe_error'])}" in links
    assert f"#{anchor(detectors.info('energy'))}" in links


# Where the numbers come from


def test_provenance_lists_the_files_with_their_fingerprints(page, cats):
    (rows,) = (rows for name, rows in page.tables.items() if name.startswith("Files of cats"))
    files = inventory(cats.epoch(9))
    assert [row[0] for row in rows[1:]] == [each.path for each in files]
    assert [row[2] for row in rows[1:]] == [each.fingerprint for each in files]
    scripts = {each.path: each.script for each in files}
    assert scripts["run.json"] == scripts["epochs/0009/head.safetensors"] == "train.py"
    assert scripts["epochs/0009/features/made/test.safetensors"] == "extract.py"
    assert scripts["epochs/0009/results/detection.parquet"] == "evaluate.py"
    assert scripts["epochs/0009/results/maps.safetensors"] == "embed.py"
    assert not [each for each in scripts if "0001" in each or "0004" in each]


def test_a_fingerprint_changes_with_the_content_alone(tmp_path):
    run = make_run(tmp_path, "cats", epochs=(1,))
    before = inventory(run.epoch(1))
    copied = open_run(shutil.copytree(run.path, tmp_path / "elsewhere" / "cats"))
    assert inventory(copied.epoch(1)) == before
    path = copied.path / "history.csv"
    path.write_text(path.read_text() + "\n")
    changed = {each.path for each in set(inventory(copied.epoch(1))) - set(before)}
    assert changed == {"history.csv"}


def test_the_same_files_give_the_same_bytes(cats, tmp_path):
    copied = open_run(shutil.copytree(cats.path, tmp_path / "cats"))
    assert report.compose(report.choose(copied)) == report.compose(report.choose(cats))


# What names in a run may not do

HOSTILE = "</script><script>alert(1)</script><!--"
MARKUP = "<img src=x onerror=alert(1)>\"'&amp;"


def test_names_come_out_letter_by_letter(tmp_path):
    name = "<img src=x onerror=alert(1)>"
    run = make_run(
        tmp_path, name, classes=(HOSTILE, MARKUP, "eel"), ood_sets={"<b>bold": "near", "$x": "far"}
    )
    run.description["recipe"]["model"]["note"] = HOSTILE
    run.description["versions"] = {MARKUP: HOSTILE}
    add_maps(run)
    text = report.compose(report.choose(run))
    reader = sound(ReportReader(text))
    scripts = reader.all("script")
    assert len(scripts) == len(reader.figures) + 3  # templates, plotly.js, the report's own
    assert not reader.all("b")
    for words in (HOSTILE, MARKUP, name, "<b>bold"):
        assert words in reader.sections["run"]
    assert f"report.py '{name}'" in reader.sections["provenance"]
    for figure in reader.figures.values():
        for trace in figure["data"]:
            trace.pop("legendgroup", None)  # joins traces, and is not written anywhere
        assert "<img" not in str(figure)  # plotly reads a subset of HTML


def test_nothing_but_its_own_scripts_may_run_and_nothing_be_fetched(cats):
    text = report.compose(report.choose(cats))
    (policy,) = (
        each["content"]
        for each in ReportReader(text).all("meta")
        if each.get("http-equiv") == "Content-Security-Policy"
    )
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 2
    digests = [base64.b64encode(hashlib.sha256(each.encode()).digest()) for each in scripts]
    allowed = " ".join(f"'sha256-{digest.decode()}'" for digest in digests)
    assert f"default-src 'none'; script-src {allowed};" in policy
    assert "unsafe-eval" not in policy
    assert not re.search(r'(?:src|href)="(?!#)', text.split("<script>")[0])


# Choices and the file


def test_the_choices_are_the_last_epoch_the_head_and_energy(cats):
    study = report.choose(cats)
    assert (study.number, study.layer, study.detector) == (9, "projector", "energy")
    study = report.choose(cats, epoch=4, layer="encoder")
    assert (study.number, study.layer, study.detector) == (4, "encoder", "energy_probe")


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"epoch": 5}, "Known: 0001, 0004, 0009"),
        ({"layer": "encodr"}, "Did you mean 'encoder'?"),
        ({"detector": "enrgy"}, "Did you mean 'energy'?"),
    ],
)
def test_an_unknown_choice_lists_what_there_is(cats, choices, message):
    with pytest.raises(UnknownNameError, match=re.escape(message)):
        report.choose(cats, **choices)


def test_a_run_without_an_epoch_has_no_report_yet(tmp_path):
    run = make_run(tmp_path, "young", features=False)
    for head in run.path.glob("epochs/*/head*"):
        head.unlink()
    with pytest.raises(MissingDataError, match="no saved epoch yet"):
        report.choose(open_run(run.path))


def test_the_theme_is_the_readers_unless_one_is_asked_for(cats):
    study = report.choose(cats)
    assert '<html lang="en" data-theme="system">' in report.compose(study)
    assert '<html lang="en" data-theme="dark">' in report.compose(study, theme="dark")


def test_a_report_replaces_the_one_before_it_as_a_whole(cats, tmp_path, files_below):
    path = tmp_path / "out" / "cats.html"
    study = report.choose(cats)
    report.save(study, path)
    assert path.read_text(encoding="utf-8") == report.compose(study)
    path.write_text("older")
    report.save(study, path)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(files_below(tmp_path)) == ["out/cats.html"]


def test_a_full_disk_keeps_the_older_report(cats, disk):
    small = disk(200)
    path = small.folder / "cats.html"
    path.write_text("older")
    with pytest.raises(StorageError, match="Cannot write"):
        report.save(report.choose(cats), path)
    assert path.read_text() == "older"


def test_a_folder_is_no_place_for_a_report(cats, tmp_path):
    with pytest.raises(NcvizError, match="Cannot write"):
        report.save(report.choose(cats), tmp_path)


def test_figures_of_a_hundred_classes_stay_within_their_budget(tmp_path):
    names = [f"a class with a long name {number}" for number in range(100)]
    run = make_run(tmp_path, "large", classes=names, layers=("encoder", "projector"), epochs=(1, 9))
    add_maps(run)
    assert len(report.compose(report.choose(run)).encode()) < PLOTLY_BYTES + FIGURES_BUDGET


# The page


def test_the_overview_offers_the_report(open_app, cats):  # noqa: F811
    app: AppTest = open_app(Path(cats.path).parent)
    assert not app.exception
    (button,) = app.get("download_button")
    assert "Report of this run (HTML)" in str(button.proto)
