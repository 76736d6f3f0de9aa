"""The shell around every page: title, navigation, shared sidebar, and what happens on errors."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import streamlit as st

from ncviz.errors import NcvizError
from ncviz.store import Run, checkpoints_root
from ncviz.ui import brand, components, controls, loaders, narrow, selection, server
from ncviz.ui.navigation import PAGES, Page
from ncviz.ui.player import page_ends
from ncviz.ui.terms import terms
from ncviz.ui.view import View

server.keep_to_itself()

_log = logging.getLogger(__name__)
_DRAWN_ANEW = "_drawn_anew"
_MOST_TIMES = 2


def show(page: Page, body: Callable[[View], None]) -> None:
    """Draw `page`: `body` gets the view and adds its own controls to the sidebar."""
    _begin(page)
    view = None
    with readable_errors():
        view = choose_view()
        if view is not None:
            body(view)
            with st.sidebar:
                components.choose_export()
            selection.keep_in_address()
    _hold_to_one_state()
    if view is not None:
        page_ends(view.epoch)


def _hold_to_one_state() -> None:
    """Draw the page anew if files have changed while it was drawn: numbers of two states may mix.

    Where a script writes faster than pages are drawn, readers are told in the end.
    """
    names = loaders.changed()
    times = st.session_state.get(_DRAWN_ANEW, 0)
    again = bool(names) and times < _MOST_TIMES
    st.session_state[_DRAWN_ANEW] = times + 1 if again else 0
    if again:
        st.rerun()
    if names:
        st.warning(
            f"Files of {components.plain(', '.join(names))} changed while this page was drawn, so "
            "its numbers may be of two states. Reload it once the script that writes them is done.",
            icon=":material/sync_problem:",
        )


def show_without_run(page: Page, body: Callable[[], None]) -> None:
    """Draw a page that is about no run in particular."""
    _begin(page)
    with readable_errors():
        body()


def _begin(page: Page) -> None:
    st.set_page_config(page_title=f"{page.title} · ncviz", page_icon=brand.ICON, layout="wide")
    loaders.look_again()
    narrow.apply()
    _navigation()
    st.title(page.question, anchor=False)
    terms(page.terms)


@contextmanager
def readable_errors() -> Iterator[None]:
    """Show an error in one sentence; a reader never sees a traceback."""
    try:
        yield
    except NcvizError as error:
        st.error(components.plain(error), icon=":material/error:")
    except Exception:
        _log.exception("A page failed")
        st.error(
            "This page could not be drawn. What went wrong is in the log of the server, in the "
            "terminal it was started from.",
            icon=":material/error:",
        )


def _navigation() -> None:
    st.logo(brand.LOGO, size="large", icon_image=brand.ICON)
    with st.sidebar:
        for page in PAGES:
            st.page_link(page.path, label=page.title, icon=page.icon)


def choose_view() -> View | None:
    """The shared part of the sidebar; says what to do where there is nothing to choose."""
    listing = loaders.listing()
    runs = {name: run for name, run in listing.runs.items() if run.epochs}
    if runs:
        with st.sidebar:
            return controls.choose_view(runs, default=_evaluated(runs))
    _explain_nothing(listing)
    return None


def _evaluated(runs: Mapping[str, Run]) -> str | None:
    """The first run with results: an empty page is no way to start."""
    sound = (name for name, run in runs.items() if loaders.is_sound(run))
    return next((name for name in sound if len(loaders.collapse_table(runs[name]))), None)


def _explain_nothing(listing: loaders.Listing) -> None:
    folder = components.plain(checkpoints_root().resolve())
    if listing.runs:
        name = next(iter(listing.runs))
        components.empty_state(
            f"The runs in {folder} have no saved epoch yet. Wait until the training has saved one, "
            "then reload this page; an interrupted training goes on with:",
            f"python scripts/train.py RECIPE --run {shlex.quote(name)} --resume",
        )
    else:
        components.empty_state(
            f"There is no run yet in {folder}. These commands train a small network on "
            "scikit-learn's digits in about two minutes, without a download:",
            "python scripts/train.py digits --run digits",
            "python scripts/extract.py digits",
            "python scripts/evaluate.py digits",
        )
    report_problems(listing)


def report_problems(listing: loaders.Listing) -> None:
    """Runs that cannot be opened, with the reason."""
    for name, error in listing.problems.items():
        st.warning(
            f"The run {components.plain(name)} cannot be opened. {components.plain(error)}",
            icon=":material/warning:",
        )
