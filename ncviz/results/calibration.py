"""How far confidence can be believed, as the lines and panels of figures."""

from __future__ import annotations

import pandas as pd

from ncviz.figures import Panel, Reliable, Series
from ncviz.figures.theme import ID_STYLE, ood_style
from ncviz.metrics import CALIBRATION_DEFINITIONS
from ncviz.results import detectors

BEFORE, AFTER = ID_STYLE, ood_style(0)
NAMES = {False: "as it is", True: "after scaling"}


def reliable_lines(bins: pd.DataFrame) -> list[Reliable]:
    """The bins of confidence of an epoch, as it is and after temperature scaling."""
    return [
        Reliable(
            NAMES[scaled],
            *(own[part].to_numpy() for part in ("confidence", "accuracy", "count")),
            style,
        )
        for scaled, style in ((False, BEFORE), (True, AFTER))
        if len(own := bins[bins["scaled"] == scaled])
    ]


def temperature_lines(rows: pd.DataFrame) -> list[Series]:
    """Each detector's mean AUROC over the sets in `rows`, of one epoch, against temperature."""
    means = rows.groupby(["detector", "temperature"])["auroc"].mean()
    return [
        Series(
            detectors.label(name),
            means.loc[name].index.to_numpy(),
            means.loc[name].to_numpy(),
            ood_style(position - 1) if position else ID_STYLE,
        )
        for position, name in enumerate(detectors.in_order(rows["detector"]))
    ]


def calibration_panels(calibration: pd.DataFrame) -> list[Panel]:
    """Calibration error and likelihood over epochs, before and after scaling; the temperature."""
    epochs = calibration["epoch"].to_numpy()
    panels = [
        Panel(
            CALIBRATION_DEFINITIONS[name].label,
            tuple(
                Series(NAMES[scaled], epochs, calibration[column].to_numpy(float), style)
                for column, scaled, style in (
                    (name, False, BEFORE),
                    (f"{name}_scaled", True, AFTER),
                )
            ),
            0.0,
        )
        for name in ("ece", "nll")
    ]
    temperature = Series("", epochs, calibration["temperature"].to_numpy(float))
    return [*panels, Panel(CALIBRATION_DEFINITIONS["temperature"].label, (temperature,), 1.0)]
