"""Natural order of names: numbers by value."""

from __future__ import annotations

import re


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Return a sort key that puts 2.png before 10.png and ignores case; timm sorts classes so."""
    parts = re.split(r"([0-9]+)", name.lower())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name
