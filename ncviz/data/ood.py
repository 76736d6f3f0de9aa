"""OOD sets without the classes that they share with the ID set."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ncviz.data.catalogue import describe
from ncviz.data.images import ImageSet
from ncviz.data.loading import load
from ncviz.data.overlaps import ALL, is_wnid, listed, normalised
from ncviz.errors import InvalidOptionError

_NAMED_IN_WARNING = 10


def load_ood(
    name: str,
    id_images: ImageSet,
    *,
    split: str = "test",
    keep_overlap: bool = False,
    left_out: Mapping[str, str] | None = None,
    **options: Any,
) -> ImageSet:
    """Load an OOD set without the classes that are classes of the ID set.

    Parameters
    ----------
    id_images : a split of the ID set
    keep_overlap : load all classes
    left_out : the classes to leave out, as `ImageSet.left_out` had them in an earlier call; if
        None, those of `overlapping_classes`
    options : for `load`

    Returns
    -------
    ImageSet : its `left_out` names the classes without images; `classes` and `labels` are those
        of the whole set

    Raises
    ------
    InvalidOptionError : every class is a class of the ID set.
    NcvizError : as `load`.
    """
    images = load(name, split, **options)
    if keep_overlap:
        return images
    if left_out is None:
        left_out = overlapping_classes(id_images, images)
        _warn_of_equal_names(id_images, images, left_out, options.get("root"))
    kept = without_classes(images, left_out)
    if not len(kept):
        raise InvalidOptionError(
            f"Every class of {name} is a class of {id_images.name}, so it is not an OOD set. Give "
            "--keep-overlap to use it nevertheless, for example to measure a change of style."
        )
    return kept


def overlapping_classes(id_images: ImageSet, images: ImageSet) -> dict[str, str]:
    """Return the classes of `images` that are ID classes, each with the ID classes it matches.

    Decided by the lists in `ncviz.data.overlaps`, and by equal wnids where both sets have them.
    """
    found: dict[str, list[str]] = {}
    ours, theirs = _by_identifier(id_images), _by_identifier(images)
    for overlap in listed(id_images.name, images.name) or ():
        own = id_images.classes if overlap.id_class == ALL else [ours.get(overlap.id_class)]
        others = images.classes if overlap.ood_class == ALL else [theirs.get(overlap.ood_class)]
        for other in filter(None, others):
            found.setdefault(other, []).extend(filter(None, own))
    for folder in images.folders:
        if is_wnid(folder) and folder in ours:
            found.setdefault(theirs[folder], []).append(ours[folder])
    return {
        name: ", ".join(dict.fromkeys(found[name])) for name in images.classes if found.get(name)
    }


def without_classes(images: ImageSet, left_out: Mapping[str, str]) -> ImageSet:
    """Return `images` without the images of the classes named in `left_out`."""
    names = [name for name in images.classes if name in left_out]
    keep = ~np.isin(images.labels, [images.classes.index(name) for name in names])
    return replace(
        images,
        labels=images.labels[keep],
        keys=tuple(key for key, kept in zip(images.keys, keep, strict=True) if kept),
        left_out={name: left_out[name] for name in names},
    )


def _by_identifier(images: ImageSet) -> dict[str, str]:
    """Map folder names and class names to class names."""
    names = dict(zip(images.classes, images.classes, strict=True))
    return names | dict(zip(images.folders, images.classes, strict=False))


def _warn_of_equal_names(
    id_images: ImageSet, images: ImageSet, left_out: Mapping[str, str], root: Any
) -> None:
    # Only for pairs that nobody has compared, and where the labels say what is shown.
    compared = listed(id_images.name, images.name) is not None
    if compared or not describe(images.name, root=root).labelled:
        return
    known = {normalised(name) for name in _by_identifier(id_images)}
    equal = [name for name in images.classes if normalised(name) in known and name not in left_out]
    if equal:
        more = f" and {len(equal) - _NAMED_IN_WARNING} more" * (len(equal) > _NAMED_IN_WARNING)
        warnings.warn(
            f"{images.name} has classes that are named like classes of {id_images.name}: "
            f"{', '.join(equal[:_NAMED_IN_WARNING])}{more}. If they show the same, remove their "
            "folders: ID classes in an OOD set make every detector look worse.",
            stacklevel=4,
        )
