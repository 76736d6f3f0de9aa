"""The report of a run as a download: made when it is asked for."""

from __future__ import annotations

import streamlit as st

from ncviz import report
from ncviz.store import Run
from ncviz.ui import loaders
from ncviz.ui.view import View


def offer(view: View, detector: str | None) -> None:
    """A button that makes and saves the report of what the page looks at."""
    scored = loaders.detection_table(view.run)
    here = scored[(scored["epoch"] == view.epoch) & (scored["layer"] == view.layer)]
    detector = detector if detector in set(here["detector"]) else None
    # Streamlit asks for the file in another thread, which has not looked at the files yet.
    mark = loaders.state(view.run)

    def make() -> bytes:
        return _make(view.run, str(view.run.path), mark, view.epoch, view.layer, detector)

    st.download_button(
        "Report of this run (HTML)",
        make,
        file_name=f"{view.run.name}-report.html",
        mime="text/html",
        icon=":material/summarize:",
        on_click="ignore",
        key="_report",
        help="One file with all figures, tables and definitions of this run, for this epoch and "
        "layer. It opens in any browser, without a network. The same on the command line: "
        "scripts/report.py.",
    )


# Each is some megabytes: the cache of what pages draw holds too many of them.
@st.cache_resource(max_entries=4, show_spinner=False)
def _make(_run: Run, path: str, mark: str, epoch: int, layer: str, detector: str | None) -> bytes:
    study = report.choose(_run, epoch=epoch, layer=layer, detector=detector)
    return report.compose(study).encode()
