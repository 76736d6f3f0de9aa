"""The chosen samples as a table: true and predicted class, and what a detector says of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ncviz.ui import detector, sample_loaders
from ncviz.ui.selection import Selection
from ncviz.ui.view import View

LOWEST, HIGHEST, CLASS, SET, ORDER = "lowest score", "highest score", "class", "set", "order"
SORTS = (LOWEST, HIGHEST, CLASS, SET, ORDER)


@dataclass(frozen=True)
class Judge:
    """The detector whose score is shown beside samples, and the layer that it has scored.

    `layer` is None where it has scored none of them at this epoch.
    """

    name: str
    layer: str | None

    @property
    def label(self) -> str:
        return detector.label(self.name)


def judge(view: View, name: str | None) -> Judge:
    """The detector `name`, or else the default one, at the view's layer or else at the last."""
    name = name or detector.DEFAULT
    return Judge(name, sample_loaders.scored_layer(view.run, view.epoch, view.layer, name))


def chosen(view: View, choice: Selection, by: Judge, sort: str) -> pd.DataFrame:
    """A row for each chosen sample that the run has cached, in the order of `sort`.

    Columns: set, row, index, label, key, truth (name of the class), known (bool: of the run's own
    data set), predicted (class, -1: none), confidence, wrong (bool), score, percentile, accepted.
    """
    table = sample_loaders.samples(view.run)
    parts = []
    for name in table["set"].unique():
        rows = choice.rows(view.run, name)
        if len(rows):
            parts.append(_described(view, table[table["set"] == name].iloc[rows], by))
    if not parts:
        return pd.DataFrame()
    found = pd.concat(parts, ignore_index=True)
    if sort in (LOWEST, HIGHEST):
        return found.sort_values("score", ascending=sort == LOWEST, kind="stable")
    if sort in (CLASS, SET):
        by_columns = ["truth"] if sort == CLASS else ["set", "truth"]
        return found.sort_values(by_columns, kind="stable")
    return found


def describe(view: View, set_name: str, row: int, by: Judge) -> pd.Series:
    """The same columns for one sample."""
    table = sample_loaders.samples(view.run)
    one = table[(table["set"] == set_name) & (table["row"] == row)]
    return _described(view, one, by).iloc[0]


def predicted_name(view: View, predicted: int) -> str:
    """Name of a predicted class; empty where nothing is predicted."""
    return view.run.classes[predicted] if 0 <= predicted < len(view.run.classes) else ""


def _described(view: View, rows: pd.DataFrame, by: Judge) -> pd.DataFrame:
    set_name = rows["set"].iloc[0]
    known = sample_loaders.is_known(view.run, set_name)
    positions = rows["row"].to_numpy()
    predicted, confidence = np.full(len(rows), -1), np.full(len(rows), np.nan)
    outputs = sample_loaders.outputs(view.run, view.epoch, set_name)
    if outputs is not None and positions.max() < len(outputs.predicted):
        predicted, confidence = outputs.predicted[positions], outputs.confidence[positions]
    score, percentile, accepted = _judged(view, set_name, positions, by)
    return rows.assign(
        truth=[
            sample_loaders.class_name(view.run, set_name, label, key)
            for label, key in zip(rows["label"], rows["key"], strict=True)
        ],
        known=known,
        predicted=predicted,
        confidence=confidence,
        wrong=known & (predicted >= 0) & (predicted != rows["label"].to_numpy()),
        score=score,
        percentile=percentile,
        accepted=accepted,
    )


def _judged(view: View, set_name: str, positions: np.ndarray, by: Judge) -> tuple:
    """Scores, percentiles and sides; NaN and False where the detector has scored nothing."""
    nothing = np.full(len(positions), np.nan)
    if by.layer is not None:
        history = sample_loaders.histories(view.run, by.layer, by.name).get(set_name)
        if history is not None and view.epoch in history.epochs:
            at = history.epochs.index(view.epoch)
            if positions.max() < history.scores.shape[1]:
                arrays = (history.scores, history.percentiles, history.accepted)
                return tuple(array[at, positions] for array in arrays)
    return nothing, nothing, np.zeros(len(positions), bool)
