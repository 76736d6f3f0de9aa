"""The OOD sets that the runs of the Overview share, and numbers averaged over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from ncviz.estimates import Estimate
from ncviz.results import tables
from ncviz.shared_sets import shared, why_none
from ncviz.store import Run
from ncviz.ui import board_loaders, loaders
from ncviz.ui.components import plain
from ncviz.ui.view import View


@dataclass(frozen=True)
class SharedSets:
    """The OOD sets of each kind that all runs on the same ID data were evaluated on.

    Attributes
    ----------
    by_data : for each ID set, for each kind, the sets
    problems : why there is no mean, a sentence each
    """

    by_data: Mapping[str, Mapping[str, tuple[str, ...]]]
    problems: tuple[str, ...]

    def of(self, run: Run) -> Mapping[str, tuple[str, ...]]:
        """The sets of each kind that a run is averaged over."""
        return self.by_data.get(run.id_set, {})


def layer_of(run: Run, view: View) -> str:
    """The layer of another run that corresponds to the chosen one.

    The layer under the head corresponds to that of every run, whatever its name.
    """
    under_head = view.layer == view.run.layers[-1]
    return view.layer if view.layer in run.layers and not under_head else run.layers[-1]


def shared_sets(runs: Mapping[str, Run], view: View, score: str | None) -> SharedSets:
    """Find the OOD sets that runs on the same data share, kind by kind."""
    by_data, problems = {}, []
    for data in dict.fromkeys(run.id_set for run in runs.values()):
        own = {name: run for name, run in runs.items() if run.id_set == data}
        measured = {
            name: tables.sets_by_kind(loaders.detection_table(run), layer_of(run, view), score)
            for name, run in own.items()
        }
        by_data[data] = {}
        for kind in tables.KINDS:
            sets = {name: each[kind] for name, each in measured.items()}
            by_data[data][kind] = shared(sets)
            problems.append(why_none(sets, f"{kind} OOD set"))
    return SharedSets(by_data, tuple(filter(None, problems)))


def say(found: SharedSets) -> None:
    """Name the sets under the chart, and say why a mean is missing."""
    parts = [
        f"{data}: {', '.join(name for names in kinds.values() for name in names)}"
        for data, kinds in found.by_data.items()
        if any(kinds.values())
    ]
    if parts:
        st.caption(
            "AUROC: mean over the OOD sets that all runs on the same data share "
            f"({plain('; '.join(parts))})."
        )
    if found.problems:
        st.warning(
            f"{plain(' '.join(found.problems))} The chart and the run cards compare runs over "
            "shared OOD sets only. Each run's other pages show all of its OOD sets.",
            icon=":material/warning:",
        )


def auroc(
    run: Run, epoch: int | None, layer: str, score: str | None, kind: str, sets: Sequence[str]
) -> Estimate:
    """Mean AUROC over sets of one kind at an epoch, with its interval."""
    found = []
    for table in (loaders.detection_table(run), loaders.means_table(run)):
        here = (table["epoch"] == epoch) & (table["layer"] == layer)
        found.append(table[here & (table["detector"] == score)])
    return tables.auroc_estimate(*found, kind, sets)


def accuracy(run: Run, epoch: int | None) -> Estimate:
    """Test accuracy of a run at an epoch, with Wilson's interval."""
    history, calibration = loaders.history(run), board_loaders.calibration_table(run)
    samples = run.description.get("test_samples")
    samples = samples if isinstance(samples, int) else None
    if "test_accuracy" not in history:  # trained elsewhere: measured on the evaluated samples
        here = calibration.loc[calibration["epoch"] == epoch, "samples"]
        samples = int(here.iloc[0]) if len(here) else None
    return tables.accuracy_estimate(history, calibration, epoch, samples)
