"""Names from files, folders and strangers as text that every reader sees letter by letter."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

LONGEST = 200
"""letters of a name that are shown; of a longer one the middle is left out"""

_REPLACED = "\N{REPLACEMENT CHARACTER}"
# They join letters and emoji, and turn no text around.
_JOINERS = {"\u200b", "\u200c", "\u200d", "\u2060"}
_MARKS = 4  # combining marks on one letter; more of them pile up over the lines around it


def readable(text: object, longest: int | None = None) -> str:
    """`text` on one line without what hides, turns around or overprints other text.

    Control characters, changes of direction, halves of characters and marks piled up on a letter
    become a replacement character; a text of more than `longest` letters loses its middle.
    """
    text = str(text)
    if not (text.isascii() and text.isprintable()):
        text = "".join(_readable(text))
    if longest is not None and len(text) > longest:
        half = (longest - 1) // 2
        text = f"{text[:half]}…{text[-half:]}"
    return text


def _readable(text: str):
    marks = 0
    for letter in text:
        marks = marks + 1 if unicodedata.combining(letter) else 0
        if marks > _MARKS:
            continue
        yield letter if letter.isprintable() or letter in _JOINERS else _REPLACED


# What is read as markdown, letter by letter.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~:$&])")
# What Streamlit looks for once markdown has been read, where a backslash is gone: icons, addresses,
# and arrows between spaces. A joiner of no width keeps it from being found.
_SOUGHT = re.compile(
    r"(?<=:)(?=material/|streamlit:)|(?<=[a-zA-Z])(?=://)|(?<=www)(?=\.)|(?<=\w)(?=@\w)",
    re.IGNORECASE,
)
_ARROW = re.compile(r"(?<!\S)([<~>-])(?=(?:->|>|-|=)(?!\S))")
_JOINER = "\u2060"
# The part of it that does anything inside a line; a name without it stays as it is.
_IN_A_LABEL = re.compile(r"([\\`*{}\[\]<>~$&:|]|(?<!\w)_|_(?!\w))")


def markdown(text: object) -> str:
    """`text` as markdown that Streamlit shows letter by letter, on one line."""
    return _MARKDOWN.sub(r"\\\1", _unsought(text))


def label(text: object) -> str:
    """The same inside a control, whose words stand in the address: plain names stay as they are."""
    return _IN_A_LABEL.sub(r"\\\1", _unsought(text))


def _unsought(text: object) -> str:
    text = " ".join(re.split(r"[\r\n\t]+", str(text)))
    return _ARROW.sub(rf"\1{_JOINER}", _SOUGHT.sub(_JOINER, readable(text)))


def distinct(names: Iterable[str]) -> list[str]:
    """Return the names, with a number after each repeated one.

    Examples
    --------
    >>> distinct(["crane", "bee", "crane"])
    ['crane', 'bee', 'crane (2)']
    """
    names = list(names)
    given, used = set(names), {}
    for name in names:
        words, number = name, 1
        while words in used or (number > 1 and words in given):
            number += 1
            words = f"{name} ({number})"
        used[words] = None
    return list(used)
