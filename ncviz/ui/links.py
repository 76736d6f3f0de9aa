"""Links to a page in a state of its controls, which then is in that page's address."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from ncviz.ui.navigation import Page


def link(
    page: Page,
    label: str,
    *,
    key: str,
    arrive: Callable[[], None],
    address: Mapping[str, str | list[str]] | None = None,
    **look: object,
) -> None:
    """A button that opens `page` once `arrive` has set the state of its controls.

    A link of Streamlit's own would drop what is bound to the address.

    Parameters
    ----------
    arrive : sets the controls; those that this page has too follow into the address by themselves
    address : the others, as the address writes them
    look : goes to the button
    """
    if st.button(label, icon=page.icon, key=key, on_click=arrive, **look):
        # A mapping even where it is empty: None would refuse to clear what is bound to controls.
        st.switch_page(page.path, query_params=dict(address or {}))
