"""Pieces divided over processes: each sees parts of them, the first puts the parts together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from ncviz.extraction.pieces import Arrays, Piece, Told
from ncviz.inference import Pixels
from ncviz.processes import Processes


@dataclass(frozen=True, eq=False)
class Block:
    """Pieces of one set that are seen before any of them is put together.

    `own` are the parts of each piece that are this process's to see. What an earlier call left
    behind is nobody's, so a process that was killed has its parts seen anew, and they alone.
    """

    pieces: Sequence[Piece]
    own: Sequence[tuple[int, ...]]

    @classmethod
    def divide(cls, pieces: Sequence[Piece], processes: Processes) -> Block:
        """The block that `pieces` make; asks the disk what is there, so before it changes."""
        lacking = [
            (number, part)
            for number, piece in enumerate(pieces)
            for part in range(piece.shards.count)
            if piece.shards.read(part) is None
        ]
        own = processes.own(lacking)
        return cls(pieces, [tuple(part for at, part in own if at == n) for n in range(len(pieces))])

    @property
    def name(self) -> str:
        """Of the set."""
        return self.pieces[0].name

    @property
    def images(self) -> int:
        """How many this process sees, each time it sees it."""
        return sum(
            len(batch)
            for piece, own in zip(self.pieces, self.own, strict=True)
            for part in own
            for batch in piece.parts[part]
        )

    def carry_out(
        self, pixels: Pixels, device: torch.device, processes: Processes, told: Told
    ) -> None:
        """See this process's parts; once all have, the first process writes the files."""
        if processes.several:
            for piece, own in zip(self.pieces, self.own, strict=True):
                shards = piece.shards
                for part, arrays in zip(own, piece.see(own, pixels, device, told), strict=True):
                    shards.write(part, arrays)
            processes.wait()
        if processes.first:
            for piece in self.pieces:
                piece.finish(_every_part(piece, pixels, device, told))
                piece.shards.discard()


def _every_part(piece: Piece, pixels: Pixels, device: torch.device, told: Told) -> Iterator[Arrays]:
    """The parts of a piece in order: as they lie there, or else seen now."""
    shards = piece.shards
    lacking = [part for part in range(shards.count) if not shards.has(part)]
    seen = piece.see(lacking, pixels, device, told)
    for part in range(shards.count):
        arrays = next(seen) if part in lacking else shards.read(part)
        if arrays is None:  # damaged since it was looked at
            (arrays,) = piece.see([part], pixels, device, told)
        yield arrays
