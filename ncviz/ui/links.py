"""Links to a page in a state of its controls, which then is in that page's address."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from ncviz.ui.navigation import Page


def link(page: Page, label: str, *, key: str, arrive: Callable[[], None], **look: object) -> None:
    """A button that opens `page` once `arrive` has set the state of its controls.

    `look` goes to the button. A link of Streamlit's would drop what is bound to the address.
    """
    if st.button(label, icon=page.icon, key=key, on_click=arrive, **look):
        # An empty mapping, because None would refuse to clear parameters bound to controls.
        st.switch_page(page.path, query_params={})
