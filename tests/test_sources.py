"""The source documents' numbers: printed in the documents, and beside the same number of a run."""

from __future__ import annotations

import re
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_runs import make_run
from streamlit.testing.v1 import AppTest

from ncviz import collapse, detectors, metrics
from ncviz.correlation import correlate
from ncviz.figures.theme import signed
from ncviz.results.comparisons import Place, compare
from ncviz.sources import DOCUMENTS, Collapse, Detection, Document, Ratio, Row, Scores
from ncviz.store import Run, open_run

ROOT = Path(__file__).resolve().parents[1]
CONTROLLED = ROOT / "checkpoints" / "cifar100-resnet18-controlled"
SEEDS = ROOT.parent / "shared" / "reference" / "seeds"
FILES = {
    "report": "report-ood-and-neural-collapse.txt",
    "slides": "slides-controlling-neural-collapse.txt",
}
ROWS = [
    pytest.param(row, id=f"{name}: {row.what}")
    for name, document in DOCUMENTS.items()
    for table in document.tables
    for row in table.rows
]


def seed(name: str) -> str:
    """The text of a document, its white space made single blanks."""
    # A checkout of its own lies beside the documents, a worktree one folder further down.
    for folder in (SEEDS, ROOT.parents[1] / SEEDS.relative_to(ROOT.parent)):
        if (folder / FILES[name]).exists():
            return " ".join((folder / FILES[name]).read_text(encoding="utf-8").split())
    pytest.skip("the source documents are not beside this checkout")


def texts(value: object) -> list[str]:
    """Every string in a record."""
    if isinstance(value, str):
        return [value]
    return [each for part in value for each in texts(part)] if isinstance(value, tuple) else []


def rows_of(document: Document) -> list[Row]:
    return [row for table in document.tables for row in table.rows]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_printed_value_and_sentence_is_in_the_document(name):
    text, document = seed(name), DOCUMENTS[name]
    for row in rows_of(document):
        assert re.search(rf"(?<![\d.]){re.escape(row.printed)}(?!\d)", text), row
    for said in (*document.claims, *document.trends):
        assert said.printed in text
    assert document.title in text
    assert document.address in text
    for author in document.authors.split(", "):
        assert author in text


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_decimal_in_the_notes_comes_from_elsewhere(name):
    text = seed(name)
    for words in texts(astuple(DOCUMENTS[name])):
        for decimal in re.findall(r"(?<![\d.])\d\.\d+(?![\d.])", words):
            # Sections and the arXiv number have a point too, and are in the text as well.
            assert decimal in text or words == DOCUMENTS[name].published, (decimal, words)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_words_in_quotation_marks_are_the_documents(name):
    text = seed(name)
    for words in texts(astuple(DOCUMENTS[name])):
        for quoted in re.findall("“([^”]+)”", words):
            assert quoted in text, quoted


def test_every_decimal_number_of_the_reports_results_is_there():
    """Sections 1.1 and 3, and table 2, hold no number that the tables leave out."""
    text = seed("report")
    parts = (
        text[text.index("1. Maximum Logit Score Calculation") : text.index("We can conclude")],
        text[text.index("NC level Metric in notebook") : text.index("TABLE 2")],
        text[text.index("FPR@95 0.7907") : text.index("As seen in Figure 14")],
    )
    numbers = {each for part in parts for each in re.findall(r"\d+\.\d+", part)}
    known = {
        each
        for row in rows_of(DOCUMENTS["report"])
        for each in re.findall(r"\d+\.\d+", row.printed)
    }
    assert numbers - known <= {"1.1", "3.2", "3.3"}


def test_what_a_slip_stands_for_follows_from_what_is_printed():
    rows = {row.what: row for row in rows_of(DOCUMENTS["report"])}
    meant = {what: row.meant for what, row in rows.items() if row.meant is not None}
    assert meant == {
        "Energy: AUROC": pytest.approx(0.7029),
        "Train accuracy of the nearest class mean": pytest.approx(0.99972),
    }
    # Turned round, energy ranks as the largest logit does, which it hardly differs from.
    assert meant["Energy: AUROC"] == pytest.approx(float(rows["MaxLogit: AUROC"].printed), abs=2e-3)
    # Who agrees with the network on so many samples is right at most that much less often.
    agreement = float(rows["NC4, network and nearest class mean agree"].printed)
    accuracy = float(rows["Train accuracy of the network"].printed)
    mean = rows["Train accuracy of the nearest class mean"]
    assert float(mean.printed) < accuracy - (1 - agreement) <= mean.meant
    # 100 classes whose cosines spread by 0.085 are this far from the ETF.
    spread = float(rows["NC2, spread of these cosines"].printed)
    far = np.sqrt(100 * 99) * spread / (100 / 99 * np.sqrt(99))
    assert far == pytest.approx(
        float(rows["NC2, distance of the Gram matrix from the ETF"].printed), abs=5e-3
    )
    slides = {row.what: row.printed for row in rows_of(DOCUMENTS["slides"])}
    ratio = float(slides["NC1 of the encoder"]) / float(slides["NC1 of the projector"])
    assert f"{ratio:.1f}x" == slides["how many times lower"]


def test_scores_of_the_report_are_those_of_the_detector_that_they_stand_under():
    """A probability lies in 0..1, a logit need not; energy is minus what the logits come to."""
    rows = {row.what: row.printed for row in rows_of(DOCUMENTS["report"])}

    def ends(what: str) -> tuple[float, float]:
        low, high = rows[what].split(" to ")
        return float(low), float(high)

    assert 0 <= min(ends("MSP: scores of ID")) < max(ends("MSP: scores of ID")) <= 1
    low, high = ends("MaxLogit: scores of ID")
    assert low > 1
    energy = ends("Energy: scores of ID")
    assert -energy[0] == pytest.approx(high, abs=0.1)
    assert low <= -energy[1] <= low + np.log(100)


@pytest.mark.parametrize("row", ROWS)
def test_what_stands_beside_a_number_is_known(row):
    match row.beside:
        case Collapse(metric, _) | Ratio(metric, _, _):
            assert metric in collapse.METRICS
        case Detection(name, metric):
            assert name in detectors.names()
            assert metric in metrics.DEFINITIONS
        case Scores(name, _):
            assert name in detectors.names()


@pytest.fixture
def open_sources(monkeypatch):
    def open_at(checkpoints: Path, document: str, **url: str) -> AppTest:
        monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(checkpoints))
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        app.switch_page("pages/7_Reference.py")
        for name, value in {"section": "Source documents", "document": document, **url}.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception, app.exception
        assert not app.error, [error.value for error in app.error]
        return app

    return open_at


def tables(app: AppTest) -> list[pd.DataFrame]:
    """The tables of numbers, without the one of settings."""
    found = [each.value for each in app.table if "Note" in each.value]
    return [each.rename(columns=lambda name: name.replace("\\", "")) for each in found]


def cell(app: AppTest, quantity: str, column: str) -> str:
    """A cell of the tables, as a reader sees it."""
    for table in tables(app):
        rows = table[table["Quantity"].str.replace("\\", "") == quantity]
        if len(rows):
            return str(rows[column].iloc[0]).replace("\\", "").replace("−", "-")
    raise AssertionError(f"no row {quantity}")


def words(app: AppTest) -> str:
    said = (each.value for kind in (app.markdown, app.caption, app.code) for each in kind)
    return "\n".join(map(str, said)).replace("\\", "")


def value(run: Run, metric: str, layer: str, epoch: int) -> float:
    table = run.collapse()
    rows = table[
        (table["metric"] == metric) & (table["layer"] == layer) & (table["epoch"] == epoch)
    ]
    return float(rows["value"].iloc[0])


def test_numbers_of_the_run_stand_beside_those_of_the_report(open_sources, tmp_path):
    run = make_run(tmp_path, "cats", layers=("encoder", "projector"))
    for url, layer, epoch, against in (
        ({}, "projector", 9, "letters"),
        ({"epoch": "4", "layer": "encoder", "against": "noise"}, "encoder", 4, "noise"),
    ):
        app = open_sources(tmp_path, "report", **url)
        detection = run.detection().query(
            f"layer == {layer!r} and epoch == {epoch} and set == {against!r}"
        )
        detection = detection.set_index("detector")
        own = detection.loc["energy", "auroc"]
        assert cell(app, "Energy: AUROC", "Printed") == "0.2971"
        assert cell(app, "Energy: AUROC", "Stands for") == "0.7029"
        assert cell(app, "Energy: AUROC", "cats") == f"{own:.4g}"
        assert cell(app, "Energy: AUROC", "Difference") == f"{own - 0.7029:+.3f}"
        assert cell(app, "FPR95", "cats") == f"{detection.loc['neco', 'fpr95']:.4g}"
        assert cell(app, "AUPR", "cats") == f"{detection.loc['neco', 'aupr_in']:.4g}"
        assert cell(app, "AUPR", "Difference") == ""
        spread = value(run, "nc1_trace", layer, epoch)
        assert cell(app, "NC1, tr Σ_W / tr Σ_B", "cats") == f"{spread:.4g}"
        assert cell(app, "NC1, tr Σ_W / tr Σ_B", "Difference") == f"{spread - 0.542:+.3f}"
        scores = run.epoch(epoch).scores("msp", against, layer)
        expected = f"{scores.min():.4g} to {scores.max():.4g}"
        assert cell(app, "MSP: scores of OOD", "cats") == expected
        assert f"cats · epoch {epoch} · layer {layer}" in words(app)
        assert "guessing reaches 0.545" in words(app)  # 48 of 88


def test_every_number_of_the_report_has_one_beside_it_in_a_run_on_the_same_sets(open_sources):
    run = open_run(CONTROLLED)
    app = open_sources(CONTROLLED.parent, "report", run=run.name)
    assert app.selectbox(key="against").value == "cifar10"
    for table in tables(app):
        assert not (table[table.columns[-3]].isin(["–", ""])).any(), table
    assert len(pd.concat(tables(app))) == len(rows_of(DOCUMENTS["report"]))


def test_claims_of_the_slides_are_held_against_the_layers_of_a_run(open_sources):
    run = open_run(CONTROLLED)
    app = open_sources(CONTROLLED.parent, "slides", run=run.name)
    nc1 = {layer: value(run, "nc1_pinv", layer, 60) for layer in ("encoder", "projector")}
    assert cell(app, "NC1 of the encoder", run.name) == f"{nc1['encoder']:.4g}"
    assert cell(app, "how many times lower", run.name) == (
        f"{nc1['encoder'] / nc1['projector']:.4g}"
    )
    claims, trends = (each.value for each in app.table if "Claim, as printed" in each.value)
    places = [Place(run, 60, layer) for layer in ("encoder", "projector")]
    found = compare(*places, ("fpr95", "auroc", "transfer"), detector="energy_probe")
    expected = ["not tested"]
    for measure, projector_is_smaller in (("transfer", False), ("fpr95", True), ("auroc", False)):
        low, high = found[measure].estimate.low, found[measure].estimate.high
        as_claimed, other = ("as claimed", "the other way round")[
            :: 1 if projector_is_smaller else -1
        ]
        said = as_claimed if low > 0 else other if high < 0 else "no clear difference"
        expected.append(said)
    assert list(claims["Here"]) == [*expected, "not tested"]
    interval = f"[{signed(found['fpr95'].estimate.low)}, {signed(found['fpr95'].estimate.high)}]"
    assert interval in claims["Encoder − projector"].iloc[2].replace("\\", "")
    transfer = (
        run.transfer().query("epoch == 60").groupby("layer", sort=False)["probe_error"].mean()
    )
    layers = list(transfer.index)
    nc1 = np.array([value(run, "nc1_pinv", layer, 60) for layer in layers])
    logged, plain = (
        correlate(nc1, transfer.to_numpy(), networks=["a"] * len(nc1), log_x=log)
        for log in (True, False)
    )
    row = trends.iloc[2]
    assert "transfer" in row["Measured by"]
    shown = [row[name].replace("\\", "") for name in ("r, log NC1", "r, NC1", "Spearman")]
    assert shown == [signed(each, 2) for each in (logged.r, plain.r, logged.spearman)]


def test_without_a_projector_the_slides_say_which_runs_have_one(open_sources, tmp_path):
    make_run(tmp_path, "alone")
    make_run(tmp_path, "both", layers=("encoder", "projector"))
    app = open_sources(tmp_path, "slides", run="alone")
    assert "alone has no projector" in words(app)
    assert "These runs have one: both." in words(app)
    assert cell(app, "NC1 of the projector", "alone") == "–"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_without_a_run_the_documents_stand_alone(open_sources, tmp_path, name):
    app = open_sources(tmp_path / "none", name)
    assert "python scripts/train.py digits --run digits" in words(app)
    for table in tables(app):
        assert set(table.columns) <= {"Quantity", "Printed", "Stands for", "Note"}
    printed = {row.printed for row in rows_of(DOCUMENTS[name])}
    shown = {each for table in tables(app) for each in table.get("Printed", ())}
    assert {each.replace("\\", "").replace("−", "-") for each in shown} | {""} == printed | {""}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_run_that_lacks_something_leaves_gaps(open_sources, tmp_path, name):
    make_run(tmp_path, "young", results=False)
    make_run(tmp_path, "alone", ood_sets={})
    make_run(tmp_path, "headless", layers=("encoder", "projector"), heads=("projector",))
    app = open_sources(tmp_path, name, run="young")
    assert "python scripts/evaluate.py young" in words(app)
    assert all(set(table["young"]) == {"–"} for table in tables(app))
    app = open_sources(tmp_path, name, run="alone")
    assert not any(box.key == "against" for box in app.selectbox)
    app = open_sources(tmp_path, "report", run="headless", layer="encoder")
    assert cell(app, "NC3, ‖W/‖W‖ − M/‖M‖‖", "headless") == "–"
    assert cell(app, "MSP: AUROC", "headless") == "–"
    assert cell(app, "NC1, tr Σ_W / tr Σ_B", "headless") != "–"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_hostile_names_are_written_letter_by_letter(open_sources, tmp_path, name):
    run = "![x](evil.example) <b>$y$**z**"
    make_run(tmp_path, run, ood_sets={"<u>": "near"}, layers=("encoder", "projector"))
    app = open_sources(tmp_path, name)
    shown = [str(each.value) for kind in (app.markdown, app.caption) for each in kind]
    shown += [
        str(each) for table in app.table for each in (*table.value, *table.value.to_numpy().flat)
    ]
    assert not any("![x]" in text or "<b>" in text.replace("\\<", "") for text in shown)
    assert not any("<u>" in text.replace("\\<", "") for text in shown)
