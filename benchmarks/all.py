"""Every benchmark, one process after the other, written down as a page: `make bench`.

    python benchmarks/all.py [--only NAME ...] [--page docs/benchmarks.md] [--json benchmarks.json]

Nothing else should run on the machine meanwhile: an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from bench import Row, Table, machine

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


class Script(NamedTuple):
    """A benchmark as it is called for the page, and the heading that its tables get there."""

    heading: str
    name: str
    options: tuple[str, ...] = ()
    tables: bool = True
    """whether it gives tables of `bench`, or a text of its own"""
    on_page: bool = True
    """whether its output belongs on the page of benchmarks; otherwise it writes its own page"""


_IMAGENET = (
    *("--train", "20000", "--queries", "2000", "--dim", "2048", "--classes", "1000", "--detectors"),
    *("msp", "energy", "entropy", "gen", "react", "vra", "dice", "ash_b", "scale", "lts", "she"),
    *("fdbd", "nci", "vim", "knn", "nnguide"),
)
SCRIPTS = (
    Script("Coverage of confidence intervals", "coverage", tables=False, on_page=False),
    Script("Detectors at the size of CIFAR-100", "detectors"),
    Script("Detectors at the dimensions of ImageNet, on a part of it", "detectors", _IMAGENET),
    Script("Detectors on features that lie in a file", "imagenet"),
    Script("Neighbours by an index", "neighbours"),
    Script("Collapse statistics", "collapse", ("--large",)),
    Script("Growth", "growth"),
    Script("Evaluation grid", "grid"),
    Script("Training, extraction and data loading", "network"),
    Script("Start-up of the pages", "imports", tables=False),
    Script("Many readers at once", "users", tables=False),
    Script(
        "Half an hour of it while results are rewritten",
        "users",
        ("--minutes", "30", "--rewrite"),
        tables=False,
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="scripts by name; by default all")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "benchmarks.md")
    parser.add_argument("--json", type=Path, default=ROOT / "docs" / "benchmarks.json")
    given = parser.parse_args()
    kept = given.only and given.json.exists()
    done = json.loads(given.json.read_text())["scripts"] if kept else {}
    for script in SCRIPTS:
        if given.only and script.name not in given.only:
            continue
        found = measured(script)
        if not script.on_page:
            continue
        done[script.heading] = {"command": command(script), **found}
        written = {"machine": machine(), "scripts": done}
        given.json.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n")
        given.page.write_text(page(written))


def command(script: Script) -> str:
    return " ".join(["python", f"benchmarks/{script.name}.py", *script.options])


def measured(script: Script) -> dict:
    """What a script measures, run by itself, so that none inherits another's memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tables.json"
        called = [sys.executable, HERE / f"{script.name}.py", *script.options, "--json", path]
        done = subprocess.run(called, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        print(f"## {script.heading}\n\n{done.stdout}", flush=True)
        found = json.loads(path.read_text())
    return {"tables": found} if script.tables else {"text": done.stdout, "numbers": found}


def page(written: dict) -> str:
    """The page that shows what was measured."""
    lines = [
        "# Benchmarks",
        "",
        "`make bench` measures all of it anew and writes this page, "
        "`python benchmarks/all.py --only NAME` a part. "
        "A ratio says how many times better ours is "
        "than what stands beside it, both measured in one process on the same arrays. A bound is "
        "the time that the machine takes at least for the operations or bytes that have to be, at "
        "its own measured rates. [benchmarks.json](benchmarks.json) holds the same for programs.",
        "",
        *(f"- {name}: {value}" for name, value in written["machine"].items()),
    ]
    for script in SCRIPTS:
        if script.heading in written["scripts"]:
            one = written["scripts"][script.heading]
            lines += ["", f"## {script.heading}", "", f"`{one['command']}`"]
            lines += [f"\n{as_table(each).markdown()}" for each in one.get("tables", ())]
            lines += ["```", one["text"].rstrip(), "```"] if "text" in one else []
    return "\n".join(lines) + "\n"


def as_table(read: dict) -> Table:
    rows = [Row(**{k: v for k, v in row.items() if k != "ratio"}) for row in read["rows"]]
    return Table(**{**read, "rows": rows})


if __name__ == "__main__":
    main()
