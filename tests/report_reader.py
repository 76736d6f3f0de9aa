"""What a report says, taken apart again: sections, tables, figures, links."""

from __future__ import annotations

import base64
import json
from html.parser import HTMLParser

import numpy as np

VOID = {"meta", "br", "img", "link", "input"}


class ReportReader(HTMLParser):
    """Reads a page as a browser does.

    Attributes
    ----------
    tags : every tag that begins, with its attributes
    sections : what each section says, by its name in the address
    tables : rows of cells by caption, the headings first
    figures : by the id of the element they are drawn into
    headings : levels, in order
    """

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.sections: dict[str, str] = {}
        self.tables: dict[str, list[list[str]]] = {}
        self.figures: dict[str, dict] = {}
        self.headings: list[int] = []
        self.open: list[str] = []
        self._section = self._data = None
        self._rows: list[list[str]] = []
        self._caption = ""
        self.feed(page)
        self.close()

    def all(self, name: str) -> list[dict[str, str]]:
        """The attributes of every tag of that name."""
        return [attributes for tag, attributes in self.tags if tag == name]

    def attributes(self, name: str) -> list[str]:
        """The values of an attribute, of all tags."""
        return [attributes[name] for _, attributes in self.tags if name in attributes]

    def drawn(self, words: str) -> list[dict]:
        """The figures whose text alternative begins with `words`."""
        names = [
            each["id"]
            for each in self.all("div")
            if each.get("class") == "plot" and each["aria-label"].startswith(words)
        ]
        return [self.figures[name] for name in names]

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self._section = attributes["id"]
            self.sections[self._section] = ""
        elif tag == "script":
            self._data = attributes.get("id", "").removesuffix("-data")
        elif tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("th", "td"):
            self._rows[-1].append("")
        elif tag in ("h1", "h2", "h3", "h4"):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "section":
            self._section = None
        elif tag == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            if self._data.startswith("figure"):
                self.figures[self._data] = json.loads(data)
            return
        if self._section:
            self.sections[self._section] += data
        if "caption" in self.open:
            self._caption += data
        elif self._rows and ({"th", "td"} & set(self.open)):
            self._rows[-1][-1] += data


def values(encoded) -> np.ndarray:
    """The numbers of an axis, which travel as bytes."""
    if isinstance(encoded, list):
        return np.array(encoded)
    flat = np.frombuffer(base64.b64decode(encoded["bdata"]), encoded["dtype"])
    return (
        flat.reshape([int(n) for n in encoded["shape"].split(",")]) if "shape" in encoded else flat
    )
