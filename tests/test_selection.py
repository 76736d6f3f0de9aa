"""The chosen samples: as text in an address, as rows of a run, from page to page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import add_samples, make_run
from streamlit.testing.v1 import AppTest

from ncviz.store import write
from ncviz.ui.selection import Selection

ROOT = Path(__file__).resolve().parents[1]
_NAMES = st.text(min_size=1).filter(lambda name: not any(0xD800 <= ord(c) < 0xE000 for c in name))
_INDICES = st.sets(st.integers(0, 10**9 - 1), min_size=1).map(lambda found: tuple(sorted(found)))


@given(st.dictionaries(_NAMES, _INDICES, max_size=4))
def test_the_text_of_a_choice_gives_the_choice_back(samples):
    assert Selection.parse(str(Selection(samples))).samples == samples


def test_neighbours_are_written_as_a_range():
    chosen = Selection({"cifar100/test": (3, 17, 20, 21, 22), "odd: name;": (0,)})
    assert str(chosen) == "cifar100/test:3,17,20-22;odd%3A%20name%3B:0"
    assert len(chosen) == 6
    assert not Selection()


@given(st.text())
def test_any_address_is_read_without_an_error(text):
    assert Selection.parse(text).words == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        ":",
        "a:",
        "a:x",
        "a:-3",
        "a:1--2",
        "a:9-1",
        "a:²",
        "a:0-999999999",
        "a:" + "9" * 5000,
    ],
)
def test_what_means_nothing_is_left_out(text):
    assert Selection.parse(text).samples == {}


def test_rows_are_found_by_index_in_whichever_run_has_them(tmp_path):
    first, second = (make_run(tmp_path, name) for name in ("first", "second"))
    for run, shift in ((first, 0), (second, 10)):
        samples = add_samples(run)
        samples["index"] += shift
        write.save_samples(run, samples)
    chosen = Selection({"letters/test": (0, 12, 39), "nowhere/test": (1,)})
    assert chosen.rows(first, "letters/test").tolist() == [0, 12, 39]
    assert chosen.rows(second, "letters/test").tolist() == [2, 29]
    assert chosen.rows(second, "noise/test").tolist() == []
    assert chosen.rows(second, "nowhere/test").tolist() == []


def test_a_run_without_a_list_of_samples_counts_them(tmp_path):
    run = make_run(tmp_path, "plain")
    chosen = Selection({"letters/test": (5, 39, 40), "nowhere/test": (1,)})
    np.testing.assert_array_equal(chosen.rows(run, "letters/test"), [5, 39])
    assert len(chosen.rows(run, "nowhere/test")) == 0


def test_a_choice_stays_from_page_to_page_and_in_the_address(tmp_path, monkeypatch):
    make_run(tmp_path, "cats")
    monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(tmp_path))
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    text = "letters/test:1-3;noise/test:7"
    app.query_params["selected"] = text
    app.query_params["sample"] = "noise/test:7"
    app.run()
    app.switch_page("pages/2_OOD_scores.py").run()
    assert not app.exception
    assert str(app.session_state["selected"]) == text
    assert app.query_params["selected"] == text
    assert app.query_params["sample"] == "noise/test:7"
    app.session_state["selected"] = Selection({"letters/test": tuple(range(0, 400, 2))})
    app.run()
    assert "selected" not in app.query_params
    assert app.query_params["sample"] == "noise/test:7"
