"""The licences of the packages that ncviz runs with, from what is installed.

    python docs/dependencies.py > docs/dependencies.md

Reads requirements.lock and the requirements of what is optional. Needs the versions of the lock, as
`make newest` installs them. Ends with an error where a licence is not known to go with MIT.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_LICENCE = re.compile(r"(?i)(licen[cs]e|copying)(\.txt|\.md|\.rst)?")
LOCKED = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; ([^\\]*))?", re.MULTILINE)

# What packages call their licences, where that is no SPDX expression.
SPDX = {
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "NVIDIA Proprietary Software": "LicenseRef-NVIDIA-Proprietary",
}
# Where the metadata do not say: not installed on Linux, or an empty package that names others.
ELSEWHERE = {"colorama": "BSD-3-Clause", "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary"}

PERMISSIVE = "as MIT: keep the notice"
MEANING = {
    **dict.fromkeys(
        (
            *("0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause"),
            *("BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "MIT", "MIT-CMU", "PSF-2.0", "Zlib"),
        ),
        PERMISSIVE,
    ),
    "MPL-2.0": "changes to its own files stay under it; ncviz changes none",
    "LicenseRef-NVIDIA-Proprietary": "NVIDIA's terms; on Linux, for GPUs; comes with PyTorch from "
    "PyPI, is no part of ncviz and not passed on with it",
}


def main() -> None:
    print("# Dependencies and their licences\n")
    print(
        "ncviz is under the MIT licence and ships none of these packages: they are installed "
        "beside it. Written by\n`python docs/dependencies.py` from the metadata of what "
        "`requirements.lock` names.\n"
    )
    wrong = []
    for title, names in (("Needed", locked()), ("Optional", optional())):
        print(f"## {title}\n| package | version | licence (SPDX) |\n|---|---|---|")
        for name, version in names.items():
            licence = licence_of(name, version)
            print(f"| {name} | {version} | {licence} |")
            if unknown := parts(licence) - MEANING.keys():
                wrong.append(f"{name}: {', '.join(sorted(unknown))}")
        print()
    print("## What they ask for\n| licence | beside MIT |\n|---|---|")
    for licence, meaning in sorted(MEANING.items()):
        print(f"| {licence} | {meaning} |")
    print("\nOf licences joined by OR one may choose; all above go with ncviz under MIT.")
    if wrong:
        sys.exit(f"error: not known to go with MIT: {'; '.join(wrong)}")


def locked() -> dict[str, str]:
    """Versions by package; where several are locked, for different Pythons, all of them."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for name, version, _ in LOCKED.findall(text):
        found.setdefault(name, []).append(version)
    return {name: " or ".join(versions) for name, versions in found.items()}


def optional() -> dict[str, str]:
    """What is asked for by files of requirements beside the main one, as it is installed."""
    files = [path for path in ROOT.glob("requirements-*.txt") if path.stem != "requirements-dev"]
    lines = [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    names = sorted(re.match(r"[\w-]+", line)[0] for line in lines if line and line[0] != "#")
    return {name: distribution(name).version for name in names}


def licence_of(name: str, version: str) -> str:
    """The SPDX expression; ends with an error where another version is installed."""
    if name in ELSEWHERE:
        return ELSEWHERE[name]
    try:
        found = distribution(name)
    except PackageNotFoundError:
        sys.exit(f"error: {name} is not installed. Run: make newest")
    if found.version not in version.split(" or "):
        sys.exit(f"error: {name} {found.version} is installed, not {version}. Run: make newest")
    told = found.metadata.get("License-Expression") or _told(found)
    return _kind_of_bsd(found) if told in ("BSD", "BSD License") else SPDX.get(told, told)


def _told(found: Distribution) -> str:
    """What a package without an expression calls its licence."""
    told = found.metadata.get("License") or ""
    if told and "\n" not in told and not told.startswith("Copyright"):
        return told
    classifiers = found.metadata.get_all("Classifier") or []
    kinds = [each.rpartition("::")[2].strip() for each in classifiers if "License ::" in each]
    return kinds[0] if len(kinds) == 1 else "unknown"


def _kind_of_bsd(found: Distribution) -> str:
    """How many clauses: the third is the one about names."""
    texts = [path.read_text() for path in found.files or () if _LICENCE.fullmatch(path.name)]
    text = " ".join(" ".join(texts).split()) + (found.metadata.get("License") or "")
    if "Redistribution and use" not in text:
        return "unknown"
    return "BSD-3-Clause" if "used to endorse" in text else "BSD-2-Clause"


def parts(licence: str) -> set[str]:
    """The licences of an SPDX expression."""
    return {each.strip(" ()") for each in re.split(r" AND | OR ", licence)}


if __name__ == "__main__":
    main()
