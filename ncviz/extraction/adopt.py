"""A run of a network trained elsewhere: its weights, ready to be extracted."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ncviz import data
from ncviz.arrays import Head
from ncviz.data.class_order import ambiguity
from ncviz.errors import InvalidOptionError, NcvizError
from ncviz.extraction.weights import load_weights
from ncviz.models import Wrapped, build_architecture
from ncviz.store import Run, open_run, write
from ncviz.store.folders import new_folder


def adopt(
    folder: Path,
    *,
    architecture: str,
    id_set: str,
    weights: Mapping[int, Path],
    transform: data.Transform,
    data_root: Path | None = None,
    class_order: data.ClassOrder | None = None,
    download: bool = False,
) -> Run:
    """Make a run in `folder` of weights that were trained elsewhere.

    Parameters
    ----------
    folder : of the run, which must not exist yet
    architecture : a name given to `ncviz.models.register`
    id_set : the data set that the network was trained on, whose classes it tells apart
    weights : a file for each saved epoch, by the epoch's number
    transform : what every image goes through, as in the training
    class_order : order of the ID set's class folders, as for `data.load`. If None, they are sorted
        as text, with a warning where natural order is another.

    Returns
    -------
    Run : ready for extraction

    Raises
    ------
    NcvizError : unknown architecture or data set, a network that cannot see images of that size,
        weights that do not fit; nothing is left in `folder` then.
    """
    if not weights:
        raise InvalidOptionError("No weights are given; name a file for each epoch: 90=FILE.")
    load = {"root": data_root, "class_order": class_order, "download": download}
    train_set, test_set = (data.load(id_set, split, **load) for split in ("train", "test"))
    data.require_classes(train_set, test_set)
    if class_order is None and (note := ambiguity(train_set.folders, train_set.class_order)):
        warnings.warn(f"{id_set}: {note}.", stacklevel=2)
    network = build_architecture(
        architecture, classes=len(train_set.classes), image_size=transform.size
    )
    _try_out(network, transform.size)
    with new_folder(folder) as part:
        run = write.create_run(
            part,
            {
                "recipe": {"name": "adopted", "model": {"architecture": architecture}},
                "layers": ["encoder"],
                **data.record(train_set, test_set, transform, root=data_root),
            },
        )
        for epoch, path in sorted(weights.items()):
            load_weights(network.module, path)
            arrays = {name: each.numpy() for name, each in network.state_dict().items()}
            heads = {layer: _head(linear) for layer, linear in network.heads().items()}
            write.save_network(run, epoch, arrays, heads)
    return open_run(folder)


@torch.inference_mode()
def _try_out(network: Wrapped, size: int) -> None:
    """What is wrapped wrongly shows before there is a run, and not at the first extraction."""
    try:
        network.eval()(torch.zeros(2, 3, size, size))
    except NcvizError:
        raise
    except Exception as error:  # whatever the user's module raises
        raise InvalidOptionError(
            f"{type(network.module).__name__} cannot see images of {size}x{size} pixels: "
            f"{type(error).__name__}: {error}. Give another --size, or mend the module."
        ) from error


def _head(linear: nn.Linear) -> Head:
    weight = linear.weight.detach().numpy()
    if linear.bias is None:
        return Head(weight, np.zeros(len(weight), weight.dtype))
    return Head(weight, linear.bias.detach().numpy())


def weights_by_epoch(texts: Iterable[str]) -> dict[int, Path]:
    """Files by epoch from texts such as ``90=weights.pt``.

    Raises
    ------
    InvalidOptionError : a text of another form, or the same epoch twice.
    """
    found: dict[int, Path] = {}
    for text in texts:
        number, equals, path = text.partition("=")
        if not (equals and path and number.isdecimal() and number.isascii()):
            raise InvalidOptionError(
                f"Weights '{text}': expected EPOCH=FILE, as in 90=weights.safetensors."
            )
        if int(number) in found:
            raise InvalidOptionError(f"Epoch {int(number)} is given two files of weights.")
        found[int(number)] = Path(path)
    return found
