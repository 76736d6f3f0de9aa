"""How fast the app answers a reader: gesture to painted, in Chromium, against what was aimed at.

    python benchmarks/app.py [RUN] [--steps 20] [--starts 5] [--json FILE]

Prints medians and 95th percentiles in milliseconds, and the bytes that the server sent: of the
first visit of a server that nobody has visited, of each page that is opened from another one, of
an epoch step on each page, and of a lasso on the map until its images are there. A step is timed
until the first chart shows the new epoch, and until the last one does; readers who ask their system
for less motion are timed, since others watch lines move to where they belong. Needs playwright and
Chromium; the run needs maps of at least two epochs (scripts/embed.py).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.serving import running_app  # noqa: E402
from ncviz.ui import navigation  # noqa: E402

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
AIMS = {"first visit": 3000, "opening": 500, "step": 250, "map step": 100, "lasso": 500}
FIGURES = 1_000_000
# Elements that say when they were drawn, on pages that have charts and on those that have none.
DRAWN = ", ".join(
    (
        *(".ncviz-plot[data-drawn]", ".root[data-epoch]", ".katex"),
        *("[data-testid=stFileUploader]", "[data-testid=stTable]"),
    )
)
QUIET_MS = 600
# Components that are isolated from the page's style have a tree of their own.
TREES = """const trees = () => [document, ...[...document.querySelectorAll('*')]
  .filter(each => each.shadowRoot).map(each => each.shadowRoot)];
const findAll = what => trees().flatMap(tree => [...tree.querySelectorAll(what)]);"""
# A frame is on the screen once a frame that was asked for in it begins.
WATCH = f"""names => {{
  {TREES}
  window.painted = [];
  const paint = () => requestAnimationFrame(() => requestAnimationFrame(
    () => window.painted.push(performance.now() - window.began)));
  for (const name of ['keydown', 'pointerup']) {{
    addEventListener(name, () => {{
      [window.began, window.painted] = [performance.now(), []];
    }}, true);
  }}
  const options = {{ attributes: true, subtree: true, attributeFilter: names }};
  const observer = new MutationObserver(paint);
  for (const tree of trees()) observer.observe(tree, options);
}}"""
LEAVE = f"""drawn => {{
  {TREES}
  window.openedAt = undefined;
  for (const old of findAll(drawn)) old.dataset.old = '';
  const begin = () => {{ window.began = performance.now(); }};
  addEventListener('pointerup', begin, {{ capture: true, once: true }});
}}"""
OPENED = f"""([question, drawn]) => {{
  {TREES}
  const heading = document.querySelector('h1');
  const fresh = findAll(drawn).some(each => !each.matches('[data-old]'));
  if (!fresh || !heading || !heading.innerText.includes(question)) return false;
  window.openedAt ??= performance.now();
  return true;
}}"""


@dataclass(frozen=True)
class Row:
    """One line of the table: milliseconds of each repetition, and bytes sent in each."""

    what: str
    times: list[float]
    bytes: list[int]
    aim: float | None = None

    def __str__(self) -> str:
        median, late = np.percentile(self.times, (50, 95))
        aim = f"{self.aim:6.0f}" if self.aim else "      "
        kilobytes = np.median(self.bytes) / 1000
        return (
            f"{self.what:<40} {median:7.0f} {late:7.0f} {aim} {kilobytes:9.1f} {len(self.times):4}"
        )


class Reader:
    """A tab of the browser, and the bytes that reach it over the page's connection."""

    def __init__(self, browser: Browser):
        context = browser.new_context(
            viewport={"width": 1280, "height": 900}, reduced_motion="reduce"
        )
        self.tab: Page = context.new_page()
        self.received = 0
        self.tab.on("websocket", lambda each: each.on("framereceived", self._count))

    def _count(self, data: str | bytes) -> None:
        self.received += len(data)

    def rest(self) -> None:
        """Wait until nothing has come for a while."""
        before = -1
        while before != self.received:
            before = self.received
            self.tab.wait_for_timeout(QUIET_MS)

    def close(self) -> None:
        self.tab.context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", default="cifar100-resnet18", help="name of a run")
    parser.add_argument("--steps", type=int, default=20, help="repetitions of each gesture")
    parser.add_argument("--starts", type=int, default=5, help="servers to start")
    parser.add_argument("--json", type=Path, help="also write all times there")
    options = parser.parse_args()
    rows: list[Row] = []

    def note(row: Row) -> None:
        rows.append(row)
        print(row, flush=True)

    print(f"{options.run}, milliseconds{'':<16}  median    95th    aim   kB sent    n")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for row in first_visits(browser, options.run, options.starts):
            note(row)
        with running_app() as (address, _):
            reader = Reader(browser)
            for row in openings(reader, address, options.run, options.steps):
                note(row)
            for row in steps(reader, address, options.run, options.steps):
                note(row)
            note(lassos(reader, address, options.run, options.steps))
            reader.close()
        browser.close()
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def first_visits(browser: Browser, run: str, count: int) -> Iterator[Row]:
    """A server that nobody has visited, a browser that has seen nothing: until the first chart."""
    visits, starts, sent = [], [], []
    for _ in range(count):
        began = time.perf_counter()
        with running_app() as (address, _):
            reader = Reader(browser)
            opened = time.perf_counter()
            reader.tab.goto(f"{address}/?run={quote(run)}")
            reader.tab.wait_for_selector(DRAWN, timeout=60_000)
            done = time.perf_counter()
            visits.append(1000 * (done - opened))
            starts.append(1000 * (done - began))
            reader.rest()
            sent.append(reader.received)
            reader.close()
    yield Row("first visit of a fresh server", visits, sent, AIMS["first visit"])
    yield Row("the same from the start of the server", starts, sent)


def openings(reader: Reader, address: str, run: str, count: int) -> Iterator[Row]:
    """Each page, opened from the one before it in the sidebar."""
    tab = reader.tab
    tab.goto(f"{address}/?run={quote(run)}")
    tab.wait_for_selector(DRAWN)
    reader.rest()
    found: dict[str, tuple[list[float], list[int]]] = {}
    rounds = max(2, count // len(navigation.PAGES))
    for _ in range(rounds):
        for page in (*navigation.PAGES[1:], navigation.OVERVIEW):
            before = reader.received
            tab.evaluate(LEAVE, DRAWN)
            tab.get_by_role("link", name=page.title, exact=True).click()
            tab.wait_for_function(OPENED, arg=[page.question, DRAWN], polling="raf")
            took = tab.evaluate("window.openedAt - window.began")
            reader.rest()
            times, sent = found.setdefault(page.title, ([], []))
            times.append(took)
            sent.append(reader.received - before)
    for title, (times, sent) in found.items():
        # The first time a page is opened it is drawn from files; the caches are filled then.
        yield Row(f"open {title}", times[1:], sent[1:], AIMS["opening"])


def steps(reader: Reader, address: str, run: str, count: int) -> Iterator[Row]:
    """One epoch back or forth by an arrow key, on each page that has charts."""
    tab = reader.tab
    for page in navigation.PAGES:
        if page in (navigation.REFERENCE, navigation.UPLOAD):
            continue
        tab.goto(f"{address}/{_path(page)}?run={quote(run)}")
        tab.wait_for_selector(DRAWN)
        reader.rest()
        moving = page is navigation.EMBEDDINGS
        tab.evaluate(WATCH, ["data-epoch" if moving else "data-drawn"])
        first, last, sent = [], [], []
        for step in range(count + 2):
            before = reader.received
            tab.keyboard.press("ArrowRight" if step % 2 else "ArrowLeft")
            tab.wait_for_function("window.painted.length > 0")
            reader.rest()
            if step >= 2:  # both epochs have been seen once
                painted = tab.evaluate("window.painted")
                first.append(min(painted))
                last.append(max(painted))
                sent.append(reader.received - before)
        aim = AIMS["map step" if moving else "step"]
        yield Row(f"step on {page.title}", first, sent, aim)
        if not moving:
            yield Row("  until the last chart", last, sent)


def lassos(reader: Reader, address: str, run: str, count: int) -> Row:
    """Samples circled on the map, from the release of the button to their images."""
    tab = reader.tab
    tab.goto(f"{address}/{_path(navigation.EMBEDDINGS)}?run={quote(run)}")
    tab.wait_for_selector(DRAWN)
    reader.rest()
    tab.evaluate(WATCH, ["data-shown"])
    box = tab.locator(".plot canvas").first.bounding_box()
    times, sent = [], []
    for turn in range(count):
        before = reader.received
        _circle(tab, box, shift=0.06 * (turn % 5))
        tab.wait_for_function("window.painted.length > 0")
        times.append(min(tab.evaluate("window.painted")))
        reader.rest()
        sent.append(reader.received - before)
    return Row("lasso to image grid", times, sent, AIMS["lasso"])


def _circle(tab: Page, box: dict, shift: float) -> None:
    """Draw a ring about the middle of the map, with the key held that makes it a lasso."""
    angles = np.linspace(0, 2 * np.pi, 24)
    x = box["x"] + box["width"] * (0.4 + shift + 0.15 * np.cos(angles))
    y = box["y"] + box["height"] * (0.5 + 0.15 * np.sin(angles))
    tab.keyboard.down("Shift")
    tab.mouse.move(x[0], y[0])
    tab.mouse.down()
    for each in zip(x[1:], y[1:], strict=True):
        tab.mouse.move(*each)
    tab.mouse.up()
    tab.keyboard.up("Shift")


def _path(page: navigation.Page) -> str:
    """Where the app serves a page: its file's name without number and ending."""
    return "" if page is navigation.OVERVIEW else Path(page.path).stem.partition("_")[2]


if __name__ == "__main__":
    main()
