"""Seed groups on pages and in the terminal: what they state with several seeds and with one."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from app_elements import figures_on
from made_runs import make_run
from scipy.stats import ttest_ind
from streamlit.testing.v1 import AppTest

from ncviz.evaluation import evaluate, over_seeds
from ncviz.results import seeds
from ncviz.results.trade_off_seeds import mean_over_seeds, one_seed
from ncviz.seed_groups import group_runs, summarise
from ncviz.store import Run, open_runs, write

ROOT = Path(__file__).resolve().parents[1]
DETECTORS = ("msp", "energy", "mahalanobis")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two groups of two seeds, and a run of one seed."""
    folder = tmp_path_factory.mktemp("groups")
    made = []
    for name, scale, seed in (
        *(("cats-seed0", 1.0, 0), ("cats-seed1", 1.2, 1)),
        *(("dogs-seed0", 2.0, 0), ("dogs-seed1", 2.3, 1)),
        ("lone", 1.0, 5),
    ):
        run = make_run(folder, name, epochs=(4,), results=False, ood_scale=scale, seed=seed)
        recipe = {**run.recipe, "epochs": len(name.partition("-")[0] + name[:1])}
        made.append(write.update_description(run, recipe={**recipe, "name": name[:4]}))
    evaluate(made, names=DETECTORS, progress=False)
    return folder


@pytest.fixture(scope="module")
def runs(folder) -> dict[str, Run]:
    return open_runs(folder)


@pytest.fixture
def open_page(monkeypatch, folder):
    def open_page(page: str = "", **url: str) -> AppTest:
        monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(folder))
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
        for name, value in url.items():
            app.query_params[name] = value
        app = app.switch_page(page).run() if page else app.run()
        assert not app.exception
        return app

    return open_page


def texts(app: AppTest) -> str:
    """All text of a page, without the escapes of Markdown."""
    return "\n".join(each.value for each in (*app.caption, *app.markdown)).replace("\\", "")


def table_with(app: AppTest, column: str) -> pd.DataFrame:
    return next(each.value for each in app.dataframe if column in each.value)


def fpr95(run: Run) -> float:
    table = run.detection()
    return table.loc[table["detector"] == "energy", "fpr95"].mean()


def test_overview_lists_groups_with_mean_and_standard_deviation(open_page, runs):
    app = open_page(run="cats-seed0", detector="energy")
    table = table_with(app, "Seeds").set_index("Group")
    assert list(table.index) == ["cats", "dogs"]
    values = [fpr95(runs[f"cats-seed{seed}"]) for seed in (0, 1)]
    expected = f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
    assert table.loc["cats", "Mean FPR95 (ID positive)"] == expected
    assert table.loc["cats", "Seeds"] == 2
    assert f"by Energy is {expected} (n = 2)" in texts(app)


def test_a_run_of_one_seed_quotes_the_standard_deviation_of_a_group(open_page, runs):
    app = open_page(run="lone", detector="energy")
    spread = np.std([fpr95(runs[f"cats-seed{seed}"]) for seed in (0, 1)], ddof=1)
    assert "lone: Variance over seeds is unknown: one seed. In the group cats (2 seeds)" in texts(
        app
    )
    assert f"by Energy is {spread:.3f}." in texts(app)


def test_without_any_group_the_variance_is_only_unknown():
    assert seeds.unknown([], "energy") == "Variance over seeds is unknown: one seed."


def test_leaderboard_shows_statistics_and_ranks_over_seeds(open_page, runs):
    app = open_page(
        "pages/5_Leaderboard.py", run="cats-seed1", tab="Over seeds", metric="FPR95 (ID positive)"
    )
    table = table_with(app, "Mean over seeds").set_index("Detector")
    values = [fpr95(runs[f"cats-seed{seed}"]) for seed in (0, 1)]
    row = table.loc["Energy"]
    assert row["This run"] == pytest.approx(values[1])
    assert row["Mean over seeds"] == pytest.approx(np.mean(values))
    assert row["Standard deviation"] == pytest.approx(np.std(values, ddof=1))
    assert row["Seeds"] == 2
    assert (table["Best rank"] <= table["Worst rank"]).all()
    assert "Over the seeds of cats (2 seeds) at epoch 4, the standard deviation" in texts(app)


def test_trade_off_has_one_point_for_each_group(open_page, runs):
    app = open_page("pages/4_Trade-off.py", run="cats-seed0", points="seeds", detector="energy")
    (figure,) = figures_on(app)
    found = {trace["name"]: trace for trace in figure["data"] if "name" in trace}
    assert {"cats (2 seeds)", "dogs (2 seeds)", "lone (one seed)"} <= set(found)
    assert "error_y" not in found["lone (one seed)"]
    assert "one standard deviation over seeds" in texts(app)


def test_mean_over_seeds_equals_a_slow_calculation():
    first = pd.DataFrame(
        {
            **{"epoch": [1, 4], "layer": ["encoder"] * 2, "nc1_pinv": [2.0, 1.0]},
            **{"fpr95": [0.9, 0.5], "fpr95_low": [0.8, 0.4], "fpr95_high": [0.95, 0.6]},
            "worse": [False, True],
        }
    )
    second = first.assign(fpr95=[0.7, 0.1], nc1_pinv=[1.0, 3.0], worse=[False, False]).iloc[1:]
    (row,) = mean_over_seeds([first, second]).to_dict("records")
    assert (row["epoch"], row["layer"], row["worse"]) == (4, "encoder", False)
    assert (row["fpr95"], row["nc1_pinv"]) == pytest.approx((0.3, 2.0))
    spread = (((0.5 - 0.3) ** 2 + (0.1 - 0.3) ** 2) / 1) ** 0.5
    assert (row["fpr95_low"], row["fpr95_high"]) == pytest.approx((0.3 - spread, 0.3 + spread))
    assert mean_over_seeds([first]) is None
    assert mean_over_seeds([first.iloc[:1], second]) is None
    assert one_seed(first)["fpr95_low"].isna().all()


def test_compare_tests_two_groups_by_welch(open_page, runs):
    app = open_page(
        "pages/8_Compare.py", run="cats-seed0", other_run="dogs-seed1", detector="energy"
    )
    table = next(
        each.value for each in app.dataframe if "n = 2 and 2" in set(each.value.get("Kind", []))
    ).set_index("Measure")
    sides = [[fpr95(runs[f"{name}-seed{seed}"]) for seed in (0, 1)] for name in ("cats", "dogs")]
    row = table.loc["Mean FPR95 (ID positive) by Energy"]
    assert row["A"] == pytest.approx(np.mean(sides[0]))
    assert row["A − B"] == pytest.approx(np.mean(sides[0]) - np.mean(sides[1]))
    assert row["p"] == pytest.approx(ttest_ind(*sides, equal_var=False).pvalue)
    assert row["p, corrected"] >= row["p"]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ("cats-seed1", "A and B are seeds of one group"),
        (
            "lone",
            "it requires two or more seeds on both sides. lone: Variance over seeds is unknown",
        ),
    ],
)
def test_compare_without_two_groups_has_no_test(open_page, other, words):
    app = open_page("pages/8_Compare.py", run="cats-seed0", other_run=other, detector="energy")
    assert "No test across seeds" in texts(app)
    assert words in texts(app)
    assert not any("n = 2 and 2" in set(each.value.get("Kind", [])) for each in app.dataframe)


def test_terminal_prints_each_group_once(runs):
    text = over_seeds(list(runs.values()))
    assert re.findall(r"Seed group (\w+), seeds ([\d, ]+), epoch (\d+)", text) == [
        ("cats", "0, 1", "4"),
        ("dogs", "0, 1", "4"),
    ]
    values = [fpr95(runs[f"cats-seed{seed}"]) for seed in (0, 1)]
    expected = f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f} (n = 2)"
    energy = next(line for line in text.splitlines() if line.startswith("energy "))
    assert expected in energy
    found = summarise(group_runs(runs.values())[0])
    names = list(runs["cats-seed0"].detection()["detector"].unique())
    ranks = found.detector_ranks("fpr95", "encoder", names, group="all").loc["energy"]
    assert energy.endswith(f"{ranks.min():g} to {ranks.max():g}")
    assert over_seeds([runs["lone"], runs["cats-seed0"]]) == ""
