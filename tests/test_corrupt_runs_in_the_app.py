"""A run with a damaged file tells its reason on the Overview, and the other runs work."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from made_runs import add_maps, make_run
from test_app import COLLAPSE, EMBEDDINGS, PAGES, SCORES, healthy, open_app, words  # noqa: F401


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    add_maps(make_run(folder, "cats", epochs=(1, 4)))
    add_maps(make_run(folder, "dogs", epochs=(2, 3)))
    return folder


def flipped(content: bytes) -> bytes:
    """One bit changed before the middle, where every kind of file has numbers."""
    changed = bytearray(content)
    changed[len(content) // 6] ^= 1
    return bytes(changed)


def changed_by_hand(content: bytes) -> bytes:
    return content.replace(b'"fox"', b'"cow"')


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


DAMAGED = {
    "run.json": changed_by_hand,
    "history.csv": lambda content: content.replace(b"\n2,", b"\n7,"),
    "epochs/0004/results/detection.parquet": flipped,
    "epochs/0004/results/collapse.parquet": cut,
    "epochs/0004/results/calibration.parquet": flipped,
    "epochs/0004/features/letters/test.safetensors": cut,
    "epochs/0004/head.safetensors": cut,
    "epochs/0004/statistics.safetensors": lambda content: b"",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_the_reason_is_told_and_the_other_run_works(two_runs, tmp_path, open_app, name):  # noqa: F811
    folder = shutil.copytree(two_runs, tmp_path / "runs")
    path = folder / "cats" / name
    path.write_bytes(DAMAGED[name](path.read_bytes()))

    app = open_app(folder)
    assert not app.exception
    told = [each.value.replace("\\", "") for kind in (app.error, app.warning) for each in kind]
    assert any(path.name in text and "cats" in text for text in told), told
    assert all("log of the server" not in text for text in told)
    for page in (COLLAPSE, SCORES):
        app = healthy(open_app(folder, page, run="dogs"))
        assert app.selectbox(key="run").value == "dogs"
    assert not open_app(folder, EMBEDDINGS, run="cats").exception


READ_ON = {
    "epochs/0004/statistics.safetensors": COLLAPSE,
    "epochs/0004/results/scores.safetensors": SCORES,
    "epochs/0004/results/maps.safetensors": EMBEDDINGS,
}


@pytest.mark.parametrize("name", READ_ON)
def test_one_bit_of_a_number_is_told_where_the_number_would_be_shown(
    two_runs,
    tmp_path,
    open_app,  # noqa: F811
    name,
):
    folder = shutil.copytree(two_runs, tmp_path / "runs")
    path = folder / "cats" / name
    path.write_bytes(flipped(path.read_bytes()))
    app = open_app(folder, READ_ON[name], run="cats")
    assert not app.exception
    assert any(path.name in re.sub(r"\\", "", each.value) for each in app.error)
    healthy(open_app(folder, READ_ON[name], run="dogs"))


ODD = ["../../etc", "/etc/passwd", "a\0b", "\u202ecats", "<script>x", "$x$", "x" * 5000, "", "NaN"]
KEYS = ("run", "epoch", "layer", "detector", "set", "tab", "details", "class_a", "rule", "order")
KEYS = (*KEYS, "kind", "b_run", "b_epoch", "metric", "score", "paths", "reject", "costs")


@pytest.mark.parametrize("page", PAGES)
def test_an_address_leads_nowhere_else(two_runs, open_app, page):  # noqa: F811
    for turn in (0, 4):
        values = {key: ODD[(turn + at) % len(ODD)] for at, key in enumerate(KEYS)}
        app = healthy(open_app(two_runs, page, **values))
        assert app.selectbox(key="run").value in ("cats", "dogs")
        assert "passwd" not in words(app)


def test_an_address_that_names_samples_nobody_has(two_runs, open_app):  # noqa: F811
    long = ";".join(f"set{i}/test:0-99999" for i in range(50))
    for text in ("../x:1", "made/test:9-1,-5,1e9", "a" * 10_000, "%00:1", "made/test:0-999999999"):
        healthy(open_app(two_runs, SCORES, selected=text, sample=text))
    healthy(open_app(two_runs, SCORES, selected=long))
