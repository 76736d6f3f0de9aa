"""Weights of a network trained elsewhere: read without running code, and fitted by name."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ncviz.errors import CorruptFileError, InvalidArrayError, MissingDataError, UnknownNameError
from ncviz.extraction.weight_names import OPTIONAL, Fit, entries_in, fits, shortened

_MAX_ENTRIES = 4
_DAMAGE = (
    *(AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError),
    zipfile.BadZipFile,
)


def load_weights(
    module: nn.Module, path: Path, *, entry: str | None = None, strip_prefix: str | None = None
) -> str:
    """Load the parameters and buffers in `path` into `module`.

    The entries of the file are compared with the names of the module, each with every prefix that
    occurs. Of several that fit, the first of `weight_names.ENTRIES` is taken, and weights that are
    all zero never. Names without a place in the module are ignored unless they are below one of its
    submodules; missing ``num_batches_tracked`` keep the module's value.

    Parameters
    ----------
    path : safetensors, or a file that torch.save wrote: a state_dict, or dicts that contain one
    entry : keys that lead to the state_dict, with dots between them; None to choose
    strip_prefix : removed from every name; names without it are ignored. None to choose

    Returns
    -------
    str : a line that states entry, prefix and ignored names, and what else would fit

    Raises
    ------
    MissingDataError : no such file.
    CorruptFileError : damaged, or contains other objects than tensors in plain containers.
    UnknownNameError : no such entry.
    InvalidArrayError : nothing in the file fits the module, values are not finite, or all zero.
    """
    expected = module.state_dict()
    found = _read(path)
    entries = entries_in(found)
    if not entries:
        keys = shortened(str(key)[:80] for key in found)
        raise CorruptFileError(f"{path} holds no state_dict. Its keys: {keys or 'none'}.")
    if entry is not None:
        if entry not in entries:
            raise UnknownNameError("entry", entry, entries, f"It is given for {path}.")
        entries = {entry: entries[entry]}
    tried = [
        one
        for name, each in entries.items()
        for one in fits(name, each, expected, prefix=strip_prefix)
    ]
    complete = [one for one in tried if one.is_complete and not _shapes(one, expected)]
    usable = [one for one in complete if not _is_zero(one, module)]
    if not complete:
        raise InvalidArrayError(_misfit(path, tried, entries, expected))
    if not usable:
        raise InvalidArrayError(
            f"{path}: every weight in {complete[0].where} is zero. Such entries are placeholders; "
            f"save the trained weights. {_entries_in_words(entries)}"
        )
    chosen = usable[0]
    _require_plain(path, chosen.weights)
    _require_finite(path, chosen)
    absent = [name for name in expected if name not in chosen.weights]
    module.load_state_dict(chosen.weights | {name: expected[name] for name in absent})
    return _in_words(
        path, chosen, absent, usable[1:], [one for one in complete if one not in usable]
    )


def _read(path: Path) -> Mapping[Any, Any]:
    if not path.is_file():
        raise MissingDataError(f"{path} does not exist; give a file of weights for each epoch.")
    try:
        if path.suffix[1:] == "safetensors":
            return load_file(path)
        _require_stored(path)
        with warnings.catch_warnings():
            # Of sparse and quantized tensors, which are refused later.
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, SafetensorError, *_DAMAGE) as error:
        raise CorruptFileError(
            f"{path} is not a file of weights alone: it is damaged, or contains other objects, "
            "which are never loaded. Save it with torch.save(network.state_dict(), ...) or as "
            "safetensors."
        ) from error
    if not isinstance(found, Mapping):
        raise CorruptFileError(
            f"{path} holds no state_dict, but an object of type {type(found).__name__}."
        )
    return found


def _require_stored(path: Path) -> None:
    """torch.save never compresses: a small file must not unfold to a large one."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(each.compress_type != zipfile.ZIP_STORED for each in archive.infolist()):
                raise ValueError("it is compressed")


def _require_plain(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Numbers in memory, none that the file did not hold: `weights_only` lets more through."""
    for name, tensor in weights.items():
        if type(tensor) not in (Tensor, nn.Parameter):
            raise CorruptFileError(f"{path} holds no state_dict: {name!r:.80} is no plain tensor.")
        kind = tensor.dtype
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or kind.is_complex:
            raise CorruptFileError(
                f"{path}: '{name}' is a {kind} tensor of layout {tensor.layout} on the "
                f"{tensor.device.type} device; expected plain numbers. Save a dense state_dict."
            )
        if tensor.is_quantized:
            raise CorruptFileError(
                f"{path}: '{name}' is quantized; expected plain numbers. Save the float network."
            )
    stored = [each.untyped_storage() for each in weights.values()]
    size = path.stat().st_size
    claimed = sum({each.data_ptr(): each.nbytes() for each in stored}.values())
    if claimed > size:
        raise CorruptFileError(
            f"{path} says that it holds {claimed:,} bytes of numbers, but is {size:,} bytes long. "
            "Save it again."
        )


def _shapes(fit: Fit, expected: Mapping[str, Tensor]) -> str:
    """Return the first shape that differs from the network's, in words; empty if none does."""
    for name, tensor in fit.weights.items():
        shape, wanted = tuple(tensor.shape), tuple(expected[name].shape)
        if shape != wanted:
            return f"'{name}' has shape {shape}; the network's has {wanted}"
    return ""


def _is_zero(fit: Fit, module: nn.Module) -> bool:
    """Whether every parameter is zero; sparse and quantized tensors are refused elsewhere."""
    trained = [fit.weights[name] for name, _ in module.named_parameters() if name in fit.weights]
    plain = all(each.layout == torch.strided and not each.is_quantized for each in trained)
    return bool(trained) and plain and not any(bool(each.any()) for each in trained)


def _require_finite(path: Path, fit: Fit) -> None:
    bad = [name for name, tensor in fit.weights.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise InvalidArrayError(f"{path}: '{bad[0]}' holds values that are NaN or infinite.")


def _misfit(
    path: Path,
    tried: list[Fit],
    entries: Mapping[str, Mapping[str, Any]],
    expected: Mapping[str, Tensor],
) -> str:
    """Return why the closest of the fits does not fit, and the names that the file has."""
    closest = min(
        tried, key=lambda one: (len(one.missing) + len(one.foreign), _shapes(one, expected))
    )
    problems = []
    for words, names in (
        ("lacks", closest.missing),
        ("has, beyond the network's,", closest.foreign),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            problems.append(f"it {words} '{names[0]}'{more}")
    problems += filter(None, [_shapes(closest, expected)])
    return (
        f"{path} does not fit the network, compared with {closest.where}: {'; '.join(problems)}. "
        f"{_entries_in_words(entries)} Choose one with --entry and --strip-prefix, or change the "
        "module."
    )


def _entries_in_words(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the entries of a file with the names in each, sorted and shortened."""
    listed = [
        (f"under '{entry}' " if entry else "at the top ") + shortened(map(str, names))
        for entry, names in entries.items()
    ]
    if len(listed) > _MAX_ENTRIES:
        listed[_MAX_ENTRIES:] = [f"{len(listed) - _MAX_ENTRIES} more entries"]
    return f"The file has {'; '.join(listed)}."


def _in_words(
    path: Path, chosen: Fit, absent: list[str], others: list[Fit], zero: list[Fit]
) -> str:
    parts = [f"{path.name}: {chosen.where}"]
    if chosen.ignored:
        parts.append(f"ignored: {shortened(chosen.ignored)}")
    if absent:
        parts.append(f"without {OPTIONAL}, which evaluation does not use")
    if others:
        parts.append(f"these fit too (--entry, --strip-prefix): {_alternatives(others)}")
    if zero:
        parts.append(f"all zero and not used: {_alternatives(zero)}")
    return "; ".join(parts)


def _alternatives(fits: list[Fit]) -> str:
    return " | ".join(one.where for one in fits)
