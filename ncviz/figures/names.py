"""Names of classes as controls and figures write them: no two alike."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ncviz.figures import theme

_NUMBER = re.compile(r"[-+.\d]+")
_INVISIBLE = "\u200b"


def distinct(names: Sequence[str]) -> list[str]:
    """`names` with a number behind each that came before: ``cat``, ``cat (2)``."""
    given, used = set(names), {}
    for name in names:
        words, number = name, 1
        while words in used or (number > 1 and words in given):
            number += 1
            words = f"{name} ({number})"
        used[words] = None
    return list(used)


def categories(names: Sequence[str]) -> list[str]:
    """`names`, all distinct, as literal text and as the categories of an axis.

    Plotly takes a number for the category of that name if there is one, and else for a position:
    a name that is a number would draw ticks and shapes where they do not belong.
    """
    return [theme.text(name) + _INVISIBLE * bool(_NUMBER.fullmatch(name)) for name in names]
