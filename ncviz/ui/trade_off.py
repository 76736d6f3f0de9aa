"""Trade-off: collapse against detection and transfer, over epochs, layers and networks."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from ncviz.collapse import METRICS
from ncviz.correlation import MIN_NETWORKS, MIN_PAIRS
from ncviz.figures import trade_off
from ncviz.results.trade_off import Basis, averaged, choose_basis
from ncviz.results.trade_off_panels import (
    Course,
    changes_sign,
    correlations,
    panels_against,
    scopes,
    style_of,
    through_epochs,
)
from ncviz.results.trade_off_seeds import seed_courses
from ncviz.results.words import left_out
from ncviz.store import Run
from ncviz.ui import (
    components,
    controls,
    detector,
    loaders,
    seed_loaders,
    shell,
    told,
    trade_off_table,
)
from ncviz.ui.components import plain
from ncviz.ui.plot import Gestures, Point
from ncviz.ui.view import View

CHART = "_trade_off"
NC1 = tuple(name for name, info in METRICS.items() if info.group == "NC1")
MEAN = "mean"
POINTS = ("epochs", "layers", "networks", "seeds")
NOTES = {
    "epochs": "one point for each saved epoch · lines join the epochs of a run's layer",
    "layers": "one point for each layer of a run's last epoch, named at the chosen run · lines go "
    "from input to head",
    "networks": "one point for each run: the layer under the head at its last epoch",
    "seeds": "one point for each seed group, with its standard deviation · one seed: no error bars",
}
BARS_ARE = {
    "samples": "Error bars are 95% intervals over test samples. They do not include the "
    "differences between trainings.",
    "seeds": "Error bars are one standard deviation over seeds to either side of the mean: the "
    "spread of single trainings, not an interval of the mean.",
}


def body(view: View) -> None:
    """The page below its title."""
    # A chosen run whose results are damaged says so here; damaged others are left out.
    loaders.collapse_table(view.run)
    loaders.detection_table(view.run)
    # Runs on other data differ in more than collapse: a correlation over them says nothing.
    runs = {
        name: run
        for name, run in loaders.listing().runs.items()
        if run.id_set == view.run.id_set and loaders.is_sound(run)
    }
    shown, nc1, points, ood_set = _choose(view, runs)
    score = detector.choose_for_layers(
        shown.values(),
        help="The score whose AUROC and FPR95 are shown. A layer without a head of its own has the "
        "energy of a linear probe, and scores that look at features alone.",
    )
    tables = {
        (name, layer): table for name, run in shown.items() for layer, table in _read(run, score)
    }
    basis = choose_basis(
        {f"{name} · {layer}": table for (name, layer), table in tables.items()}, ood_set
    )
    tables = {key: averaged(table, basis) for key, table in tables.items()}
    last = {name: _last_layers(name, tables) for name in shown}
    courses = {
        "epochs": _through_epochs(shown, tables),
        "layers": _through_layers(shown, last),
        "networks": _networks(shown, last),
        "seeds": seed_courses(shown, tables, seed_loaders.groups(shown.values()), view.run.name),
    }
    drawn = [course for course in courses[points] if nc1 in course.table]
    if not drawn:
        reasons = [run.without_features for run in shown.values()]
        if reasons and all(reasons):
            components.empty_state(plain(reasons[0]))
            return
        components.empty_state(
            "No chosen run has results yet. Make them with:",
            *trade_off_table.commands(next(iter(shown.values()), view.run)),
        )
        return
    components.provenance(
        f"{len(shown)} runs" if len(shown) > 1 else next(iter(shown)),
        f"marked: {view.shown}",
        loaders.computed_on(view.run),
        *left_out(view.run),
        f"detection by {detector.label(score)}" if score else "no detection results",
        "written by scripts/evaluate.py and scripts/extract.py --transfer",
    )
    _say_basis(basis, several=len(tables) > 1)
    with shell.readable_errors():
        _chart(view, drawn, nc1, points, basis)
        st.caption(f"{plain(view.run.name)}: {plain(seed_loaders.in_words(view.run, score))}")
    with shell.readable_errors():
        _correlations(courses, nc1, basis)
    with shell.readable_errors():
        trade_off_table.last_epochs(shown, last, basis, score)
    with shell.readable_errors():
        trade_off_table.what_is_missing(shown, last, points)


def _choose(view: View, runs: Mapping[str, Run]) -> tuple[dict[str, Run], str, str, str | None]:
    """Runs, definition of NC1, kind of points, and the OOD set (None: the mean)."""
    with st.sidebar:
        chosen = controls.choose_several(
            "Runs",
            list(runs),
            key="runs",
            default=list(runs),
            help=f"The runs trained on {view.run.id_set}.",
            placeholder="Choose runs",
        )
        shown = {name: runs[name] for name in chosen}
        nc1 = controls.choose(
            "NC1 by",
            NC1,
            key="nc1",
            words=lambda name: METRICS[name].label,
            help="Definitions of NC1 can disagree about which of two layers is more collapsed.",
        )
        points = controls.switch(
            "Points",
            POINTS,
            key="points",
            help="epochs: encoder and projector at every saved epoch. layers: all layers of a "
            "run at its last epoch, including those inside the backbone where they were "
            "extracted. networks: one point for each run. seeds: one point for each group of runs "
            "that differ only in the seed.",
        )
        sets = list(dict.fromkeys(name for run in shown.values() for name in run.ood_sets))
        ood_set = controls.choose(
            "OOD set",
            [MEAN, *sets],
            key="on_set",
            words=lambda name: "mean over shared sets" if name == MEAN else name,
            help="One set, or the mean over the sets that all points were measured on.",
        )
    return shown, nc1, points, None if ood_set == MEAN else ood_set


def _read(run: Run, score: str | None) -> list[tuple[str, pd.DataFrame]]:
    """The tables of all layers of a run, in their order at its last evaluated epoch."""
    table = loaders.collapse_table(run)
    if table.empty:
        return []
    layers = table.loc[table["epoch"] == table["epoch"].max(), "layer"].unique()
    found = [(layer, loaders.trade_off_table(run, layer, score)) for layer in layers]
    return [(layer, each) for layer, each in found if len(each)]


def _last_layers(name: str, tables: Mapping[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
    """One row for each layer of a run at its last evaluated epoch."""
    own = [table for (run, _), table in tables.items() if run == name]
    if not own:
        return pd.DataFrame()
    found = pd.concat(own)
    return found[found["epoch"] == found["epoch"].max()].reset_index(drop=True)


def _through_epochs(
    runs: Mapping[str, Run], tables: Mapping[tuple[str, str], pd.DataFrame]
) -> list[Course]:
    chosen = [
        (name, layer, table)
        for (name, layer), table in tables.items()
        if layer in runs[name].layers
    ]
    return [
        through_epochs(runs[name], layer, table, style_of(at))
        for at, (name, layer, table) in enumerate(chosen)
    ]


def _through_layers(runs: Mapping[str, Run], last: Mapping[str, pd.DataFrame]) -> list[Course]:
    return [
        Course(runs[name], name, table, tuple(table["layer"]), style_of(at))
        for at, (name, table) in enumerate(last.items())
        if len(table)
    ]


def _networks(runs: Mapping[str, Run], last: Mapping[str, pd.DataFrame]) -> list[Course]:
    found = []
    for at, (name, table) in enumerate(last.items()):
        if len(table):
            head = table[table["layer"] == runs[name].layers[-1]]
            found.append(Course(runs[name], name, head, (name,) * len(head), style_of(at)))
    return found


def _say_basis(basis: Basis, *, several: bool) -> None:
    if basis.words:
        shared = " These are the sets that all points shown share." if several else ""
        st.caption(plain(basis.words) + shared)
    for problem in basis.problems:
        st.warning(plain(problem), icon=":material/warning:")


def _chart(view: View, courses: list[Course], nc1: str, points: str, basis: Basis) -> None:
    panels = panels_against(courses, nc1, basis=basis, shown=view.shown, named=points == "layers")
    figure = trade_off(
        panels,
        title="Collapse against detection, transfer and entropy",
        note=NOTES[points],
    )

    def follow(clicked: Point) -> None:
        if len(clicked.data) == 2:
            place, position = map(int, clicked.data)
            point = courses[place].table.iloc[position]
            st.session_state["run"] = courses[place].run.name
            st.session_state["layer"] = point["layer"]
            st.session_state["epoch"] = int(point["epoch"])

    components.chart(
        figure,
        key=CHART,
        alt=told.against(panels),
        gestures=Gestures(click=follow),
    )
    st.caption(
        "Full collapse is at the left. If more collapse means better detection, FPR95 rises from "
        "left to right and AUROC falls; if it means worse transfer, the transfer error falls. "
        f"{BARS_ARE['seeds' if points == 'seeds' else 'samples']} A cross marks a point that is "
        "worse than chance: its AUROC and the upper end of its interval are below 0.5. Click a "
        "point to choose its run, layer and epoch."
    )


def _correlations(courses: Mapping[str, list[Course]], nc1: str, basis: Basis) -> None:
    st.subheader("How much do the correlations depend on the points?", anchor=False)
    found = list(scopes(courses["epochs"], courses["layers"], courses["networks"]))
    table = correlations(found, nc1, basis)
    if table.empty:
        st.caption(f"No correlation: it needs {MIN_PAIRS} points that differ.")
        return
    if unstable := changes_sign(table):
        st.markdown(
            f"**No consistent sign**: {plain('; '.join(unstable))}. The correlation with NC1 is "
            "positive or negative depending on the points, the logarithm or a single point."
        )
    numbers = [name for name in table.columns if table[name].dtype == float]
    config = {name: st.column_config.NumberColumn(format="%.2f") for name in numbers}
    config |= {name: st.column_config.NumberColumn(format="%d") for name in ("Number", "Networks")}
    config["Points"] = st.column_config.TextColumn(width=240)
    components.table(
        table,
        name="correlations",
        config=config,
        alt="Correlations of NC1 with each measure over layers, epochs and networks",
    )
    st.caption(
        "r is Pearson's correlation, with the logarithm of NC1 and without. Leave-one-out: the "
        "range of r (log NC1) when one point is left out. A network is one independent "
        "observation: over epochs or layers of the same networks r is descriptive and has no "
        f"interval. Across networks, one point each, {MIN_NETWORKS} are needed for one."
    )
