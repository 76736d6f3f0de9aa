"""Seed groups on the Overview: mean and standard deviation over seeds of each group."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from ncviz.collapse import METRICS
from ncviz.metrics import DEFINITIONS
from ncviz.results import seeds
from ncviz.results.headlines import HEADLINES
from ncviz.seed_groups import SeedSummary
from ncviz.ui import components, detector, seed_loaders
from ncviz.ui.components import plain
from ncviz.ui.view import View

_COLLAPSE = tuple(headline.metric for headline in HEADLINES[:2])
_DETECTION = ("auroc", "fpr95")


def show(view: View, score: str | None) -> None:
    """Show one row for each seed group, and whether the chosen run belongs to one."""
    st.subheader("Seed groups", anchor=False)
    found = seed_loaders.summaries()
    if found:
        components.table(
            pd.DataFrame([_row(summary, score) for summary in found]),
            name="seed-groups",
            alt="Mean and standard deviation over seeds of each seed group",
            values=lambda: pd.concat(
                [each.table.assign(seed_group=each.group.name, epoch=each.epoch) for each in found]
            ),
            words="Save every result over seeds as CSV",
        )
        by = (
            f" Detection by {detector.label(score)}, mean over the OOD sets listed."
            if score
            else ""
        )
        st.caption(
            f"{seeds.MEAN_STD} A group consists of runs with equal recipe and data that differ "
            f"only in the seed and in the saved epochs, at the last epoch that all share.{by}"
        )
        for summary in found:
            if summary.missing:
                st.caption(
                    f"{plain(summary.name)}: {plain(', '.join(summary.missing))} without results."
                )
    st.caption(f"{plain(view.run.name)}: {plain(seed_loaders.in_words(view.run, score))}")


def _row(summary: SeedSummary, score: str | None) -> dict[str, object]:
    layer = summary.members[0].layers[-1]
    row = {
        "Group": summary.group.name,
        "Seeds": len(summary.members),
        "Epoch": summary.epoch,
        "Test accuracy": _words(summary, "accuracy", "accuracy"),
    }
    for metric in _COLLAPSE:
        row[METRICS[metric].label] = _words(summary, "collapse", metric, layer=layer, form=".3g")
    for metric in _DETECTION if score else ():
        row[f"Mean {DEFINITIONS[metric].label}"] = _words(
            summary, "detection", metric, layer=layer, detector=score, group="all"
        )
    errors = _words(summary, "transfer", "probe_error", layer=layer, group="all")
    return row | {"Transfer error": errors, "OOD sets": seeds.sets_in_words(summary)}


def _words(summary: SeedSummary, kind: str, metric: str, *, form: str = ".3f", **which: str) -> str:
    spread = summary.spread(kind, metric, **which)
    if spread is None:
        return "–"
    fewer = f" (n = {spread.n})" if spread.n != len(summary.members) else ""
    return (spread.words(form) if spread.n > 1 else f"{spread.mean:{form}}") + fewer
