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
        """Remark on an import without features, or without a head; empty elsewhere."""
        if self.run.without_features:
            return "imported without features: everything that uses them is left out"
        if not self.run.imported or self.run.epoch(self.epoch).has_head(self.layer):
            return ""
        return "imported without a head: what looks at one is left out"
