"""Tables as CSV that a spreadsheet opens without computing anything of a name in them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

# What begins a formula in one spreadsheet or another; a tab or a line break may stand before it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def inert(cell: object) -> object:
    """`cell` itself; a text that a spreadsheet would compute gets an apostrophe before it.

    Numbers stay numbers, those written as text too.
    """
    if not isinstance(cell, str) or not cell.lstrip(" ").startswith(_FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def inert_row(row: Mapping[str, object]) -> dict[str, object]:
    """The same for every cell of a row, and for the names of its columns."""
    return {str(inert(name)): inert(cell) for name, cell in row.items()}


def as_csv(table: pd.DataFrame) -> bytes:
    """`table` without its index as CSV in UTF-8, with every text in it `inert`."""
    columns = {at: inert(name) for at, name in enumerate(table.columns)}
    safe = table.set_axis(list(columns.values()), axis=1)
    for at in columns:
        if not pd.api.types.is_numeric_dtype(safe.dtypes.iloc[at]):
            safe.isetitem(at, safe.iloc[:, at].map(inert))
    return safe.to_csv(index=False).encode()
