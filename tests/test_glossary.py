"""The words of the pages: each is explained, shown where it is used, and found on the Reference."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from app_elements import messages
from made_runs import make_run
from streamlit.testing.v1 import AppTest

from ncviz.glossary import TERMS
from ncviz.ui.navigation import OVERVIEW, PAGES, REFERENCE

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def open_page(monkeypatch):
    def open_at(checkpoints: Path, page: str, **url: str) -> AppTest:
        monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(checkpoints))
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        for name, value in url.items():
            app.query_params[name] = value
        if page != OVERVIEW.path:
            app.switch_page(page)
        app.run()
        assert not app.exception
        assert not app.error
        return app

    return open_at


def line(app: AppTest) -> list[dict]:
    """The words that a page explains at its top."""
    (sent,) = messages(app, "terms")
    return json.loads(sent.json)["terms"]


def test_every_word_of_a_page_is_in_the_glossary():
    for page in PAGES:
        assert set(page.terms) <= set(TERMS), page.title
        assert len(set(page.terms)) == len(page.terms)
        assert page.terms or page is REFERENCE, f"{page.title} explains no word"


def test_definitions_are_short_sentences_and_each_is_its_own():
    for name, term in TERMS.items():
        assert term.name == name
        assert re.fullmatch(r"[A-Z0-9].*[.]", term.definition), name
        assert 20 < len(term.definition) < 260, name
        assert name.lower() not in {other.lower() for other in term.also}, name
    assert len({term.definition for term in TERMS.values()}) == len(TERMS)


@pytest.mark.parametrize("page", [page for page in PAGES if page.terms], ids=lambda p: p.title)
def test_a_page_explains_its_words_with_and_without_runs(open_page, tmp_path, page):
    make_run(tmp_path / "some", "cats", epochs=(1, 2))
    for folder in (tmp_path / "none", tmp_path / "some"):
        words = line(open_page(folder, page.path))
        assert [word["name"] for word in words] == list(page.terms)
        assert all(word["definition"] == TERMS[word["name"]].definition for word in words)


def test_the_link_of_a_word_leads_to_it_alone(open_page, tmp_path):
    for word in line(open_page(tmp_path, OVERVIEW.path)):
        address = urlsplit(word["link"])
        assert address.path == "Reference"
        url = {name: value for name, (value,) in parse_qs(address.query).items()}
        said = [each.value for each in open_page(tmp_path, REFERENCE.path, **url).markdown]
        assert sum(f"**{word['name']}**" in text for text in said) == 1
        others = TERMS.keys() - {word["name"]}
        assert not any(f"**{name}**" in text for text in said for name in others)


def test_the_glossary_lists_every_word(open_page, tmp_path):
    app = open_page(tmp_path, REFERENCE.path, section="Glossary")
    said = [each.value.replace("\\", "") for each in app.markdown]
    links = {button.key: button.label.replace("\\", "").strip("*") for button in app.button}
    for term in TERMS.values():
        assert term.definition in said
        assert links[f"_link_glossary/{term.name}"] == term.name
    app.button(key="_link_glossary/Near and far").click().run()
    assert app.session_state["find"] == "=glossary/Near and far"
    assert sum("**Near and far**" in each.value for each in app.markdown) == 1


def test_a_word_is_found_by_another_name_for_it(open_page, tmp_path):
    app = open_page(tmp_path, REFERENCE.path, find="in-distribution")
    assert any(each.value.startswith("**ID**") for each in app.markdown)
    app.button(key="_link_glossary/ID").click().run()
    assert [each.value.startswith("**ID**") for each in app.markdown].count(True) == 1
    assert app.session_state["find"] == "=glossary/ID"
