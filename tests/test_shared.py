"""What pages share: no page can change it, each shows one state of the files, nothing is loaded
that it does not need."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_runs import add_maps, make_run
from streamlit.testing.v1 import AppTest

from ncviz.store import Run, stamp, write
from ncviz.ui import loaders
from ncviz.ui.navigation import PAGES
from ncviz.ui.shared import freeze

ROOT = Path(__file__).resolve().parents[1]
# Of all pages together but for plotly and SciPy, of which each version loads other parts;
# benchmarks/imports.py tells how many each page has, and how long they take.
MOST_MODULES = 1700


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """A run with everything; no test may change it."""
    run = make_run(tmp_path_factory.mktemp("shared"), "cats", layers=("encoder", "projector"))
    add_maps(run)
    return run


def arrays_in(value: object) -> Iterator[np.ndarray]:
    """Every array that can be reached from `value`, whatever holds it."""
    seen, ahead = set(), [value]
    while ahead:
        each = ahead.pop()
        if id(each) in seen or isinstance(each, type | Run | pd.DataFrame):
            continue
        seen.add(id(each))
        if isinstance(each, np.ndarray):
            yield each
        else:
            ahead += [one for one in gc.get_referents(each) if not callable(one)]


# One copy, which nobody can change


def test_no_page_can_write_what_pages_share(run, monkeypatch):
    shared = []

    def record(value):
        shared.append(value)
        return value

    monkeypatch.setattr(loaders, "hand_out", record)
    monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(run.path.parent))
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["sample"] = "letters/test:3"
    for page in PAGES:
        app.switch_page(page.path).run()
        assert not app.exception
        assert not app.error
    arrays = [array for value in shared for array in arrays_in(value)]
    assert len(arrays) > 20
    assert not [array for array in arrays if array.flags.writeable]
    with pytest.raises(ValueError, match="read-only"):
        loaders.scores(run, 9, "encoder", "msp", "test")[0] = 1.0


def test_a_page_s_own_columns_stay_its_own(run):
    before = loaders.detection_table(run).copy()
    mine = loaders.detection_table(run)
    mine["auroc"] = 0.0
    mine.loc[0, "detector"] = "mine"
    del mine["fpr95"]
    pd.testing.assert_frame_equal(loaders.detection_table(run), before)


def test_readers_share_one_copy(run):
    one, other = (loaders.scores(run, 9, "encoder", "msp", "test") for _ in range(2))
    assert one is other
    tables = [loaders.detection_table(run)["auroc"].to_numpy() for _ in range(2)]
    assert np.shares_memory(*tables)


def test_whatever_holds_an_array_is_frozen():
    inside = {"a": [np.zeros(2), (np.ones(3), "text")], "b": None}
    assert freeze(inside) is inside
    assert not any(array.flags.writeable for array in arrays_in(inside))


# One state of the files


def page_of_two_parts(path: str) -> None:
    """A page that reads the last loss twice; the file may change in between."""
    import streamlit as st

    from ncviz.store import open_run
    from ncviz.ui import loaders, shell

    @loaders.kept
    def last_loss(run):
        return float(run.history["train_loss"].iloc[-1])

    loaders.look_again()
    run = open_run(path)
    first = float(loaders.history(run)["train_loss"].iloc[-1])
    between = st.session_state.setdefault("between", [])
    if between:
        between.pop(0)(run)
    st.write(f"{first} {last_loss(run)}")
    shell._hold_to_one_state()


def lose(loss: float):
    """A writer of a history that ends at this loss."""

    def write_history(run: Run) -> None:
        write.save_history(run, [{"epoch": 1, "train_loss": loss}])

    return write_history


def test_a_page_shows_one_state_of_files_that_change_under_it(tmp_path):
    run = make_run(tmp_path, "cats", epochs=(1,), features=False)
    app = AppTest.from_function(page_of_two_parts, kwargs={"path": str(run.path)})
    app.session_state["between"] = [lose(0.5)]
    assert [each.value for each in app.run().markdown] == ["0.5 0.5"]
    app.session_state["between"] = [lose(0.25), lose(0.125)]
    assert [each.value for each in app.run().markdown] == ["0.125 0.125"]
    assert not app.warning


def test_files_that_never_rest_are_told(tmp_path):
    run = make_run(tmp_path, "cats", epochs=(1,), features=False)
    app = AppTest.from_function(page_of_two_parts, kwargs={"path": str(run.path)})
    app.session_state["between"] = [lose(1 / number) for number in range(2, 50)]
    (warning,) = app.run().warning
    assert "cats changed while this page was drawn" in warning.value
    assert len(app.session_state["between"]) == 45
    app.session_state["between"] = []
    assert not app.run().warning


def test_the_stamp_follows_what_readers_see_alone(tmp_path):
    run = make_run(tmp_path, "cats", epochs=(1, 4))
    before = stamp(run.path)
    assert stamp(run.path) == before
    (run.path / "training").mkdir()
    for hidden in ("training/state.safetensors", ".lock", "epochs/0001/.head.safetensors.1.part"):
        (run.path / hidden).write_bytes(b"being written")
    assert stamp(run.path) == before
    table = run.path / "epochs" / "0004" / "results" / "collapse.parquet"
    state = table.stat()
    twin = table.with_name("twin")
    twin.write_bytes(bytes(state.st_size))
    os.utime(twin, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert stamp(run.path) != before  # a file more
    twin.replace(table)
    assert stamp(run.path) != before  # as many, of the same size and time
    assert stamp(run.path / "nowhere") == stamp(run.path / "nowhere")


# What is loaded for a page


def test_no_page_loads_what_it_does_not_compute_with(run):
    program = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        f"app = AppTest.from_file({str(ROOT / 'app.py')!r}, default_timeout=60)\n"
        f"for page in {[page.path for page in PAGES]!r}:\n"
        "    assert not app.switch_page(page).run().exception\n"
        "    sent = [each.proto.component_name for each in app.get('bidi_component')]\n"
        "    drawn = {'ncviz.plot', 'ncviz.scatter'} & set(sent)\n"
        "    assert drawn or page in ('pages/6_Upload.py', 'pages/7_Reference.py')\n"
        "    heavy = {'torch', 'torchvision', 'umap', 'numba', 'matplotlib', 'sklearn', 'joblib'}\n"
        "    heavy |= {f'scipy.{part}' for part in ('stats', 'optimize', 'spatial', 'cluster')}\n"
        "    assert not heavy & sys.modules.keys(), (page, heavy & sys.modules.keys())\n"
        "own = [name for name in sys.modules if name.split('.')[0] not in ('plotly', 'scipy')]\n"
        f"assert len(own) < {MOST_MODULES}, len(own)\n"
    )
    environment = {**os.environ, "NCVIZ_CHECKPOINTS": str(run.path.parent), "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]
