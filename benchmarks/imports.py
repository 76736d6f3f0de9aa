"""What a page costs before it shows anything: modules imported, time, and memory.

    python benchmarks/imports.py [RUN] [--starts 3] [--json FILE]

Each page is drawn in processes of its own. Prints medians in milliseconds of importing streamlit,
of importing what the page's script names, of the first and of the second drawing; the number of
modules loaded in the end, the resident memory, and the large packages among the modules.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["app.py", *sorted(f"pages/{path.name}" for path in (ROOT / "pages").glob("*.py"))]
LARGE = ("torch", "torchvision", "umap", "numba", "sklearn", "joblib", "matplotlib", "dask")
LARGE += tuple(f"scipy.{part}" for part in ("cluster", "optimize", "sparse", "spatial", "stats"))
LARGE += ("scipy.special", "scipy.linalg", "pandas", "pyarrow", "plotly", "PIL")
# The names of a page's script are imported on their own: a drawing would do both at once.
ONE_PAGE = """
import ast, json, sys, time
from pathlib import Path
page, run, large = json.loads(sys.argv[1])
clock = [time.perf_counter()]
import streamlit
clock.append(time.perf_counter())
tree = ast.parse(Path(page).read_text())
named = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
exec(compile(ast.Module(named, []), page, "exec"))
clock.append(time.perf_counter())
from streamlit.testing.v1 import AppTest
app = AppTest.from_file(str(Path("app.py").resolve()), default_timeout=120)
app.query_params["run"] = run
if page != "app.py":
    app.switch_page(page)
clock.append(time.perf_counter())
for _ in range(2):
    app.run()
    assert not app.exception and not app.error, app
    clock.append(time.perf_counter())
memory = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")]
print(json.dumps({
    "streamlit_ms": 1000 * (clock[1] - clock[0]),
    "import_ms": 1000 * (clock[2] - clock[1]),
    "first_ms": 1000 * (clock[4] - clock[3]),
    "again_ms": 1000 * (clock[5] - clock[4]),
    "modules": len(sys.modules),
    "memory_mb": int(memory[0]) / 1024,
    "large": [name for name in large if name in sys.modules],
}))
"""


def measure(page: str, run: str) -> dict:
    """One start of one page."""
    command = [sys.executable, "-c", ONE_PAGE, json.dumps([page, run, LARGE])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{page} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", default="digits", help="name of a run")
    parser.add_argument("--starts", type=int, default=3, help="processes for each page")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    columns = ("streamlit_ms", "import_ms", "first_ms", "again_ms", "modules", "memory_mb")
    print(f"{'page':28}" + "".join(f"{name:>14}" for name in columns))
    found = {}
    for page in PAGES:
        starts = [measure(page, options.run) for _ in range(options.starts)]
        middle = {name: float(np.median([start[name] for start in starts])) for name in columns}
        found[page] = {**middle, "large": starts[0]["large"]}
        print(f"{page:28}" + "".join(f"{middle[name]:14.0f}" for name in columns))
    everywhere = set.intersection(*(set(each["large"]) for each in found.values()))
    print(f"large packages on every page: {', '.join(sorted(everywhere))}")
    for page, each in found.items():
        if own := sorted(set(each["large"]) - everywhere):
            print(f"  {page} too: {', '.join(own)}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
