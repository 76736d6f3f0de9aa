"""The words on a page that a reader may not know: each shows its meaning on hover and on focus."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from ncviz.glossary import TERMS
from ncviz.ui import frontend

GROUP = "glossary"
"""What the Reference page calls the place of terms among its definitions."""
KEY = "terms"


def terms(names: Sequence[str]) -> None:
    """One line with `names`, which are names of `ncviz.glossary.TERMS`; none: no line."""
    if names:
        found = [TERMS[name] for name in names]
        frontend.component("terms", isolated=True)(
            data={
                "label": "Words on this page",
                "terms": [
                    {
                        "name": term.name,
                        "definition": term.definition,
                        "link": f"Reference?{urlencode({'find': f'={GROUP}/{term.name}'})}",
                    }
                    for term in found
                ],
            },
            key=KEY,
        )
