"""What a number on a page means: the one record that every table of metrics is made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

RESULTS_VERSION = "1"
"""Counted up when all metrics or detectors change: results of another count are stale."""
CODE = "code:"
"""Prefix of what results come from besides files: versions and parameters."""
PROBE_VERSION = "1"
"""Counted up when the same training features give other linear probes."""
TABLES_VERSION = "5"
"""Counted up when results consist of other tables or columns, or are computed in another way."""
TRANSFER_VERSION = "1"
"""Counted up when the same features come to other transfer errors."""
MAPS_VERSION = 3
"""Counted up when a map of the same features comes out otherwise."""

Direction = Literal["lower", "higher", "limit", "none"]


@dataclass(frozen=True)
class MetricInfo:
    """Definition, reading and origin of one metric, in words that a page can show.

    Attributes
    ----------
    name : the field that holds the metric
    label : short text for an axis
    group : ``"NC1"`` to ``"NC5"``, ``"spread"``, ``"transfer"``, ``"detection"`` or
        ``"calibration"``
    definition : one sentence in plain text
    formula : LaTeX without dollar signs
    limit : the value at full collapse (or at perfect detection or transfer), None where there is
        none or it depends on the number of classes; `limit_text` says it in words
    limit_text : the limit as text, ``""`` where there is none
    direction : which way the value moves with collapse (or with better detection or transfer);
        ``"limit"`` where it approaches `limit_text` from either side, ``"none"`` where it ranks
        nothing
    source : paper or code that uses this definition
    caveat : what it is easily mistaken for, or where it misleads
    needs : what it is computed from, given by the table that it stands in
    version : counted up when it comes to other values: results of another count are stale
    """

    name: str
    label: str
    group: str
    definition: str
    formula: str
    limit: float | None
    limit_text: str
    direction: Direction
    source: str
    caveat: str = ""
    needs: str = ""
    version: int = 1


def by_name(infos: Iterable[MetricInfo], *, needs: str) -> dict[str, MetricInfo]:
    """Table of the metrics under their own names, in the order given; all have the same `needs`."""
    return {info.name: replace(info, needs=needs) for info in infos}
