"""The samples of the Compare page: whose rank among the known ones changed most from B to A."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from ncviz import metrics
from ncviz.figures import PointSet, moved
from ncviz.figures.theme import ID_STYLE
from ncviz.metrics import Moves
from ncviz.ui import compare_loaders, components, controls, loaders, pairing, selection
from ncviz.ui.compare_points import Drawn
from ncviz.ui.compare_reading import results_of_both, style_of
from ncviz.ui.compare_sides import Pair
from ncviz.ui.compare_tables import shades, show_table
from ncviz.ui.components import plain
from ncviz.ui.view import View

LISTED = 50
COLUMNS = (
    *("Set", "Sample", "A − B", "True class", "A predicts", "B predicts"),
    *("A", "B"),
)
_ALL, _ID = "all", "ID test"
_ROWS = "_moved_rows"


@dataclass(frozen=True)
class MovedSet:
    """The samples of one set that both sides have, and where they stand.

    Attributes
    ----------
    name, full_name : as scores know it (``"test"`` for ID), and with its split
    rows, others : (N,) positions among the cached samples of A and of B
    """

    name: str
    full_name: str
    rows: np.ndarray
    others: np.ndarray
    moves: Moves


def show(pair: Pair) -> None:
    """Ranks of the same samples on two sides that have been scored, and those that moved most."""
    st.subheader("The samples that moved most", anchor=False)
    sets = _sets(pair, list(results_of_both(pair)[0].index))
    if not sets:
        components.empty_state(
            f"{plain(pair.a.run.name)} and {plain(pair.b.run.name)} have no sample that is known "
            "to be the same, so none can be followed from one to the other."
        )
        return
    words = {_words(each): each for each in sets}
    chosen = controls.switch("Samples of", [_ALL, *words], key="moved", wraps=True)
    shown = sets if chosen == _ALL else [words[chosen]]
    drawn = Drawn(pair.a.run, tuple((each.full_name, each.rows) for each in shown))
    left, right = st.columns([5, 6])
    with left:
        _scatter(pair, shown, drawn)
    with right:
        _table(pair, shown)
    st.caption(
        "Ranks are percentiles: the share of the ID test samples of the same side that score lower "
        "(ties count one half), so networks that score on different scales compare. Above the "
        "diagonal a sample looks more known to A than to B. Circle points to select their samples, "
        "click one to look at it."
    )


def _sets(pair: Pair, shared: list[str]) -> list[MovedSet]:
    one, two = pair.contenders
    known = one.distribution("test"), two.distribution("test")
    found = []
    for name in ("test", *shared):
        both = pair.shared(name)
        if len(both):
            first, second = one.scores(name)[both.rows], two.scores(name)[both.others]
            moves = metrics.moves(first, second, *known)
            full_name = pairing.full_name(pair.a.run, name)
            found.append(MovedSet(name, full_name, both.rows, both.others, moves))
    return found


def _words(each: MovedSet) -> str:
    return _ID if each.name == "test" else each.name


def _scatter(pair: Pair, shown: Sequence[MovedSet], drawn: Drawn) -> None:
    chosen = selection.current()
    looked = selection.looked_at(pair.a.run)
    points, ringed = [], None
    for each in shown:
        moves = each.moves
        lit = np.flatnonzero(np.isin(each.rows, chosen.rows(pair.a.run, each.full_name)))
        points.append(
            PointSet(
                _words(each),
                ID_STYLE if each.name == "test" else style_of(pair, each.name),
                moves.second,
                moves.first,
                index=loaders.sample_indices(pair.a.run, each.full_name)[each.rows],
                lit=lit if chosen else None,
            )
        )
        if looked is not None and looked[0] == each.full_name and looked[1] in each.rows:
            at = int(np.flatnonzero(each.rows == looked[1])[0])
            ringed = float(moves.second[at]), float(moves.first[at])
    figure = moved(
        points,
        detector=pair.label,
        shown=pair.shown,
        looked_at=ringed,
        state=f"{chosen} {looked}",
    )
    count = sum(len(each.rows) for each in shown)
    components.chart(
        figure,
        key="compared_ranks",
        alt=f"Rank among known samples by A over that by B, of {count:,} samples",
        gestures=drawn.gestures(f"circled among the ranks of {pair.both}"),
    )


def _table(pair: Pair, shown: Sequence[MovedSet]) -> None:
    frame = listed(shown, LISTED)
    where = {each.full_name: each for each in shown}
    samples = list(zip(frame["full_name"], frame["at"], strict=True))

    def look() -> None:
        for row in st.session_state[_ROWS]["selection"]["rows"][:1]:
            if row < len(samples):
                name, at = samples[row]
                selection.look_at(pair.a.run, name, int(where[name].rows[at]))

    table = pd.concat([_about(pair, frame, where), _in_percent(frame)], axis=1)[[*COLUMNS]]
    show_table(
        table,
        shades(["A" if x > 0 else "B" for x in frame["change"]], frame["change"].abs()),
        name="compare-samples",
        columns=["A − B"],
        formats={"Sample": "%d", "A": "%.1f%%", "B": "%.1f%%", "A − B": "%+.1f"},
        alt=f"The {len(frame)} samples whose rank changed most",
        key=_ROWS,
        on_select=look,
        selection_mode="single-row",
        height=400,
    )
    st.button(
        f"Select these {len(frame)}",
        icon=":material/select_all:",
        key="_select_moved",
        on_click=_select,
        args=(pair, samples, where),
        help="Lights them up in every chart, on all pages.",
    )


def _select(pair: Pair, samples: Sequence[tuple[str, int]], where: Mapping[str, MovedSet]) -> None:
    rows: dict[str, list[int]] = {}
    for name, at in samples:
        rows.setdefault(name, []).append(int(where[name].rows[at]))
    selection.select(pair.a.run, rows, f"largest changes of rank: {pair.both}")


def listed(shown: Sequence[MovedSet], count: int) -> pd.DataFrame:
    """The samples of several sets that moved farthest: full_name, at, first, second, change.

    `at` is a sample's position in its `MovedSet`.
    """
    frame = pd.DataFrame(
        {
            "full_name": np.repeat(
                [each.full_name for each in shown], [len(e.rows) for e in shown]
            ),
            "at": np.concatenate([np.arange(len(each.rows)) for each in shown]),
            "first": np.concatenate([each.moves.first for each in shown]),
            "second": np.concatenate([each.moves.second for each in shown]),
        }
    )
    together = Moves(frame["first"].to_numpy(), frame["second"].to_numpy())
    frame["change"] = together.change
    return frame.iloc[together.largest(count)].reset_index(drop=True)


def _about(pair: Pair, frame: pd.DataFrame, where: Mapping[str, MovedSet]) -> pd.DataFrame:
    """What each listed sample is, and what both networks take it for."""
    parts = []
    for full_name, listed in frame.groupby("full_name", sort=False):
        each, at = where[full_name], listed["at"].to_numpy()
        own, other = each.rows[at], each.others[at]
        columns = {
            "Set": _words(each),
            "Sample": loaders.sample_indices(pair.a.run, full_name)[own],
            "True class": _true_classes(pair, each, own),
            "A predicts": _predicted(pair.a, each, own),
            "B predicts": _predicted(pair.b, each, other),
        }
        parts.append(pd.DataFrame(columns, index=listed.index))
    return pd.concat(parts).sort_index()


def _true_classes(pair: Pair, each: MovedSet, rows: np.ndarray) -> np.ndarray | str:
    labels = compare_loaders.labels(pair.a.run, pair.a.epoch, each.name)
    # Labels of an OOD set are of its own classes, which the run does not name.
    if each.name != "test" or labels is None:
        return "unknown" if each.name == "test" else "none of these"
    return np.array(pair.a.run.classes)[labels[rows]]


def _predicted(view: View, each: MovedSet, rows: np.ndarray) -> np.ndarray:
    found = compare_loaders.predictions(view.run, view.epoch, each.name)
    return np.array(view.run.classes)[found[rows]]


def _in_percent(frame: pd.DataFrame) -> pd.DataFrame:
    parts = {"A": "first", "B": "second", "A − B": "change"}
    return pd.DataFrame({words: 100 * frame[part] for words, part in parts.items()})
