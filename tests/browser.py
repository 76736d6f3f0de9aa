"""What the browser tests share: the server, the browser's options, and what a tab shows."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

CHROMIUM = shutil.which("chromium")
# The marks of every file of browser tests: `pytestmark = browser.MARKS`.
MARKS = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed"),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is missing: apt-get install chromium"),
]
ROOT = Path(__file__).resolve().parents[1]
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MARKUP = "<img src=x onerror=alert(1)>"
TIMEOUT = 60_000
VIEWPORT = {"width": 1280, "height": 900}
# Every chart of the page is drawn, and each says under its title that it shows this.
CHARTS_SHOW = """([text, count]) => {
  const plots = [...document.querySelectorAll('.js-plotly-plot')];
  const subtitle = plot => plot.layout.title.subtitle.text.replaceAll('<br>', '  |  ');
  return plots.length >= count && plots.every(
    plot => plot.layout && subtitle(plot).includes(text));
}"""
CHARTS = """() => [...document.querySelectorAll('.js-plotly-plot')].map(
  plot => JSON.stringify([plot.layout.title, plot.layout.shapes, plot.data.map(
    trace => [trace.name, trace.x, trace.y, trace.z].map(
      values => ArrayBuffer.isView(values) ? [...values] : values))]))"""


def note_complaint(message, complaints: list[str]) -> None:
    """Adds an error on the console of a tab to `complaints`."""
    # On a deep link Streamlit looks for its server below the page's own path first.
    looking = "/_stcore/" in message.location.get("url", "") and "404" in message.text
    if message.type == "error" and not looking:
        complaints.append(message.text)


def charts_show(tab, text: str, count: int = 2) -> list[str]:
    """What every chart draws, once all of them show `text`."""
    tab.wait_for_function(CHARTS_SHOW, arg=[text, count])
    return tab.evaluate(CHARTS)


def map_shows(tab, epoch: int) -> list[str]:
    """What each panel of the map draws, once the points have come to rest at `epoch`."""
    tab.locator(f'.root[data-epoch="{epoch}"]:not([data-moving])').wait_for()
    panels = tab.locator(".plot canvas").all()
    return [panel.evaluate("canvas => canvas.toDataURL()") for panel in panels]


def place_of(tab, sample: int) -> tuple[float, float]:
    """Where a sample of the map is in the first panel, in pixels of the window."""
    return tuple(
        tab.locator(".root").evaluate(
            """(root, sample) => {
              const chart = root.parentNode.ncviz;
              const lens = chart.panels[0].lens();
              const box = chart.panels[0].canvas.getBoundingClientRect();
              const [x, y] = chart.now.subarray(2 * sample, 2 * sample + 2);
              return [box.x + lens.x(x), box.y + lens.y(y)];
            }""",
            sample,
        )
    )


def address_of(tab) -> dict[str, list[str]]:
    return parse_qs(urlsplit(tab.url).query)


def wait_for_address(tab, **expected: str) -> None:
    """Waits until the URL has these values; None: not in the URL, which means the default."""
    tab.wait_for_function(
        """expected => {
          const query = new URLSearchParams(location.search);
          return Object.entries(expected).every(([name, value]) => query.get(name) === value);
        }""",
        arg=expected,
    )
