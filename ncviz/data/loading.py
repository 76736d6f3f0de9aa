"""From a data set's name to its images: the data root first, then what the set itself can do."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from ncviz.data.catalogue import data_root, describe
from ncviz.data.class_order import TEXT, ClassOrder
from ncviz.data.images import (
    FolderReader,
    ImageSet,
    folder_splits,
    read_folder,
    read_image,
    require_plain_name,
    require_relative,
    without_corrupt,
)
from ncviz.data.sources import missing_split
from ncviz.errors import InvalidOptionError, MissingDataError


def load(
    name: str,
    split: str,
    *,
    root: Path | str | None = None,
    class_order: ClassOrder | None = None,
    download: bool = False,
    skip_corrupt: bool = False,
    progress: bool = True,
) -> ImageSet:
    """One split of a data set.

    An image folder ``ROOT/NAME/SPLIT/CLASS/*`` wins; without one, the set is generated, or read
    by torchvision from ROOT. ROOT is `root`, or NCVIZ_DATA, or ``data``.

    Parameters
    ----------
    class_order : order of the class folders: ``"text"`` (the default), ``"natural"`` or the
        folder names in order; only for image folders
    download : let torchvision fetch what ROOT lacks
    skip_corrupt : decode every image now and leave out, with a warning, those that fail
    progress : show bars for download and check

    Raises
    ------
    UnknownNameError : no such data set, and no folder of that name.
    InvalidOptionError : name or split is a path; a class order that does not fit the set.
    MissingDataError : no such split, no files, or a class without an image.
    CorruptFileError : damaged files of torchvision's.
    StorageError : the disk refused the download.
    """
    require_plain_name("split", split)
    info = describe(name, root=root)
    root = data_root() if root is None else Path(root)
    images = _from_folder(root / name, split, class_order or TEXT)
    if images is None:
        if class_order not in (None, TEXT):
            raise InvalidOptionError(
                f"{root / name} is not an image folder, and {name} has an order of classes of its "
                "own: leave out --class-order and --classes."
            )
        images = info.source.load(name, split, root=root, download=download, progress=progress)
    return without_corrupt(images, progress=progress) if skip_corrupt else images


def _from_folder(folder: Path, split: str, class_order: ClassOrder) -> ImageSet | None:
    if (folder / split).is_dir():
        return read_folder(folder, split, class_order)
    # Splits from two sources would not have the same class order for certain.
    if existing := folder_splits(folder):
        raise missing_split(folder.name, split, existing)
    return None


def open_image(name: str, split: str, key: str, *, root: Path | str | None = None) -> Image.Image:
    """The RGB image behind a key of `ImageSet.keys`, without listing the set's folder.

    Raises
    ------
    MissingDataError : there is no such image.
    InvalidOptionError : the key leads out of the set's folder.
    CorruptFileError : the image does not decode.
    """
    if not key.startswith("index:"):
        require_plain_name("data set", name)
        require_relative(key)
        root = data_root() if root is None else Path(root)
        return read_image(FolderReader(root / name), key)
    images = load(name, split, root=root, progress=False)
    if key not in images.keys:
        raise MissingDataError(f"Data set '{images.full_name}' has no image '{key}'.")
    return images.image(images.keys.index(key))


def require_classes(train_set: ImageSet, test_set: ImageSet) -> None:
    """Raise InvalidOptionError unless both splits have the same two or more classes."""
    if train_set.classes != test_set.classes:
        different = sorted(set(train_set.classes) ^ set(test_set.classes))
        raise InvalidOptionError(
            f"{train_set.full_name} and {test_set.full_name} have different classes"
            + (f": only one of them has '{different[0]}'." if different else " or another order.")
        )
    if len(train_set.classes) < 2:
        raise InvalidOptionError(
            f"{train_set.full_name} has the class '{train_set.classes[0]}' alone; a classifier "
            "needs two or more."
        )


def superclasses_of(images: ImageSet, root: Path | None = None) -> list[str] | None:
    """The superclass of each class of a set, or None where the catalogue knows none."""
    known = describe(images.name, root=root).superclasses
    # A folder that stands in for a data set of the catalogue may name its classes otherwise.
    if known is None or not set(images.classes) <= known.keys():
        return None
    return [known[name] for name in images.classes]
