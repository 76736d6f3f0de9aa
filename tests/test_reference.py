"""The Reference page and the printed detectors: everything there is, and nothing by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from ncviz import collapse, detectors, metrics, transfer
from ncviz.detectors.__main__ import document

ROOT = Path(__file__).resolve().parents[1]
METRICS = {
    **collapse.METRICS,
    **metrics.DEFINITIONS,
    **metrics.CALIBRATION_DEFINITIONS,
    **transfer.DEFINITIONS,
}


@pytest.fixture
def open_reference(tmp_path, monkeypatch):
    monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(tmp_path))
    monkeypatch.chdir(ROOT)

    def open_with(**parameters):
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30)
        app.run()
        app.switch_page("pages/7_Reference.py")
        for name, value in parameters.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception
        return app

    return open_with


def first_clause(formula):
    """What stands before the explanations of its letters, which are drawn on lines of their own."""
    plain = formula.strip("$\n").removeprefix(r"\begin{gathered}").removesuffix(r"\end{gathered}")
    return re.split(r",\s*\\quad| \\\\ ", plain)[0]


def shown(app):
    return {each.value for each in app.latex}


def test_every_group_opens_and_together_they_show_every_definition(open_reference):
    app = open_reference()
    groups = app.button_group(key="about").options
    seen = set()
    for group in groups:
        app.button_group(key="about").set_value(group).run()
        assert not app.exception
        seen |= shown(app)
    wanted = {info.formula for info in METRICS.values()}
    wanted |= {detectors.info(name).formula for name in detectors.names()}
    assert {first_clause(each) for each in wanted} <= {first_clause(each) for each in seen}


def test_a_word_finds_definitions_in_every_group(open_reference):
    app = open_reference(find="fpr95")
    assert {first_clause(each) for each in shown(app)} == {
        first_clause(metrics.DEFINITIONS[name].formula) for name in ("fpr95", "fpr95_ood")
    }
    assert "No definition" in open_reference(find="tea kettle").markdown[-1].value


def test_one_definition_can_be_linked_to(open_reference):
    app = open_reference(about="logits")
    assert len(app.latex) > 1
    app.button(key="_link_logits/entropy").click().run()
    assert shown(app) == shown(open_reference(find="=logits/entropy"))
    (formula,) = shown(app)
    assert first_clause(formula) == first_clause(detectors.info("entropy").formula)
    (formula,) = shown(open_reference(find="=spread/entropy"))
    assert first_clause(formula) == first_clause(collapse.METRICS["entropy"].formula)
    assert "No definition" in open_reference(find="=entropy").markdown[-1].value


def test_document_of_the_detectors_is_what_the_command_prints():
    path = ROOT / "docs" / "detectors.md"
    assert path.read_text(encoding="utf-8") == document() + "\n"


def test_the_document_has_every_detector_with_its_formula():
    text = document()
    for name in detectors.names():
        info = detectors.info(name)
        assert f"`{name}`\n\n$$\n{info.formula}\n$$" in text
        assert info.caveat in text


def test_each_definition_says_direction_needs_source_and_caveat(open_reference):
    app = open_reference()
    said = []
    for group in app.button_group(key="about").options:
        app.button_group(key="about").set_value(group).run()
        said += [each.value.replace("\\", "") for each in app.caption]
    for info in METRICS.values():
        way = {"lower": "Falls ", "higher": "Rises ", "limit": "Approaches ", "none": "Ranks "}
        origin = f" Needs: {info.needs}. Source: {info.source}."
        lines = [each for each in said if each.endswith(origin)]
        assert any(each.startswith(way[info.direction]) for each in lines), info.name
        assert info.needs
        assert not info.caveat or any(info.caveat in each for each in said)
    for name in detectors.names():
        info = detectors.info(name)
        assert f"Higher = more in-distribution. Source: {info.source}." in said
        assert any(each.startswith(f"Needs: {', '.join(info.needs)}.") for each in said)
        assert any(info.caveat in each for each in said)
