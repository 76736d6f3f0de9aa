"""Choosing samples by their scores: a range of them, one side of the threshold, the wrong side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from ncviz import metrics
from ncviz.figures import Marks, SelectedScores
from ncviz.figures.chosen import thinned
from ncviz.figures.theme import ID_STYLE, Style
from ncviz.thresholds import SetScores
from ncviz.ui import components, detector, loaders, selection, threshold
from ncviz.ui.components import plain
from ncviz.ui.plot import Point
from ncviz.ui.view import View

FROM, TO = "_scores_from", "_scores_to"
ACCEPTED, REJECTED = "Accepted as ID", "Rejected as OOD"
_RANGE_OF = "_scores_of"
_MOST_ON_CURVES, _APART = 200, 0.025


@dataclass(frozen=True)
class Scored:
    """The samples that a page draws the scores of.

    Attributes
    ----------
    samples : by set, as a reader calls it; the ID test set is the first. Positions are those of
        the kept samples, counts are of all evaluated samples
    full_names : what the selection calls the same sets
    """

    view: View
    detector: str
    samples: Mapping[str, SetScores]
    full_names: Mapping[str, str]
    cut: threshold.Cut

    @property
    def known(self) -> str:
        """The ID test set."""
        return next(iter(self.samples))

    def within(self, low: float, high: float) -> dict[str, np.ndarray]:
        """Return positions of the kept samples of each set with a score from `low` to `high`."""
        return {
            name: np.flatnonzero((each.kept >= low) & (each.kept <= high))
            for name, each in self.samples.items()
        }

    @property
    def points(self) -> dict[str, metrics.OperatingPoint]:
        """Counts on both sides of the threshold, by OOD set: of the samples that evaluate it."""
        known, *unknown = (each.judged_on(halves=self.cut.halves) for each in self.samples.values())
        names = list(self.samples)[1:]
        return {
            name: metrics.operating_point(known, scores, self.cut.value)
            for name, scores in zip(names, unknown, strict=True)
        }

    @property
    def evaluated(self) -> int:
        """Number of samples of all sets that the counts are of."""
        return sum(len(each.judged_on(halves=self.cut.halves)) for each in self.samples.values())

    @property
    def listed(self) -> int:
        """Number of kept samples among them, which can be selected."""
        return sum(int(each.listed(halves=self.cut.halves).sum()) for each in self.samples.values())

    def counted(self, name: str, *, accepted: bool) -> np.ndarray:
        """Return positions of the kept samples on one side that also count in the table."""
        each = self.samples[name]
        side = (each.kept >= self.cut.value) == accepted
        return np.flatnonzero(side & each.listed(halves=self.cut.halves))

    def wrong(self) -> dict[str, np.ndarray]:
        """Known samples that are rejected and OOD samples that are accepted."""
        return {name: self.counted(name, accepted=name != self.known) for name in self.samples}

    def chosen(self) -> dict[str, SelectedScores]:
        """Return the selected samples of each set; sets without any are left out."""
        now = selection.current()
        rows = {name: now.rows(self.view.run, self.full_names[name]) for name in self.samples}
        return {
            name: SelectedScores(found, self.samples[name].kept[found])
            for name, found in rows.items()
            if len(found)
        }

    def looked_at(self) -> tuple[str, float] | None:
        """What the sample is called that a reader looks at, and its score."""
        sample = selection.looked_at(self.view.run)
        for name, full in self.full_names.items():
            if sample and sample[0] == full:
                index = loaders.sample_indices(self.view.run, full)[sample[1]]
                return f"sample {index:,} of {name}", float(self.samples[name].kept[sample[1]])
        return None

    def select(self, rows: Mapping[str, np.ndarray], words: str) -> None:
        """Make positions by set the reader's selection; none at all leave it as it is."""
        if not any(map(len, rows.values())):
            st.toast(f"No sample: {plain(words)}", icon=":material/info:")
            return
        place = f"epoch {self.view.epoch}, {self.view.layer}"
        rows = {self.full_names[name]: found for name, found in rows.items()}
        selection.select(self.view.run, rows, f"{words}, {place}")

    def select_range(self, low: float, high: float) -> None:
        """Select the samples whose score lies in a range."""
        words = f"{detector.label(self.detector)} score from {low:.4g} to {high:.4g}"
        self.select(self.within(low, high), words)

    def select_side(self, name: str, *, accepted: bool) -> None:
        """Select what a cell of the counts has counted."""
        side = "accepted as ID" if accepted else "rejected as OOD"
        self.select({name: self.counted(name, accepted=accepted)}, f"{name} {side} {self._by()}")

    def select_wrong(self) -> None:
        """Select known samples that are rejected and OOD samples that are accepted."""
        self.select(self.wrong(), f"on the wrong side {self._by()}")

    def look(self, clicked: Point) -> None:
        """Look closely at the sample whose mark below the distributions was clicked."""
        if len(clicked.data) != 2:
            return
        number, row = map(int, clicked.data)
        names = list(self.samples)
        if number in range(len(names)) and row in range(len(self.samples[names[number]].kept)):
            selection.look_at(self.view.run, self.full_names[names[number]], row)

    def _by(self) -> str:
        return f"of {detector.label(self.detector)}'s threshold {self.cut.value:.4g}"

    def marks(
        self, name: str, chosen: Mapping[str, SelectedScores], style: Style, positive: str | None
    ) -> tuple[Marks, ...]:
        """Where the selected samples lie on the curve of an OOD set, if each were the threshold.

        `positive` is the class of a precision-recall curve, None for an ROC.
        """
        known, unknown = self.samples[self.known], self.samples[name]
        most = _MOST_ON_CURVES // (2 * (len(self.samples) - 1))
        marks = []
        for each, look in ((self.known, ID_STYLE), (name, style)):
            own = chosen[each].scores if each in chosen else np.empty(0)
            points = [
                place_on_curve(
                    metrics.operating_point(known.evaluated, unknown.evaluated, value), positive
                )
                for value in np.unique(own[thinned(own, max(1, most))])
            ]
            marks.append(Marks(*_apart([point for point in points if point]).T, look))
        return tuple(marks)


def _apart(points: Sequence[tuple[float, float]]) -> np.ndarray:
    """(M, 2) neighbouring points of a curve without those that would hide each other."""
    kept: list[tuple[float, float]] = []
    for point in points:
        if not kept or sum(abs(a - b) for a, b in zip(point, kept[-1], strict=True)) >= _APART:
            kept.append(point)
    return np.array(kept, dtype=np.float64).reshape(-1, 2)


def place_on_curve(
    point: metrics.OperatingPoint, positive: str | None
) -> tuple[float, float] | None:
    """Where a threshold lies on an ROC (`positive` None) or a precision-recall curve.

    None where it lies nowhere, because nothing is found.
    """
    if positive is None:
        return point.fpr, point.tpr
    if positive == "ID":
        return None if point.precision is None else (point.tpr, point.precision)
    rejected = point.id_rejected + point.ood_rejected
    return (1 - point.fpr, point.ood_rejected / rejected) if rejected else None


def choose_range(scored: Scored, low: float, high: float) -> None:
    """Two fields and a button that do what a drag over the distributions does.

    `low` and `high` are the ends of the drawn axis. Not in a popover: keys do not lead into one.
    """
    # The fields of one detector and epoch mean nothing on the scale of another.
    place = (scored.view, scored.detector)
    if st.session_state.get(_RANGE_OF) != place:
        st.session_state[_RANGE_OF] = place
        st.session_state[FROM], st.session_state[TO] = _rounded(low), _rounded(high)
    step = float(f"{(high - low) / 50:.1g}")
    for label, key in (("Scores from", FROM), ("to", TO)):
        st.number_input(label, key=key, step=step, format="%.6g", width=150)

    def chosen() -> None:
        ends = (st.session_state[FROM], st.session_state[TO])
        if None not in ends:
            scored.select_range(*sorted(ends))

    st.button("Select these", key="_select_range", icon=":material/select:", on_click=chosen)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def confusion(scored: Scored) -> None:
    """Draw the counts on both sides of the threshold; each is a button that selects samples.

    Counts are of all evaluated samples; a click selects those of them that are kept.
    """
    view = scored.view
    counts = threshold.confusion(view.run.id_set, scored.points, view.run.ood_sets)
    names = list(scored.samples)

    def pressed(key: str, accepted: bool) -> None:
        row = st.session_state[key]["row"]
        if row in range(len(names)):
            scored.select_side(names[row], accepted=accepted)

    config = {
        column: st.column_config.ButtonColumn(
            alignment="right",
            help="Click a count to select those samples, as far as they are kept.",
            key=key,
            on_click=pressed,
            args=(key, column == ACCEPTED),
        )
        for column, key in ((ACCEPTED, "_accepted"), (REJECTED, "_rejected"))
    }
    config["Samples"] = st.column_config.NumberColumn(format="localized")
    config[threshold.WRONG] = st.column_config.NumberColumn(format="percent")
    shown = counts.assign(
        **{name: counts[name].map("{:,}".format) for name in (ACCEPTED, REJECTED)}
    )
    components.table(
        shown,
        name="confusion",
        shown=view.shown,
        config=config,
        values=lambda: counts,
        alt="Counts of each set on both sides of the threshold",
    )


def choose_side(scored: Scored) -> None:
    """Draw buttons that do what a click on a count does, for keyboards and screen readers."""
    wrong = sum(map(len, scored.wrong().values()))
    all_kept = scored.listed == scored.evaluated
    st.button(
        f"Select the {wrong:,} {'' if all_kept else 'kept '}samples on the wrong side",
        key="_select_wrong",
        icon=":material/select:",
        on_click=scored.select_wrong,
        disabled=not wrong,
        help="Known samples that are rejected and OOD samples that are accepted, of those counted "
        "in the table.",
    )
    with st.expander("Select one side of a set", icon=":material/select:"):
        for number, name in enumerate(scored.samples):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(plain(name), width=220)
                for accepted, word in ((True, "accepted"), (False, "rejected")):
                    count = len(scored.counted(name, accepted=accepted))
                    st.button(
                        f"{count:,} {word}",
                        key=f"_select_{word}_{number}",
                        on_click=scored.select_side,
                        args=(name,),
                        kwargs={"accepted": accepted},
                        disabled=not count,
                    )
