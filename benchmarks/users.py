"""Many readers at once: how long they wait for a page, and what the server's memory does.

    python benchmarks/users.py [--users 20] [--minutes 1] [--rewrite] [--json FILE]

Starts the app and lets readers step through epochs, change pages and runs, and upload images, each
thinking a while in between; they speak Streamlit's protocol over a websocket, without a browser.
`--rewrite` lets scripts/evaluate.py write results anew underneath, on a copy of the runs. Prints
medians and 95th percentiles in milliseconds from a request to the last message of the page, the
server's resident memory once every page and network was in use and at the end, what pages said
of errors, and how many exceptions the server's log has; exits with 1 if it has any.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.reader import Drawing, Reader  # noqa: E402
from benchmarks.serving import running_app  # noqa: E402
from ncviz.store import checkpoints_root, open_runs  # noqa: E402

PAGES = ("", "Neural_collapse", "OOD_scores", "Embeddings", "Trade-off", "Leaderboard", "Compare")
# What a reader does next, and how often.
ACTIONS = {"step": 78, "page": 14, "run": 4, "upload": 4}
SAMPLE_EVERY = 1.0


class Load(NamedTuple):
    """What the server has done by then: pages drawn, seconds of processor time; MB resident."""

    drawn: int
    seconds: float
    memory: float


@dataclass
class Seen:
    """What all readers met: seconds by what they did, what pages said of errors, memory.

    Attributes
    ----------
    memory : seconds since the start, and MB resident
    drawn_anew : pages that were drawn more than once, since files had changed meanwhile
    settled, ended : the server once all pages and networks are in use, and at the end
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)
    drawn_anew: int = 0
    sent: int = 0
    settled: Load = field(default_factory=lambda: Load(0, 0.0, 0.0))
    ended: Load = field(default_factory=lambda: Load(0, 0.0, 0.0))

    @property
    def drawn(self) -> int:
        """Pages drawn."""
        return sum(map(len, self.seconds.values()))

    def note(self, what: str, drawing: Drawing) -> None:
        self.seconds.setdefault(what, []).append(drawing.seconds)
        self.failures.update(drawing.failures)
        self.drawn_anew += drawing.runs > 1
        self.sent += drawing.size


def resident(pid: int) -> float:
    """MB of memory that a process has."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("The server has ended; look at its log.")


def processor(pid: int) -> float:
    """Seconds of processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def exceptions(log: Path) -> list[str]:
    """The last line of each traceback in a server's log, and whatever it calls an error."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    found = []
    for at, line in enumerate(lines):
        if line.startswith("Traceback"):
            after = (each for each in lines[at + 1 :] if each and not each.startswith(" "))
            found.append(next(after, line))
        elif "ERROR" in line or "Error in" in line:
            found.append(line)
    return found


async def read(address: str, number: int, seen: Seen, options, warm: asyncio.Barrier) -> None:
    """One reader, from the first visit until the minutes are over."""
    chance = random.Random(number)
    clock = asyncio.get_running_loop().time
    async with Reader(address) as reader:
        seen.note("first visit", await reader.open())
        for page in chance.sample(PAGES, len(PAGES)):
            seen.note("first time on a page", await reader.open(page))
        if number == 0:
            for run, epoch in options.weighted:
                seen.note("first upload", await upload(reader, run, epoch, chance))
        await warm.wait()
        back, until = chance.random() < 0.5, clock() + 60 * options.minutes
        while clock() < until:
            await asyncio.sleep(chance.uniform(0.5, 1.5) * options.think)
            what = chance.choices(list(ACTIONS), list(ACTIONS.values()))[0]
            if what == "step":
                drawing = await reader.press("Previous" if back else "Next")
                if drawing is None:  # at an end of the epochs
                    back = not back
                    continue
                seen.note(f"step on {reader_page(reader)}", drawing)
            elif what == "page":
                seen.note("page", await reader.open(chance.choice(PAGES)))
            elif what == "run":
                run = chance.choice(options.names)
                seen.note("run", await reader.open(chance.choice(PAGES), f"run={run}"))
            else:
                where = chance.choice(options.weighted)
                seen.note("upload", await upload(reader, *where, chance))
                await reader.open(chance.choice(PAGES))


async def upload(reader: Reader, run: str, epoch: int, chance: random.Random) -> Drawing:
    """Asks about an image at an epoch; none is asked for while results are rewritten."""
    opened = await reader.open("Upload", f"run={run}&epoch={epoch}")
    return await reader.upload([(f"{chance.random()}.png", photograph(chance))]) or opened


def reader_page(reader: Reader) -> str:
    """The name of the page that a reader is on."""
    names = {number: name for name, number in reader.pages.items()}
    return names.get(reader.page, "") or "Overview"


def photograph(chance: random.Random) -> bytes:
    """A PNG file of 320 x 240 pixels, each different."""
    colours = np.random.default_rng(chance.getrandbits(32)).integers(0, 256, (6, 8, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(colours).resize((320, 240), Image.Resampling.BICUBIC).save(content, "PNG")
    return content.getvalue()


async def watch(pid: int, seen: Seen, start: float) -> None:
    """Notes the server's memory until it is cancelled."""
    while True:
        seen.memory.append((time.monotonic() - start, resident(pid)))
        await asyncio.sleep(SAMPLE_EVERY)


async def rewrite(checkpoints: Path, name: str) -> None:
    """Lets scripts/evaluate.py write the results of one epoch after the other, until cancelled."""
    run = open_runs(checkpoints)[name]
    while True:
        for number in run.epochs:
            for table in (run.epoch(number).path / "results").glob("*.parquet"):
                table.unlink()
            command = ["scripts/evaluate.py", name, "--checkpoints", str(checkpoints)]
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *command,
                "--epochs",
                str(number),
                cwd=ROOT,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                if await process.wait():
                    raise SystemExit("scripts/evaluate.py failed under the readers.")
            except asyncio.CancelledError:
                process.kill()
                await process.wait()
                raise


async def crowd(address: str, pid: int, options, checkpoints: Path) -> Seen:
    """All readers at once, and what they met."""
    seen, start = Seen(), time.monotonic()
    beside = [asyncio.create_task(watch(pid, seen, start))]
    warm = asyncio.Barrier(options.users + 1)
    readers = [
        asyncio.create_task(read(address, number, seen, options, warm))
        for number in range(options.users)
    ]
    try:
        arrived = asyncio.create_task(warm.wait())
        await asyncio.wait([arrived, *readers], return_when=asyncio.FIRST_COMPLETED)
        seen.settled = Load(seen.drawn, processor(pid), resident(pid))
        if options.rewrite:
            beside.append(asyncio.create_task(rewrite(checkpoints, options.rewrite)))
        await asyncio.gather(*readers)
        seen.ended = Load(seen.drawn, processor(pid), resident(pid))
        return seen
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


def measure(options, checkpoints: Path) -> tuple[Seen, list[str]]:
    """Readers on a fresh server: what they met, and the exceptions in its log."""
    runs = open_runs(checkpoints)
    options.names = list(runs)
    options.weighted = [(name, n) for name, run in runs.items() for n in run.weighted_epochs]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with running_app(checkpoints, log=log) as (address, pid):
            seen = asyncio.run(crowd(address, pid, options, checkpoints))
        seen.failures = Counter(
            # Without Markdown's escapes, and without the place of this machine's runs.
            text.replace("\\", "").replace(str(checkpoints), "CHECKPOINTS")
            for text in seen.failures.elements()
        )
        return seen, exceptions(log)


def report(seen: Seen, found: list[str]) -> dict:
    """Print what was met; the same as a dictionary."""
    rows = {}
    for what, seconds in sorted(seen.seconds.items()):
        median, late = np.percentile(1000 * np.array(seconds), (50, 95))
        rows[what] = {"count": len(seconds), "median_ms": median, "p95_ms": late}
        print(f"{what:26} {len(seconds):6} x  median {median:6.0f} ms   95 % {late:6.0f} ms")
    late = [(at, size) for at, size in seen.memory if at > seen.memory[-1][0] / 2]
    slope = np.polyfit(*zip(*late, strict=True), 1)[0] * 60 if len(late) > 2 else float("nan")
    settled, ended = seen.settled, seen.ended
    each = (ended.seconds - settled.seconds) / max(ended.drawn - settled.drawn, 1)
    print(f"{1000 * each:.0f} ms of processor time for each page, the rest is waiting for others")
    print(
        f"memory {settled.memory:.0f} MB once all was in use, {ended.memory:.0f} MB at the end, "
        f"{slope:+.1f} MB a minute in the second half"
    )
    print(f"{seen.sent / 1e6:.0f} MB sent; {seen.drawn_anew} pages drawn anew over changed files")
    for text, count in seen.failures.most_common(10):
        print(f"{count} x a page said: {text}")
    print(f"{len(found)} exceptions in the log of the server")
    for line, count in Counter(found).most_common(10):
        print(f"{count} x {line}")
    return {
        "actions": rows,
        "memory_mb": {
            "settled": settled.memory,
            "end": ended.memory,
            "slope_per_minute": slope,
        },
        "processor_ms_per_page": 1000 * each,
        "drawn_anew": seen.drawn_anew,
        "failures": dict(seen.failures),
        "exceptions": found,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=1.0, help="once all are warm")
    parser.add_argument("--think", type=float, default=1.0, help="seconds between two actions")
    parser.add_argument("--rewrite", nargs="?", const="digits", metavar="RUN")
    parser.add_argument("--checkpoints", type=Path, default=checkpoints_root())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = options.checkpoints
        if options.rewrite:
            checkpoints = shutil.copytree(checkpoints, Path(folder) / "checkpoints")
        found = measure(options, checkpoints)
    rewriting = f", {options.rewrite} rewritten underneath" if options.rewrite else ""
    print(f"{options.users} readers, {options.minutes:g} minutes{rewriting}")
    result = report(*found)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1), encoding="utf-8")
    sys.exit(1 if result["exceptions"] else 0)


if __name__ == "__main__":
    main()
