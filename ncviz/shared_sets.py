"""Selection of the data sets that everything in a comparison was measured on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence


def shared(measured: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Return the sets that every entry was measured on, in the order of the first entry.

    Means over sets are comparable only over these.

    Parameters
    ----------
    measured : for each compared run, epoch or layer its sets; entries without a set have no value
        in the comparison and are ignored

    Examples
    --------
    >>> shared({"a": ["cifar10", "mnist", "dtd"], "b": ["mnist", "cifar10"], "c": []})
    ('cifar10', 'mnist')
    """
    compared = [sets for sets in measured.values() if sets]
    if not compared:
        return ()
    return tuple(name for name in compared[0] if all(name in sets for sets in compared))


def why_none(measured: Mapping[str, Collection[str]], kind: str) -> str:
    """Return why there is no mean over sets, or ``""`` where there is one or nothing to average.

    Parameters
    ----------
    measured : as in `shared`
    kind : what the sets are, such as ``"OOD set"``
    """
    compared = {name: sets for name, sets in measured.items() if sets}
    if not compared or shared(compared):
        return ""
    names_of: dict[tuple[str, ...], list[str]] = {}
    for name, sets in compared.items():
        names_of.setdefault(tuple(sets), []).append(name)
    parts = "; ".join(f"{_some(names)}: {', '.join(sets)}" for sets, names in names_of.items())
    return f"No mean: there is no {kind} that all of these were measured on ({parts})."


def _some(names: Sequence[str], most: int = 3) -> str:
    """Return the names, or the first of them and how many more there are."""
    if len(names) <= most:
        return " / ".join(names)
    return f"{' / '.join(names[: most - 1])} and {len(names) - most + 1} more"
