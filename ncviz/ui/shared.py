"""What all readers look at together: one copy in memory, which no page can change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

Value = TypeVar("Value")


def freeze(value: Value) -> Value:
    """The same `value`, with every array read-only that it is or holds."""
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
    elif isinstance(value, Mapping):
        for each in value.values():
            freeze(each)
    elif isinstance(value, list | tuple):
        for each in value:
            freeze(each)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            freeze(getattr(value, field.name))
    return value


def hand_out(value: Value) -> Value:
    """A shared `value` for one page.

    A table is the page's own to add columns to: pandas copies a column when it is written to, and
    not before.
    """
    return value.copy(deep=False) if isinstance(value, pd.DataFrame) else value
