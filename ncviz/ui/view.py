"""What a page is looking at."""

from __future__ import annotations

from dataclasses import dataclass

from ncviz.figures import Shown
from ncviz.store import Run


@dataclass(frozen=True)
class View:
    """The choices of the sidebar that all pages share."""

    run: Run
    epoch: int
    layer: str

    @property
    def shown(self) -> Shown:
        """The same, as a figure writes it under its title."""
        return Shown(self.run.name, self.epoch, self.layer)

    @property
    def previous_epoch(self) -> int | None:
        """The saved epoch before this one, or None at the first."""
        position = self.run.epochs.index(self.epoch)
        return self.run.epochs[position - 1] if position else None

    @property
    def without_head(self) -> str:
        """Why the layer under the logits lacks features or a linear head, if so; else empty."""
        if self.run.without_features:
            return "imported without features: everything that uses them is left out"
        reason = self.run.without_head
        is_last = self.layer == self.run.layers[-1]
        if not reason or not is_last or self.run.epoch(self.epoch).has_head(self.layer):
            return ""
        return f"{reason}: methods that need its weights are left out"
