"""Formulas as MathML, which browsers draw themselves: no font or script has to be fetched."""

from __future__ import annotations

import re

from latex2mathml.converter import convert

from ncviz.results.words import clauses

# The converter knows \max and \min, and leaves \arg as it is.
_UNKNOWN = re.compile(r"\\arg(?![a-z])")


def mathml(latex: str) -> list[str]:
    """Each clause of a formula as a `<math>` element."""
    known = _UNKNOWN.sub(r"\\operatorname{arg}", latex)
    return [convert(clause, display="block") for clause in clauses(known)]
