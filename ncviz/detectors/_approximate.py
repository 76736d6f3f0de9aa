"""An index of the training samples that finds most of the nearest without comparing with all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from ncviz.optional import optional

_ROWS = 16384
# Training samples that the cells are found from, for each cell; faiss takes no more.
_FOR_A_CELL = 256


class Index:
    """Vectors in cells around centres; a search looks at the cells whose centres are nearest.

    An inverted file of faiss (Douze et al., arXiv 2401.08281) that keeps a byte for each number.

    Parameters
    ----------
    vectors : gives the vectors (n, D) float32 of a slice, as often as it is asked
    count, dim : N and D
    probes : cells that a search looks at

    Raises
    ------
    MissingPackageError : faiss is not installed.
    """

    def __init__(
        self, vectors: Callable[[slice], np.ndarray], count: int, dim: int, probes: int
    ) -> None:
        faiss = optional(
            "faiss", what="An index of neighbours", requirements="requirements-neighbours.txt"
        )
        self.cells = max(1, min(round(4 * math.sqrt(count)), count // 40))
        self._index = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatIP(dim),
            dim,
            self.cells,
            faiss.ScalarQuantizer.QT_8bit,
            faiss.METRIC_INNER_PRODUCT,
        )
        self._index.cp.spherical = True
        step = max(1, count // (_FOR_A_CELL * self.cells))
        self._index.train(np.concatenate([part[::step] for part in _blocks(vectors, count)]))
        for part in _blocks(vectors, count):
            self._index.add(part)
        self._index.nprobe = min(probes, self.cells)

    def search(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The largest products of queries (B, D) and their columns, (B, count) both.

        Where the cells hold fewer, the columns are -1 and the products -inf.
        """
        products, columns = self._index.search(queries.astype(np.float32), count)
        products[columns < 0] = -np.inf
        return products, columns


def _blocks(vectors: Callable[[slice], np.ndarray], count: int) -> Iterator[np.ndarray]:
    for at in range(0, count, _ROWS):
        yield np.ascontiguousarray(vectors(slice(at, at + _ROWS)), np.float32)
