"""Take the pictures of every page that the README and these documents show, in both themes.

    python docs/photograph.py [NAME ...]

Writes docs/pages/NAME-THEME.webp from the shipped runs. The only data set whose images can be seen
is scikit-learn's digits. Needs playwright and Chromium.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright
from sklearn.datasets import load_digits

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from app import DRAWN, FLAGS  # noqa: E402
from benchmarks.serving import running_app  # noqa: E402

THEMES = ("light", "dark")
VIEWPORT = {"width": 1280, "height": 960}
SETTLED_MS = 2500
QUALITY = 75


def nothing(tab: Page) -> None:
    """The page as it opens."""


def upload_a_digit(tab: Page) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seven.png"
        pixels = (load_digits().images[7] / 16 * 255).astype("uint8")
        Image.fromarray(pixels).save(path)
        tab.locator("input[type=file]").first.set_input_files(path)
        tab.get_by_text("Nearest samples").wait_for()


def look_below(words: str) -> Callable[[Page], None]:
    """Scrolls to a heading."""

    def look(tab: Page) -> None:
        tab.get_by_role("heading", name=words).first.evaluate("each => each.scrollIntoView()")

    return look


@dataclass(frozen=True)
class Picture:
    """Where a picture is taken, and what is done there first."""

    address: str
    prepare: Callable[[Page], None] = nothing


CONTROLLED = "run=cifar100-resnet18-controlled"
CHOSEN = "selected=letters/test:0-23&sample=letters/test:5"
PICTURES = {
    "overview": Picture(""),
    "neural-collapse": Picture(
        f"Neural_collapse?{CONTROLLED}&layer=projector", look_below("The class means, pair by pair")
    ),
    "ood-scores": Picture("OOD_scores?run=digits&epoch=24"),
    "leaderboard": Picture("Leaderboard?run=cifar100-resnet18"),
    "embeddings": Picture(f"Embeddings?{CONTROLLED}"),
    "samples": Picture(f"Embeddings?run=digits&{CHOSEN}", look_below("Selected samples")),
    "trade-off": Picture(f"Trade-off?{CONTROLLED}"),
    "compare": Picture("Compare?run=digits"),
    "upload": Picture("Upload?run=digits&epoch=60", upload_a_digit),
    "reference": Picture("Reference?section=Source+documents&run=cifar100-resnet18"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}")
    options = parser.parse_args()
    names = options.names or list(PICTURES)
    with running_app() as (address, _), sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for name in names:
            for theme in THEMES:
                context = browser.new_context(viewport=VIEWPORT, color_scheme=theme)
                path = ROOT / "docs" / "pages" / f"{name}-{theme}.webp"
                size = photograph(context.new_page(), address, PICTURES[name], path)
                print(f"{path.relative_to(ROOT)}: {size / 1000:.0f} kB")
                context.close()
        browser.close()


def photograph(tab: Page, address: str, picture: Picture, path: Path) -> int:
    """Takes one picture; the size of its file in bytes."""
    tab.goto(f"{address}/{picture.address}")
    tab.wait_for_selector(DRAWN)
    picture.prepare(tab)
    tab.wait_for_timeout(SETTLED_MS)
    path.parent.mkdir(exist_ok=True)
    with Image.open(io.BytesIO(tab.screenshot())) as image:
        image.convert("RGB").save(path, "WEBP", quality=QUALITY, method=6)
    return path.stat().st_size


if __name__ == "__main__":
    main()
