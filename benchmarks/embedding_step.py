"""How long one epoch step of the Embeddings page takes: key press to painted, in Chromium.

    python benchmarks/embedding_step.py RUN [--steps 40]

Prints the median and the 95th percentile in milliseconds. Needs playwright and Chromium; the run
needs maps of at least two epochs (scripts/embed.py).
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import numpy as np
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
# The first frame at the new epoch is on the screen once a frame requested after it begins.
WATCH = """root => {
  window.times = [];
  addEventListener('keydown', () => { window.pressed = performance.now(); }, true);
  new MutationObserver(() => requestAnimationFrame(() => requestAnimationFrame(
    () => window.times.push(performance.now() - window.pressed)
  ))).observe(root, { attributes: true, attributeFilter: ['data-epoch'] });
}"""

TECHNIQUE = """\
chosen: a canvas in a component of Streamlit's second version, all epochs sent once
rejected: Plotly (drawn anew at each step, zoom and selection lost), ECharts and Altair (keep their
element, but get all points again at each step)"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="name of a run with maps, in NCVIZ_CHECKPOINTS or checkpoints")
    parser.add_argument("--steps", type=int, default=40, help="key presses to time")
    options = parser.parse_args()
    with running_app() as address:
        times = measure(f"{address}/Embeddings?run={quote(options.run)}", options.steps)
    median, late = np.percentile(times, (50, 95))
    print(
        f"{options.run}: {len(times)} steps, median {median:.0f} ms, 95th percentile {late:.0f} ms"
    )
    print(TECHNIQUE)


def measure(address: str, steps: int) -> list[float]:
    """Milliseconds from each press of an arrow key to the first frame of the epoch it leads to."""
    with sync_playwright() as driver:
        chromium = shutil.which("chromium")
        browser = driver.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.goto(address)
        tab.locator(".root[data-epoch]").evaluate(WATCH)
        tab.get_by_text("Charts are saved as").wait_for()
        tab.wait_for_timeout(1000)
        for step in range(steps):
            # There and back again: the page opens at the last epoch.
            tab.keyboard.press("ArrowRight" if step % 2 else "ArrowLeft")
            tab.wait_for_function("count => window.times.length > count", arg=step)
            tab.wait_for_timeout(500)
        times = tab.evaluate("window.times")
        browser.close()
    return times


@contextmanager
def running_app() -> Iterator[str]:
    """A server of the app; its address."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    command += ["--server.headless", "true"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    server = subprocess.Popen(command, cwd=ROOT, env=environment, **quiet)
    try:
        yield wait_for(f"http://localhost:{port}", server)
    finally:
        server.terminate()
        server.wait(timeout=20)


def wait_for(address: str, server: subprocess.Popen) -> str:
    """`address`, once the app answers there."""
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5):
                return address
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the app did not start")


if __name__ == "__main__":
    main()
