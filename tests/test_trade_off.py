"""The Trade-off page: which points it shows, what it says of them, and what it does without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from app_elements import figures_on
from made_runs import make_run
from streamlit.testing.v1 import AppTest

from ncviz import figures
from ncviz.correlation import correlate
from ncviz.figures.theme import ID_STYLE
from ncviz.store import Run, marks, write

ROOT = Path(__file__).resolve().parents[1]
PAGE = "pages/4_Trade-off.py"


def add_transfer(run: Run) -> None:
    """Transfer errors that fall with the epoch, differently on two sets."""
    for number in run.epochs:
        rows = [
            {
                "layer": layer,
                "set": name,
                "probe_error": share / number,
                "ncm_error": 0.9,
                "train_samples": 50,
                "test_samples": 20,
            }
            for layer in run.layers
            for name, share in (("letters", 0.6), ("birds", 0.2))
        ]
        write.save_transfer(run.epoch(number), pd.DataFrame(rows), marks.of_transfer())


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Path:
    """A folder with a run of two layers and transfer results, and one without these."""
    folder = tmp_path_factory.mktemp("measured")
    run = make_run(folder, "cats", layers=("encoder", "projector"), epochs=(1, 2, 4, 9))
    add_transfer(run)
    make_run(folder, "dogs", epochs=(2, 4))
    return folder


@pytest.fixture
def open_page(monkeypatch):
    def open_page(checkpoints: Path, **url: str | list[str]) -> AppTest:
        monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(checkpoints))
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        for name, value in url.items():
            app.query_params[name] = value
        app.switch_page(PAGE).run()
        assert not app.exception
        assert not app.error
        return app

    return open_page


def figure_of(app: AppTest) -> dict:
    (figure,) = figures_on(app)
    return figure


def headings(figure: dict) -> list[str]:
    return [each["text"] for each in figure["layout"]["annotations"]]


def axis_titles(figure: dict, axis: str) -> list[str]:
    layout = figure["layout"]
    return [layout[name]["title"]["text"] for name in sorted(layout) if name.startswith(axis)]


def test_each_layer_of_each_run_is_a_line_of_its_own(measured, open_page):
    figure = figure_of(open_page(measured))
    named = {trace["name"] for trace in figure["data"] if trace.get("showlegend")}
    assert named == {"cats · encoder", "cats · projector", "dogs · encoder"}
    assert axis_titles(figure, "yaxis") == [
        "Mean FPR95 over OOD sets",
        "Mean transfer error",
        "Entropy, mean log ρ",
    ]


def test_runs_that_are_not_chosen_are_not_shown(measured, open_page):
    figure = figure_of(open_page(measured, runs=["dogs"]))
    assert {trace["name"] for trace in figure["data"] if trace.get("showlegend")} == {
        "dogs · encoder"
    }


def test_r_is_that_of_log_nc1_over_all_points(measured, open_page):
    app = open_page(measured, runs=["cats"])
    from ncviz import open_run

    run = open_run(measured / "cats")
    table = run.collapse()
    nc1 = table[table["metric"] == "nc1_pinv"].set_index(["layer", "epoch"])["value"]
    transfer = run.transfer().groupby(["layer", "epoch"])["probe_error"].mean()
    pairs = pd.concat([np.log(nc1), transfer], axis=1)
    expected = correlate(pairs["value"].to_numpy(), pairs["probe_error"].to_numpy())
    said = headings(figure_of(app))[1]
    assert said.startswith(f"r = {expected.r:.2f}".replace("-", "−"))


def test_another_definition_of_nc1_moves_the_points(measured, open_page):
    by_pinv = figure_of(open_page(measured))
    by_trace = figure_of(open_page(measured, nc1="NC1 tr Σ_W / tr Σ_B"))
    assert axis_titles(by_pinv, "xaxis") != axis_titles(by_trace, "xaxis")
    assert by_pinv["data"][0]["x"] != by_trace["data"][0]["x"]


def test_runs_without_transfer_say_which_command_measures_it(measured, open_page):
    code = [block.value for block in open_page(measured).code]
    assert code == ["python scripts/extract.py dogs --transfer"]


def test_runs_on_other_data_are_left_out(tmp_path, open_page):
    make_run(tmp_path, "cats")
    other = make_run(tmp_path, "digits")
    write.update_description(other, id_set="digits")
    for path in (other.path / "epochs").glob("*/features/made"):
        path.rename(path.with_name("digits"))
    app = open_page(tmp_path, run="cats")
    assert app.multiselect(key="runs").options == ["cats"]


@pytest.mark.parametrize("options", [{"results": False}, {"features": False}])
def test_without_results_the_page_says_how_to_make_them(tmp_path, open_page, options):
    make_run(tmp_path, "young", **options)
    app = open_page(tmp_path)
    assert not figures_on(app)
    assert any("evaluate.py young" in block.value for block in app.code)


@pytest.mark.parametrize(
    "options", [{"epochs": (3,)}, {"ood_sets": {}}, {"classes": ("no", "yes")}]
)
def test_small_runs_have_a_page(tmp_path, open_page, options):
    make_run(tmp_path, "small", **options)
    assert figure_of(open_page(tmp_path))["data"]


def test_table_has_a_row_for_each_layer(measured, open_page):
    table = open_page(measured).dataframe[0].value
    assert list(zip(table["Run"], table["Layer"], strict=True)) == [
        ("cats", "encoder"),
        ("cats", "projector"),
        ("dogs", "encoder"),
    ]
    assert table["Transfer error, letters"].iloc[0] == pytest.approx(0.6 / 9)
    assert np.isnan(table["Transfer error, letters"].iloc[2])
    assert table["ID test error"].iloc[0] == pytest.approx(1 - (0.9 - 0.5 / 9))


def track(name: str, *, chosen: int | None = None) -> figures.Track:
    epochs = np.array([1, 5, 9])
    words = [f"epoch {epoch}" for epoch in epochs]
    return figures.Track(name, words, epochs / 10, epochs / 20, ID_STYLE, chosen)


def test_points_carry_their_track_and_their_place_in_it():
    panel = figures.Against("NC1", "FPR95", (track("a"), track("b")), "r = 1")
    figure = figures.trade_off([panel], title="t", note="n")
    np.testing.assert_array_equal(figure.data[1].customdata, [[1, 0], [1, 1], [1, 2]])
    assert list(figure.data[1].text) == ["epoch 1", "epoch 5", "epoch 9"]


def test_names_beside_points_have_room():
    plain = track("a")
    named = replace(plain, labelled=True)
    for tracks, room in (((plain,), False), ((plain, named), True)):
        panel = figures.Against("NC1", "FPR95", tracks, "r = 1", log_x=True)
        figure = figures.trade_off([panel], title="t", note="n")
        assert (figure.layout.yaxis.range is not None) == room
        assert "text" in figure.data[-1].mode or not room
    low, high = figure.layout.xaxis.range  # powers of ten
    assert low < np.log10(0.1)
    assert high > np.log10(0.9)


def test_the_chosen_epoch_has_a_ring_around_it():
    panel = figures.Against("NC1", "FPR95", (track("a", chosen=1),), "r = 1", log_x=True)
    _, ring = figures.trade_off([panel], title="t", note="n").data
    assert ring.x.tolist() == pytest.approx([0.5])
    assert ring.y.tolist() == pytest.approx([0.25])
    assert "open" in ring.marker.symbol


STAGES = ("stage1", "stage2")


@pytest.fixture(scope="module")
def controlled(tmp_path_factory) -> Path:
    """A run whose head sits on its projector, with two layers inside its backbone at the end."""
    folder = tmp_path_factory.mktemp("controlled")
    run = make_run(
        folder, "cats", layers=("encoder", "projector"), heads=("projector",), stages={9: STAGES}
    )
    add_transfer(run)
    write.update_description(run, without_transfer={"noise": "has no labels", "a*b": "is odd"})
    return folder


def test_layers_of_a_network_are_points_of_one_line(controlled, open_page):
    app = open_page(controlled, points=["layers"])
    figure = figure_of(app)
    lines = [trace for trace in figure["data"] if trace.get("showlegend") is not None]
    assert [trace["name"] for trace in lines if trace["showlegend"]] == ["cats"]
    assert list(lines[0]["text"]) == [*STAGES, "encoder", "projector"]
    table = app.dataframe[0].value
    assert list(table["Layer"]) == [*STAGES, "encoder", "projector"]
    nc1, fpr95 = table["NC1 tr(Σ_W Σ_B⁺)/C"], table["Mean FPR95 over OOD sets"]
    expected = correlate(np.log(nc1.to_numpy()), fpr95.to_numpy())
    said = headings(figure)[0]
    assert said == (
        f"r = {expected.r:.2f} [{expected.low:.2f}, {expected.high:.2f}]".replace("-", "−")
        if expected
        else "too few points for r"
    )


def test_layers_are_compared_by_a_score_that_all_of_them_have(controlled, open_page):
    app = open_page(controlled)
    assert app.selectbox(key="layer_detector").value == "energy_probe"
    assert not app.dataframe[0].value["Mean FPR95 over OOD sets"].isna().any()
    own = open_page(controlled, layer_detector="Energy")
    missing = own.dataframe[0].value.set_index("Layer")["Mean FPR95 over OOD sets"].isna()
    assert missing.to_dict() == {**dict.fromkeys((*STAGES, "encoder"), True), "projector": False}


def test_the_marked_point_is_the_layer_and_epoch_looked_at(controlled, open_page):
    def rings(**url) -> int:
        figure = figure_of(open_page(controlled, **url))
        return sum("open" in trace["marker"]["symbol"] for trace in figure["data"])

    assert rings(epoch="4", layer="encoder") == 3
    assert rings(points=["layers"], layer="stage1") == 3
    assert rings(points=["layers"], epoch="4", layer="encoder") == 0


def test_layers_inside_the_backbone_are_offered_where_they_were_extracted(controlled, open_page):
    last, before = open_page(controlled), open_page(controlled, epoch="4")
    assert last.get("button_group")[0].options == [*STAGES, "encoder", "projector"]
    assert before.get("button_group")[0].options == ["encoder", "projector"]
    assert last.session_state["layer"] == before.session_state["layer"] == "projector"


def test_sets_without_transfer_say_why(controlled, open_page):
    captions = [caption.value for caption in open_page(controlled).caption]
    assert r"No transfer error for: a\*b is odd; noise has no labels." in captions


def test_without_layers_inside_the_backbone_the_page_says_how_to_extract_them(measured, open_page):
    code = [block.value for block in open_page(measured, points=["layers"]).code]
    assert code[-1].splitlines() == [
        "python scripts/extract.py cats --stages --transfer",
        "python scripts/extract.py dogs --stages --transfer",
        "python scripts/evaluate.py cats dogs",
    ]
