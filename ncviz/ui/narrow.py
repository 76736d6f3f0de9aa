"""Style for narrow windows: columns that would be cut off side by side go below each other."""

from __future__ import annotations

import streamlit as st

CARDS = "_narrow_cards"
"""Start of the keys of containers with rows of cards that have text."""

_COLUMN = '[data-testid="stMain"] [data-testid="stColumn"]'
_STYLE = f"""<style>
@media (max-width: 1000px) {{
  {_COLUMN}:has(.ncviz-plot) {{ min-width: 100%; }}
  {_COLUMN}:has([data-testid="stMetric"]) {{ min-width: 140px; }}
  [class*="st-key-{CARDS}"] [data-testid="stColumn"] {{ min-width: 220px; }}
}}
</style>"""


def apply() -> None:
    """Add the style to the page."""
    st.html(_STYLE)
