"""What to look at first: a few steps, each a sentence about the runs and a link into a state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from ncviz.claims import Verdict, verdict
from ncviz.results import tables
from ncviz.results.board import ENDS
from ncviz.results.comparisons import Difference
from ncviz.results.maps import MAPPED_LAYERS
from ncviz.store import Run
from ncviz.ui import controls, detector, layer_comparison, loaders, narrow
from ncviz.ui.components import number, percent, plain
from ncviz.ui.links import link
from ncviz.ui.navigation import (
    EMBEDDINGS,
    NEURAL_COLLAPSE,
    OOD_SCORES,
    TRADE_OFF,
    UPLOAD,
    Page,
)
from ncviz.ui.view import View

_HIDDEN = "tour_is_hidden"
_PER_ROW = 3
PAIR = layer_comparison.PAIR


@dataclass(frozen=True)
class Step:
    """One thing to look at.

    Attributes
    ----------
    title : names it; steps of one tour have different ones
    sentence : what is to be seen and why, with numbers of the run
    page, view : where the link leads
    state : further controls that the Overview has too, by key
    address : controls of that page alone, by key; the address writes their values as they are
    """

    title: str
    sentence: str
    page: Page
    view: View
    state: Mapping[str, str] = field(default_factory=dict)
    address: Mapping[str, str | list[str]] = field(default_factory=dict)

    def arrive(self) -> None:
        """Set the controls of the page."""
        controls.go_to(self.view)
        st.session_state.update(self.state)
        st.session_state.update(self.address)


def show(runs: Mapping[str, Run]) -> None:
    """The steps that `runs` can show, until a reader hides them."""
    found = list(steps(runs))
    if not found:
        return
    hidden = st.session_state.get(_HIDDEN, False)
    with st.container(horizontal=True, vertical_alignment="center"):
        if not hidden:
            st.subheader("What to look at first", anchor=False)
        st.button(
            "Show what to look at first" if hidden else "Hide",
            icon=":material/explore:" if hidden else ":material/close:",
            key="_tour",
            type="tertiary",
            on_click=partial(_hide, not hidden),
        )
    if hidden:
        return
    for start in range(0, len(found), _PER_ROW):
        row = st.container(key=f"{narrow.CARDS}_tour_{start}").columns(_PER_ROW)
        for at, step in enumerate(found[start : start + _PER_ROW], start=start):
            with row[at - start].container(border=True, height="stretch"):
                st.markdown(f"**{at + 1}. {plain(step.title)}**  \n{plain(step.sentence)}")
                link(
                    step.page,
                    f"Open {step.page.title}",
                    key=f"_tour_{step.title}",
                    arrive=step.arrive,
                    address=step.address,
                    type="tertiary",
                    help=plain(step.view.shown),
                )


def _hide(hidden: bool) -> None:
    st.session_state[_HIDDEN] = hidden


def steps(runs: Mapping[str, Run]) -> Iterator[Step]:
    """What `runs` can show, in the order to look at it; each takes the run that shows it best."""
    evaluated = [run for run in runs.values() if len(loaders.collapse_table(run))]
    for make in (_collapse, _means, _scores, _points, _trade_off, _image):
        step = make(evaluated)
        if step is not None:
            yield step


def _collapse(runs: Sequence[Run]) -> Step | None:
    """The run whose NC1 falls furthest, at its first epoch."""
    lines = [
        (run, tables.metric_series(loaders.collapse_table(run), run.layers[-1], "nc1_pinv"))
        for run in runs
    ]
    lines = [
        (run, line)
        for run, line in lines
        if len(line.values) > 1 and 0 < line.values[-1] < line.values[0]
    ]
    if not lines:
        return None
    run, line = max(lines, key=lambda each: each[1].values[0] / each[1].values[-1])
    first, last = int(line.epochs[0]), int(line.epochs[-1])
    return Step(
        "Classes collapse",
        f"NC1, the scatter within classes, of {run.name} is {number(line.values[0])} at epoch "
        f"{first} and {number(line.values[-1])} at epoch {last} (on its training set). Step on "
        "with the arrow key → and watch the other four measures.",
        NEURAL_COLLAPSE,
        View(run, first, run.layers[-1]),
    )


def _means(runs: Sequence[Run]) -> Step | None:
    """Class means beside the ETF, of a run with a projector if there is one."""
    chosen = [run for run in runs if PAIR[1] in run.layers] or runs
    for run in chosen:
        layer = run.layers[-1]
        line = tables.metric_series(loaders.collapse_table(run), layer, "nc2_cosine_std")
        if not len(line.values) or not np.isfinite(line.values[-1]):
            continue
        order = "superclass" if run.superclasses else "cluster"
        return Step(
            "Class means spread out",
            f"The heatmap of {run.name} at the {layer} shows which of its {len(run.classes)} "
            f"classes stay close. Their cosines still spread by {number(line.values[-1])}; in the "
            "even layout beside it, the ETF, by 0.",
            NEURAL_COLLAPSE,
            View(run, int(line.epochs[-1]), layer),
            address={"order": order, "colours": "fit"},
        )
    return None


def _scores(runs: Sequence[Run]) -> Step | None:
    """The easiest far set beside the hardest near one, where the first is easiest."""
    found = [(run, rows) for run in runs if len(rows := _far_sets(run))]
    if not found:
        return None
    run, far = max(found, key=lambda each: (_has_steps(each[0]), each[1]["auroc"].max()))
    name = far["detector"].iloc[0]
    easy = far.loc[far["auroc"].idxmax()]
    sets, hard_words = [easy["set"]], ""
    near = _last_rows(run, name)
    near = near[near["group"] == "near"]
    if len(near):
        hard = near.loc[near["auroc"].idxmin()]
        sets.append(hard["set"])
        hard_words = f", and from {hard['set']}, a near set, with {_with_interval(hard)}"
    return Step(
        "Known from unknown",
        f"{detector.label(name)} separates {run.id_set} from {easy['set']}, a far set, with an "
        f"AUROC of {_with_interval(easy)}{hard_words}. See where the distributions overlap, then "
        "move the threshold.",
        OOD_SCORES,
        View(run, int(easy["epoch"]), run.layers[-1]),
        {"detector": name},
        {"sets": sets},
    )


def _has_steps(run: Run) -> bool:
    """Return whether a run has several epochs, unlike further seeds that are saved at the end."""
    return len(run.epochs) > 1


def _with_interval(row: pd.Series) -> str:
    low, high = (row.get(f"auroc_{end}", np.nan) for end in ENDS)
    interval = f" (95% interval {low:.3f} to {high:.3f})" if np.isfinite(low) else ""
    return f"{row['auroc']:.3f}{interval}"


def _far_sets(run: Run) -> pd.DataFrame:
    rows = _last_rows(run, detector.DEFAULT)
    return rows[rows["group"] == "far"]


def _last_rows(run: Run, name: str) -> pd.DataFrame:
    """Detection by `name` at the layer under the head, at the last evaluated epoch."""
    table = loaders.detection_table(run)
    rows = table[(table["layer"] == run.layers[-1]) & (table["detector"] == name)]
    return rows[rows["epoch"] == rows["epoch"].max()]


def _points(runs: Sequence[Run]) -> Step | None:
    """The first map of a run, with two panels if there is such a run."""
    mapped = [(run, epochs) for run in runs if len(epochs := _mapped_epochs(run)) > 1]
    if not mapped:
        return None
    run, epochs = max(mapped, key=lambda each: PAIR[1] in each[0].layers)
    layers = [layer for layer in MAPPED_LAYERS if layer in run.layers] or run.layers[:1]
    return Step(
        "Points move",
        f"Every point is an image, as the {' and the '.join(layers)} of {run.name} "
        f"{'see' if len(layers) > 1 else 'sees'} it. Press Play: through {len(epochs)} epochs "
        "classes draw together, and unknown images are drawn in among them or left between.",
        EMBEDDINGS,
        View(run, epochs[0], run.layers[-1]),
        address={"colour": "class"},
    )


@loaders.kept
def _mapped_epochs(run: Run) -> tuple[int, ...]:
    return tuple(number for number in run.epochs if run.epoch(number).maps_sources())


def _trade_off(runs: Sequence[Run]) -> Step | None:
    """Encoder against projector: which accepts fewer OOD samples, which transfers better."""
    for run in runs:
        if not set(PAIR) <= set(run.layers):
            continue
        evaluated = loaders.collapse_table(run)
        epoch = int(evaluated["epoch"].max())
        found = layer_comparison.differences(run, epoch)
        if not {"fpr95", "transfer"} <= set(found):
            continue
        detection, transfer = found["fpr95"], found["transfer"]
        return Step(
            "Two layers, two tasks",
            f"In {run.name} the encoder accepts {_two_shares(detection, 'the projector')} of OOD "
            f"samples (FPR95, mean over {', '.join(detection.sets)}): {_better(detection)}. A "
            f"linear probe on the encoder is wrong on {_two_shares(transfer, 'on the projector')} "
            f"of the samples of other data sets (transfer): {_better(transfer)}. See how both "
            "change with NC1.",
            TRADE_OFF,
            View(run, epoch, PAIR[1]),
            address={"runs": [run.name], "points": "epochs"},
        )
    return None


def _two_shares(found: Difference, second: str) -> str:
    return f"{percent(found.first, 0)}, {second} {percent(found.second, 0)}"


def _better(found: Difference) -> str:
    """Which layer has the smaller share, where the interval of the difference excludes zero."""
    result = verdict(found.estimate, "above")
    layer = {Verdict.SUPPORTED: PAIR[1], Verdict.CONTRADICTED: PAIR[0]}.get(result)
    return f"the {layer} is better" if layer else result.value


def _image(runs: Sequence[Run]) -> Step | None:
    """The run that is right most often, of those that an image can be shown to."""
    found = [(run, epochs[-1]) for run in runs if (epochs := _judging_epochs(run))]
    if not found:
        return None
    run, epoch = max(found, key=lambda each: (_has_steps(each[0]), _accuracy(*each)))
    right = _accuracy(run, epoch)
    accuracy = f" and is right on {percent(right)} of its test images" if right else ""
    return Step(
        "Try an image of your own",
        f"{run.name} knows {len(run.classes)} classes, such as {run.classes[0]} and "
        f"{run.classes[-1]},{accuracy}. Show it one of them, then anything else: would it notice?",
        UPLOAD,
        View(run, epoch, run.layers[-1]),
    )


def _judging_epochs(run: Run) -> list[int]:
    """Epochs with weights and scores."""
    scored = set(loaders.detection_table(run)["epoch"])
    return [number for number in run.weighted_epochs if number in scored]


def _accuracy(run: Run, epoch: int) -> float:
    history = loaders.history(run)
    if "test_accuracy" not in history:
        return 0.0
    values = history.loc[history["epoch"] == epoch, "test_accuracy"]
    return float(values.iloc[0]) if len(values) else 0.0
