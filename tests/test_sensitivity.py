"""Dependence on parameters as a figure and a tab, and what detectors were fitted on in words."""

from __future__ import annotations

import json
from pathlib import Path

import made_runs
import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from ncviz import detectors
from ncviz.errors import CorruptFileError, MissingDataError
from ncviz.evaluation import as_text
from ncviz.figures.sensitivity import Dependence, sensitivity
from ncviz.figures.theme import Shown
from ncviz.inference.reference import read_reference
from ncviz.results.fitted import dependences, left_out_sentences
from ncviz.store import detectors_left_out, files, fitted_on, layout

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made_runs.make_run(tmp_path_factory.mktemp("checkpoints"), "cats", epochs=(1, 4))


def rewrite(epoch, change) -> None:
    """Store the table of fitted detectors again, changed."""
    path = epoch.path / layout.TABLES["fitted"]
    sources = files.sources_of(path)
    files.write_table(path, change(epoch.fitted()), sources=sources)


def test_fits_are_described_by_samples_and_parameters(run):
    found = fitted_on(run.epoch(4), "encoder")
    assert found["knn"] == "n = 48, k = 48"
    assert found["nnguide"] == "n = 48, k = 10, share = 0.01"
    assert found["msp"] == "no samples"
    assert found["ash_s"] == "no samples, percentile = 90"
    assert found["neco"].endswith("dim = 3")
    assert detectors_left_out(run.epoch(4), "encoder") == {}


def test_dependences_are_ordered_by_the_range_of_ranks(run):
    table = run.epoch(4).sensitivity()
    names = ["knn", "neco", "react", "msp"]
    found = dependences(table[table["layer"] == "encoder"], names, "")
    ranges = [np.ptp(one.ranks) for one in found]
    assert ranges == sorted(ranges, reverse=True)
    assert {one.detector for one in found} <= {"KNN", "NECO", "ReAct"}
    for one in found:
        rows = table[(table["detector"] == one.detector.lower()) & (table["group"] == "all")]
        np.testing.assert_array_equal(one.values, rows["value"])
        np.testing.assert_array_equal(one.aurocs, rows["auroc"])
        assert rows["is_default"].tolist().index(True) == one.default
    on_noise = dependences(table, ["knn"], "noise")[0]
    rows = table[(table["detector"] == "knn") & (table["set"] == "noise")]
    np.testing.assert_array_equal(on_noise.ranks, rows["rank"])


def test_the_figure_spans_the_range_and_marks_the_default():
    one = Dependence(
        *("KNN", "k"), np.array([1.0, 50, 200]), np.array([0.9, 0.8, 0.4]), np.zeros(3),
        np.array([3.0, 9, 30]), default=1,
    )  # fmt: skip
    figure = sensitivity([one], where="mean", shown=Shown("cats", 4, "encoder"))
    by_axis = {axis: [each for each in figure.data if each.xaxis == axis] for axis in ("x", "x2")}
    for axis, ends, default in (("x", (3, 30), 9), ("x2", (0.4, 0.9), 0.8)):
        line, others, used = by_axis[axis]
        assert (np.nanmin(line.x), np.nanmax(line.x)) == pytest.approx(ends)
        assert list(used.x) == pytest.approx([default])
        assert len(others.x) == 2
        assert used.text == ("KNN, k = 50",)


def test_the_leaderboard_shows_the_tab_and_what_was_left_out(run, monkeypatch, tmp_path):
    monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(run.path.parent))
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for name, value in {"run": "cats", "epoch": "4", "tab": "Sensitivity to parameters"}.items():
        app.query_params[name] = value
    app.switch_page("pages/5_Leaderboard.py")
    app.run()
    assert not app.exception
    tables = [each.value for each in app.dataframe]
    board = next(table for table in tables if "Fitted on" in table)
    assert board.set_index("Detector").loc["KNN", "Fitted on"] == "n = 48, k = 48"
    varied = next(table for table in tables if "Rank" in table)
    assert set(varied["Detector"]) >= {"KNN", "NECO", "ViM"}
    table = run.epoch(4).sensitivity()
    means = table[(table["group"] == "all") & (table["detector"] == "knn")]
    shown = varied[varied["Detector"] == "KNN"]
    np.testing.assert_allclose(shown["AUROC"], means["auroc"])


def test_a_detector_left_out_is_explained_in_text_and_refused_by_name(tmp_path):
    run = made_runs.make_run(tmp_path, "cats", epochs=(1,))
    epoch = run.epoch(1)
    reason = "Its scores differ by no more than float32 rounding."

    def leave_out(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[table["detector"] == "ash_b", "left_out"] = reason
        return table

    rewrite(epoch, leave_out)
    assert detectors_left_out(epoch, "encoder") == {"ash_b": reason}
    assert "ash_b" not in fitted_on(epoch, "encoder")
    assert left_out_sentences({"ash_b": reason}) == [f"ASH-B is left out. {reason}"]
    text = as_text(run, 1)
    assert any(
        line.split() == ["ash_b", "left", "out.", *reason.split()] for line in text.split("\n")
    )
    assert any(line.split()[:3] == ["knn", "n", "="] for line in text.split("\n") if line.strip())
    with pytest.raises(MissingDataError, match=r"'ash_b' is left out at the encoder .* rounding"):
        read_reference(epoch, "encoder", names=["ash_b"])


@pytest.mark.parametrize("bad", ["[1]", "{", '{"k": "many"}', "null"])
def test_damaged_parameters_are_one_clear_error(tmp_path, bad):
    run = made_runs.make_run(tmp_path, "cats", epochs=(1,))

    def damage(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[table["detector"] == "knn", "parameters"] = bad
        return table

    rewrite(run.epoch(1), damage)
    with pytest.raises(CorruptFileError, match="table of fitted detectors of epoch 1 of cats"):
        fitted_on(run.epoch(1), "encoder")


def test_every_parameter_of_sensitivity_exists():
    for name in detectors.names():
        detector = detectors.create(name)
        assert detector.sensitivity.keys() <= detector.parameters().keys(), name
        assert detector.resolved.keys() <= detector.parameters().keys(), name
        json.dumps({key: list(values) for key, values in detector.sensitivity.items()})
