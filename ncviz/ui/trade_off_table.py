"""Tables of the Trade-off page: every layer at its last epoch, and what was not measured."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import pandas as pd
import streamlit as st

from ncviz.collapse import METRICS
from ncviz.results.trade_off import CHANCE, DETECTION, Basis
from ncviz.store import Run
from ncviz.ui import components, detector, loaders
from ncviz.ui.components import plain

NC1_COLUMNS = ("nc1_pinv", "nc1_trace")
FURTHER_COLUMNS = ("nc2_gram", "nc3_duality", "nc4_agreement", "entropy", "effective_rank")
_BY_SET = (("fpr95", "FPR95"), ("auroc", "AUROC"), ("transfer", "Transfer error"))


def commands(run: Run) -> tuple[str, ...]:
    """Return the commands that write the results of a run."""
    return components.commands(run.name, imported=run.imported)


def last_epochs(
    runs: Mapping[str, Run], last: Mapping[str, pd.DataFrame], basis: Basis, score: str | None
) -> None:
    """Show one row for each layer of each run at its last evaluated epoch."""
    st.subheader("Each layer at its last epoch", anchor=False)
    rows = [
        _row(runs[name], row, basis)
        for name, table in last.items()
        for row in table.to_dict("records")
    ]
    config = {
        METRICS[name].label: st.column_config.NumberColumn(
            help=METRICS[name].definition, format="%.3f"
        )
        for name in NC1_COLUMNS + FURTHER_COLUMNS
    }
    config |= {name: st.column_config.TextColumn(pinned=True) for name in ("Run", "Layer")}
    table = pd.DataFrame(rows)
    for column in table.columns[2:]:
        config.setdefault(column, st.column_config.NumberColumn(format="%.3f"))
    components.table(
        table, name="layers", config=config, alt="Metrics of each layer at its run's last epoch"
    )
    by = f" by {detector.label(score)}" if score else ""
    st.caption(
        f"FPR95{by}: share of an OOD set's samples accepted when 95% of the ID test samples are. "
        "Transfer: error of a linear probe on the set's test split, fitted to its train split. "
        f"AUROC below {CHANCE} is worse than chance where the upper end of the interval is, too."
    )


def _row(run: Run, last: Mapping[str, object], basis: Basis) -> dict[str, object]:
    history = loaders.history(run)
    row: dict[str, object] = {"Run": run.name, "Layer": last["layer"]}
    if "test_accuracy" in history:
        row["ID test error"] = 1 - history["test_accuracy"].iloc[-1]
    # What the page compares comes first, for narrow windows.
    row |= {METRICS[name].label: last[name] for name in NC1_COLUMNS if name in last}
    for measure in (*DETECTION, "transfer"):
        if measure in last:
            row[basis.title(measure)] = last[measure]
            row |= {
                f"{basis.title(measure)}, {end}": last[f"{measure}_{end}"]
                for end in ("low", "high")
            }
    row |= {METRICS[name].label: last[name] for name in FURTHER_COLUMNS if name in last}
    for prefix, words in _BY_SET:
        row |= {
            f"{words}, {name.removeprefix(f'{prefix}:')}": value
            for name, value in last.items()
            if name.startswith(f"{prefix}:")
        }
    return row


def what_is_missing(runs: Mapping[str, Run], last: Mapping[str, pd.DataFrame], points: str) -> None:
    """Show what was not measured, with the commands that measure it."""
    # Measures that need the network are not available for imported features.
    last = {name: table for name, table in last.items() if not runs[name].imported}
    if len(last) < len(runs):
        names = plain(", ".join(name for name in runs if name not in last))
        st.caption(f"No transfer error, and no layers but those imported, of: {names}.")
    unmeasured = [
        name
        for name, table in last.items()
        if not any(str(column).startswith("transfer:") for column in table)
    ]
    if unmeasured:
        components.empty_state(
            f"Transfer is not measured yet for {plain(', '.join(unmeasured))}:",
            *(f"python scripts/extract.py {shlex.quote(name)} --transfer" for name in unmeasured),
        )
    reasons = {
        f"{plain(name)} {plain(reason)}"
        for run in runs.values()
        for name, reason in run.without_transfer.items()
    }
    if reasons:
        st.caption(f"No transfer error for: {'; '.join(sorted(reasons))}.")
    without = [name for name, table in last.items() if len(table) <= len(runs[name].layers)]
    if without and points == "layers":
        names = [shlex.quote(name) for name in without]
        components.empty_state(
            "No layers inside the backbone were extracted of "
            f"{plain(', '.join(without))}. Extract them with (--transfer: their transfer too):",
            *(f"python scripts/extract.py {name} --stages --transfer" for name in names),
            f"python scripts/evaluate.py {' '.join(names)}",
        )
