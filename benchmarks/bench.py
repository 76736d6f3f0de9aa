"""What every benchmark shares: rows of ours against theirs, the machine's own rates, output."""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Event, Thread
from typing import TypeVar

import numpy as np

Found = TypeVar("Found")

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "pytorch-ood", "streamlit", "faiss-cpu")


@dataclass(frozen=True)
class Row:
    """One measurement, in the unit of its table.

    Attributes
    ----------
    what : what was measured
    ours, theirs : ours, and that of what it is held against; None where there is nothing
    bound : what the hardware allows at best, from counted work over measured rates
    aim : what was to be reached, in words, and `reached` whether it was
    note : why it was not reached, or what is to be known
    """

    what: str
    ours: float
    theirs: float | None = None
    bound: float | None = None
    aim: str = ""
    reached: bool | None = None
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of one kind.

    Attributes
    ----------
    title : says what is held against what
    unit : of `ours`, `theirs` and `bound`
    more_is_better : whether rates are held against each other, and not times or sizes
    """

    title: str
    unit: str = "s"
    theirs: str = "theirs"
    more_is_better: bool = False
    rows: list[Row] = field(default_factory=list)

    def ratio(self, row: Row) -> float | None:
        """How many times better ours is."""
        if row.theirs is None or not row.ours or not row.theirs:
            return None
        return row.ours / row.theirs if self.more_is_better else row.theirs / row.ours

    def markdown(self) -> str:
        """The table with its title, ratios first."""
        heads = ["", "ratio", f"ours, {self.unit}", f"{self.theirs}, {self.unit}"]
        heads += [f"bound, {self.unit}", "aim"]
        cells = [
            [
                row.what,
                _number(self.ratio(row)),
                *map(_number, (row.ours, row.theirs, row.bound)),
                row.aim + {True: ": reached", False: ": missed", None: ""}[row.reached],
            ]
            for row in self.rows
        ]
        kept = [at for at in range(len(heads)) if at == 0 or any(line[at] for line in cells)]
        lines = [[line[at] for at in kept] for line in (heads, *cells)]
        widths = [max(len(line[at]) for line in lines) for at in range(len(kept))]
        rule = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
        text = [f"| {' | '.join(map(str.ljust, line, widths))} |" for line in (lines[0], rule)]
        text += [f"| {' | '.join(map(str.ljust, line, widths))} |" for line in lines[1:]]
        notes = [f"- {row.what}: {row.note}" for row in self.rows if row.note]
        return "\n".join([f"### {self.title}", "", *text, *(["", *notes] if notes else [])])

    def to_dict(self) -> dict:
        """The table for other programs."""
        return asdict(self) | {
            "rows": [asdict(row) | {"ratio": self.ratio(row)} for row in self.rows]
        }


def run(
    tables: Callable[[argparse.Namespace], Iterable[Table]],
    about: str,
    options: Callable[[argparse.ArgumentParser], object] = lambda parser: None,
) -> None:
    """What a benchmark's `main` does: options, tables on the screen one by one, JSON if asked."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="also write the tables to this file")
    options(parser)
    given = parser.parse_args()
    done = []
    for table in tables(given):
        print(f"{table.markdown()}\n", flush=True)
        done.append(table.to_dict())
    if given.json:
        given.json.write_text(json.dumps(done, indent=1) + "\n")


def timed(work: Callable[[], Found], *, best_of: int = 3) -> tuple[float, Found]:
    """The shortest time that `work` takes, of so many tries, and what it returns.

    What takes longer than five seconds is tried once.
    """
    times = []
    for _ in range(best_of):
        gc.collect()
        start = time.perf_counter()
        found = work()
        times.append(time.perf_counter() - start)
        if times[-1] > 5:
            break
    return min(times), found


def seconds(work: Callable[[], object], *, best_of: int = 3) -> float:
    """The same without what it returns."""
    return timed(work, best_of=best_of)[0]


def memory_of(work: Callable[[], object]) -> int:
    """Bytes that the process holds at most during `work`, beyond those that it held before.

    Looked up a hundred times a second. Pages of mapped files, which the system may drop at any
    time, are not among them.
    """
    gc.collect()
    before, held, done = _anonymous(), [0], Event()

    def watch() -> None:
        while not done.wait(0.01):
            held.append(_anonymous())

    watcher = Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return max(0, max(held) - before)


def _anonymous() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


@dataclass(frozen=True)
class Rates:
    """What the machine does in a second: bytes copied, and operations of a large product."""

    bandwidth: float
    single: float
    double: float

    def bound(self, *, bytes: float = 0, single: float = 0, double: float = 0) -> float:
        """Seconds that the machine takes at least for so many bytes and operations."""
        return max(bytes / self.bandwidth, single / self.single + double / self.double)


@cache
def rates() -> Rates:
    """The rates of this machine, measured."""
    source = np.ones(2**26)
    target = np.empty_like(source)
    copied = seconds(lambda: np.copyto(target, source), best_of=5)
    found = {}
    for kind in (np.float32, np.float64):
        matrix = np.random.default_rng(0).standard_normal((3000, 3000)).astype(kind)
        found[kind] = 2 * 3000**3 / seconds(lambda matrix=matrix: matrix @ matrix, best_of=4)
    return Rates(2 * source.nbytes / copied, found[np.float32], found[np.float64])


def machine() -> dict[str, str]:
    """What the numbers were measured on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":")[1] for line in info.read_text().splitlines() if "model name" in line
        ]
        cpu = names[0].strip() if names else cpu
    measured = rates()
    return {
        "date": date.today().isoformat(),
        "processor": f"{cpu}, {len(os.sched_getaffinity(0))} cores",
        "rates": f"{measured.single / 1e9:.0f} GFLOP/s in float32 and {measured.double / 1e9:.0f} "
        f"in float64 (3000 x 3000 products), {measured.bandwidth / 1e9:.1f} GB/s copied",
        "versions": ", ".join([f"Python {platform.python_version()}", *_versions()]),
    }


def _versions() -> Iterable[str]:
    for package in PACKAGES:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            continue


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without an installation
