"""The Trade-off page: which points it shows, what it says of them, and what it does without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from app_elements import figures_on
from made_runs import make_run
from scipy.stats import binomtest
from streamlit.testing.v1 import AppTest

from ncviz import figures
from ncviz.correlation import correlate
from ncviz.figures.theme import ID_STYLE, signed
from ncviz.results.trade_off import averaged, choose_basis, layer_table
from ncviz.results.trade_off_panels import changes_sign
from ncviz.store import Run, marks, open_run, write

ROOT = Path(__file__).resolve().parents[1]
PAGE = "pages/4_Trade-off.py"
FPR95 = "FPR95 (ID positive), mean over 2 sets"


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


def layers_table(app: AppTest) -> pd.DataFrame:
    """The last table of the page: each layer at its last epoch."""
    return app.dataframe[-1].value


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
        "FPR95 (ID positive), mean over 2 sets",
        "AUROC, mean over 2 sets",
        "Transfer error, mean over 2 sets",
        "Entropy, mean log ρ",
    ]


def test_runs_that_are_not_chosen_are_not_shown(measured, open_page):
    figure = figure_of(open_page(measured, runs=["dogs"]))
    assert {trace["name"] for trace in figure["data"] if trace.get("showlegend")} == {
        "dogs · encoder"
    }


def test_correlations_are_those_of_all_points(measured, open_page):
    app = open_page(measured, runs=["cats"])
    table = open_run(measured / "cats").collapse()
    nc1 = table[table["metric"] == "nc1_pinv"].set_index(["layer", "epoch"])["value"]
    transfer = open_run(measured / "cats").transfer()
    transfer = transfer.groupby(["layer", "epoch"])["probe_error"].mean()
    pairs = pd.concat([nc1, transfer], axis=1).to_numpy().T
    logged, plain = (correlate(*pairs, networks=["cats"] * 8, log_x=log) for log in (True, False))
    said = headings(figure_of(app))[2]
    assert said == (
        f"r = {signed(logged.r, 2)} with log NC1, {signed(plain.r, 2)} with NC1<br>"
        f"Spearman {signed(logged.spearman, 2)}<br>leave-one-out "
        f"{signed(logged.leave_one_out[0], 2)} to {signed(logged.leave_one_out[1], 2)}<br>"
        "8 points, no interval (1 network)"
    )
    rows = app.dataframe[0].value
    row = rows[rows["Against"].str.startswith("Transfer") & (rows["Points"] == "all epochs")]
    assert row["r, log NC1"].item() == pytest.approx(logged.r)
    assert row["r, NC1"].item() == pytest.approx(plain.r)
    assert row["95% interval of r, log NC1"].item() == "none: 1 network; an interval needs 10"


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
    table = layers_table(open_page(measured))
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
    lines = [trace for trace in figure["data"] if trace.get("text")]
    assert [trace["name"] for trace in lines if trace["showlegend"]] == ["cats"]
    assert list(lines[0]["text"]) == [*STAGES, "encoder", "projector"]
    table = layers_table(app)
    assert list(table["Layer"]) == [*STAGES, "encoder", "projector"]
    nc1, fpr95 = (table[name].to_numpy() for name in ("NC1 tr(Σ_W Σ_B⁺)/C", FPR95))
    expected = correlate(nc1, fpr95, networks=["cats"] * 4, log_x=True)
    said = headings(figure)[0]
    if expected:
        assert said.startswith(f"r = {signed(expected.r, 2)} with log NC1")
    else:
        assert said == "no r: it needs 4 points that differ"


def test_layers_are_compared_by_a_score_that_all_of_them_have(controlled, open_page):
    app = open_page(controlled)
    assert app.selectbox(key="layer_detector").value == "energy_probe"
    assert not layers_table(app)[FPR95].isna().any()
    own = open_page(controlled, layer_detector="Energy")
    missing = layers_table(own).set_index("Layer")[FPR95].isna()
    assert missing.to_dict() == {**dict.fromkeys((*STAGES, "encoder"), True), "projector": False}


def test_the_marked_point_is_the_layer_and_epoch_looked_at(controlled, open_page):
    def rings(**url) -> int:
        figure = figure_of(open_page(controlled, **url))
        return sum("open" in trace["marker"]["symbol"] for trace in figure["data"])

    assert rings(epoch="4", layer="encoder") == 4
    assert rings(points=["layers"], layer="stage1") == 4
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


def detection_rows(sets: dict[str, tuple[float, float, float]], epoch: int = 1) -> pd.DataFrame:
    """Results of one layer and detector: AUROC with its interval by set, FPR95 = 1 - AUROC."""
    return pd.DataFrame(
        {
            "epoch": epoch,
            "layer": "encoder",
            "detector": "energy",
            "set": name,
            "group": "near",
            "auroc": value,
            "auroc_low": low,
            "auroc_high": high,
            "fpr95": 1 - value,
            "fpr95_low": 1 - high,
            "fpr95_high": 1 - low,
        }
        for name, (value, low, high) in sets.items()
    )


def transfer_rows(sets: dict[str, tuple[float, int]], epoch: int = 1) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "epoch": epoch,
            "layer": "encoder",
            "set": name,
            "probe_error": error,
            "test_samples": samples,
        }
        for name, (error, samples) in sets.items()
    )


def points(
    detection: pd.DataFrame, transfer: pd.DataFrame | None = None, means: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The table of a layer with one collapse metric."""
    epochs = sorted(detection["epoch"].unique())
    collapse = pd.DataFrame(
        {"epoch": epochs, "layer": "encoder", "metric": "nc1_pinv", "set": "", "value": 1.0}
    )
    none = pd.DataFrame(columns=["epoch", "layer", "set", "probe_error", "test_samples"])
    no_means = pd.DataFrame(columns=["epoch", "layer", "detector", "group"])
    return layer_table(
        collapse,
        detection,
        no_means if means is None else means,
        none if transfer is None else transfer,
        "encoder",
        "energy",
    )


FIVE = {
    name: (value, value - 0.02, value + 0.02)
    for name, value in zip("abcde", (0.9, 0.8, 0.7, 0.6, 0.5), strict=True)
}
TWO = {name: FIVE[name] for name in "be"}


def test_means_of_the_same_network_are_equal_whatever_else_was_measured():
    """One network, evaluated on five sets and on two of them, has one mean."""
    tables = {"five": points(detection_rows(FIVE)), "two": points(detection_rows(TWO))}
    basis = choose_basis(tables)
    assert basis.ood == ("b", "e")
    assert basis.title("fpr95") == "FPR95 (ID positive), mean over 2 sets"
    assert "detection on b, e" in basis.words
    five, two = (averaged(table, basis).iloc[0] for table in tables.values())
    assert five["auroc"] == two["auroc"] == pytest.approx(0.65)
    assert five["fpr95"] == two["fpr95"] == pytest.approx(0.35)


def test_epochs_are_averaged_over_the_sets_of_all_of_them():
    rows = pd.concat([detection_rows(TWO, epoch=1), detection_rows(FIVE, epoch=2)])
    table = points(rows)
    found = averaged(table, choose_basis({"run": table}))
    assert list(found["auroc"]) == pytest.approx([0.65, 0.65])


def test_without_shared_sets_there_is_no_mean_and_a_reason():
    tables = {
        "one": points(detection_rows({"a": FIVE["a"]})),
        "two": points(detection_rows({"b": FIVE["b"]})),
    }
    basis = choose_basis(tables)
    assert basis.ood == ()
    assert basis.problems == (
        "No mean: there is no OOD set that all of these were measured on (one: a; two: b).",
    )
    assert all("auroc" not in averaged(table, basis) for table in tables.values())
    single = choose_basis(tables, "b")
    assert single.title("auroc") == "AUROC on b"
    assert averaged(tables["two"], single)["auroc"].item() == pytest.approx(0.8)


def test_one_set_is_shown_where_it_was_measured():
    tables = {"one": points(detection_rows({"a": FIVE["a"]})), "two": points(detection_rows(TWO))}
    basis = choose_basis(tables, "b")
    assert "auroc" not in averaged(tables["one"], basis)
    assert averaged(tables["two"], basis)["auroc"].item() == pytest.approx(0.8)
    assert choose_basis(tables, "z").problems == ("Detection was not measured on z.",)


def test_stored_intervals_of_means_are_for_all_sets_only():
    means = pd.DataFrame(
        [
            {
                "epoch": 1,
                "layer": "encoder",
                "detector": "energy",
                "group": "all",
                "auroc_low": 0.69,
                "auroc_high": 0.71,
                "fpr95_low": 0.29,
                "fpr95_high": 0.31,
            }
        ]
    )
    table = points(detection_rows(FIVE), means=means)
    whole = averaged(table, choose_basis({"a": table})).iloc[0]
    assert (whole["auroc_low"], whole["auroc_high"]) == (0.69, 0.71)
    other = points(detection_rows(TWO))
    some = averaged(table, choose_basis({"a": table, "b": other})).iloc[0]
    # The sets share ID samples to an unknown extent: the ends are averaged.
    assert (some["auroc_low"], some["auroc_high"]) == pytest.approx((0.63, 0.67))


def test_transfer_errors_have_wilson_intervals():
    table = points(detection_rows(TWO), transfer_rows({"a": (0.2, 50), "b": (0.4, 400)}))
    one = averaged(table, choose_basis({"t": table}, "a")).iloc[0]
    low, high = binomtest(10, 50).proportion_ci(method="wilson")
    assert (one["transfer_low"], one["transfer_high"]) == pytest.approx((low, high))
    mean = averaged(table, choose_basis({"t": table})).iloc[0]
    assert mean["transfer"] == pytest.approx(0.3)
    assert mean["transfer_high"] - mean["transfer_low"] < high - low


@pytest.mark.parametrize(
    ("interval", "worse"), [((0.4, 0.35, 0.45), True), ((0.48, 0.4, 0.56), False)]
)
def test_a_point_is_worse_than_chance_if_its_interval_says_so(interval, worse):
    table = points(detection_rows({"a": interval}))
    assert averaged(table, choose_basis({"t": table}))["worse"].item() == worse
    without = points(detection_rows({"a": interval}).drop(columns=["auroc_low", "auroc_high"]))
    assert not averaged(without, choose_basis({"t": without}))["worse"].item()


def test_points_worse_than_chance_are_crossed():
    crossed = replace(track("a"), crossed=np.array([True, False, False]))
    panel = figures.Against("NC1", "AUROC", (crossed, track("b")), "r")
    figure = figures.trade_off([panel, panel], title="t", note="n")
    crosses = [trace for trace in figure.data if trace.name == "worse than chance"]
    assert [list(trace.x) for trace in crosses] == [pytest.approx([0.1])] * 2
    assert [trace.showlegend for trace in crosses] == [True, False]


def test_error_bars_end_at_the_interval():
    low, high = np.array([0.0, 0.2, np.nan]), np.array([0.1, 0.5, np.nan])
    panel = figures.Against("NC1", "AUROC", (replace(track("a"), ends=(low, high)),), "r")
    trace = figures.trade_off([panel], title="t", note="n").data[0]
    y = track("a").y
    assert list(trace.error_y.arrayminus) == pytest.approx([y[0] - 0, y[1] - 0.2, 0], abs=1e-6)
    assert list(trace.error_y.array) == pytest.approx([0.1 - y[0], 0.5 - y[1], 0], abs=1e-6)
    assert "95% interval 0.200 to 0.500" in trace.hovertext[1]
    assert "interval" not in trace.hovertext[2]


def test_runs_without_a_shared_set_have_no_mean_on_the_page(tmp_path, open_page):
    make_run(tmp_path, "cats", ood_sets={"letters": "near"})
    make_run(tmp_path, "dogs", ood_sets={"noise": "far"})
    app = open_page(tmp_path)
    said = app.warning[0].value.replace("\\", "")
    assert "No mean: there is no OOD set" in said
    assert "cats · encoder: letters; dogs · encoder: noise" in said
    assert axis_titles(figure_of(app), "yaxis") == ["Entropy, mean log ρ"]
    one = open_page(tmp_path, on_set="noise")
    assert not one.warning
    assert "AUROC on noise" in axis_titles(figure_of(one), "yaxis")


def test_runs_with_other_sets_are_averaged_over_the_shared_one(tmp_path, open_page):
    make_run(tmp_path, "cats")
    make_run(tmp_path, "dogs", ood_sets={"noise": "far"})
    app = open_page(tmp_path)
    captions = [caption.value.replace("\\", "") for caption in app.caption]
    assert any("Measured detection on noise." in each for each in captions)
    table = layers_table(app)
    assert list(table["AUROC on noise"]) == list(table["AUROC, noise"])


def test_one_point_for_each_network(measured, open_page):
    figure = figure_of(open_page(measured, points=["networks"]))
    lines = [trace for trace in figure["data"] if trace.get("showlegend")]
    assert [(trace["name"], len(trace["text"])) for trace in lines] == [("cats", 1), ("dogs", 1)]


def test_the_page_shows_the_sign_within_the_backbone(open_page):
    """Of the shipped runs: over all layers, without the logarithm, and within the stages."""
    app = open_page(ROOT / "checkpoints", run="cifar100-resnet18")
    table = app.dataframe[0].value
    rows = table[table["Against"].str.startswith("FPR95")].set_index("Points")
    for words, layers in (
        ("all layers, last epochs", None),
        ("backbone stages, last epochs", ("stage1", "stage2", "stage3")),
    ):
        x, y, networks = [], [], []
        for name in ("cifar100-resnet18", "cifar100-resnet18-controlled"):
            run = open_run(ROOT / "checkpoints" / name)
            epoch = run.epoch(run.epochs[-1])
            collapse, detection = epoch.collapse(), epoch.detection()
            for layer in layers or epoch.layers:
                own = collapse[(collapse["layer"] == layer) & (collapse["metric"] == "nc1_pinv")]
                x.append(own["value"].item())
                scored = detection[detection["detector"] == "energy_probe"]
                y.append(scored.loc[scored["layer"] == layer, "fpr95"].mean())
                networks.append(name)
        found = [np.corrcoef(each, y)[0, 1] for each in (np.log(x), x)]
        assert list(rows.loc[words, ["r, log NC1", "r, NC1"]]) == pytest.approx(found)
        assert rows.loc[words, "Number"] == len(x)
        assert rows.loc[words, "95% interval of r, log NC1"].startswith("none: 2 networks")
    said = [each.value for each in app.markdown]
    unstable = changes_sign(table)
    assert any("No consistent sign" in each for each in said) == bool(unstable)


def test_a_change_of_sign_is_found():
    row = {"Against": "a", "r, log NC1": 0.5, "r, NC1": 0.3, "Spearman": 0.4}
    ends = {"Leave-one-out from": 0.1, "Leave-one-out to": 0.6}
    steady = pd.DataFrame([row | ends])
    assert changes_sign(steady) == []
    assert changes_sign(pd.DataFrame([row | ends | {"Leave-one-out from": -0.1}])) == ["a"]
    assert changes_sign(pd.concat([steady, pd.DataFrame([row | ends | {"r, NC1": -0.2}])])) == ["a"]
