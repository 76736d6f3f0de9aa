"""Which entry of a checkpoint holds a network's weights, and under which prefix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

# Preferred in this order: the weights that training code evaluates come first, as in timm.
ENTRIES = (
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "params_ema", "ema"),
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "params"),
    *("weights", "module"),
)
# Put into names by wrappers of submodules, which do not change what a tensor is.
WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
OPTIONAL = "num_batches_tracked"
"""last part of names that evaluation does not use, which other frameworks do not save"""
_RENAMED = {
    "weight_g": "parametrizations.weight.original0",
    "weight_v": "parametrizations.weight.original1",
}
_MAX_DEPTH = 3
_SHOWN = 8


@dataclass(frozen=True)
class Fit:
    """One entry of a checkpoint, read with one prefix, compared with the names of a network.

    Attributes
    ----------
    entry : keys that lead to the entry, with dots between them; empty for the file itself
    prefix : removed from every name
    weights : tensors by the network's names
    missing : names that the network has and the entry lacks
    foreign : names below a submodule of the network, or a parameter of it, that it does not have
    ignored : further names of the entry that have no place in the network
    """

    entry: str
    prefix: str
    weights: dict[str, Tensor]
    missing: tuple[str, ...]
    foreign: tuple[str, ...]
    ignored: tuple[str, ...] = field(repr=False)

    @property
    def is_complete(self) -> bool:
        """Whether every name that the network needs is there, and none that it does not know."""
        return not self.missing and not self.foreign

    @property
    def where(self) -> str:
        """Entry and prefix in words."""
        entry = f"entry '{self.entry}'" if self.entry else "the whole file"
        return f"{entry}, prefix '{self.prefix}'" if self.prefix else f"{entry}, no prefix"


def entries_in(found: Mapping[Any, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the mappings in `found` that hold tensors, preferred ones first, by entry."""
    return dict(sorted(_walk(found, "", 0), key=lambda item: _rank(item[0])))


def _walk(found: Mapping[Any, Any], path: str, depth: int) -> Iterator[tuple[str, Mapping]]:
    if any(isinstance(value, Tensor) for value in found.values()):
        yield path, found
    if depth == _MAX_DEPTH:
        return
    for key, value in found.items():
        if isinstance(key, str) and isinstance(value, Mapping):
            yield from _walk(value, f"{path}.{key}" if path else key, depth + 1)


def _rank(entry: str) -> tuple[int, ...]:
    """Return the place of an entry in ENTRIES; entries that are not listed come last."""
    parts = entry.split(".") if entry else []
    known = [ENTRIES.index(part) if part in ENTRIES else len(ENTRIES) for part in parts]
    # The weights of a moving average are often nested: ema.state_dict, or state_dict.ema.
    return (min(known, default=-1), *known)


def fits(
    entry: str,
    found: Mapping[Any, Any],
    expected: Collection[str],
    *,
    prefix: str | None = None,
) -> list[Fit]:
    """Compare an entry with the names of a network, for each prefix that occurs in it.

    Parameters
    ----------
    found : tensors by name; values that are not tensors are ignored
    expected : names of the network's parameters and buffers
    prefix : the only one to try, its last dot optional; None for all prefixes that lead to a name
        of the network

    Returns
    -------
    list of Fit : the preferred one first. Fits with all names come before others, no prefix before
        prefixes, prefixes with ``ema`` before others, then the shorter prefix.
    """
    tensors = {k: v for k, v in found.items() if isinstance(k, str) and isinstance(v, Tensor)}
    if not any(wrapper in name for name in expected for wrapper in WRAPPERS):
        plain = {_without_wrappers(name): tensor for name, tensor in tensors.items()}
        tensors = plain if len(plain) == len(tensors) else tensors
    prefixes = _prefixes(tensors, expected) if prefix is None else [_with_dot(prefix)]
    tried = [_fit(entry, tensors, expected, each) for each in prefixes or [""]]
    return sorted(tried, key=_preference)


def _preference(fit: Fit) -> tuple:
    averaged = "ema" in fit.prefix.lower()
    return (len(fit.missing) + len(fit.foreign), fit.prefix != "", not averaged, len(fit.prefix))


def _with_dot(prefix: str) -> str:
    prefix = _without_wrappers(f"{prefix.rstrip('.')}.")
    return "" if prefix == "." else prefix


def _without_wrappers(name: str) -> str:
    for wrapper in WRAPPERS:
        name = name.replace(wrapper, "")
    return name


def _prefixes(names: Collection[str], expected: Collection[str]) -> list[str]:
    """Return what precedes a name of the network in `names`, most frequent first."""
    known = set(expected)
    counted: Counter[str] = Counter()
    for name in names:
        at = 0
        while at <= len(name):
            if _renamed(name[at:], known) in known:
                counted[name[:at]] += 1
            following = name.find(".", at)
            if following < 0:
                break
            at = following + 1
    return [prefix for prefix, _ in counted.most_common(_SHOWN)]


def _renamed(name: str, expected: Collection[str]) -> str:
    """Return the name that weight normalisation has as a parametrization, if that is expected."""
    stem, dot, last = name.rpartition(".")
    other = f"{stem}{dot}{_RENAMED[last]}" if last in _RENAMED else name
    return other if other in expected else name


def _fit(entry: str, tensors: Mapping[str, Tensor], expected: Collection[str], prefix: str) -> Fit:
    own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    named = {_renamed(name, expected): tensor for name, tensor in own.items()}
    weights = {name: named[name] for name in expected if name in named}
    needed = [name for name in expected if name.rpartition(".")[2] != OPTIONAL]
    missing = tuple(name for name in needed if name not in weights)
    parts = {name.split(".")[0] for name in expected}
    others = [name for name in named if name not in weights]
    foreign = tuple(name for name in others if name.split(".")[0] in parts)
    outside = [name for name in tensors if not name.startswith(prefix)]
    ignored = [f"{prefix}{name}" for name in others if name not in foreign]
    return Fit(entry, prefix, weights, missing, foreign, tuple(sorted([*ignored, *outside])))


def shortened(names: Collection[str]) -> str:
    """Return the first of the sorted names, and how many more there are."""
    names = sorted(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
