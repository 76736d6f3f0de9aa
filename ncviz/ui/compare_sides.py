"""The two sides of a comparison: A is what all pages show, B is chosen here."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import streamlit as st

from ncviz.errors import NcvizError
from ncviz.figures import Shown
from ncviz.store import Run
from ncviz.ui import controls, detector, loaders, pairing
from ncviz.ui.differences import Contender
from ncviz.ui.pairing import SharedSamples
from ncviz.ui.view import View

SIDES = ("A", "B")
RUN, EPOCH, LAYER = "other_run", "other_epoch", "other_layer"
_RUNS = "_compared_runs"


@dataclass(frozen=True)
class Pair:
    """What is compared: two places, looked at by one detector (None: there are no scores).

    `problems` are those that the page has told already.
    """

    a: View
    b: View
    detector: str | None
    problems: set[str] = field(default_factory=set, compare=False)

    @property
    def views(self) -> tuple[View, View]:
        return self.a, self.b

    @property
    def label(self) -> str:
        """How a page writes the detector."""
        return detector.label(self.detector) if self.detector else ""

    @property
    def contenders(self) -> tuple[Contender, Contender]:
        """The detector at both sides; takes one."""
        return tuple(
            Contender(view.run, view.epoch, view.layer, self.detector) for view in self.views
        )

    @property
    def shown(self) -> tuple[Shown, Shown]:
        """What a figure of each side writes under its title."""
        return tuple(
            Shown(view.run.name, view.epoch, view.layer, side)
            for side, view in zip(SIDES, self.views, strict=True)
        )

    @property
    def both(self) -> str:
        """What a figure of both sides writes under its title."""
        return "  |  ".join(map(str, self.shown))

    def shared(self, name: str) -> SharedSamples:
        """Return the samples of ``"test"`` or of an OOD set that both sides keep."""
        return pairing.shared_samples(self.a.run, self.b.run, name)

    @cached_property
    def same_known(self) -> bool:
        """Whether both sides scored the same ID test samples."""
        return self.shared("test").suffice

    @cached_property
    def paired(self) -> tuple[str, ...]:
        """OOD sets of which both sides scored the same samples, as of the ID test set."""
        return tuple(pairing.paired_sets(self.a.run, self.b.run))

    @cached_property
    def aligned(self) -> tuple[str, ...]:
        """Those of `paired` of which both sides keep the same samples, as of the ID test set."""
        return tuple(name for name in self.paired if all(map(self._keep_the_same, ("test", name))))

    def _keep_the_same(self, name: str) -> bool:
        full_name = pairing.full_name(self.a.run, name)
        return self.shared(name).are_all_of(self.a.run, self.b.run, full_name)


def choose_other(view: View) -> View:
    """Side B: run, epoch and layer, and a button that swaps the sides."""
    runs = {name: run for name, run in loaders.listing().runs.items() if run.epochs}
    _follow(view, runs)
    run = runs[controls.choose("B: run", list(runs), key=RUN, default=view.run.name)]
    st.session_state[_RUNS] = (view.run.name, run.name)
    epoch = controls.slide("B: epoch", run.epochs, key=EPOCH, default=_epoch(view, run))
    layers = controls.layers_at(run, epoch)
    layer = controls.switch(
        "B: layer", layers, key=LAYER, default=_layer(view, run, layers), wraps=True
    )
    other = View(run, epoch, layer)
    st.button(
        "Swap A and B",
        icon=":material/swap_horiz:",
        on_click=_swap,
        args=(view, other),
        width="stretch",
        key="_swap",
    )
    return other


def choose_detector(a: View, b: View) -> str | None:
    """A detector that scored both sides, or one of them where none scored both."""
    mine, theirs = ({*_scored_by(each)} for each in (a, b))
    names = detector.in_order(mine & theirs or mine or theirs)
    if not names:
        return None
    return detector.choose(names, help="The score that both sides are compared by.")


def _scored_by(view: View) -> list[str]:
    try:
        table = loaders.detection_table(view.run)
    except NcvizError:
        return []  # reported by what shows them
    here = table[(table["epoch"] == view.epoch) & (table["layer"] == view.layer)]
    return list(here["detector"].unique())


def _follow(view: View, runs: dict[str, Run]) -> None:
    """After a change of either run, B shows what is worth comparing there."""
    before = st.session_state.get(_RUNS)
    if before is None:
        return  # the first look shows what the address says
    if before[0] == before[1] == st.session_state.get(RUN) != view.run.name:
        # Whoever compared epochs of one run wants to compare those of the other.
        st.session_state[RUN] = view.run.name
    name = st.session_state.get(RUN)
    if before != (view.run.name, name) and name in runs:
        run = runs[name]
        st.session_state[EPOCH] = _epoch(view, run)
        layers = controls.layers_at(run, st.session_state[EPOCH])
        st.session_state[LAYER] = _layer(view, run, layers)


def _epoch(view: View, run: Run) -> int:
    """The end of the same training that is farther away, or the same epoch of another one."""
    if run == view.run:
        return run.epochs[-1] if view.epoch == run.epochs[0] else run.epochs[0]
    return view.epoch if view.epoch in run.epochs else run.epochs[-1]


def _layer(view: View, run: Run, layers: tuple[str, ...]) -> str:
    """The same layer; another where nothing else could differ."""
    others = [layer for layer in layers if layer != view.layer]
    if run == view.run and len(run.epochs) == 1 and others:
        return others[-1]
    return view.layer if view.layer in layers else layers[-1]


def _swap(a: View, b: View) -> None:
    controls.go_to(b)
    for key, value in ((RUN, a.run.name), (EPOCH, a.epoch), (LAYER, a.layer)):
        st.session_state[key] = value
    st.session_state[_RUNS] = (b.run.name, a.run.name)
