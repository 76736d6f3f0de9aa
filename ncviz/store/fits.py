"""What the detectors of an epoch were fitted on, and why others were left out, by name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pandas as pd

from ncviz import detectors
from ncviz.errors import CorruptFileError, MissingDataError
from ncviz.store import columns

if TYPE_CHECKING:
    from ncviz.store.epoch import Epoch


def fitted_on(epoch: Epoch, layer: str) -> dict[str, str]:
    """Return what each scored detector of a layer was fitted on, such as "n = 50,000, k = 50".

    Empty where the epoch has no current results.
    """
    table = _of_layer(epoch, layer)
    table = table[table["left_out"] == ""]
    try:
        return {
            row.detector: detectors.describe_fit(row.samples, dict(json.loads(row.parameters)))
            for row in table.itertuples()
        }
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise CorruptFileError(
            f"The table of fitted detectors of epoch {epoch.number} of {epoch.run.name} is "
            f"damaged. Run: python scripts/evaluate.py {epoch.run.name}"
        ) from error


def detectors_left_out(epoch: Epoch, layer: str) -> dict[str, str]:
    """Return the reason of each detector that was left out at a layer."""
    table = _of_layer(epoch, layer)
    table = table[table["left_out"] != ""]
    return dict(zip(table["detector"], table["left_out"], strict=True))


def _of_layer(epoch: Epoch, layer: str) -> pd.DataFrame:
    try:
        table = epoch.fitted()
    except MissingDataError:
        return pd.DataFrame(columns=list(columns.FITTED))
    return table[table["layer"] == layer]
