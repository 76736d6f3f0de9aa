"""Sections as an HTML page that holds its own style, script, figures and plotly.js."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import plotly.graph_objects as go
import plotly.io as pio
from plotly.offline import get_plotlyjs

from ncviz.definitions import MetricInfo
from ncviz.detectors import DetectorInfo
from ncviz.figures import themed
from ncviz.figures.theme import symbols
from ncviz.literal import readable
from ncviz.report import blocks
from ncviz.report.blocks import Info
from ncviz.report.formulas import mathml
from ncviz.results.detectors import settings
from ncviz.results.words import reading

_HERE = Path(__file__).parent
_DEFAULT_HEIGHT = 450


def render(title: str, subtitle: str, sections: Sequence[blocks.Section], *, theme: str) -> str:
    """The page as text; names in it may be any text and come out letter by letter."""
    body = "\n".join(_section(section) for section in sections)
    contents = "\n".join(
        f'<li><a href="#{section.name}">{_text(section.title)}</a></li>' for section in sections
    )
    library, script = _inside(get_plotlyjs()), _inside(_read("report.js"))
    # No other script may run and nothing may be fetched, whatever the names in a run say.
    allowed = " ".join(f"'sha256-{_digest(each)}'" for each in (library, script))
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"
    )
    return f"""<!doctype html>
<html lang="en" data-theme="{theme}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{_text(title)}</title>
<style>
{_read("report.css")}</style>
</head>
<body>
<a class="skip" href="#content">To the report</a>
<nav aria-labelledby="contents">
<p id="contents">Contents</p>
<ol>
{contents}
</ol>
</nav>
<main id="content">
<header>
<h1>{_text(title)}</h1>
<p class="shown">{_text(subtitle)}</p>
<noscript><p class="missing">Figures need JavaScript; texts and tables do not.</p></noscript>
</header>
{body}
</main>
{_data("templates", _templates())}
<script>{library}</script>
<script>{script}</script>
</body>
</html>
"""


def anchor(info: Info) -> str:
    """The place of a definition in the page: a metric and a detector may share a name."""
    kind = "detector" if isinstance(info, DetectorInfo) else info.group.lower()
    return f"{kind}-{info.name}"


def _section(section: blocks.Section) -> str:
    parts = [
        _block(block, f"{section.name}-{at}") for at, block in enumerate(section.blocks, start=1)
    ]
    return "\n".join(
        [
            f'<section id="{section.name}" aria-labelledby="{section.name}-title">',
            f'<h2 id="{section.name}-title">{_text(section.title)}</h2>',
            *parts,
            "</section>",
        ]
    )


def _block(block: blocks.Block, name: str) -> str:
    match block:
        case blocks.Text(words):
            return f"<p>{_text(words)}</p>"
        case blocks.Heading(words):
            return f"<h3>{_text(words)}</h3>"
        case blocks.Missing(words, commands):
            return f'<div class="missing"><p>{_text(words)}</p>{_commands(commands)}</div>'
        case blocks.Commands(lines):
            return _commands(lines)
        case blocks.Terms(pairs):
            rows = (f"<dt>{_text(name)}</dt><dd>{_text(words)}</dd>" for name, words in pairs)
            return f"<dl>{''.join(rows)}</dl>"
        case blocks.Table():
            return _table(block)
        case blocks.Definition(info):
            return _definition(info)
        case blocks.Picture():
            return _picture(block, f"figure-{name}")


def _picture(picture: blocks.Picture, name: str) -> str:
    height = picture.figure.layout.height or _DEFAULT_HEIGHT
    caption = _text(picture.caption)
    if picture.about:
        word = "Definition" if len(picture.about) == 1 else "Definitions"
        links = ", ".join(_link(info) for info in picture.about)
        caption += f' <span class="about">{word}: {links}.</span>'
    return "\n".join(
        [
            '<figure class="narrow">' if picture.narrow else "<figure>",
            f'<div class="plot" id="{name}" role="img" aria-label="{_text(picture.alt)}" '
            f'style="min-height: {height}px"></div>',
            f"<figcaption>{caption}</figcaption>" if caption else "",
            _data(f"{name}-data", _figure(picture.figure)),
            "</figure>",
        ]
    )


def _table(table: blocks.Table) -> str:
    first_row = table.rows[0] if table.rows else table.columns
    head = "".join(
        f'<th scope="col"{_side(cell)}>{_cell(name)}</th>'
        for name, cell in zip(table.columns, first_row, strict=True)
    )
    rows = []
    for row in table.rows:
        cells = [f'<th scope="row">{_cell(row[0])}</th>']
        cells += [f"<td{_side(cell)}>{_cell(cell)}</td>" for cell in row[1:]]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{_text(table.caption)}">'
        f"<table><caption>{_text(table.caption)}</caption>"
        f"<thead><tr>{head}</tr></thead>\n<tbody>{chr(10).join(rows)}</tbody></table></div>"
    )


def _side(cell: str | blocks.Link | blocks.Number) -> str:
    return ' class="number"' if isinstance(cell, blocks.Number) else ""


def _cell(cell: str | blocks.Link | blocks.Number) -> str:
    match cell:
        case blocks.Link(info, words):
            return _link(info, words)
        case blocks.Number(value, interval):
            return _text(value) + (f" <small>{_text(interval)}</small>" if interval else "")
    return _text(cell)


def _link(info: Info, words: str = "") -> str:
    return f'<a href="#{anchor(info)}">{symbols(words or info.label)}</a>'


def _definition(info: Info) -> str:
    formula = "".join(f'<div class="formula">{clause}</div>' for clause in mathml(info.formula))
    if isinstance(info, MetricInfo):
        about, facts = f"<p>{_text(info.definition)}</p>", reading(info)
    else:
        about, facts = f"<p>Looks at {_text(info.family)}.</p>", "Higher = more in-distribution."
        facts += f" Needs: {', '.join(info.needs)}."
        facts += f" Parameters: {settings(info)}." if info.defaults else ""
    caveat = f'<p class="caveat">Caution: {_text(info.caveat)}</p>' if info.caveat else ""
    title = f"<h4>{symbols(info.label)} <code>{_text(info.name)}</code></h4>"
    return (
        f'<article id="{anchor(info)}">{title}'
        f"{about}{formula}<p>{_text(facts)} Source: {_text(info.source)}.</p>{caveat}</article>"
    )


def _commands(lines: Sequence[str]) -> str:
    return f"<pre><code>{chr(10).join(map(_text, lines))}</code></pre>" if lines else ""


def _text(value: object) -> str:
    return html.escape(readable(value))


def _data(name: str, value: str) -> str:
    # Inside a script no text may look like the end of it.
    safe = value.replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{safe}</script>'


def _figure(figure: go.Figure) -> str:
    # The reader's browser chooses between the two templates, which stand in the page once.
    figure.layout.template = None
    return pio.to_json(figure, validate=False, engine="orjson")


@cache
def _templates() -> str:
    found = {
        name: themed(go.Figure(), dark=name == "dark").layout.template.to_plotly_json()
        for name in ("light", "dark")
    }
    return json.dumps(found)


def _inside(script: str) -> str:
    """A script that may stand between script tags."""
    return re.sub(r"</(script)", r"<\\/\1", script, flags=re.IGNORECASE)


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
