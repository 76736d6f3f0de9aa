"""Names of classes as controls and figures write them: no two alike."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ncviz.figures import theme

MAX_TICK_LENGTH = 20
"""Letters of a name on an axis, in a legend or beside a point; hovering shows the whole name."""
_NUMBER = re.compile(r"[-+.\d]+")
_INVISIBLE = "\u200b"


def shortened(name: str, longest: int = MAX_TICK_LENGTH) -> str:
    """Return a name without its middle where it has more than `longest` letters.

    Long names on an axis leave no room for the chart.

    Examples
    --------
    >>> shortened("bee"), shortened("a very long class name (2)")
    ('bee', 'a very lon…name (2)')
    """
    if len(name) <= longest:
        return name
    end = (longest - 1) // 2
    return f"{name[: longest - 1 - end].rstrip()}…{name[-end:].lstrip()}"


def categories(names: Sequence[str]) -> list[str]:
    """`names`, all distinct, as literal text and as the categories of an axis.

    Plotly takes a number for the category of that name if there is one, and else for a position:
    a name that is a number would draw ticks and shapes where they do not belong.
    """
    return [theme.text(name) + _INVISIBLE * bool(_NUMBER.fullmatch(name)) for name in names]


def two_lines(title: str, letters: int) -> list[str]:
    """Return a title in two lines at most, broken at the hyphen or space nearest its middle.

    Titles that nearly fill a line are broken too. Longer lines than `letters` are shortened.

    Examples
    --------
    >>> two_lines("tiny-imagenet", 10), two_lines("mnist", 10)
    (['tiny-', 'imagenet'], ['mnist'])
    """
    lines = [title]
    breaks = [at + 1 for at, letter in enumerate(title) if letter in "- " and at + 1 < len(title)]
    if breaks and len(title) >= letters - 2:
        middle = min(breaks, key=lambda at: abs(2 * at - len(title)))
        lines = [title[:middle].rstrip(), title[middle:]]
    return [f"{each[: letters - 1]}…" if len(each) > letters else each for each in lines]
