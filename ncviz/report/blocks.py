"""What a report is made of: sections of paragraphs, figures, tables and definitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from ncviz.definitions import MetricInfo
from ncviz.detectors import DetectorInfo

Info = MetricInfo | DetectorInfo


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    words: str


@dataclass(frozen=True)
class Missing:
    """What a run does not have, in a sentence, and the commands that make it."""

    words: str
    commands: Sequence[str] = ()


@dataclass(frozen=True)
class Heading:
    """The title of a part of a section."""

    words: str


@dataclass(frozen=True)
class Picture:
    """A figure; `alt` says what it shows, `about` names the definitions it rests on.

    Two that are `narrow` stand side by side where there is room.
    """

    figure: go.Figure
    alt: str
    caption: str = ""
    about: Sequence[Info] = ()
    narrow: bool = False


@dataclass(frozen=True)
class Link:
    """A name in a table that leads to its definition; without words its own."""

    info: Info
    words: str = ""


@dataclass(frozen=True)
class Number:
    """A number in a table, and its interval where it has one."""

    value: str
    interval: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells; each row begins with what it is about.

    Attributes
    ----------
    caption : what the rows are
    columns : headings
    """

    caption: str
    columns: Sequence[str | Link]
    rows: Sequence[Sequence[str | Link | Number]]


@dataclass(frozen=True)
class Terms:
    """Names and what they stand for."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Commands:
    """Lines for a shell."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Definition:
    """What a metric or a detector is; other blocks link to it."""

    info: Info


Block = Text | Missing | Heading | Picture | Table | Terms | Commands | Definition


@dataclass(frozen=True)
class Section:
    """A part of the report; `name` is its place in the address, of letters and dashes."""

    name: str
    title: str
    blocks: Sequence[Block]
