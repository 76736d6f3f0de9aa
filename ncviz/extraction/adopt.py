"""A run of a network trained elsewhere: its weights, checked and ready to be extracted."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from ncviz import data
from ncviz.arrays import FeatureSet, Head
from ncviz.caching import stratified_sample
from ncviz.data.class_order import ambiguity
from ncviz.errors import InvalidOptionError, NcvizError
from ncviz.extraction.linear_head import linear_head
from ncviz.extraction.weights import load_weights
from ncviz.inference import Pixels, choose_device, forward
from ncviz.inference.pixels import split_evenly
from ncviz.label_order import label_findings, mean_confidence
from ncviz.models import Wrapped, build_architecture
from ncviz.store import Run, open_run, write
from ncviz.store.folders import new_folder
from ncviz.without_head import unavailable_methods

HEAD_SAMPLES, RANDOM_SAMPLES = 64, 16
"""ID images and random inputs whose logits are compared with W h + b at every epoch"""
LABEL_SAMPLES, MAX_LABEL_SAMPLES, SAMPLES_PER_CLASS = 1_000, 4_000, 4
"""ID test images that labels are checked on at the last epoch: more with many classes"""
_LAYER = "encoder"
_BATCH = 100


class _Checked(NamedTuple):
    """Results of the forward passes over one epoch."""

    read: str
    head: Head | None
    samples: FeatureSet


def adopt(
    folder: Path,
    *,
    architecture: str,
    id_set: str,
    weights: Mapping[int, Path],
    transform: data.Transform,
    entry: str | None = None,
    strip_prefix: str | None = None,
    data_root: Path | None = None,
    class_order: data.ClassOrder | None = None,
    seed: Mapping[str, Any] | None = None,
    download: bool = False,
    device: str = "auto",
    progress: bool = True,
) -> Run:
    """Make a run in `folder` of weights that were trained elsewhere.

    Every epoch is checked by forward passes over ID test images and random inputs. Where the
    logits of an epoch are not W h + b, no epoch has a head, and extraction stores the network's own
    logits. At the last epoch, the predictions are compared with the labels.

    Parameters
    ----------
    folder : of the run, which must not exist yet
    architecture : a name given to `ncviz.models.register`
    id_set : the data set that the network was trained on, with its classes
    weights : a file for each saved epoch, by the epoch's number
    transform : applied to every image, as in the training
    entry, strip_prefix : as for `load_weights`, in every file
    class_order : order of the ID set's class folders, as for `data.load`. If None, they are sorted
        as text, with a warning where natural order is another.
    seed : what `ncviz.store.seed_fields` returns, for a run of a seed group

    Returns
    -------
    Run : ready for extraction. Its description has ``weights``, a line on how each file was read,
        ``checked``, the accuracy and confidence found, and ``findings`` where labels appear to be
        permuted.

    Raises
    ------
    NcvizError : unknown architecture or data set, a network that does not accept images of that
        size, weights that do not fit; nothing is left in `folder` then.
    """
    if not weights:
        raise InvalidOptionError("No weights are given; name a file for each epoch: 90=FILE.")
    where = choose_device(device)
    load = {"root": data_root, "class_order": class_order, "download": download}
    train_set, test_set = (data.load(id_set, split, **load) for split in ("train", "test"))
    data.require_classes(train_set, test_set)
    if class_order is None and (note := ambiguity(train_set.folders, train_set.class_order)):
        warnings.warn(f"{id_set}: {note}.", stacklevel=2)
    classes = len(train_set.classes)
    network = build_architecture(architecture, classes=classes, image_size=transform.size)
    _try_out(network, classes, transform.size)
    network.to(where)
    options = {"entry": entry, "strip_prefix": strip_prefix}
    with new_folder(folder) as part:
        run = write.create_run(
            part,
            {
                "recipe": {
                    "name": "adopted",
                    "model": {"architecture": architecture},
                    **(seed or {}),
                },
                "layers": [_LAYER],
                **data.record(train_set, test_set, transform, root=data_root),
            },
        )
        checked: dict[int, _Checked] = {}
        for epoch, path in tqdm(
            sorted(weights.items()), unit="epoch", desc="check", disable=not progress
        ):
            read = load_weights(network.module, path, **options)
            last = epoch == max(weights)
            images = _images(test_set, _label_samples(classes) if last else HEAD_SAMPLES)
            checked[epoch] = _check(network, images, transform, read, where)
            arrays = {name: each.cpu().numpy() for name, each in network.state_dict().items()}
            write.save_weights(run, epoch, arrays)
        is_linear = all(one.head is not None for one in checked.values())
        for epoch, one in checked.items():
            # Without a head, an empty file makes the epoch part of the run.
            write.save_heads(run, epoch, {_LAYER: one.head} if is_linear else {})
        write.update_description(run, **_description(checked, train_set.classes, is_linear))
    return open_run(folder)


def _description(
    checked: Mapping[int, _Checked], names: tuple[str, ...], is_linear: bool
) -> dict[str, object]:
    epoch, last = max(checked.items())
    head = last.head if is_linear else None
    samples = last.samples
    correct = samples.logits.argmax(axis=1) == samples.labels
    found = {
        "weights": {str(number): one.read for number, one in checked.items()},
        "checked": {
            "epoch": epoch,
            "samples": len(samples),
            "accuracy": float(correct.mean()),
            "confidence": mean_confidence(samples.logits),
        },
        "findings": label_findings(samples, names, head=head),
    }
    if not is_linear:
        found["without_head"] = "adopted with a head that is not linear"
    return found


def _label_samples(classes: int) -> int:
    return min(max(LABEL_SAMPLES, SAMPLES_PER_CLASS * classes), MAX_LABEL_SAMPLES)


def _images(images: data.ImageSet, count: int) -> data.ImageSet:
    chosen = stratified_sample(images.labels, count)
    keys = tuple(images.keys[index] for index in chosen)
    return replace(images, labels=images.labels[chosen], keys=keys)


@torch.inference_mode()
def _check(
    network: Wrapped,
    images: data.ImageSet,
    transform: data.Transform,
    read: str,
    device: torch.device,
) -> _Checked:
    """Run forward passes and compare the logits with W h + b."""
    network.eval()
    pixels, batches = Pixels(images, transform), split_evenly(np.arange(len(images)), _BATCH)
    seen = [outputs for outputs, _ in forward(network, pixels, device, batches=batches)]
    shape = (RANDOM_SAMPLES, 3, transform.size, transform.size)
    random = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
    features, logits = (
        torch.cat([getattr(one, name) for one in seen]).float().cpu().numpy()
        for name in ("encoder", "logits")
    )
    samples = FeatureSet(features, logits, images.labels)
    head = linear_head(network, [*seen, network(random)])
    return _Checked(read, head, samples)


@torch.inference_mode()
def _try_out(network: Wrapped, classes: int, size: int) -> None:
    """Run a forward pass, so that a wrong head or size is an error before there is a run."""
    try:
        outputs = network.eval()(torch.zeros(2, 3, size, size))
    except NcvizError:
        raise
    except Exception as error:  # whatever the user's module raises
        raise InvalidOptionError(
            f"{type(network.module).__name__} does not accept images of {size}x{size} pixels: "
            f"{type(error).__name__}: {error}. Give another --size, or change the module."
        ) from error
    found = outputs.logits.shape[1]
    if found != classes:
        raise InvalidOptionError(
            f"{type(network.module).__name__} returns {found} logits, but there are {classes} "
            "classes. Build its head with the number of classes that it is given."
        )


def adoption_in_words(run: Run) -> str:
    """Return what was read and found when `run` was adopted, a line each."""
    checked = run.description["checked"]
    lines = [f"Epoch {epoch}: {line}" for epoch, line in run.description["weights"].items()]
    lines.append(
        f"Epoch {checked['epoch']} on {checked['samples']:,} test images: accuracy "
        f"{checked['accuracy']:.3f}, mean confidence {checked['confidence']:.3f}. Compare them "
        "with those of your own evaluation."
    )
    if run.without_head:
        lines.append(
            f"Note: {run.without_head}: the logits are not W h + b of the features h. The logits "
            f"of the network itself are used. Unavailable: {unavailable_methods()}."
        )
    lines += [f"Warning: {sentence}" for sentence in run.findings.values()]
    if "labels" in run.findings:
        lines.append(
            "Give the order of the class folders with --class-order natural or --classes FILE."
        )
    lines.append(f"{run.path}: epochs {', '.join(map(str, run.epochs))}")
    return "\n".join(lines)


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
