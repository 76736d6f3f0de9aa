"""What a page under test sends to the browser: its charts and the components that draw them."""

from __future__ import annotations

from typing import Any

from streamlit.testing.v1 import AppTest

from ncviz.ui.plot import figure_of


def messages(app: AppTest, component: str) -> list[Any]:
    """What each element of ncviz's component of that name is sent."""
    sent = (element.proto for element in app.get("bidi_component"))
    return [each for each in sent if each.component_name == f"ncviz.{component}"]


def figures_on(app: AppTest) -> list[dict]:
    """The figures of a page, from top to bottom."""
    return [figure_of(each.bytes) for each in messages(app, "plot")]


def sizes_on(app: AppTest) -> list[int]:
    """Bytes of each figure."""
    return [len(each.bytes) for each in messages(app, "plot")]
