"""scripts/score.py: lines and CSV on stdout, progress and problems on stderr, and the exit code."""

from __future__ import annotations

import csv
import io
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from ncviz import data
from ncviz.errors import InvalidOptionError, MissingDataError, UnknownNameError
from ncviz.evaluation.verdicts import print_verdicts
from ncviz.metrics import threshold_at_tpr
from ncviz.store import open_run
from ncviz.thresholds import Costs, Criterion, promise

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "score.py"
LINE = re.compile(
    r"^(?P<file>\S+) +(?P<word>known|unknown) +p = (?P<p>[01]\.\d{3})  "
    r"unknown by (?P<count>\d+ of \d+)  (?P<label>\S+) \((?P<share>\d+%)\)$"
)


@pytest.fixture(scope="module")
def run(digits_checkpoints):
    return open_run(digits_checkpoints / "digits")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, run) -> Path:
    """Ten images of known digits, photographs, and two files that are none."""
    folder = tmp_path_factory.mktemp("images")
    samples = run.samples
    keys = samples.loc[samples["set"] == "digits/test", "key"][:10]
    for at, key in enumerate(keys):
        data.open_image("digits", "test", key).save(folder / f"{at + 1}.png")
    Image.fromarray(load_sample_image("china.jpg")).save(folder / "china.jpg")
    (folder / "notes.png").write_text("no image")
    (folder / "empty.jpg").touch()
    return folder


def call(*words, checkpoints: Path) -> subprocess.CompletedProcess:
    """Call the script as a user does."""
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    environment = {**os.environ, "NCVIZ_CHECKPOINTS": str(checkpoints)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert "Traceback" not in done.stderr
    return done


def test_a_line_for_each_image_in_natural_order(run, folder, capsys):
    unread = print_verdicts(run, [folder])
    out, err = capsys.readouterr()
    found = [LINE.match(line) for line in out.splitlines()]
    assert all(found), out
    names = [Path(each["file"]).name for each in found]
    assert names == [*(f"{at}.png" for at in range(1, 11)), "china.jpg"]
    assert unread == 2
    problems = [line for line in re.split(r"[\r\n]", err) if line.startswith("error: ")]
    assert len(problems) == 2
    assert "empty.jpg is empty" in problems[0]
    assert "notes.png holds no image" in problems[1]
    # The same files were scored when the run was evaluated.
    known = run.epoch(6).scores("energy", "test")
    for at, each in enumerate(found[:10]):
        p_value = (1 + np.count_nonzero(known <= known[at])) / (1 + len(known))
        assert float(each["p"]) == pytest.approx(p_value, abs=2.5 / len(known))


def test_csv_has_every_detector_and_every_file(run, folder, capsys):
    print_verdicts(run, [folder], names=("vim", "energy"), csv=True)
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 13
    good = [row for row in rows if not row["error"]]
    assert len(good) == 11
    for row in good:
        # The first detector named gives the verdict.
        assert row["verdict"] == row["vim_verdict"]
        assert row["p_value"] == row["vim_p_value"]
        words = [row["vim_verdict"], row["energy_verdict"]]
        assert int(row["unknown_by"]) == words.count("unknown")
        assert row["detectors"] == "2"
        assert row["class1"] in run.classes
        assert float(row["probability1"]) >= float(row["probability2"])
        float(row["energy_score"])
    assert "msp_score" not in rows[0]
    bad = {Path(row["file"]).name: row for row in rows if row["error"]}
    assert set(bad) == {"notes.png", "empty.jpg"}
    assert bad["empty.jpg"]["verdict"] == bad["empty.jpg"]["class1"] == ""


def test_an_earlier_epoch_says_something_else(run, folder, capsys):
    printed = []
    for epoch in (None, 6, 1):
        print_verdicts(run, [folder / "china.jpg"], epoch=epoch, csv=True)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != printed[2]


def test_costs_move_the_operating_point(run, folder, capsys):
    words = {}
    for ratio in (1e-6, 1e6):
        criterion = Criterion("cost", costs=Costs(ratio=ratio))
        print_verdicts(run, [folder], names=("energy",), criterion=criterion, csv=True)
        rows = csv.DictReader(io.StringIO(capsys.readouterr().out))
        words[ratio] = [row["verdict"] for row in rows if not row["error"]]
    assert words[1e-6].count("known") > words[1e6].count("known")
    assert "unknown" in words[1e6]


@pytest.mark.parametrize("rule", ["ID", "OOD"])
def test_the_threshold_is_stated_with_its_samples(run, folder, capsys, rule):
    print_verdicts(run, [folder / "1.png"], names=("vim",), criterion=Criterion(rule, 0.9))
    (line,) = (each for each in capsys.readouterr().err.splitlines() if "threshold of" in each)
    known = run.epoch(6).distribution("vim", "test")
    if rule == "ID":
        value = threshold_at_tpr(known, 0.9)
        assert line == f"threshold of vim {value:.4g}: {promise(Criterion('ID', 0.9), len(known))}"
    else:
        assert "90% of OOD rejected, chosen on one half of the samples" in line


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"paths": []}, InvalidOptionError, "at least one image"),
        ({"epoch": 5}, UnknownNameError, "Known: 0001, 0002, 0004, 0006"),
        ({"names": ("nonsense",)}, UnknownNameError, "nonsense"),
        ({"layer": "nonsense"}, UnknownNameError, "nonsense"),
    ],
)
def test_a_wrong_option_is_an_error_before_any_image(run, folder, capsys, options, error, message):
    given = {"paths": [folder / "china.jpg"]} | options
    with pytest.raises(error, match=message):
        print_verdicts(run, given.pop("paths"), **given)
    assert capsys.readouterr().out == ""


def test_an_epoch_without_weights_names_those_with(digits_run, folder):
    (model,) = digits_run.path.glob("epochs/0006/model*")
    model.unlink()
    with pytest.raises(MissingDataError, match=r"With weights: 1, 2, 4\."):
        print_verdicts(digits_run, [folder], epoch=6)
    for path in digits_run.path.glob("epochs/*/model*"):
        path.unlink()
    with pytest.raises(MissingDataError, match="No epoch of digits has weights"):
        print_verdicts(digits_run, [folder])


@pytest.mark.slow
def test_exit_codes(digits_checkpoints, folder, tmp_path):
    good = call("digits", folder / "1.png", folder / "china.jpg", checkpoints=digits_checkpoints)
    assert good.returncode == 0
    assert len(good.stdout.splitlines()) == 2
    bad = call("digits", folder, tmp_path / "gone.png", "--csv", checkpoints=digits_checkpoints)
    assert bad.returncode == 1
    assert "gone.png is not there" in bad.stderr
    assert len(list(csv.reader(io.StringIO(bad.stdout)))) == 15


@pytest.mark.parametrize("words", [["nothing", "here"], ["digits"], ["digits", ".", "--rule", "x"]])
def test_a_call_that_is_wrong_is_one_line(digits_checkpoints, words, monkeypatch, capsys):
    monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(digits_checkpoints))
    monkeypatch.setattr(sys, "argv", ["score.py", *words])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert len(said.err.splitlines()) == 1
    assert said.out == ""


@pytest.mark.slow
def test_a_reader_who_has_seen_enough(digits_checkpoints, folder):
    """As in `score.py ... | head -1`."""
    command = [sys.executable, str(SCRIPT), "digits", *[str(folder)] * 40, "--csv"]
    environment = {**os.environ, "NCVIZ_CHECKPOINTS": str(digits_checkpoints)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout.readline().startswith("file,error,verdict")
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
        assert process.wait() == 141
