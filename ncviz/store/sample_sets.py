"""Counts and identities of the samples that a run was evaluated on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from ncviz.store import checksums

KEYS, INPUTS, NO_IDENTITY = "keys", "inputs", ""
IDENTITIES = (KEYS, INPUTS, NO_IDENTITY)


@dataclass(frozen=True)
class SetInfo:
    """The samples of one set that results are computed from.

    A packed run keeps fewer samples than this; `Run.samples` lists those.

    Attributes
    ----------
    samples : number of samples evaluated
    available : number of samples that the whole set holds
    identity : ``"keys"`` where keys of images tell samples apart, ``"inputs"`` where hashes of the
        network's inputs do, ``""`` where nothing does
    digest : of the identities of all evaluated samples, in order
    labels : digest of their labels
    """

    samples: int
    available: int
    identity: str
    digest: str
    labels: str

    @classmethod
    def of(
        cls, table: pd.DataFrame, *, identity: str | None = None, available: int | None = None
    ) -> Self:
        """Describe the samples of one set.

        Parameters
        ----------
        table : the rows of the set in the list of samples, with the columns index, label and key
        identity : what the keys are; None takes ``"keys"`` where every sample has one
        available : None takes the number of rows
        """
        keys = table["key"].tolist()
        if identity is None:
            identity = KEYS if all(keys) else NO_IDENTITY
        named = {"index": table["index"].to_numpy(np.int64)}
        if identity != NO_IDENTITY:
            named = {"keys": np.frombuffer("\n".join(keys).encode(), np.uint8)}
        return cls(
            samples=len(table),
            available=len(table) if available is None else available,
            identity=identity,
            digest=checksums.of_arrays(named),
            labels=checksums.of_arrays({"label": table["label"].to_numpy(np.int64)}),
        )

    @property
    def source(self) -> str:
        """What files computed from these samples record of them."""
        return f"{self.digest} {self.labels}"

    def has_same_samples(self, other: SetInfo | None) -> bool:
        """Return whether both hold the same samples in the same order, as far as can be known."""
        return (
            other is not None
            and self.identity != NO_IDENTITY
            and (self.identity, self.digest) == (other.identity, other.digest)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes by name."""
        return asdict(self)


def is_description(value: Any) -> bool:
    """Return whether `value` describes sets by name, as in a run's description."""
    return isinstance(value, dict) and all(map(_is_set, value.values()))


def _is_set(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != SetInfo.__annotations__.keys():
        return False
    counts = value["samples"], value["available"]
    return (
        all(isinstance(count, int) and not isinstance(count, bool) for count in counts)
        and 0 <= value["samples"] <= value["available"]
        and value["identity"] in IDENTITIES
        and all(isinstance(value[name], str) for name in ("digest", "labels"))
    )


def read(description: Mapping[str, Any]) -> dict[str, SetInfo]:
    """Return the sets of a run's description by full name."""
    return {name: SetInfo(**one) for name, one in (description.get("sets") or {}).items()}


def describe(
    samples: pd.DataFrame,
    *,
    identities: Mapping[str, str] | None = None,
    available: Mapping[str, int] | None = None,
) -> dict[str, dict[str, Any]]:
    """Describe all sets of a list of samples: by full name, as a run's description holds them."""
    identities, available = identities or {}, available or {}
    return {
        name: SetInfo.of(
            table, identity=identities.get(name), available=available.get(name)
        ).to_dict()
        for name, table in samples.groupby("set", sort=False)
    }
