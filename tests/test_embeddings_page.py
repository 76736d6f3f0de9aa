"""The Embeddings page and the chosen samples: what the map is told, and what it tells."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from app_elements import messages
from hypothesis import given
from hypothesis import strategies as st
from made_runs import add_maps, make_run, map_sources
from streamlit.testing.v1 import AppTest

from ncviz.figures.maps import KINDS
from ncviz.store import open_run, write
from ncviz.ui import scatter

ROOT = Path(__file__).resolve().parents[1]
EMBEDDINGS = "pages/3_Embeddings.py"


@pytest.fixture(scope="module")
def thinned(tmp_path_factory) -> Path:
    """A folder with the run `cats`, whose maps show every third sample: all sets, in their order.

    The samples have the indices 100, 102, 104, ... of their sets.
    """
    folder = tmp_path_factory.mktemp("thinned")
    run = make_run(folder, "cats", layers=("encoder", "projector"))
    add_maps(run)
    samples = run.samples
    samples["index"] = 100 + 2 * samples["index"]
    write.save_samples(run, samples)
    for number in run.epochs:
        epoch = run.epoch(number)
        maps = {layer: epoch.maps(layer) for layer in run.layers}
        rows = maps["encoder"].rows[::3]
        points = {
            layer: {kind: np.ascontiguousarray(each[::3]) for kind, each in made.points.items()}
            for layer, made in maps.items()
        }
        write.save_maps(epoch, rows, points, map_sources(epoch))
    return folder


def open_page(monkeypatch, folder: Path, **url: str) -> AppTest:
    monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(folder))
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for name, value in url.items():
        app.query_params[name] = value
    app.switch_page(EMBEDDINGS)
    app.run()
    assert not app.exception, app.exception
    return app


def view_of(app: AppTest) -> dict:
    return json.loads(messages(app, "scatter")[0].json)


def shown_samples(folder: Path) -> list[tuple[str, int]]:
    """Set and index of each sample that the map shows, in its order."""
    run = open_run(folder / "cats")
    shown = run.samples.iloc[run.epoch(9).maps("encoder").rows]
    return list(zip(shown["set"], shown["index"], strict=True))


@pytest.mark.parametrize("epoch", [4, 9])
@pytest.mark.parametrize("kind", ["umap", "pca"])
def test_the_map_states_its_quality(monkeypatch, tmp_path, epoch, kind):
    run = make_run(tmp_path, "cats", layers=("encoder", "projector"))
    add_maps(run)
    app = open_page(monkeypatch, tmp_path, epoch=str(epoch), map=KINDS[kind])
    said = "\n".join(str(each.value) for each in app.caption).replace("\\", "")
    assert f"at epoch {epoch}, on 128 samples" in said
    for layer in run.layers:
        found = run.epoch(epoch).maps(layer).quality[kind]
        assert f"{layer}: trustworthiness {found.trustworthiness:.3f}" in said
        assert f"{100 * found.preserved:.0f}% of the 15 nearest neighbours" in said
        shown = f"{100 * sum(found.explained):.0f}% of the variance shown"
        assert (shown in said) == (kind == "pca")


def test_maps_without_a_measured_quality_say_so(monkeypatch, thinned):
    app = open_page(monkeypatch, thinned)
    said = "\n".join(str(each.value) for each in app.caption)
    assert "The quality of this map is not measured" in said


def test_chosen_samples_are_marked_by_a_bit_each(monkeypatch, thinned):
    wanted = [("made/test", 106), ("made/test", 112), ("letters/test", 100), ("noise/test", 104)]
    view = view_of(
        open_page(
            monkeypatch,
            thinned,
            selected="made/test:106,107,112;letters/test:100;noise/test:104;other/test:1",
        )
    )
    shown = shown_samples(thinned)
    expected = [at for at, each in enumerate(shown) if each in wanted]
    assert expected
    assert scatter.numbers(view["chosen"]).tolist() == expected


def test_without_a_choice_nothing_is_marked(monkeypatch, thinned):
    view = view_of(open_page(monkeypatch, thinned))
    assert view["chosen"] == ""
    assert view["looked_at"] is None


def test_the_sample_that_is_looked_at_is_marked_where_the_map_has_it(monkeypatch, thinned):
    shown = shown_samples(thinned)
    name, index = shown[20]
    view = view_of(open_page(monkeypatch, thinned, sample=f"{name}:{index}"))
    assert view["looked_at"] == 20
    absent = next(100 + 2 * at for at in range(48) if ("made/test", 100 + 2 * at) not in shown)
    for sample in (f"made/test:{absent}", "made/train:100", "nowhere/test:1"):
        assert view_of(open_page(monkeypatch, thinned, sample=sample))["looked_at"] is None


def lassoed(path: str, numbers: list[int], layer: int) -> None:
    """What the page does with a line around samples, as a script of an app."""
    import numpy as np
    import streamlit as st

    from ncviz.store import open_run
    from ncviz.ui import embeddings, loaders, selection
    from ncviz.ui.scatter import Lasso
    from ncviz.ui.view import View

    loaders.look_again()
    view = View(open_run(path), 9, "encoder")
    series = loaders.maps(view.run)
    choice = embeddings.Choice("umap", "class", (), None, "encoder")
    embeddings._select(view, series, choice, Lasso(np.array(numbers), layer, 4))
    st.write(f"{selection.current()} | {selection.current().words}")


def test_a_lasso_chooses_samples_by_set_and_index(thinned):
    shown = shown_samples(thinned)
    numbers = [0, 5, 17, 30, 99999]
    arguments = {"path": str(thinned / "cats"), "numbers": numbers, "layer": 1}
    app = AppTest.from_function(lassoed, kwargs=arguments).run(timeout=60)
    chosen, _, words = app.markdown[0].value.partition(" | ")
    found = {tuple(each.split(":")) for each in chosen.split(";")}
    expected: dict[str, list[str]] = {}
    for at in numbers[:-1]:
        expected.setdefault(shown[at][0], []).append(str(shown[at][1]))
    assert found == {(name, ",".join(indices)) for name, indices in expected.items()}
    assert words == "lasso on the UMAP map of the projector, epoch 4"


@pytest.mark.parametrize(("numbers", "layer"), [([], 0), ([99999], 0), ([1], 2), ([1], -1)])
def test_a_lasso_that_makes_no_sense_chooses_nothing(thinned, numbers, layer):
    arguments = {"path": str(thinned / "cats"), "numbers": numbers, "layer": layer}
    app = AppTest.from_function(lassoed, kwargs=arguments).run(timeout=60)
    assert not app.exception
    assert app.markdown[0].value.strip() == "|"


@given(st.lists(st.booleans(), max_size=40))
def test_bits_come_back(chosen):
    chosen = np.array(chosen, bool)
    text = scatter.as_bits(chosen)
    assert scatter.numbers(text).tolist() == np.flatnonzero(chosen).tolist()
    assert bool(text) == chosen.any()


def test_a_choice_of_thousands_is_small():
    assert len(scatter.as_bits(np.ones(9000, bool))) < 2000


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {},
        {"chosen": "AQ==", "layer": 0},
        {"chosen": "A", "layer": 0, "epoch": 1},
        {"chosen": "<b>", "layer": 0, "epoch": 1},
        {"chosen": 3, "layer": 0, "epoch": 1},
        {"chosen": "AQ==", "layer": "x", "epoch": 1},
    ],
)
def test_what_a_browser_should_not_send_is_ignored(told):
    assert scatter._lasso(told) is None


def test_what_a_browser_sends_is_read():
    lasso = scatter._lasso({"chosen": "BQE=", "layer": 1, "epoch": 9})
    assert (lasso.samples.tolist(), lasso.layer, lasso.epoch) == ([0, 2, 8], 1, 9)


def test_the_player_is_told_run_and_epochs_and_where_the_page_ends(monkeypatch, thinned):
    sent = messages(open_page(monkeypatch, thinned, epoch="4"), "player")
    told = [json.loads(each.json) for each in sent]
    assert {"run": "cats", "epochs": [1, 4, 9], "epoch": 4} in told
    assert {"drawn": 4} in told


def test_a_run_of_one_epoch_has_no_player(monkeypatch, tmp_path):
    add_maps(make_run(tmp_path, "short", epochs=(7,)))
    app = open_page(monkeypatch, tmp_path)
    assert [json.loads(each.json) for each in messages(app, "player")] == [{"drawn": 7}]
