"""The command lines as a user calls them: the whole way, each error in one line, each help text."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ncviz import detectors
from ncviz.store import open_run

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


def in_a_process(script, *words, cwd):
    """Call a script as a user does; returns what it printed."""
    command = [sys.executable, str(SCRIPTS / f"{script}.py"), *words]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def checkpoints(digits_run, monkeypatch):
    """The checkpoints folder, with the run `digits` in it."""
    monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(digits_run.path.parent))
    return digits_run.path.parent


@pytest.mark.slow
def test_from_images_to_results_in_another_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NCVIZ_CHECKPOINTS", "runs")
    recipe = ["digits", "--run", "x", "--epochs", "2", "--save", "1,2", "--width", "4"]
    printed = in_a_process("train", *recipe, cwd=tmp_path)
    assert "runs/x: epochs 1, 2; accuracy: train 0." in printed
    assert "Next: python scripts/extract.py x" in printed

    words = ["--ood", "noise", "letters", "--test-samples", "100"]
    printed = in_a_process("extract", "x", *words, cwd=tmp_path)
    assert "runs/x: epochs 1, 2; OOD sets: letters (near), noise (far)" in printed
    assert "Next: python scripts/evaluate.py x" in printed

    printed = in_a_process("evaluate", "x", cwd=tmp_path)
    assert printed.startswith("x, epoch 2 of 2, statistics of 1,012 training images")
    assert all(name in printed for name in (*detectors.names(), "letters", "noise", "nc1_pinv"))

    run = open_run(tmp_path / "runs" / "x")
    assert run.recipe["model"]["width"] == 4
    assert set(run.detection()["epoch"]) == {1, 2}
    assert len(run.epoch(2).features("test")) == 100


def test_json_goes_to_the_output_alone(call, checkpoints):
    code, out, _ = call("evaluate", "digits", "--json")
    (values,) = json.loads(out)
    assert code == 0
    assert values["run"] == "digits"
    assert len(values["detection"]) == 4 * 4 * (len(detectors.names()) + 1)


def test_the_epoch_asked_for_is_printed(call, checkpoints):
    _, out, _ = call("evaluate", "digits", "--epochs", 1, 2)
    assert out.startswith("digits, epoch 2 of 6")
    assert out.split("side by side")[1].splitlines()[2].split()[:3] == ["digits", "encoder", "2"]


def test_resuming_a_finished_training_says_what_there_is(call, checkpoints):
    words = ["digits", "--run", "digits", "--epochs", 6, "--save", "1,2,4,6"]
    code, out, err = call("train", *words, "--resume")
    assert code == 0
    assert "epochs 1, 2, 4, 6; accuracy: train 0.9" in out
    assert "100%" in err


def test_a_packed_run_is_ready_to_be_shared(call, checkpoints, tmp_path):
    code, out, _ = call("pack", "digits", "--to", tmp_path / "shared")
    assert code == 0
    assert "MB, weights of epochs 6" in out
    assert open_run(tmp_path / "shared" / "digits").epoch(6).has_weights


def test_a_report_lands_where_the_command_was_started(call, checkpoints, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = call("report", "digits", "--epoch", 2, "--detector", "msp")
    assert code == 0
    assert out.startswith("digits-report.html: ")
    assert "digits · epoch 2 · layer encoder" in out
    page = (tmp_path / "digits-report.html").read_text(encoding="utf-8")
    assert "python scripts/report.py digits --epoch 2 --layer encoder --detector msp" in page
    words = ["--out", tmp_path / "new" / "other.html", "--theme", "dark"]
    assert call("report", "digits", *words)[0] == 0
    assert 'data-theme="dark"' in (tmp_path / "new" / "other.html").read_text(encoding="utf-8")


# What a user may get wrong


ERRORS = {
    "unknown recipe": (
        ["train", "digts", "--run", "x"],
        "Unknown recipe 'digts'. Did you mean 'digits'? Known: ",
    ),
    "run exists": (["train", "digits", "--run", "digits"], "holds a run already"),
    "run name": (["train", "digits", "--run", "../x"], "cannot be the name of a run"),
    "backbone": (["train", "digits", "--run", "x", "--backbone", "lenet"], "Unknown backbone"),
    "device": (["train", "digits", "--run", "x", "--device", "tpu"], "Unknown device 'tpu'"),
    "no data": (["train", "papyan", "--run", "x", "--data-root", "none"], "Repeat with --download"),
    "data set": (["train", "digits", "--run", "x", "--data", "mnits"], "Did you mean 'mnist'"),
    "other recipe": (
        ["train", "digits", "--run", "digits", "--resume", "--seed", "1"],
        "was started with epochs = 6, and is resumed with 60",
    ),
    "run to extract": (["extract", "digit"], "Unknown run 'digit'. Did you mean 'digits'?"),
    "epoch": (["extract", "digits", "--epochs", "3"], "Known: 0001, 0002, 0004, 0006"),
    "OOD set": (["extract", "digits", "--ood", "nois"], "Did you mean 'noise'"),
    "ID set": (["extract", "digits", "--ood", "digits"], "cannot be an OOD set too"),
    "run to evaluate": (["evaluate", "digits", "digit"], "Unknown run 'digit'"),
    "no run": (["evaluate"], "Name at least one run to evaluate. There are: digits."),
    "detector": (["evaluate", "digits", "--detectors", "enrgy"], "Did you mean 'energy'"),
    "run to report": (["report", "digit"], "Unknown run 'digit'. Did you mean 'digits'?"),
    "epoch to report": (["report", "digits", "--epoch", "3"], "Known: 0001, 0002, 0004, 0006"),
    "layer to report": (["report", "digits", "--layer", "projector"], "Known: encoder."),
    "detector to report": (["report", "digits", "--detector", "enrgy"], "Did you mean 'energy'"),
    "run to pack": (["pack", "x", "--to", "y"], "Unknown run 'x'"),
}


@pytest.mark.parametrize(("words", "message"), ERRORS.values(), ids=ERRORS)
def test_an_error_is_one_line_and_loses_nothing(call, checkpoints, files_below, words, message):
    before = files_below(checkpoints)
    code, out, err = call(*words)
    assert code == 2
    assert out == ""
    (line,) = [line for line in err.splitlines() if "evaluate: " not in line]
    assert line.startswith("error: ")
    assert message in line
    assert files_below(checkpoints) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "digits", "--run", "x", "--epochs", "0"], "epochs is 0; it must be 1"),
        (["train", "digits", "--run", "x", "--save", "99"], "save asks for epoch 99"),
        (["train", "digits", "--run", "x", "--epochs", "a"], "Error parsing --epochs"),
        (["train", "digits"], "--run STR"),
        (["extract", "digits", "--ood-samples", "0"], "ood_samples is 0"),
        (["evaluate", "digits", "--jsn"], "--json"),
        (["report", "digits", "--theme", "blue"], "invalid choice 'blue'"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)
def test_a_wrong_option_is_explained(call, checkpoints, words, message):
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_verbose_shows_where_an_error_comes_from(call, checkpoints):
    code, _, err = call("evaluate", "digit", "--verbose")
    assert code == 2
    assert err.startswith("Traceback")
    assert err.splitlines()[-1].startswith("error: Unknown run 'digit'")


def test_a_warning_is_one_line(call, checkpoints, shapes, tmp_path):
    (shapes / "shapes" / "train" / "dot" / "3.png").write_bytes(b"no image")
    words = ["digits", "--run", "x", "--data", "shapes", "--data-root", shapes, "--width", 4]
    code, _, err = call("train", *words, "--epochs", 1, "--save", 1, "--skip-corrupt")
    assert code == 0
    (line,) = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert "skipped 1 corrupt of 30 images" in line


def test_an_interruption_says_how_to_go_on(call, checkpoints, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    code, _, err = call("train", "digits", "--run", "x")
    assert code == 130
    assert err == "interrupted: What was finished is kept. Go on with --resume.\n"
    shutil.rmtree(checkpoints / "digits" / "epochs" / "0001" / "results")
    code, _, err = call("evaluate", "digits")
    assert code == 130
    assert err.endswith("interrupted: What was finished is kept. The same call goes on.\n")


# Help


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "digits"], ["--run", "--resume", "--learning-rate", "--width", "--seed"]),
        (["extract"], ["--ood", "--epochs", "--train-samples", "--skip-corrupt"]),
        (["evaluate"], ["--detectors", "--jobs", "--json"]),
        (["pack"], ["--to", "--weights"]),
        (["score"], ["--epoch", "--detector", "--rule", "--csv"]),
        (["report"], ["--epoch", "--layer", "--detector", "--out", "--theme"]),
    ],
    ids=["train", "extract", "evaluate", "pack", "score", "report"],
)
def test_help_explains_every_option(call, words, expected):
    script, *rest = words
    code, out, _ = call(script, *rest, "--help")
    assert code == 0
    assert f"usage: python scripts/{script}.py" in out
    for option in (*expected, "--checkpoints", "--verbose"):
        assert option in out


def test_train_without_a_recipe_lists_them(call):
    code, out, err = call("train", "--help")
    assert (code, err) == (0, "")
    assert "digits, resnet18 of width 8, 60 epochs of sgd at 0.05, cosine" in out
    code, out, err = call("train")
    assert (code, out) == (2, "")
    assert "report-model2" in err
