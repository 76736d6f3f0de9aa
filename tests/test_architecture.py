"""Who may import whom, where torch and streamlit may appear, and who knows a file's name."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "ncviz").rglob("*.py"))
PAGES = sorted([*ROOT.glob("app.py"), *ROOT.glob("pages/*.py")])
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))

# What each part of ncviz may import besides itself; a new part takes a line here.
BASE = {
    *("arrays", "definitions", "errors", "estimates", "linalg", "literal", "optional"),
    *("percentiles", "projector", "shared_sets", "temperature", "threads", "xp"),
}
SCIENCE = BASE | {
    *("claims", "collapse", "correlation", "detectors", "duplicates", "embedding", "label_order"),
    *("metrics", "neighbours", "through_training", "thresholds", "transfer", "without_head"),
}
SCREEN = SCIENCE | {
    *("figures", "glossary", "results", "seed_groups", "sources", "spreadsheet", "store"),
}
BATCH = SCIENCE | {"caching", "store", "data", "inference", "models", "processes", "spreadsheet"}
ALLOWED = {
    "errors": set(),
    "claims": {"estimates"},
    "estimates": {"errors"},
    "shared_sets": set(),
    "definitions": {"errors"},
    "threads": set(),
    "xp": {"errors"},
    "linalg": {"errors", "xp"},
    "optional": {"errors"},
    "percentiles": {"threads", "xp"},
    "projector": {"errors"},
    "arrays": {"errors", "threads", "xp"},
    "temperature": {"arrays", "errors", "xp"},
    "processes": {"errors"},
    "cli": {"errors", "processes"},
    "glossary": set(),
    "literal": set(),
    "spreadsheet": set(),
    "sources": set(),
    "collapse": BASE,
    "duplicates": {"errors"},
    "detectors": BASE,
    "embedding": BASE,
    "metrics": BASE,
    "thresholds": BASE | {"metrics"},
    "correlation": BASE | {"metrics"},
    "without_head": BASE | {"collapse", "detectors"},
    "label_order": BASE | {"thresholds"},
    "neighbours": BASE,
    "through_training": BASE,
    "transfer": BASE,
    "caching": BASE | {"transfer"},
    "store": BASE
    | {"collapse", "detectors", "embedding", "metrics", "processes", "thresholds", "transfer"},
    "seed_groups": BASE | {"metrics", "store"},
    "packing": BASE | {"caching", "detectors", "metrics", "store"},
    "importing": BASE | {"caching", "data", "label_order", "store"},
    "data": {"errors", "literal"},
    "models": {"errors", "projector"},
    "inference": BASE
    | {"caching", "detectors", "thresholds", "store", "data", "models", "processes"},
    "training": BATCH,
    "extraction": BATCH,
    "evaluation": BATCH | {"seed_groups"},
    "figures": SCIENCE,
    "results": SCIENCE | {"store", "figures", "seed_groups"},
    "report": SCREEN,
    "ui": SCREEN | {"report"},
    "__init__": SCIENCE | {"store"},
}
# The Upload page alone runs a network.
MAY_INFER = re.compile(r"ui/upload.*\.py")
# Pictures of samples come from the data sets, which take no torch as long as image folders and
# generated sets are read.
MAY_OPEN_PICTURES = "ui/pictures.py"
WITHOUT_TORCH = {
    *(*BASE, *SCIENCE, "data", "store", "figures", "results", "report", "ui", "cli", "__init__"),
    *("caching", "glossary", "importing", "packing", "processes", "seed_groups", "sources"),
    "spreadsheet",
}
OPTIONAL = {"dask", "distributed", "faiss", "fsspec"}
FILE_NAME = re.compile(r"^(run\.json|history\.csv)$|\.(safetensors|parquet)$")


def part_of(path: Path) -> str:
    """The part of ncviz that a module belongs to: its package, or its own name."""
    return path.relative_to(ROOT / "ncviz").parts[0].removesuffix(".py")


def imports(path: Path, *, top_level: bool = False) -> set[str]:
    """Dotted names that a module imports: everywhere, or only when it is imported itself."""
    tree = ast.parse(path.read_text())
    nodes = _executed_on_import(tree) if top_level else ast.walk(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def _executed_on_import(node: ast.AST):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _executed_on_import(child)


def parts_imported(path: Path) -> set[str]:
    """Parts of ncviz that a module imports."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("ncviz.")}


def identify(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_imports_point_one_way(path):
    part = part_of(path)
    allowed = ALLOWED[part] | {part}
    if MAY_INFER.search(path.as_posix()):
        allowed = allowed | {"inference", "models", "data"}
    if path.as_posix().endswith(MAY_OPEN_PICTURES):
        allowed = allowed | {"data"}
    assert parts_imported(path) <= allowed


def test_streamlit_is_for_the_screen_alone():
    for path in [*MODULES, *SCRIPTS]:
        if not path.is_relative_to(ROOT / "ncviz" / "ui"):
            assert "streamlit" not in {name.split(".")[0] for name in imports(path)}, path


def test_torch_is_not_imported_where_numbers_and_pages_are_made():
    for path in [*MODULES, *PAGES]:
        if path in PAGES or part_of(path) in WITHOUT_TORCH:
            names = {name.split(".")[0] for name in imports(path, top_level=True)}
            assert not names & {"torch", "torchvision"}, path


def test_what_is_optional_is_imported_only_when_it_is_asked_for():
    for path in [*MODULES, *SCRIPTS, *PAGES]:
        names = {name.split(".")[0] for name in imports(path, top_level=True)}
        assert not names & OPTIONAL, path


@pytest.mark.parametrize("name", sorted(ROOT.glob("requirements-[!d]*.txt")), ids=identify)
def test_what_is_optional_is_there_for_the_tests(name):
    wanted = [line for line in name.read_text().splitlines() if line and not line.startswith("#")]
    assert set(wanted) <= set((ROOT / "requirements-dev.txt").read_text().splitlines())
    assert f'{{ file = "{name.name}" }}' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    "module", ["ncviz", "ncviz.data", "ncviz.importing", "ncviz.ui", "ncviz.figures"]
)
def test_importing_does_not_load_torch(module):
    code = f"import {module}, sys; assert 'torch' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_store_alone_names_the_files_of_a_run():
    for path in [*MODULES, *SCRIPTS, *PAGES]:
        if path.is_relative_to(ROOT / "ncviz" / "store"):
            continue
        tree = ast.parse(path.read_text())
        named = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and FILE_NAME.search(node.value)
        ]
        assert not named, path


@pytest.mark.parametrize("path", [*PAGES, *SCRIPTS], ids=identify)
def test_pages_are_a_few_lines_and_scripts_only_options(path):
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    if path in PAGES:
        assert len(path.read_text().splitlines()) <= 20
        assert not functions
    assert all(node.end_lineno - node.lineno < 40 for node in functions)


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS, *PAGES], ids=identify)
def test_every_module_begins_with_what_it_is_for(path):
    first = path.read_text().splitlines()[0]
    assert re.match(r'"""[\w`].*', first), first
    assert ast.get_docstring(ast.parse(path.read_text()))
