"""Names from strangers are shown letter by letter: no markup, no formula, nothing turned around."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from app_elements import figures_on
from google.protobuf.message import Message
from made_runs import add_maps, make_run
from test_app import COLLAPSE, COMPARE, LEADERBOARD, PAGES, SCORES, open_app  # noqa: F401

from ncviz import report, spreadsheet
from ncviz.figures import theme
from ncviz.literal import LONGEST, label, markdown, readable
from ncviz.store import list_runs, open_run

ROOT = Path(__file__).resolve().parents[1]
CLASSES = (
    "<img src=x onerror=alert(1)>",
    "**bold** `code` $x^2$ [l](http://e.example)",
    ":red[red] :material/bug_report: :streamlit:",
    "=HYPERLINK(1)|'cmd'",
    "%{x} <b>b</b> &amp;",
    "right\u202eleft",
    "two\n\n# lines",
    "long " * 400,
    "A\u030a\u0301" + "\u0336" * 50,
)
RUN, OTHER = "<b>run **x** $y$ [z]", "@run -> _u_ `v`"
NEAR, FAR = "<u>near **n** $1$", "=far() [f]"
NAMES = (*CLASSES[:5], RUN, OTHER, NEAR, FAR)
ADDRESS = {"selected": f"{'made'}/test:0-30", "sample": "made/test:3"}


@pytest.fixture(scope="module")
def strange(tmp_path_factory) -> Path:
    """A checkpoints folder whose runs, classes and sets are called as a stranger may call them."""
    folder = tmp_path_factory.mktemp("strange")
    for name in (RUN, OTHER):
        sets = {NEAR: "near", FAR: "far"}
        layers = ("encoder", "projector")
        add_maps(make_run(folder, name, classes=CLASSES, ood_sets=sets, layers=layers, dim=12))
    # A half of a character can be written into JSON, and into no other text.
    path = next(folder.glob("@run*/run.json"))
    description = json.loads(path.read_text())
    description["classes"][5] = "\ud800 right\u202eleft"
    path.write_text(json.dumps({**description, "seal": {}}))
    return folder


# Fields that Streamlit's browser side does not read as markdown: identities, choices of lists,
# tables, and what its own components are sent.
UNREAD = re.compile(
    r"(^|\.)(id|key|user_key|element_id|form_id|group_id|url|page_script_hash|icon|language|alt"
    r"|selectbox\.(options|value|raw_value)|multiselect\.(options|value|raw_values?)"
    r"|code_text|code\.body|arrow_data_frame\..*|dataframe\..*|arrow_add_rows\..*"
    r"|text_input\.(value|default|placeholder)|default|set_value|placeholder|query_param_key"
    r"|slider\.options|file_name|filename|download_filename|bidi_component\..*)$"
)


def texts_of(message: Message, path: str) -> Iterator[tuple[str, str]]:
    """Every text in a message with where it stands."""
    for field, value in message.ListFields():
        here = f"{path}.{field.name}"
        for each in value if field.is_repeated else [value]:
            if isinstance(each, Message):
                yield from texts_of(each, here)
            elif isinstance(each, str):
                yield here, each


def markdown_on(app) -> list[tuple[str, str]]:
    """Every text of a page that the browser reads as markdown."""
    found = []

    def walk(block) -> None:
        if getattr(block, "proto", None) is not None:
            found.extend(texts_of(block.proto, block.type))
        for child in getattr(block, "children", {}).values():
            walk(child)

    walk(app._tree)
    return [(path, text) for path, text in found if not UNREAD.search(path)]


UNSEEN = {"legendgroup", "uid", "meta"}
"""parts of a figure that are written nowhere"""


def strings_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            if key not in UNSEEN:
                yield str(key)
                yield from strings_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from strings_in(each)


VIEWS = (
    *((page, {}) for page in PAGES),
    *((COLLAPSE, {"details": tab}) for tab in ("All cosines and lengths", "Every definition")),
    (COLLAPSE, {"class_a": CLASSES[0], "class_b": CLASSES[4], "layer": "encoder"}),
    *((LEADERBOARD, {"tab": tab}) for tab in ("Near against far", "Is the difference real?")),
    (LEADERBOARD, {"tab": "Temperature and calibration"}),
    *((LEADERBOARD, {"tab": tab}) for tab in ("Ranks over sets and runs", "Over seeds")),
    (LEADERBOARD, {"tab": "Sensitivity to parameters"}),
    (SCORES, {"set": FAR, "cut": "cost"}),
    (COMPARE, {"b_run": RUN, "b_epoch": "1"}),
)


@pytest.fixture(scope="module")
def seen() -> dict[str, set[str]]:
    """What all views of the pages put into figures and into markdown."""
    return {"figures": set(), "markdown": set()}


@pytest.mark.parametrize(("page", "more"), VIEWS)
def test_no_page_and_no_figure_reads_markup_in_a_name(strange, open_app, seen, page, more):  # noqa: F811
    for run in (RUN, OTHER) if not more else (RUN,):
        app = open_app(strange, page, run=run, **ADDRESS, **more)
        assert not app.exception, app.exception
        assert not app.error, [each.value for each in app.error]
        read = markdown_on(app)
        assert not [(path, name) for path, text in read for name in NAMES if name in text]
        for path, text in read:
            assert readable(text.replace("\n", "")) == text.replace("\n", ""), path
        drawn = {text for figure in figures_on(app) for text in strings_in(figure)}
        for text in drawn:
            assert not re.search(r"<(img|u>|b>(run|b<))|%{x} |[\u202e\ud800-\udfff]", text), text
        seen["figures"] |= drawn
        seen["markdown"] |= {text for _, text in read}


def test_pages_and_figures_do_show_the_names(seen):
    drawn, said = "\n".join(seen["figures"]), "\n".join(seen["markdown"])
    for name in (CLASSES[0], CLASSES[4], RUN, NEAR, FAR):
        assert theme.text(name) in drawn
        assert markdown(name) in said


def test_a_run_with_such_names_that_is_damaged_is_told_in_plain_words(tmp_path, open_app):  # noqa: F811
    make_run(tmp_path, "good", epochs=(1, 2))
    for name in (RUN, "half\udcff", "right\u202eleft", "two\nlines", "😀", "x" * 220):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text('{"format": "<b>1</b> **x**"}')
    app = open_app(tmp_path)
    assert not app.exception
    assert len(app.warning) == 6
    assert app.selectbox(key="run").options == ["good"]
    for _, text in markdown_on(app):
        assert "<b>" not in text
        assert not re.search("[\udc80-\udcff\u202e]", text)


def test_a_report_of_such_a_run_can_be_written(strange, tmp_path):
    path = tmp_path / "report.html"
    for name in (RUN, OTHER):
        report.save(report.choose(open_run(strange / name)), path)
        text = path.read_text(encoding="utf-8")
        assert "\u202e" not in text
        assert "<img src=x" not in text


# Text itself


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("cat", "cat"),
        ("網絡 Ångström naïve", "網絡 Ångström naïve"),
        ("👩\u200d🔬", "👩\u200d🔬"),
        ("a\x00b\x1b[2J", "a\ufffdb\ufffd[2J"),
        ("\u202egnp.exe", "\ufffdgnp.exe"),
        ("\ud800x", "\ufffdx"),
        ("a\nb", "a\ufffdb"),
        ("e" + "\u0301" * 100, "e" + "\u0301" * 4),
        ("x" * 5000, "x" * 99 + "…" + "x" * 99),
    ],
)
def test_readable(given, shown):
    assert readable(given, LONGEST) == shown
    assert readable(given, LONGEST).encode()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("<b>", r"\<b\>"),
        ("a\n# b", r"a \# b"),
        (":material/bug:", "\\:\u2060material/bug\\:"),
        (":streamlit:", "\\:\u2060streamlit\\:"),
        ("http://e.example", "http\u2060\\://e\\.example"),
        ("www.e.example", "www\u2060\\.e\\.example"),
        ("me@e.example", "me\u2060@e\\.example"),
        ("a -> b", "a \\-\u2060\\> b"),
        (">= 1 -- 2", "\\>\u2060= 1 \\-\u2060\\- 2"),
        ("python scripts/train.py x --resume", "python scripts/train\\.py x \\-\\-resume"),
    ],
)
def test_markdown(given, shown):
    assert markdown(given) == shown


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("tiny-imagenet (2).x_y!", "tiny-imagenet (2).x_y!"),
        ("_u_ *x*", r"\_u\_ \*x\*"),
        ("[a](b) :red[x] $y$ <b> ~~z~~ `c`", r"\[a\](b) \:red\[x\] \$y\$ \<b\> \~\~z\~\~ \`c\`"),
        (":material/bug:", "\\:\u2060material/bug\\:"),
    ],
)
def test_label(given, shown):
    assert label(given) == shown


def test_hovering_fills_nothing_into_a_name():
    assert "%{" not in theme.text("%{customdata}")


# Tables for spreadsheets


@pytest.mark.parametrize(
    ("cell", "saved"),
    [
        ("=1+1", "'=1+1"),
        ("+1+1", "'+1+1"),
        ("-1+cmd|' /C calc'!A0", "'-1+cmd|' /C calc'!A0"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\t=1"),
        ("  =1", "'  =1"),
        ("＝1+1", "'＝1+1"),
        ("-0.5", "-0.5"),
        ("+1e-3", "+1e-3"),
        ("cat", "cat"),
        ("a=b", "a=b"),
        (-0.5, -0.5),
        (None, None),
    ],
)
def test_a_cell_that_a_spreadsheet_would_compute(cell, saved):
    assert spreadsheet.inert(cell) == saved


@pytest.mark.parametrize("kind", ["object", "string", "category"])
def test_numbers_stay_numbers_and_names_texts(kind):
    names = pd.Series(["=a", "b", "-1"], dtype="str").astype(kind)
    frame = pd.DataFrame({"=name": names, "n": [-0.1, 2.0, 1e-300], "k": [-1, 2, 3]})
    back = pd.read_csv(io.BytesIO(spreadsheet.as_csv(frame)), dtype={0: str})
    assert list(back) == ["'=name", "n", "k"]
    assert list(back.iloc[:, 0]) == ["'=a", "b", "-1"]
    assert list(back["n"]) == [-0.1, 2.0, 1e-300]
    assert list(back["k"]) == [-1, 2, 3]


def test_two_columns_of_one_name():
    frame = pd.DataFrame([["=a", 1], ["b", 2]], columns=["x", "x"])
    assert spreadsheet.as_csv(frame) == b"x,x\n'=a,1\nb,2\n"


def test_no_table_is_saved_in_another_way():
    for path in [*(ROOT / "ncviz" / "ui").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]:
        assert ".to_csv(" not in path.read_text(), path


def test_no_script_of_the_app_makes_markup_of_text():
    for path in (ROOT / "ncviz").rglob("*.js"):
        text = path.read_text()
        assert not re.search(r"\.innerHTML\s*[+=]|insertAdjacentHTML|document\.write", text), path
        assert not re.search(r"\beval\(|new Function", text), path
    for path in (ROOT / "ncviz").rglob("*.py"):
        assert "unsafe_allow_html" not in path.read_text(), path


def test_nothing_is_listed_that_a_name_leads_to(strange):
    listing = list_runs(strange)
    assert sorted(listing.runs) == sorted([RUN, OTHER])
    assert all(readable(name) == name for run in listing.runs.values() for name in run.classes)
    assert os.sep not in "".join(listing.runs)
    assert json.dumps(list(listing.runs[OTHER].classes)).count("\\ufffd")
