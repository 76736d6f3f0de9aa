"""Classes of a data set that are also classes of another one, with the reason for each decision.

An OOD set must not contain ID classes: a network that recognises them would be counted as wrong.
OpenOOD (arXiv 2306.09301) removes such images from Tiny-ImageNet and Places365. Its lists name
image files of the original archives, so the decision is made here again by class. A class overlaps
if at least one of two criteria holds:

1. It is the same object category, or a hyponym or hypernym of it in WordNet.
2. Its images show the ID object so prominently that an annotator of the ID set would have to give
   them the ID label (espresso in a cup, for example).

Classes are matched, not images: an image that happens to show an ID object is kept.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

ALL = "*"
"""stands for every class of a set"""

_WNID = re.compile(r"n\d{8}")
_HYPONYM = "the same category or a kind of it (WordNet)"
_SHOWN = "the images show the object of the class"
_GLYPH = "the same written character"

# ID class -> (reason, classes of the other set)
_Table = Mapping[str, tuple[tuple[str, str], ...]]

_TINY_IMAGENET_CIFAR10: _Table = {
    "automobile": ((_HYPONYM, "n02814533 n03100240 n03670208 n04285008"),),
    "bird": ((_HYPONYM, "n01855672 n02002724 n02056570 n02058221"),),
    "cat": ((_HYPONYM, "n02123045 n02123394 n02124075"),),
    "dog": ((_HYPONYM, "n02085620 n02094433 n02099601 n02099712 n02106662 n02113799"),),
    "frog": ((_HYPONYM, "n01641577 n01644900"),),
    "ship": ((_SHOWN, "n03447447 n03662601"),),
    "truck": ((_HYPONYM, "n03796401 n03977966"),),
}
_TINY_IMAGENET_CIFAR100: _Table = {
    "aquarium_fish": ((_HYPONYM, "n01443537"),),
    "bear": ((_HYPONYM, "n02132136"),),
    "bee": ((_HYPONYM, "n02206856"),),
    "beetle": ((_HYPONYM, "n02165456"),),
    "bottle": ((_HYPONYM, "n02823428 n03937543 n03983396"),),
    "bridge": ((_HYPONYM, "n04311004 n04366367 n04532670"),),
    "bus": ((_HYPONYM, "n04146614 n04487081"),),
    "butterfly": ((_HYPONYM, "n02279972 n02281406"),),
    "camel": ((_HYPONYM, "n02437312"),),
    "cattle": ((_HYPONYM, "n02403003"),),
    "chair": ((_HYPONYM, "n04099969"),),
    "chimpanzee": ((_HYPONYM, "n02481823"),),
    "clock": ((_SHOWN, "n04328186"),),
    "cockroach": ((_HYPONYM, "n02233338"),),
    "crocodile": (("CIFAR-100's crocodile includes alligators", "n01698640"),),
    "cup": ((_SHOWN, "n07920052"),),
    "elephant": ((_HYPONYM, "n02504458"),),
    "house": ((_SHOWN, "n04417672"),),
    "keyboard": ((_HYPONYM, "n03085013"),),
    "lamp": ((_SHOWN, "n03637318"),),
    "lawn_mower": ((_HYPONYM, "n03649909"),),
    "lion": ((_HYPONYM, "n02129165"),),
    "lobster": ((_HYPONYM, "n01983481 n01984695"),),
    "mountain": ((_HYPONYM, "n09193705"),),
    "mushroom": ((_HYPONYM, "n07734744"),),
    "orange": ((_HYPONYM, "n07747607"),),
    "plate": ((_SHOWN, "n07579787"),),
    "rocket": ((_HYPONYM, "n04008634"),),
    "sea": ((_SHOWN, "n09428293"),),
    "snail": ((_HYPONYM, "n01944390"),),
    "snake": ((_HYPONYM, "n01742172"),),
    "spider": ((_HYPONYM, "n01774384 n01774750"),),
    "sweet_pepper": ((_HYPONYM, "n07720875"),),
    "table": ((_HYPONYM, "n03179701 n03201208"),),
    "telephone": ((_HYPONYM, "n03902125"),),
    "tractor": ((_HYPONYM, "n04465501"),),
    "train": ((_HYPONYM, "n02917067"), (_SHOWN, "n03393912")),
}
_PLACES365_CIFAR100: _Table = {
    "bridge": ((_HYPONYM, "/b/bridge /r/rope_bridge /v/viaduct"),),
    "castle": ((_HYPONYM, "/c/castle"),),
    "cloud": ((_SHOWN, "/s/sky"),),
    "forest": (
        (_HYPONYM, "/b/bamboo_forest /f/forest/broadleaf /r/rainforest"),
        (_SHOWN, "/f/forest_path"),
    ),
    "house": (
        (_HYPONYM, "/b/beach_house /c/chalet /c/cottage /h/house /m/manufactured_home /m/mansion"),
    ),
    "mountain": (
        (_HYPONYM, "/m/mountain /m/mountain_snowy /v/volcano"),
        (_SHOWN, "/m/mountain_path"),
    ),
    "plain": ((_HYPONYM, "/f/field/wild /t/tundra"),),
    "road": ((_HYPONYM, "/d/desert_road /f/field_road /f/forest_road /h/highway /s/street"),),
    "sea": ((_HYPONYM, "/o/ocean"), (_SHOWN, "/b/beach /c/coast /w/wave")),
    "skyscraper": ((_HYPONYM, "/s/skyscraper"),),
}
_STL10_CIFAR10: _Table = {
    "automobile": ((_HYPONYM, "car"),),
    **{
        name: ((_HYPONYM, name),)
        for name in ("airplane", "bird", "cat", "deer", "dog", "horse", "ship", "truck")
    },
}


_DIGIT_SETS = {
    "digits": "01234567",
    "digits-heldout": "89",
    "mnist": string.digits,
    "svhn": string.digits,
    "chars74k": string.digits,
}
# O and I are also written as a zero and a one; `letters` lacks them for the same reason.
_LIKE_DIGITS = {"0": " lower_o upper_o", "1": " lower_l upper_i"}


def _of_digits(one: str, other: str) -> _Table:
    both = [digit for digit in _DIGIT_SETS[one] if digit in _DIGIT_SETS[other]]
    if other != "chars74k":
        return {digit: ((_GLYPH, digit),) for digit in both}
    return {digit: ((_GLYPH, f"digit_{digit}{_LIKE_DIGITS.get(digit, '')}"),) for digit in both}


_TABLES: dict[tuple[str, str], _Table] = {
    ("cifar10", "tiny-imagenet"): _TINY_IMAGENET_CIFAR10,
    ("cifar100", "tiny-imagenet"): _TINY_IMAGENET_CIFAR100,
    ("cifar100", "places365"): _PLACES365_CIFAR100,
    ("cifar10", "stl10"): _STL10_CIFAR10,
    ("cifar100", "stl10"): {"pickup_truck": ((_HYPONYM, "truck"),)},
    ("cifar10", "oxford-pets"): {"cat": ((_HYPONYM, ALL),), "dog": ((_HYPONYM, ALL),)},
    ("cifar10", "cub-200"): {"bird": ((_HYPONYM, ALL),)},
    ("cifar10", "fgvc-aircraft"): {"airplane": ((_HYPONYM, ALL),)},
    ("letters", "chars74k"): {
        letter: ((_GLYPH, f"lower_{letter.lower()} upper_{letter.lower()}"),)
        for letter in string.ascii_uppercase
        if letter not in "IO"
    },
    **{
        (one, other): _of_digits(one, other)
        for one, other in combinations(_DIGIT_SETS, 2)
        if {one, other} != {"digits", "digits-heldout"}
    },
}
# Compared without finding an overlap, with the reason.
_DISJOINT: dict[frozenset[str], str] = {
    frozenset(pair.split()): reason
    for pair, reason in (
        (
            "cifar10 cifar100",
            "Collected with mutually exclusive classes: CIFAR-10's truck and automobile exclude "
            "pickup trucks by definition; bus, streetcar and tank have no label in CIFAR-10.",
        ),
        ("digits digits-heldout", "The digits 0 to 7 and 8 to 9."),
        ("digits letters", "O and I are left out of the letters."),
        *(
            (f"{id_name} {name}", reason)
            for id_name in ("cifar10", "cifar100")
            for name, reason in (
                ("chars74k", "Characters, no objects."),
                ("dtd", "Textures, no objects."),
                ("dtd10", "Textures, no objects."),
                ("mnist", "Digits, no objects."),
                ("svhn", "Digits, no objects."),
            )
        ),
        ("cifar10 places365", "Scenes, no animals or vehicles; images are not checked one by one."),
        ("imagenet-100 ninco", "NINCO's images were checked to show no ImageNet class."),
        ("digits noise", "Noise."),
        ("digits photo-patches", "Tiles of two photographs."),
    )
}


@dataclass(frozen=True)
class Overlap:
    """A class that an OOD set shares with an ID set.

    Attributes
    ----------
    ood_class, id_class : as the sets write them: wnid, folder or name; `ood_class` may be `ALL`
    reason : criterion that the decision rests on
    """

    ood_class: str
    id_class: str
    reason: str


def listed(id_name: str, ood_name: str) -> tuple[Overlap, ...] | None:
    """Return the classes of `ood_name` that are classes of `id_name`; None for unlisted pairs."""
    if table := _TABLES.get((id_name, ood_name)):
        return tuple(Overlap(theirs, own, reason) for own, theirs, reason in _rows(table))
    if table := _TABLES.get((ood_name, id_name)):
        return tuple(Overlap(own, theirs, reason) for own, theirs, reason in _rows(table))
    return () if frozenset((id_name, ood_name)) in _DISJOINT else None


def pairs() -> dict[tuple[str, str], str]:
    """Return each compared pair of sets with the reason if no class overlaps, else ``""``."""
    compared = dict.fromkeys(_TABLES, "")
    return compared | {tuple(sorted(pair)): reason for pair, reason in _DISJOINT.items()}


def _rows(table: _Table) -> Iterator[tuple[str, str, str]]:
    for own, groups in table.items():
        for reason, names in groups:
            yield from ((own, name, reason) for name in names.split())


def is_wnid(name: str) -> bool:
    """Return whether `name` identifies a WordNet noun, as in ImageNet's class folders."""
    return _WNID.fullmatch(name) is not None


def normalised(name: str) -> str:
    """Return the letters and digits of a class name in lower case, for comparisons."""
    return "".join(character for character in name.casefold() if character.isalnum())
