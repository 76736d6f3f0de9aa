"""The tour on the Overview: what its sentences say is so, and its links lead where they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_runs import add_maps, make_run
from streamlit.testing.v1 import AppTest

from ncviz.results.comparisons import Place, compare
from ncviz.store import Run, open_runs
from ncviz.ui import tour
from ncviz.ui.navigation import EMBEDDINGS, NEURAL_COLLAPSE, OOD_SCORES, TRADE_OFF, UPLOAD

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "checkpoints"
TITLES = [
    "Classes collapse",
    "Class means spread out",
    "Known from unknown",
    "Points move",
    "Two layers, two tasks",
    "Try an image of your own",
]


@pytest.fixture
def open_overview(monkeypatch):
    def open_at(checkpoints: Path) -> AppTest:
        monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(checkpoints))
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
        return healthy(app)

    return open_at


def healthy(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    assert not app.error, [error.value for error in app.error]
    return app


def titles(app: AppTest) -> list[str]:
    keys = (button.key or "" for button in app.button)
    return [key.removeprefix("_tour_") for key in keys if key.startswith("_tour_")]


def step_of(runs: dict[str, Run], title: str) -> tour.Step:
    (found,) = (step for step in tour.steps(runs) if step.title == title)
    return found


def test_every_link_leads_into_its_state(open_overview):
    runs = open_runs(SHIPPED)
    steps = list(tour.steps(runs))
    assert [step.title for step in steps] == TITLES
    for step in steps:
        app = open_overview(SHIPPED)
        assert titles(app) == TITLES
        healthy(app.button(key=f"_tour_{step.title}").click().run())
        assert app.title[0].value == step.page.question
        expected = {"run": step.view.run.name, "epoch": step.view.epoch, "layer": step.view.layer}
        expected |= {**step.state, **step.address}
        assert {key: app.session_state[key] for key in expected} == expected
        assert app.selectbox(key="run").value == step.view.run.name
        assert app.select_slider(key="epoch").value == step.view.epoch


def test_the_steps_of_the_shipped_runs_lead_to_what_shows_best():
    runs = open_runs(SHIPPED)
    places = {
        step.title: (step.page, step.view.run.name, step.view.layer) for step in tour.steps(runs)
    }
    controlled = "cifar100-resnet18-controlled"
    assert places == {
        "Classes collapse": (NEURAL_COLLAPSE, controlled, "projector"),
        "Class means spread out": (NEURAL_COLLAPSE, controlled, "projector"),
        "Known from unknown": (OOD_SCORES, "digits", "encoder"),
        "Points move": (EMBEDDINGS, controlled, "projector"),
        "Two layers, two tasks": (TRADE_OFF, controlled, "projector"),
        "Try an image of your own": (UPLOAD, "digits", "encoder"),
    }


def test_numbers_of_the_sentences_are_those_of_the_run(tmp_path):
    run = make_run(tmp_path, "cats", layers=("encoder", "projector"))
    add_maps(run)
    runs = {"cats": run}
    table = run.collapse()
    table = table[table["layer"] == "projector"]
    nc1, spread = (
        table[table["metric"] == metric].set_index("epoch")["value"]
        for metric in ("nc1_pinv", "nc2_cosine_std")
    )
    sentence = step_of(runs, "Classes collapse").sentence
    assert f"is {nc1[1]:.3g} at epoch 1 and {nc1[9]:.3g} at epoch 9" in sentence
    assert nc1[9] < nc1[1]
    assert f"by {spread[9]:.3g};" in step_of(runs, TITLES[1]).sentence

    found = run.detection()
    found = found[(found["layer"] == "projector") & (found["epoch"] == 9)]
    energy = found[found["detector"] == "energy"].set_index("set")
    known = step_of(runs, "Known from unknown")
    shown = {
        name: f"{row['auroc']:.3f} (95% interval {row['auroc_low']:.3f} to {row['auroc_high']:.3f})"
        for name, row in energy.iterrows()
    }
    assert f"made from noise, a far set, with an AUROC of {shown['noise']}" in known.sentence
    assert f"and from letters, a near set, with {shown['letters']}." in known.sentence
    assert known.address["sets"] == ["noise", "letters"]


def test_numbers_of_both_layers_are_means_over_the_sets_of_the_last_epoch():
    runs = open_runs(SHIPPED)
    step = step_of(runs, "Two layers, two tasks")
    detection, transfer = step.view.run.detection(), step.view.run.transfer()
    detection = detection.query("detector == 'energy_probe' and epoch == 60")
    transfer = transfer.query("epoch == 60")
    shares = {
        layer: [
            f"{100 * table.loc[table['layer'] == layer, column].mean():.0f}%"
            for table, column in ((detection, "fpr95"), (transfer, "probe_error"))
        ]
        for layer in ("encoder", "projector")
    }
    (through, error), (later_through, later_error) = shares.values()
    assert f"the encoder accepts {through}, the projector {later_through} of" in step.sentence
    assert f"is wrong on {error}, on the projector {later_error} of" in step.sentence
    assert step.view.epoch == 60
    places = [Place(step.view.run, 60, layer) for layer in ("encoder", "projector")]
    found = compare(*places, ("fpr95", "transfer"), detector="energy_probe")
    for end, difference in (
        ("(FPR95, mean over ", found["fpr95"]),
        (" (transfer): ", found["transfer"]),
    ):
        low, high = difference.estimate.low, difference.estimate.high
        said = "the projector is better" if low > 0 else "no clear difference"
        said = "the encoder is better" if high < 0 else said
        assert said in step.sentence[step.sentence.index(end) :].split(".")[0]


def test_steps_that_no_run_can_show_are_left_out(open_overview, tmp_path):
    make_run(tmp_path / "plain", "cats")
    assert titles(open_overview(tmp_path / "plain")) == TITLES[:3]
    make_run(tmp_path / "alone", "cats", ood_sets={})
    assert titles(open_overview(tmp_path / "alone")) == TITLES[:2]
    add_maps(make_run(tmp_path / "short", "cats", epochs=(7,)))
    assert titles(open_overview(tmp_path / "short")) == TITLES[1:3]
    make_run(tmp_path / "young", "cats", results=False)
    assert titles(open_overview(tmp_path / "young")) == []
    assert titles(open_overview(tmp_path / "nothing")) == []


def test_the_projector_is_looked_at_where_there_is_one(open_overview, tmp_path):
    make_run(tmp_path, "alpha")
    make_run(tmp_path, "beta", layers=("encoder", "projector"))
    step = step_of(open_runs(tmp_path), "Class means spread out")
    assert (step.view.run.name, step.view.layer, step.address["order"]) == (
        "beta",
        "projector",
        "cluster",
    )
    grouped = make_run(tmp_path, "gamma", layers=("encoder", "projector"), superclasses="abab")
    assert step_of({"gamma": grouped}, "Class means spread out").address["order"] == "superclass"


def test_runs_with_several_epochs_are_preferred(tmp_path):
    single = make_run(tmp_path, "alpha", epochs=(9,))
    make_run(tmp_path, "beta", epochs=(1, 2))
    runs = open_runs(tmp_path)
    best = {
        name: run.detection().query("detector == 'energy' and epoch == epoch.max()")["auroc"].max()
        for name, run in runs.items()
    }
    assert best["alpha"] > best["beta"]
    assert step_of(runs, "Known from unknown").view.run.name == "beta"
    assert step_of({"alpha": single}, "Known from unknown").view.run.name == "alpha"


def test_a_link_to_an_early_epoch_is_not_taken_for_the_end_of_the_run_before(
    open_overview, tmp_path
):
    make_run(tmp_path, "alpha", epochs=(1,))
    make_run(tmp_path, "beta", epochs=(1, 4, 9))
    app = open_overview(tmp_path)
    assert app.session_state["run"] == "alpha"
    healthy(app.button(key="_tour_Classes collapse").click().run())
    assert (app.session_state["run"], app.session_state["epoch"]) == ("beta", 1)
    assert app.select_slider(key="epoch").value == 1


def test_the_tour_is_hidden_and_shown_again(open_overview, tmp_path):
    make_run(tmp_path, "cats")
    app = open_overview(tmp_path)
    healthy(app.button(key="_tour").click().run())
    assert titles(app) == []
    healthy(app.switch_page(NEURAL_COLLAPSE.path).run())
    healthy(app.switch_page("app.py").run())
    assert titles(app) == []
    healthy(app.button(key="_tour").click().run())
    assert titles(app) == TITLES[:3]


def test_hostile_names_are_written_letter_by_letter(open_overview, tmp_path):
    name = "![x](evil.example) <b>$y$**z**"
    add_maps(make_run(tmp_path, name, ood_sets={"<u>": "far"}, classes=("<i>a", "$b$")))
    app = open_overview(tmp_path)
    assert len(titles(app)) == 4
    said = "\n".join(each.value for each in app.markdown)
    assert "![x]" not in said
    assert "<b>" not in said.replace("\\<", "")
    assert "<u>" not in said.replace("\\<", "")
    for title in titles(app):
        again = open_overview(tmp_path)
        healthy(again.button(key=f"_tour_{title}").click().run())
        assert again.session_state["run"] == name
