"""The lock is whole, fits the requirements, and the page of licences covers it."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
ROW = re.compile(r"^\| ([\w.-]+) \| (\S.*?) \| (\S.*?) \|$", re.MULTILINE)
SCRIPT = runpy.run_path(str(ROOT / "docs" / "dependencies.py"))


def requirements(name: str) -> list[Requirement]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def optional() -> list[str]:
    files = [path.name for path in ROOT.glob("requirements-*.txt")]
    return [name for name in files if name != "requirements-dev.txt"]


def test_the_lock_fits_the_requirements():
    locked = SCRIPT["locked"]()
    for requirement in requirements("requirements.txt"):
        for version in locked[requirement.name].split(" or "):
            assert Version(version) in requirement.specifier, requirement


def test_every_locked_version_has_hashes():
    entries = re.split(r"\n(?=[a-z])", LOCK)[1:]
    assert len(entries) == len(SCRIPT["LOCKED"].findall(LOCK))
    assert len(entries) > 50
    assert not [entry for entry in entries if "--hash=sha256:" not in entry]


def test_every_requirement_has_a_lowest_version():
    for name in ("requirements.txt", *optional()):
        for requirement in requirements(name):
            assert [each.operator for each in requirement.specifier] == [">="], requirement


def test_the_page_of_licences_covers_the_lock_and_what_is_optional():
    listed = {name: version for name, version, licence in ROW.findall(PAGE)}
    for name, version in SCRIPT["locked"]().items():
        assert listed.get(name) == version, "run: make newest"
    for name in optional():
        assert {requirement.name for requirement in requirements(name)} <= listed.keys()


def test_every_licence_goes_with_mit():
    rows = [row for row in ROW.findall(PAGE) if row[0] != "package"]
    assert len(rows) > 50
    for name, _, licence in rows:
        assert SCRIPT["parts"](licence) <= SCRIPT["MEANING"].keys(), name


@pytest.mark.parametrize(
    ("licence", "parts"),
    [
        ("MIT", {"MIT"}),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", {"MPL-2.0", "Apache-2.0", "MIT"}),
        (
            "BSD-2-Clause AND Apache-2.0 WITH LLVM-exception",
            {"BSD-2-Clause", "Apache-2.0 WITH LLVM-exception"},
        ),
        ("GPL-3.0-only", {"GPL-3.0-only"}),
    ],
)
def test_expressions_are_taken_apart(licence, parts):
    assert SCRIPT["parts"](licence) == parts
    assert (parts <= SCRIPT["MEANING"].keys()) == (licence != "GPL-3.0-only")
