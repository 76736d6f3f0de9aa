"""Weights of a network trained elsewhere: read without running code, and fitted by name."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

from ncviz.errors import CorruptFileError, InvalidArrayError, MissingDataError
from ncviz.store import files

_NESTED = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.")
_DAMAGE = (
    *(AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError),
    zipfile.BadZipFile,
)


def load_weights(module: nn.Module, path: Path) -> None:
    """Load the parameters and buffers in `path` into `module`.

    Parameters
    ----------
    path : safetensors, or what torch.save wrote of a state_dict, perhaps as ``"state_dict"`` or
        ``"model"`` of a dict, and perhaps of DataParallel or torch.compile

    Raises
    ------
    MissingDataError : no such file.
    CorruptFileError : damaged, or holds more than tensors in plain containers.
    InvalidArrayError : names or shapes differ from the module's, or values are not finite.
    """
    expected = module.state_dict()
    weights = _without_prefix(_read(path), expected)
    _require_fit(path, weights, expected)
    module.load_state_dict(weights)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise MissingDataError(f"{path} does not exist; give a file of weights for each epoch.")
    if path.suffix[1:] == "safetensors":
        arrays = files.read_arrays(path, mend="Save it again.", foreign=True)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
    try:
        _require_stored(path)
        with warnings.catch_warnings():
            # Of sparse and quantized tensors, which are refused below.
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, *_DAMAGE) as error:
        raise CorruptFileError(
            f"{path} is no file of weights alone: it is damaged, or holds other objects, which are "
            "never loaded. Save it with torch.save(network.state_dict(), ...) or as safetensors."
        ) from error
    for name in _NESTED:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        raise CorruptFileError(
            f"{path} holds no state_dict, neither by itself nor as {', '.join(_NESTED)}."
        )
    _require_plain(path, found)
    return dict(found)


def _require_plain(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Numbers in memory, none that the file did not hold: `weights_only` lets more through."""
    for name, tensor in weights.items():
        if not isinstance(name, str) or type(tensor) not in (Tensor, nn.Parameter):
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


def _require_stored(path: Path) -> None:
    """torch.save never compresses: a small file must not unfold to a large one."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(each.compress_type != zipfile.ZIP_STORED for each in archive.infolist()):
                raise ValueError("it is compressed")


def _without_prefix(weights: dict[str, Tensor], expected: Mapping) -> dict[str, Tensor]:
    """`weights` without what DataParallel or torch.compile put before every name."""
    for prefix in _PREFIXES:
        if weights.keys() != expected.keys() and all(name.startswith(prefix) for name in weights):
            bare = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
            return _without_prefix(bare, expected) if bare.keys() - {""} else weights
    return weights


def _require_fit(path: Path, weights: Mapping[str, Tensor], expected: Mapping) -> None:
    problems = []
    for words, names in (
        ("lacks", [name for name in expected if name not in weights]),
        ("has, beyond the network's,", [name for name in weights if name not in expected]),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            problems.append(f"it {words} '{names[0]}'{more}")
    for name in expected.keys() & weights.keys():
        shape, wanted = tuple(weights[name].shape), tuple(expected[name].shape)
        if shape != wanted:
            problems.append(f"'{name}' has shape {shape}; the network's has {wanted}")
            break
    if problems:
        raise InvalidArrayError(f"{path} does not fit the network: {'; '.join(problems)}.")
    bad = [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise InvalidArrayError(f"{path}: '{bad[0]}' holds values that are NaN or infinite.")
