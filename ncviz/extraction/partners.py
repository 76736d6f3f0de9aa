"""Which OOD sets a run is held against: those asked for, those it has, or those at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ncviz import data
from ncviz.errors import InvalidOptionError, MissingDataError, UnknownNameError
from ncviz.store import Run


def choose_ood_sets(
    run: Run, asked: Sequence[str] | None, load: Mapping[str, Any]
) -> dict[str, str]:
    """OOD set names with their group, near before far.

    Parameters
    ----------
    asked : names of sets or suites; None takes the run's, or else the partners at hand
    load : options of `data.load`

    Raises
    ------
    UnknownNameError : neither a data set nor a suite.
    InvalidOptionError : the run's own ID set is among them.
    MissingDataError : nothing was asked for, and nothing is at hand.
    """
    if asked is None and run.ood_sets:
        return run.ood_sets
    groups: dict[str, str] = {}
    for name in _partners_at_hand(run, load) if asked is None else asked:
        if name in data.suites():
            suite = data.suite(name)
            groups |= dict.fromkeys(suite.near, "near") | dict.fromkeys(suite.far, "far")
        else:
            _require_known(name, load)
            groups[name] = data.ood_group(run.id_set, name)
    if run.id_set in groups:
        raise InvalidOptionError(
            f"{run.id_set} is what the run knows; it cannot be an OOD set too."
        )
    return dict(sorted(groups.items(), key=lambda item: item[1] != "near"))


def load_ood_set(
    run: Run, name: str, id_images: data.ImageSet, keep_overlap: bool, load: Mapping[str, Any]
) -> data.ImageSet:
    """Load an OOD set with the classes that the run uses of it.

    A set that the run has samples of keeps its classes. Of others, the classes that are ID classes
    are left out unless `keep_overlap` is given.

    Raises
    ------
    InvalidOptionError : `keep_overlap` for a set whose samples were drawn without some classes.
    NcvizError : as `data.load_ood`.
    """
    recorded = run.left_out.get(name, {}) if _has_samples(run, name) else None
    if keep_overlap and recorded:
        raise InvalidOptionError(
            f"Run {run.name} was extracted with {name} without {len(recorded)} classes of "
            f"{run.id_set}. Leave out --keep-overlap, or delete samples.parquet and "
            f"epochs/*/features in {run.path} to extract the run again with all classes."
        )
    return data.load_ood(name, id_images, keep_overlap=keep_overlap, left_out=recorded, **load)


def _has_samples(run: Run, name: str) -> bool:
    try:
        return f"{name}/test" in set(run.samples["set"])
    except MissingDataError:
        return False


def _require_known(name: str, load: Mapping[str, Any]) -> None:
    try:
        data.describe(name, root=load["root"])
    except UnknownNameError:
        known = {*data.names(), *data.suites()}
        hint = f"An image folder NCVIZ_DATA/{name}/test/CLASS/* makes it one."
        raise UnknownNameError("OOD set or suite", name, known, hint) from None


def _partners_at_hand(run: Run, load: Mapping[str, Any]) -> list[str]:
    """OOD sets of the suites made for the run's ID set whose images are here."""
    suites = [suite for suite in map(data.suite, data.suites()) if suite.id_name == run.id_set]
    partners = dict.fromkeys(name for suite in suites for name in suite.members)
    found = [name for name in partners if _is_at_hand(name, load)]
    if not found:
        looked = f" (looked for {', '.join(partners)})" if partners else ""
        raise MissingDataError(
            f"No OOD set for {run.id_set} is on this machine{looked}. Name some with --ood NAME "
            "..., or give --ood without a name to have none."
        )
    return found


def _is_at_hand(name: str, load: Mapping[str, Any]) -> bool:
    try:
        # Fetching is for sets that are asked for by name; whether images decode shows later.
        data.load(name, "test", **{**load, "download": False, "skip_corrupt": False})
    except MissingDataError:
        return False
    return True
