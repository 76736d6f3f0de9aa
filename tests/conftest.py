"""Fixtures that several test files share: a real, small run."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

# Spinning threads of one test starve the browser or the worker processes of another.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def digits_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoints folder with the run `digits`: 6 epochs trained, 4 saved and evaluated."""
    from ncviz.evaluation import evaluate
    from ncviz.extraction import extract
    from ncviz.training import recipe, train

    folder = tmp_path_factory.mktemp("checkpoints")
    short = replace(recipe("digits"), epochs=6, save="1,2,4,6")
    run = train(short, "digits", checkpoints=folder, progress=False, device="cpu")
    run = extract(run, progress=False, device="cpu")
    evaluate([run], progress=False)
    return folder
