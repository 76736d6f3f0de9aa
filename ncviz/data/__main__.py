"""Prints the catalogue as Markdown: python -m ncviz.data. With names, it downloads these sets."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from ncviz.data.catalogue import DatasetInfo, data_root, describe, names, suite, suites
from ncviz.data.images import LAYOUT
from ncviz.data.loading import load
from ncviz.errors import NcvizError

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
    return "\n".join(lines)


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
