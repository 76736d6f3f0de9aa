"""The page about the shipped runs: what it says follows from their results alone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from made_runs import make_run
from test_trade_off import add_transfer

from ncviz.claims import Verdict
from ncviz.store import open_runs

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "shipped-runs.md"
DIFFERENCE = re.compile(r"difference ([+-][\d.]+) \[([+-][\d.]+), ([+-][\d.]+)\]")


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import shipped_runs

    return shipped_runs.page


def test_text_and_results_agree():
    command = [sys.executable, str(ROOT / "docs" / "shipped_runs.py")]
    made = subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8")
    assert made.stdout == PAGE.read_text(encoding="utf-8"), (
        "The results of the shipped runs changed. Run: "
        "python docs/shipped_runs.py > docs/shipped-runs.md"
    )


def made(folder: Path, *, ood_scale: float = 1.0) -> list[str]:
    make_run(folder, "plain", epochs=(1, 9), ood_scale=ood_scale)
    controlled = make_run(
        folder, "controlled", epochs=(1, 9), layers=("encoder", "projector"), ood_scale=ood_scale
    )
    add_transfer(controlled)
    return ["plain", "controlled"]


def test_each_verdict_follows_from_its_interval(page, tmp_path):
    made(tmp_path)
    lines = list(page(open_runs(tmp_path)))
    section, seen = "", set()
    for line in "\n".join(lines).splitlines():
        if line.startswith("#"):
            section = line.strip("# ").lower()
        if not line.startswith("- ") or section not in {each.value for each in Verdict}:
            continue
        found = DIFFERENCE.search(line)
        excludes_zero = found is not None and float(found[2]) * float(found[3]) > 0
        assert excludes_zero == (section in ("as claimed", "the other way round")), line
        assert (found is None) == (section == "not tested"), line
        seen.add(section)
    assert len(seen) > 1


def test_what_was_not_reproduced_comes_first(page, tmp_path):
    made(tmp_path)
    text = "\n".join(page(open_runs(tmp_path)))
    order = [verdict.value for verdict in (Verdict.UNDECIDED, Verdict.UNTESTED)]
    places = [text.lower().index(f"### {each}") for each in order if f"### {each}" in text.lower()]
    assert places == sorted(places)
    assert f"### {Verdict.UNTESTED.value}".lower() in text.lower()
    if "### as claimed" in text.lower():
        assert text.lower().index("### as claimed") > max(places)


def test_other_results_give_another_page(page, tmp_path):
    first, second = (tmp_path / name for name in ("first", "second"))
    made(first)
    made(second, ood_scale=4.0)
    pages = ["\n".join(page(open_runs(folder))) for folder in (first, second)]
    assert pages[0] != pages[1]


def test_samples_behind_the_numbers_are_stated(page, tmp_path):
    made(tmp_path)
    text = "\n".join(page(open_runs(tmp_path)))
    assert "computed on 48 ID test samples and 40 of letters (near), 40 of noise (far)" in text
    assert "Transfer errors are computed on 20 of letters, 20 of birds" in text
    assert "One training each" in text or "Trainings of one recipe" in text


@pytest.mark.parametrize("options", [{"ood_sets": {}}, {"epochs": (3,)}, {"results": False}])
def test_runs_that_lack_something_have_a_page(page, tmp_path, options):
    make_run(tmp_path, "small", **options)
    assert "# The shipped runs\n" in list(page(open_runs(tmp_path)))
