"""How long a verdict on one image takes on the server, warm: decoding, network, every detector.

    python benchmarks/verdict.py [RUN] [--images 50]

Prints the median and the 95th percentile in milliseconds of two ways: the science alone, and a
whole drawing of the Upload page, which also finds neighbours and makes the charts.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", default="cifar100-resnet18", help="name of a run")
    parser.add_argument("--images", type=int, default=50, help="images to time")
    options = parser.parse_args()
    files = photographs(options.images + 1)
    names, verdicts = time_verdicts(options.run, files)
    print(f"{options.run}: {len(names)} detectors, {options.images} images of 640 x 427 pixels")
    report("verdict", verdicts)
    report("whole page", time_page(options.run, files))


def photographs(count: int) -> list[bytes]:
    """JPEG files of 640 x 427 pixels, smooth as photographs are, each different."""
    random = np.random.default_rng(0)
    files = []
    for _ in range(count):
        colours = random.integers(0, 256, (6, 9, 3), dtype=np.uint8)
        image = Image.fromarray(colours).resize((640, 427), Image.Resampling.BICUBIC)
        content = io.BytesIO()
        image.save(content, "JPEG")
        files.append(content.getvalue())
    return files


def time_verdicts(name: str, files: list[bytes]) -> tuple[list[str], list[float]]:
    """The detectors, and milliseconds from bytes to the verdict of each of them."""
    from ncviz.data.uploads import open_upload
    from ncviz.inference.scorer import Scorer
    from ncviz.inference.verdict import judge
    from ncviz.store import open_run
    from ncviz.thresholds import ID_95

    run = open_run(name)
    scorer = Scorer.load(run.epoch(run.weighted_epochs[-1]))
    reference = scorer.reference
    thresholds = {each: reference.threshold(each, ID_95).value for each in reference.names}

    def look(content: bytes) -> None:
        pixels = scorer.see(open_upload("image", content))
        (sight,) = scorer.look(pixels[None])
        judge(sight.scores, reference, thresholds)

    return list(reference.names), milliseconds(look, files)


def time_page(name: str, files: list[bytes]) -> list[float]:
    """Milliseconds of a drawing of the page for a new image, without the browser."""
    from streamlit.testing.v1 import AppTest

    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    app.query_params["run"] = name
    app.switch_page("pages/6_Upload.py").run()

    def look(content: bytes) -> None:
        app.file_uploader[0].set_value([("image.jpg", content, "image/jpeg")]).run()
        if app.exception or app.error:
            raise SystemExit("The page failed; look at it with: make app")

    return milliseconds(look, files)


def milliseconds(look, files: list[bytes]) -> list[float]:
    """How long `look` takes for each file but the first, which warms up."""
    times = []
    for content in files:
        start = time.perf_counter()
        look(content)
        times.append(1000 * (time.perf_counter() - start))
    return times[1:]


def report(what: str, times: list[float]) -> None:
    median, late = np.percentile(times, (50, 95))
    print(f"{what}: median {median:.0f} ms, 95th percentile {late:.0f} ms")


if __name__ == "__main__":
    main()
