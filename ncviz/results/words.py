"""How numbers, metrics and commands are put into words."""

from __future__ import annotations

import re
import shlex

from ncviz.definitions import MetricInfo
from ncviz.store import Run

_QUALITIES = ("detection", "calibration", "transfer")


def number(value: float | None, digits: int = 3) -> str:
    """A number with `digits` significant digits, or a dash."""
    return "–" if value is None else f"{value:.{digits}g}"


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction in percent, or a dash."""
    return "–" if value is None else f"{100 * value:.{digits}f}%"


def reading(info: MetricInfo) -> str:
    """Which way the metric moves, and its limit, in one sentence."""
    limit = info.limit_text
    if info.direction == "none":
        return "Ranks nothing by itself."
    if info.direction == "limit":
        return f"Approaches {limit}."
    better = f"with better {info.group}" if info.group in _QUALITIES else "with collapse"
    verb = "Rises" if info.direction == "higher" else "Falls"
    return f"{verb} {better}" + (f", towards {limit}." if limit else ".")


def commands(run: str, *, imported: bool = False) -> tuple[str, ...]:
    """What writes the results of the run called `run`; imported features are there already."""
    # Quoted, since a reader will paste this into a shell and the name comes from a folder.
    name = shlex.quote(run)
    extraction = () if imported else (f"python scripts/extract.py {name}",)
    return (*extraction, f"python scripts/evaluate.py {name}")


def left_out(run: Run) -> tuple[str, ...]:
    """Return a phrase for each OOD set without the classes that it shares with the ID set."""
    return tuple(
        f"{name} without {len(classes)} class{'es' * (len(classes) > 1)} of {run.id_set}"
        for name, classes in run.left_out.items()
        if name in run.ood_sets
    )


def left_out_lines(run: Run) -> tuple[str, ...]:
    """Return the same with the names of the classes, each with the ID class it overlaps."""
    lists = (
        ", ".join(name if name == own else f"{name} ({own})" for name, own in classes.items())
        for name, classes in run.left_out.items()
        if name in run.ood_sets
    )
    return tuple(f"{phrase}: {names}" for phrase, names in zip(left_out(run), lists, strict=True))


def clauses(latex: str) -> list[str]:
    """A formula as its clauses, which stand below each other: side by side they would be cut off.

    One that cannot be taken apart is returned whole.
    """
    parts = re.split(r",\s*\\quad\s*", latex)
    return parts if all(each.count("{") == each.count("}") for each in parts) else [latex]
