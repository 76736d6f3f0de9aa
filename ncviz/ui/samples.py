"""The end of a page: the selected samples, one of them closely, and those that changed sides."""

from __future__ import annotations

import streamlit as st

from ncviz.ui import changed_sides, one_sample, sample_grid, sample_path, sample_table, selection
from ncviz.ui.pictures import Missing
from ncviz.ui.shell import readable_errors
from ncviz.ui.view import View


def show(view: View, detector: str | None) -> None:
    """Draw the sections on samples; `detector` is the one that the page is about, if any."""
    told: set[Missing] = set()
    with readable_errors():
        by = sample_table.judge(view, detector)
        among = sample_grid.show(view, by, told)
        changed_sides.show(view, by)
        looked_at = selection.looked_at(view.run)
        if looked_at is not None:
            with st.container(key=sample_grid.ONE_SAMPLE):
                one_sample.show(view, by, among, told, *looked_at)
                sample_path.show(view, by.name, *looked_at)
