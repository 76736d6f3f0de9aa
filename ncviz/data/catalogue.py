"""The data sets known by name and the suites of OOD sets; a new one is one entry here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ncviz.data import generated
from ncviz.data.images import folder_splits, require_plain_name
from ncviz.data.sources import FolderSource, Source, TorchvisionSource
from ncviz.errors import UnknownNameError

_TRAIN_TEST = {"train": {"train": True}, "test": {"train": False}}
_DIGIT_NAMES = tuple(str(digit) for digit in range(10))
_RESEARCH = "Research data set without a formal licence."
_NON_COMMERCIAL = "Non-commercial research only."
_IMAGENET_TERMS = "ImageNet's terms: non-commercial research only."
_LARGE_PHOTOGRAPHS = (
    "Large, sharp colour photographs: shrunk to the size of a small-image ID set they keep less "
    "blur than it has."
)

_CIFAR100_GROUPS = {
    "aquatic mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food containers": "bottle bowl can cup plate",
    "fruit and vegetables": "apple mushroom orange pear sweet_pepper",
    "household electrical devices": "clock keyboard lamp telephone television",
    "household furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large carnivores": "bear leopard lion tiger wolf",
    "large man-made outdoor things": "bridge castle house road skyscraper",
    "large natural outdoor scenes": "cloud forest mountain plain sea",
    "large omnivores and herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium-sized mammals": "fox porcupine possum raccoon skunk",
    "non-insect invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles 1": "bicycle bus motorcycle pickup_truck train",
    "vehicles 2": "lawn_mower rocket streetcar tank tractor",
}


@dataclass(frozen=True)
class DatasetInfo:
    """What is known about a data set before it is loaded.

    Attributes
    ----------
    name : as written in `load` and under NCVIZ_DATA
    title : for display
    source : where the images come from when no image folder has them
    description, licence : one or two sentences
    tells : what gives its images away besides their meaning (resolution, greyness, compression)
    labelled : whether the classes say what is shown, so that transfer can be measured
    superclasses : class -> superclass, or None
    """

    name: str
    title: str
    source: Source = field(repr=False)
    description: str
    licence: str
    tells: str
    labelled: bool = True
    superclasses: Mapping[str, str] | None = field(default=None, hash=False, repr=False)

    @property
    def kind(self) -> str:
        """``"torchvision"``, ``"folder"`` or ``"generated"``."""
        return self.source.kind

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that exist; an image folder under the data root may hold others."""
        return self.source.splits

    @property
    def layout(self) -> str:
        """Where the files are expected, in words."""
        return self.source.layout


def _by_split(*splits: str, **renamed: str) -> dict[str, dict[str, str]]:
    # Our split -> torchvision's.
    return {split: {"split": split} for split in splits} | {
        ours: {"split": theirs} for ours, theirs in renamed.items()
    }


_ENTRIES = (
    DatasetInfo(
        name="cifar10",
        title="CIFAR-10",
        source=TorchvisionSource("CIFAR10", _TRAIN_TEST, "cifar-10-batches-py"),
        description="Ten animals and vehicles. No class is one of CIFAR-100's, but many are close "
        "(truck and pickup_truck).",
        licence=_RESEARCH,
        tells="None against CIFAR-100: both are 32x32 colour cut from the same collection.",
    ),
    DatasetInfo(
        name="cifar100",
        title="CIFAR-100",
        source=TorchvisionSource("CIFAR100", _TRAIN_TEST, "cifar-100-python"),
        description="100 classes in 20 superclasses. A few images occur twice, also across the "
        "splits.",
        licence=_RESEARCH,
        tells="32x32 colour; upscaled against larger ID sets.",
        superclasses={
            name: group for group, names in _CIFAR100_GROUPS.items() for name in names.split()
        },
    ),
    DatasetInfo(
        name="svhn",
        title="SVHN",
        source=TorchvisionSource("SVHN", _by_split("train", "test"), "*_32x32.mat", _DIGIT_NAMES),
        description="House numbers in street photographs, one digit in the middle of each.",
        licence=_NON_COMMERCIAL,
        tells="32x32 colour but few colours and soft edges.",
    ),
    DatasetInfo(
        name="mnist",
        title="MNIST",
        source=TorchvisionSource("MNIST", _TRAIN_TEST, "MNIST/raw", _DIGIT_NAMES),
        description="Handwritten digits, white on black.",
        licence="CC BY-SA 3.0.",
        tells="Grey, 28x28, black background: colour statistics alone give it away.",
    ),
    DatasetInfo(
        name="fashion-mnist",
        title="Fashion-MNIST",
        source=TorchvisionSource("FashionMNIST", _TRAIN_TEST, "FashionMNIST/raw"),
        description="Clothes on black.",
        licence="MIT.",
        tells="Grey, 28x28, black background: colour statistics alone give it away.",
    ),
    DatasetInfo(
        name="dtd",
        title="Describable Textures",
        source=TorchvisionSource("DTD", _by_split("train", "val", "test"), "dtd"),
        description="47 kinds of texture; OpenOOD's Textures.",
        licence=_RESEARCH,
        tells=f"Textures fill the whole image. {_LARGE_PHOTOGRAPHS}",
    ),
    DatasetInfo(
        name="stl10",
        title="STL-10",
        source=TorchvisionSource("STL10", _by_split("train", "test"), "stl10_binary"),
        description="Ten animals and vehicles, nine of them CIFAR-10's; photographs from ImageNet.",
        licence=_IMAGENET_TERMS,
        tells="96x96 colour.",
    ),
    DatasetInfo(
        name="places365",
        title="Places365",
        source=TorchvisionSource("Places365", {"test": {"split": "val", "small": True}}, "val_256"),
        description="365 kinds of place: the validation images in their 256x256 version.",
        licence="Images: non-commercial research only.",
        tells=f"Whole scenes instead of objects. {_LARGE_PHOTOGRAPHS}",
    ),
    DatasetInfo(
        name="flowers102",
        title="Oxford Flowers-102",
        source=TorchvisionSource("Flowers102", _by_split("train", "val", "test"), "flowers-102"),
        description="102 kinds of flower.",
        licence=_RESEARCH,
        tells=f"One saturated flower in the middle. {_LARGE_PHOTOGRAPHS}",
    ),
    DatasetInfo(
        name="oxford-pets",
        title="Oxford-IIIT Pet",
        source=TorchvisionSource(
            "OxfordIIITPet", _by_split("test", train="trainval"), "oxford-iiit-pet"
        ),
        description="37 breeds of cat and dog; `train` is its trainval.",
        licence="CC BY-SA 4.0.",
        tells=_LARGE_PHOTOGRAPHS,
    ),
    DatasetInfo(
        name="fgvc-aircraft",
        title="FGVC-Aircraft",
        source=TorchvisionSource(
            "FGVCAircraft", _by_split("test", train="trainval"), "fgvc-aircraft-2013b"
        ),
        description="100 variants of aircraft; `train` is its trainval.",
        licence=_NON_COMMERCIAL,
        tells=f"Much sky, and a banner with the photographer at the foot. {_LARGE_PHOTOGRAPHS}",
    ),
    DatasetInfo(
        name="imagenet-100",
        title="ImageNet-100",
        source=FolderSource(note="100 wnid folders of ImageNet; the validation images as test."),
        description="100 classes of ImageNet (the list of contrastive multiview coding).",
        licence=_IMAGENET_TERMS,
        tells=_LARGE_PHOTOGRAPHS,
    ),
    DatasetInfo(
        name="imagenet-r",
        title="ImageNet-R",
        source=FolderSource(("test",), "200 wnid folders of the archive, moved into test."),
        description="Paintings, toys, tattoos and other renditions of 200 ImageNet classes.",
        licence=_IMAGENET_TERMS,
        tells="Drawn lines and flat colours instead of photographs.",
    ),
    DatasetInfo(
        name="ninco",
        title="NINCO",
        source=FolderSource(("test",), "64 class folders of NINCO_OOD_classes, moved into test."),
        description="64 classes, each image checked by eye to show no ImageNet object.",
        licence="MIT for the collection; each image keeps its own terms.",
        tells=_LARGE_PHOTOGRAPHS,
    ),
    DatasetInfo(
        name="cub-200",
        title="CUB-200-2011",
        source=FolderSource(note="200 folders of the archive's images, split by its lists."),
        description="200 species of bird.",
        licence=_NON_COMMERCIAL,
        tells=f"One bird in the middle. {_LARGE_PHOTOGRAPHS}",
    ),
    DatasetInfo(
        name="tiny-imagenet",
        title="Tiny-ImageNet",
        source=FolderSource(
            note="wnid folders, the validation images as test; words.txt beside the splits gives "
            "the names."
        ),
        description="200 classes of ImageNet at 64x64; several are also CIFAR-100's.",
        licence=_IMAGENET_TERMS,
        tells="64x64 JPEG, about 2 % of it grey.",
    ),
    DatasetInfo(
        name="dtd10",
        title="Describable Textures, 10 kinds",
        source=FolderSource(note="Ten class folders of DTD, 64x64 centre crops."),
        description="Ten of DTD's 47 textures at 64x64.",
        licence=_RESEARCH,
        tells="Textures fill the whole image, 64x64.",
    ),
    DatasetInfo(
        name="chars74k",
        title="Chars74K",
        source=FolderSource(note="62 class folders: digit_0, lower_a, upper_a, ..."),
        description="Digits and letters cut from street photographs; close to SVHN.",
        licence=_RESEARCH,
        tells="20x20 colour, blurred when upscaled to 32x32.",
    ),
    DatasetInfo(
        name="digits",
        title="Digits 0 to 7",
        source=generated.GeneratedSource(generated.digits, generated.THREE_TENTHS),
        description="scikit-learn's handwritten digits, the classes 0 to 7; 70 % train.",
        licence="CC BY 4.0 (UCI, Optical Recognition of Handwritten Digits).",
        tells="8x8 with 17 grey levels, shared by all its partners.",
    ),
    DatasetInfo(
        name="digits-heldout",
        title="Digits 8 and 9",
        source=generated.GeneratedSource(generated.held_out_digits, generated.SEVEN_TENTHS),
        description="The two classes of scikit-learn's digits that are never trained; 70 % test.",
        licence="CC BY 4.0 (UCI, Optical Recognition of Handwritten Digits).",
        tells="None: the same writers, scanner and size.",
    ),
    DatasetInfo(
        name="letters",
        title="Letters",
        source=generated.GeneratedSource(generated.letters, generated.SEVEN_TENTHS),
        description="Capital letters but I and O, drawn with Pillow's own font. Near: strokes of "
        "the same size and weight that spell another alphabet, some of it close (S and 5).",
        licence="Font Aileron: CC0.",
        tells="Printed instead of handwritten: straighter strokes.",
    ),
    DatasetInfo(
        name="photo-patches",
        title="Patches of photographs",
        source=generated.GeneratedSource(generated.photo_patches, generated.SEVEN_TENTHS),
        description="Grey tiles of scikit-learn's two sample photographs. Labels say which one.",
        licence="CC BY 2.0 (danielbuechele, vultilion; in scikit-learn).",
        tells="No black background, low contrast.",
        labelled=False,
    ),
    DatasetInfo(
        name="noise",
        title="Noise",
        source=generated.GeneratedSource(generated.noise, generated.SEVEN_TENTHS),
        description="Uniform and Gaussian noise. Labels say which.",
        licence="None needed.",
        tells="No neighbouring pixels agree.",
        labelled=False,
    ),
)
_CATALOGUE = {info.name: info for info in sorted(_ENTRIES, key=lambda info: info.name)}


@dataclass(frozen=True)
class OodSuite:
    """A named group of OOD sets for one in-distribution set.

    Attributes
    ----------
    id_name : the set they are out of distribution for
    near, far : names of data sets
    description : where the grouping comes from
    """

    name: str
    near: tuple[str, ...]
    far: tuple[str, ...]
    id_name: str
    description: str

    @property
    def members(self) -> tuple[str, ...]:
        """All sets, the near ones first."""
        return self.near + self.far


_SUITES = {
    suite.name: suite
    for suite in (
        OodSuite(
            name="report",
            near=("cifar10",),
            far=(),
            id_name="cifar100",
            description="CIFAR-100 against CIFAR-10 alone.",
        ),
        OodSuite(
            name="openood-cifar100",
            near=("cifar10", "tiny-imagenet"),
            far=("mnist", "svhn", "dtd", "places365"),
            id_name="cifar100",
            description="OpenOOD's benchmark for CIFAR-100.",
        ),
        OodSuite(
            name="openood-cifar10",
            near=("cifar100", "tiny-imagenet"),
            far=("mnist", "svhn", "dtd", "places365"),
            id_name="cifar10",
            description="OpenOOD's benchmark for CIFAR-10.",
        ),
        OodSuite(
            name="cifar100-small",
            near=("cifar10", "tiny-imagenet"),
            far=("dtd10", "chars74k", "mnist"),
            id_name="cifar100",
            description="OpenOOD's kinds of OOD in small: ten textures for DTD, characters from "
            "the street for SVHN.",
        ),
        OodSuite(
            name="nc-control-8",
            near=("imagenet-r", "ninco"),
            far=(
                "cifar100",
                "flowers102",
                "cub-200",
                "fgvc-aircraft",
                "oxford-pets",
                "stl10",
            ),
            id_name="imagenet-100",
            description="The eight sets of 'Controlling Neural Collapse' (arXiv 2502.10691), which "
            "averages over all. Near here: ImageNet's own classes or photographs collected to "
            "resemble them; far: other collections.",
        ),
        OodSuite(
            name="digits-partners",
            near=("digits-heldout", "letters"),
            far=("photo-patches", "noise"),
            id_name="digits",
            description="Partners of scikit-learn's digits, none of which needs a download.",
        ),
    )
}


def data_root() -> Path:
    """The folder that data sets lie in: NCVIZ_DATA, or ``data`` in the current folder."""
    return Path(os.environ.get("NCVIZ_DATA") or "data").expanduser()


def names() -> tuple[str, ...]:
    """All data sets of the catalogue, sorted."""
    return tuple(_CATALOGUE)


def describe(name: str, *, root: Path | str | None = None) -> DatasetInfo:
    """What is known about a data set, also about an image folder of the user's own.

    Raises
    ------
    UnknownNameError : neither in the catalogue nor a folder in the data root.
    InvalidOptionError : `name` is a path.
    """
    require_plain_name("data set", name)
    if name in _CATALOGUE:
        return _CATALOGUE[name]
    root = data_root() if root is None else Path(root)
    if not (root / name).is_dir():
        raise UnknownNameError(
            "data set", name, names(), f"A folder {root / name}/SPLIT/CLASS with images makes it."
        )
    return DatasetInfo(
        name=name,
        title=name,
        source=FolderSource(folder_splits(root / name)),
        description=f"Image folder {root / name}.",
        licence="Unknown.",
        tells="Unknown.",
    )


def suites() -> tuple[str, ...]:
    """The named suites of OOD sets, sorted."""
    return tuple(sorted(_SUITES))


def suite(name: str) -> OodSuite:
    """The suite of that name.

    Raises
    ------
    UnknownNameError : there is none.
    """
    if name not in _SUITES:
        raise UnknownNameError("suite of OOD sets", name, _SUITES)
    return _SUITES[name]


def ood_group(id_name: str, ood_name: str) -> str:
    """``"near"`` where a suite for `id_name` lists `ood_name` as near, otherwise ``"far"``."""
    of_id = (s for s in _SUITES.values() if s.id_name == id_name)
    return "near" if any(ood_name in s.near for s in of_id) else "far"
