"""Prints the catalogue as Markdown: python -m ncviz.data. With names, it downloads these sets."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from ncviz.data.catalogue import DatasetInfo, data_root, describe, names, suite, suites
from ncviz.data.images import LAYOUT
from ncviz.data.loading import load
from ncviz.data.overlaps import ALL, listed, pairs
from ncviz.errors import NcvizError

_OVERLAPS = """
# Overlapping classes

An OOD set must not contain ID classes. `extract.py` leaves out the classes of an OOD set that are
classes of the ID set, and records them in `run.json`; pages and the report state it. With
`--keep-overlap` all classes are used. A class overlaps if it is the same category as an ID class, a
kind of it or a more general one (WordNet), or if its images show the ID object so prominently that
an annotator would give them the ID label. OpenOOD (arXiv 2306.09301) removes such images by lists
of files; here the decision is made by class, so an image that happens to show an ID object is kept.
The lists hold in both directions. Classes with equal wnids are the same class in any pair of sets.
For pairs that are not listed, `extract.py` warns of classes with equal names and keeps them.
Transfer uses all classes, because it measures how well features separate the classes of another
data set, whether they are new or not.

| set | other set | matches | classes of the set: classes of the other set | reason |
|---|---|---|---|---|
"""
_DUPLICATES = """
# Near-duplicate images

`extract.py` compares the ID test set and every OOD set with the ID training set, once per set. It
reports images that are near-duplicates of training images, and records the counts and the keys of
the first pairs in `run.json`; the Overview, `evaluate.py` and the report show them. A pair is a
near-duplicate if the difference hashes of its images differ in at most 10 of 64 bits and their
pixels, as the network sees them, by a root mean square of at most 8 of 255. Copies that were
shifted, cropped or recoloured are not found. Nothing is left out.
"""
_FOLDERS = """
# Image folders

`ROOT/NAME/SPLIT/CLASS/` holds the images of one class of one split, for example
`ROOT/birds/test/robin/1.png`. Images in subfolders of a class folder belong to the class, as in
torchvision's `ImageFolder`. Hidden files and files of other types are ignored. If
`ROOT/NAME/words.txt` exists (lines `FOLDER<tab>name, synonym`), it names the classes.

**Class order.** The class folders are sorted as text, case-sensitively, as torchvision sorts
them: `1`, `10`, `2`. The position of a folder is the label of its class, so a network that was
trained in another order appears to be wrong nearly everywhere. timm sorts naturally (`1`, `2`,
`10`, ignoring case). `train.py` and `adopt.py` take the order:

| option | order |
|---|---|
| `--class-order text` | as text (default) |
| `--class-order natural` | numbers by value, ignoring case: the order of timm |
| `--classes FILE` | as listed in FILE: the name of each class folder once, one a line |

The order is recorded in `run.json` and used by every later command of the run.

**Bit depth.** Images are decoded to 8 bits per channel. Files with more bits do not state how
many their values use, so the smallest usual depth that contains all values of the image is
assumed, with a warning unless it is 16 bits: 12 or 16 bits for 16-bit greyscale files (PNG,
TIFF), and 8, 12 or 16 bits for 32-bit integers. PGM files declare their maximum. Colour files
with 16 bits per channel are read at full range, with a warning if they come out nearly black.
Floating-point pixels and integers beyond 16 bits are rejected. Save images with 8 bits per
channel to choose the scale yourself. `score.py` and the Upload page decode images in the same
way.
"""
_KINDS = {
    "torchvision": "fetched by `--download`",
    "folder": "image folder",
    "generated": "made on the spot",
}


def catalogue() -> str:
    """Every data set and suite of the catalogue, as Markdown."""
    lines = [
        "# Data sets",
        "",
        "Printed by `python -m ncviz.data`. A name is looked for as an image folder",
        "`ROOT/NAME/SPLIT/CLASS/*` first, ROOT being `--data-root`, `NCVIZ_DATA` or `./data`. A",
        "folder there with a name of its own is a data set too.",
        "",
        "| name | what it is | where it comes from | what gives it away, meaning aside | licence |",
        "|---|---|---|---|---|",
    ]
    for info in map(describe, names()):
        cells = (f"`{info.name}`", info.description, _origin(info), info.tells, info.licence)
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    lines += [
        "",
        "# Suites of OOD sets",
        "",
        "| name | for | near | far | where the grouping comes from |",
        "|---|---|---|---|---|",
    ]
    for one in map(suite, suites()):
        near, far = (", ".join(each) or "none" for each in (one.near, one.far))
        lines.append(f"| `{one.name}` | `{one.id_name}` | {near} | {far} | {one.description} |")
    lines += [*_OVERLAPS.splitlines(), *_overlaps()]
    return "\n".join(lines) + "\n" + _DUPLICATES + _FOLDERS.rstrip()


def _overlaps() -> Iterator[str]:
    """Rows of the table of overlapping classes, pairs without any last."""
    compared = pairs()
    for one, other in sorted(compared, key=lambda pair: (compared[pair] != "", pair)):
        by_class: dict[tuple[str, str], list[str]] = {}
        for overlap in listed(one, other):
            key = (overlap.id_class, overlap.reason)
            name = "every class" if overlap.ood_class == ALL else f"`{overlap.ood_class}`"
            by_class.setdefault(key, []).append(name)
        matches = [f"{own}: {', '.join(names)}" for (own, _), names in by_class.items()]
        reasons = dict.fromkeys(reason for _, reason in by_class)
        count = sum(map(len, by_class.values()))
        cells = (f"`{one}`", f"`{other}`", str(count), "; ".join(matches) or "none")
        yield "| " + " | ".join((*cells, compared[one, other] or "; ".join(reasons))) + " |"


def _origin(info: DatasetInfo) -> str:
    rest = info.layout.replace(LAYOUT, "").strip(" .;")
    return f"{_KINDS[info.kind]}; {rest[:1].lower()}{rest[1:]}"


def fetch(chosen: Iterable[str]) -> None:
    """Download what the data root lacks of the data sets `chosen`, and say what is there."""
    for name in chosen:
        for split in describe(name).splits:
            images = load(name, split, download=True)
            print(f"{images.full_name}: {len(images):,} images, data root {data_root()}")


def main(arguments: list[str]) -> None:
    """Fetch the sets that are named, or print the catalogue."""
    if not arguments:
        print(catalogue())
        return
    try:
        fetch(arguments)
    except NcvizError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
