"""Seeds of networks trained elsewhere, for the recipes of imported and adopted runs."""

from __future__ import annotations

from typing import Any

from ncviz.errors import InvalidOptionError


def seed_fields(group: str | None, seed: int | None) -> dict[str, Any]:
    """Return the fields of a recipe that make a run part of a seed group.

    Parameters
    ----------
    group : name for everything in the training except the seed; None without a group
    seed : seed of the training

    Raises
    ------
    InvalidOptionError
        If one of both is missing: networks that differ in more than the seed are no group.

    Examples
    --------
    >>> seed_fields("wide-resnet", 2)
    {'group': 'wide-resnet', 'seed': 2}
    >>> seed_fields(None, None)
    {}
    """
    if group is None and seed is None:
        return {}
    if not group or seed is None:
        raise InvalidOptionError(
            "A seed group needs both --seed-group NAME and --seed N: runs with the same name, "
            "trained alike except for the seed, form the group."
        )
    return {"group": group, "seed": seed}
