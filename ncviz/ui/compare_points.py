"""Which samples the points of a chart are, so that gestures on it choose samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ncviz.store import Run
from ncviz.ui import selection
from ncviz.ui.plot import Gestures, Point


@dataclass(frozen=True)
class Drawn:
    """The samples that a chart draws.

    Attributes
    ----------
    traces : for each trace of the chart the full name of a set, and (N,) which of its samples that
        `run` has cached the points are; traces beyond these are no samples
    """

    run: Run
    traces: tuple[tuple[str, np.ndarray], ...]

    def gestures(self, words: str) -> Gestures:
        """A lasso chooses samples, a click looks at one; `words` say how they were chosen."""

        def select(points: dict[int, list[int]]) -> None:
            rows = {}
            for trace, places in points.items():
                found = self._samples(trace, places)
                if found is not None:
                    rows[found[0]] = found[1]
            selection.select(self.run, rows, words)

        def look(point: Point) -> None:
            found = self._samples(point.trace, np.ravel(point.place)[:1])
            if found is not None and len(found[1]):
                selection.look_at(self.run, found[0], int(found[1][0]))

        return Gestures(click=look, lasso=select)

    def _samples(self, trace: int, places: Iterable[int]) -> tuple[str, np.ndarray] | None:
        """Set and positions of points of a trace; None where it is none of the samples."""
        if not 0 <= trace < len(self.traces):
            return None
        name, positions = self.traces[trace]
        # What a browser tells may be about a chart that has been replaced meanwhile.
        return name, positions[[at for at in places if 0 <= at < len(positions)]]
