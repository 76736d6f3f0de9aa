"""Image sets: which images with which labels, how to open one, and how a folder becomes a set."""

from __future__ import annotations

import hashlib
import os
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageOps

from ncviz.data.class_order import TEXT, ClassOrder, sort_folders
from ncviz.data.depth import DEEP_MODES, NOTE, depth_note, load_pixels, to_eight_bits
from ncviz.data.natural import natural_key
from ncviz.errors import CorruptFileError, InvalidArrayError, InvalidOptionError, MissingDataError

EXTENSIONS = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
LAYOUT = "ROOT/NAME/SPLIT/CLASS/*.png (or jpg, webp, ...), for example ROOT/birds/test/robin/1.png"

# Pillow's decoders raise all of these on damaged bytes.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
_NAMED_IN_WARNING = 10
_BLOCK = 64

T = TypeVar("T")


class Reader(Protocol):
    """Opens the image behind a key."""

    @property
    def name(self) -> str:
        """The data set, for messages."""

    def open(self, key: str) -> Image.Image:
        """The image in whatever mode it is stored; may raise what the decoder raises."""

    def where(self, key: str) -> str:
        """Where the image lies, for messages."""


@dataclass(frozen=True)
class FolderReader:
    """Keys are paths relative to `folder`, with forward slashes."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    def open(self, key: str) -> Image.Image:
        with Image.open(self.folder / key) as image:
            return load_pixels(image)

    def where(self, key: str) -> str:
        return str(self.folder / key)


@dataclass(frozen=True, eq=False)
class ArrayReader:
    """Keys are ``index:N`` into `images` (N, H, W) uint8; `name` is for messages."""

    images: np.ndarray
    name: str

    def open(self, key: str) -> Image.Image:
        return Image.fromarray(self.images[index_of(key)])

    def where(self, key: str) -> str:
        return f"{key} of {self.name}"


@dataclass(frozen=True, eq=False)
class ImageSet:
    """One split of a data set: labels in memory, images opened one at a time.

    Attributes
    ----------
    name, split : ``"cifar100"``, ``"train"``
    classes : names of the classes; `labels` index them
    labels : (N,) int64
    keys : N strings that find an image again: its path inside the set's folder, or ``index:N``
    class_order : how the class folders were sorted; None for a set with an order of its own
    folders : name of each class's folder; empty for a set without class folders
    left_out : classes whose images were left out, each with the ID classes that it overlaps
    """

    name: str
    split: str
    classes: tuple[str, ...]
    labels: np.ndarray
    keys: tuple[str, ...]
    reader: Reader = field(repr=False)
    class_order: ClassOrder | None = None
    folders: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def full_name(self) -> str:
        """The set as the vocabulary writes it: ``"cifar100/train"``."""
        return f"{self.name}/{self.split}"

    def image(self, i: int) -> Image.Image:
        """Image `i` in RGB; see `to_rgb`.

        Raises
        ------
        CorruptFileError : the bytes are no image, or a truncated one.
        MissingDataError : the file has gone or may not be read.
        """
        return read_image(self.reader, self.keys[i])

    def fingerprint(self) -> str:
        """16 hex digits of name, split, keys and labels (not of the pixels)."""
        digest = hashlib.sha256(f"{self.full_name}\n".encode())
        digest.update("\n".join(self.keys).encode())
        digest.update(np.ascontiguousarray(self.labels, dtype="<i8").tobytes())
        return digest.hexdigest()[:16]


def index_key(index: int) -> str:
    """The key of image `index` in a set that has no files of its own."""
    return f"index:{index}"


def index_of(key: str) -> int:
    """The number in an `index_key`."""
    return int(key.removeprefix("index:"))


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert `image` to 8-bit RGB, upright as its EXIF says, on white where it is transparent.

    One channel with more than 8 bits is scaled by `depth.to_eight_bits`; `depth.depth_note`
    returns what was assumed about it.

    Raises
    ------
    InvalidArrayError : floating-point pixels or integers beyond 16 bits, whose range is undefined.
    """
    file_format = image.format
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise InvalidArrayError("The image has floating-point pixels; save it with 8 or 16 bits.")
    if image.mode in DEEP_MODES:
        image = to_eight_bits(image, file_format)
    note = depth_note(image)
    if image.has_transparency_data:
        # Transparent pixels carry arbitrary hidden colours that no viewer shows.
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    image = image.convert("RGB")
    if note:
        image.info[NOTE] = note
    return image


def read_image(reader: Reader, key: str) -> Image.Image:
    """Return the RGB image behind `key`; raises as `ImageSet.image` does.

    Warns once per data set and assumption if a bit depth had to be assumed.
    """
    try:
        image = to_rgb(reader.open(key))
    except (FileNotFoundError, PermissionError) as error:
        reason = error.strerror or error
        raise MissingDataError(f"Image {reader.where(key)} cannot be read: {reason}.") from error
    except DECODER_ERRORS as error:
        raise CorruptFileError(
            f"Image {reader.where(key)} is corrupt: {error}. Replace it, or leave out such images "
            "with skip_corrupt (--skip-corrupt)."
        ) from error
    if note := depth_note(image):
        # Without the key: Python shows equal warnings once.
        warnings.warn(f"{reader.name} has images with {note}.", stacklevel=2)
    return image


def in_threads(
    function: Callable[[int], T],
    count: int,
    *,
    workers: int | None = None,
    progress: bool = False,
    title: str = "",
) -> list[T]:
    """``[function(0), ..., function(count - 1)]``; Pillow decodes outside Python's lock."""
    from tqdm import tqdm

    def run(start: int) -> list[T]:
        return [function(i) for i in range(start, min(start + _BLOCK, count))]

    results = []
    with (
        ThreadPoolExecutor(workers or os.cpu_count()) as pool,
        tqdm(total=count, desc=title, unit="image", disable=not progress) as bar,
    ):
        # One task per image would spend more time in the queue than on a small image.
        for block in pool.map(run, range(0, count, _BLOCK)):
            results += block
            bar.update(len(block))
    return results


def without_corrupt(images: ImageSet, *, progress: bool = False) -> ImageSet:
    """`images` without those that do not decode; a warning counts and names them.

    Raises
    ------
    MissingDataError : a class has no image left.
    """
    title = f"checking {images.full_name}"
    good = in_threads(partial(_decodes, images), len(images), progress=progress, title=title)
    if all(good):
        return images
    keep = np.flatnonzero(good)
    _warn_of_corrupt(images, np.flatnonzero(~np.array(good)))
    labels = images.labels[keep]
    lost = np.setdiff1d(images.labels, labels)
    if len(lost):
        raise MissingDataError(
            f"Every image of class '{images.classes[lost[0]]}' of {images.full_name} is corrupt."
        )
    return replace(images, labels=labels, keys=tuple(images.keys[i] for i in keep))


def _decodes(images: ImageSet, i: int) -> bool:
    try:
        images.image(i)
    except CorruptFileError:
        return False
    return True


def _warn_of_corrupt(images: ImageSet, bad: np.ndarray) -> None:
    named = ", ".join(images.reader.where(images.keys[i]) for i in bad[:_NAMED_IN_WARNING])
    more = f" and {len(bad) - _NAMED_IN_WARNING} more" if len(bad) > _NAMED_IN_WARNING else ""
    warnings.warn(
        f"{images.full_name}: skipped {len(bad)} corrupt of {len(images):,} images: {named}{more}.",
        stacklevel=4,
    )


def require_plain_name(kind: str, name: str) -> None:
    """Raise InvalidOptionError unless `name` is one folder's name: no path leaves the root."""
    if name in {"", ".", ".."} or any(character in name for character in "/\\:\0"):
        raise InvalidOptionError(
            f"'{name}' cannot name a {kind}: expected the name of one folder, without '/' or '..'."
        )


def require_relative(key: str) -> None:
    """Raise InvalidOptionError if `key` is absolute or climbs out of the folder it starts in."""
    for part in PurePosixPath(key).parts:
        require_plain_name("part of an image's key", part)


def read_folder(folder: Path, split: str, class_order: ClassOrder = TEXT) -> ImageSet:
    """Read the set in ``folder/SPLIT/CLASS/**``: classes in `class_order`, files in natural order.

    Images in subfolders of a class folder belong to the class, as in torchvision's ImageFolder.

    Class names come from ``folder/words.txt`` (lines ``WNID<tab>name, synonym``) where it lists
    them.

    Raises
    ------
    MissingDataError : no class folder, or a class folder without an image.
    InvalidOptionError : a `class_order` that does not match the class folders.
    """
    place = folder / split
    folders = _visible(place, folders=True)
    if not folders:
        raise MissingDataError(f"{place} holds no class folder. Expected {LAYOUT}.")
    folders = sort_folders(folders, class_order, place)
    files = [_image_names(place / name, f"{folder.name}/{split}") for name in folders]
    return ImageSet(
        name=folder.name,
        split=split,
        classes=_class_names(folder, folders),
        labels=np.repeat(np.arange(len(folders)), [len(names) for names in files]),
        keys=tuple(
            f"{split}/{name}/{file}"
            for name, names in zip(folders, files, strict=True)
            for file in names
        ),
        reader=FolderReader(folder),
        class_order=class_order,
        folders=tuple(folders),
    )


def folder_splits(folder: Path) -> tuple[str, ...]:
    """The splits of the image folder `folder`: its folders with a class folder that has images.

    Images deeper down do not count: archives that torchvision unpacks have such folders.
    """
    if not folder.is_dir():
        return ()
    return tuple(
        split
        for split in _visible(folder, folders=True)
        if any(
            _is_image(file)
            for name in _visible(folder / split, folders=True)
            for file in _visible(folder / split / name, folders=False)
        )
    )


def _visible(folder: Path, *, folders: bool) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.name[0] != "." and e.is_dir() == folders)


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in EXTENSIONS  # noqa: PTH122 (twice as fast)


def _image_names(folder: Path, full_name: str) -> list[str]:
    names = sorted(_images_below(folder), key=natural_key)
    if not names:
        raise MissingDataError(
            f"Class '{folder.name}' of {full_name} has no image: {folder} holds no file ending in "
            f"{', '.join(sorted(EXTENSIONS))}. Fill the folder or remove it."
        )
    return names


def _images_below(folder: Path, prefix: str = "", above: frozenset = frozenset()) -> Iterator[str]:
    """Image files at any depth, relative to a class folder, through links as torchvision does."""
    with os.scandir(folder) as entries:
        found = [(e.name, e.is_dir()) for e in entries if e.name[0] != "."]
    subfolders = [name for name, is_folder in found if is_folder]
    yield from (f"{prefix}{name}" for name, is_folder in found if not is_folder and _is_image(name))
    if not subfolders:
        return
    above |= {folder.resolve()}
    for name in subfolders:
        # A link to a folder above would be followed forever.
        if (folder / name).resolve() not in above:
            yield from _images_below(folder / name, f"{prefix}{name}/", above)


def _class_names(folder: Path, folders: list[str]) -> tuple[str, ...]:
    words = folder / "words.txt"
    if not words.is_file():
        return tuple(folders)
    lines = (line.partition("\t") for line in words.read_text("utf-8", "replace").splitlines())
    names = {wnid: text.partition(",")[0].strip() for wnid, _, text in lines}
    found = [names.get(name) or name for name in folders]
    # Two wnids can share a word (crane the bird, crane the machine).
    return tuple(
        name if found.count(name) == 1 else f"{name} ({wnid})"
        for name, wnid in zip(found, folders, strict=True)
    )
