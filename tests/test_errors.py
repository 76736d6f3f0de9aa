"""docs/errors.md is whole and true: classes, examples, and the exit codes of every script."""

from __future__ import annotations

import ast
import doctest
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ncviz
from ncviz import errors

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(path.stem for path in (ROOT / "scripts").glob("*.py"))
DOCUMENT = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"^```console\n\$ (.*)\n(.*\n)\$ echo \$\?\n(\d+)\n```$", re.MULTILINE)
RUN = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from ncviz.cli import run_script
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with a run, a damaged one, an export with NaN, and a file that is no image."""
    shutil.copytree(ROOT / "checkpoints" / "digits", tmp_path / "checkpoints" / "digits")
    whole = (tmp_path / "checkpoints" / "digits" / "run.json").read_bytes()
    (tmp_path / "checkpoints" / "broken").mkdir()
    (tmp_path / "checkpoints" / "broken" / "run.json").write_bytes(whole[:200])
    (tmp_path / "notes.png").write_text("no image")
    (tmp_path / "exported").mkdir()
    features = np.zeros((4, 3))
    for name in ("test", "train"):
        np.savez(tmp_path / "exported" / name, features=features, labels=[0, 1, 0, 1])
        features[0, :2] = np.nan
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NCVIZ_CHECKPOINTS", raising=False)
    monkeypatch.delenv("NCVIZ_DATA", raising=False)
    return tmp_path


def error_classes() -> set[str]:
    """The names of all classes of ncviz that descend from NcvizError."""
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for path in (ROOT / "ncviz").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }
    found = {"NcvizError"}
    while more := {name for name, its in bases.items() if its & found} - found:
        found |= more
    return found


def test_the_document_has_every_class():
    documented = re.findall(r"^### `(\w+)`$", DOCUMENT, re.MULTILINE)
    assert set(documented) == error_classes()
    assert len(documented) == len(set(documented))
    assert {name for name in vars(errors) if name.endswith("Error")} <= set(documented)


def test_the_document_names_the_built_in_class_of_each():
    for name, text in re.findall(r"^### `(\w+)`\n\n(.*?)(?=\n```|\n###|\Z)", DOCUMENT, re.M | re.S):
        error = getattr(errors, name, None)
        if error not in (None, errors.NcvizError):
            (builtin,) = re.findall(r"Also an? `(\w+)`", text.replace("\n", " "))
            assert builtin in {base.__name__ for base in error.__mro__}


def test_examples_are_what_the_scripts_say(call, folder, files_below):
    examples = EXAMPLE.findall(DOCUMENT)
    assert len(examples) == DOCUMENT.count("```console")
    before = files_below(folder)
    for command, message, expected in examples:
        python, script, *words = shlex.split(command)
        assert python == "python"
        code, out, err = call(Path(script).stem, *words)
        assert (code, out) == (int(expected), ""), command
        assert re.split(r"[\r\n]", err)[-2:] == [message.rstrip("\n"), ""], command
    assert files_below(folder) == before


def test_the_python_example_is_what_python_says(monkeypatch):
    monkeypatch.chdir(ROOT)
    examples = re.findall(r"^```pycon\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner()
    for text in examples:
        runner.run(parser.get_doctest(text, {}, "errors.md", "docs/errors.md", 0))
    assert runner.summarize(verbose=False) == (0, 3 * len(examples))


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_ends_with_the_codes_of_the_document(call, folder, script, monkeypatch):
    assert call(script, "--help")[0] == 0
    words = ["digits"] if script == "train" else []
    code, out, err = call(script, *words, "--no-such-option")
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    # How each ends on errors, faults and interruptions is run_script's, once for all.
    tree = ast.parse((ROOT / "scripts" / f"{script}.py").read_text(encoding="utf-8"))
    (guard,) = [node for node in tree.body if isinstance(node, ast.If)]
    assert ast.unparse(guard).startswith("if __name__ == '__main__':\n    run_script(main")
    own = {
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("sys.exit", "exit")
    }
    allowed = {
        "score": {"sys.exit(1 if unread else 0)"},
        "train": {"sys.exit(0 if asked else 2)"},
    }
    assert own <= allowed.get(script, set())


def a_script(body: str, *words: str, **options) -> subprocess.Popen:
    """A script of our own that ends as ncviz's do."""
    command = [sys.executable, "-c", f"{RUN}\n{body}\nrun_script(main)", *words]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def test_output_that_nobody_reads_ends_a_script_quietly():
    body = "def main():\n    while True:\n        print('line')"
    script = a_script(body)
    script.stdout.readline()
    script.stdout.close()
    assert script.stderr.read() == ""
    assert script.wait(timeout=60) == 141


def test_an_interruption_has_its_code():
    body = "import time\ndef main():\n    print('up', flush=True)\n    time.sleep(60)"
    # Ctrl-C counts in a script whether or not it does where the tests run, such as under nohup.
    script = a_script(body, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    script.stdout.readline()
    script.send_signal(signal.SIGINT)
    _, err = script.communicate(timeout=60)
    assert script.returncode == 130
    assert err == "interrupted: What was finished is kept. The same call goes on.\n"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        ("ZeroDivisionError('nobody foresaw')", 70, "fault: ZeroDivisionError: nobody foresaw."),
        ("MemoryError('Unable to allocate 8 TiB')", 2, "error: Out of memory. Unable to allocate"),
        ("ncviz.errors.MissingDataError('Gone. Make it.')", 2, "error: Gone. Make it."),
    ],
)
def test_a_fault_is_told_from_an_error(monkeypatch, capsys, error, code, said):
    from ncviz.cli import run_script

    def main():
        raise eval(error, {"ncviz": ncviz})

    for verbose in (False, True):
        monkeypatch.setattr(sys, "argv", ["script", *["--verbose"] * verbose])
        with pytest.raises(SystemExit) as end:
            run_script(main)
        assert end.value.code == code
        err = capsys.readouterr().err
        assert err.splitlines()[-1].startswith(said)
        assert err.startswith("Traceback") == (verbose or code == 70)
