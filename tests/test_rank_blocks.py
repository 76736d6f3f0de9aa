"""Blocks of a rank analysis, their table, the diagram and the tab of the Leaderboard."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from app_elements import figures_on
from made_runs import make_run
from streamlit.testing.v1 import AppTest

from ncviz import figures
from ncviz.metrics import rank_analysis
from ncviz.results.detectors import label
from ncviz.results.rank_blocks import Source, analyse, collect, pair_table, rank_table
from ncviz.ui import told

ROOT = Path(__file__).resolve().parents[1]
TAB = "Ranks over sets and runs"
NAMES = ["msp", "energy", "knn", "vim"]


def rows_of(rng, names=NAMES, sets=(("letters", "near"), ("noise", "far"))):
    return pd.DataFrame(
        {
            "detector": name,
            "set": each,
            "group": group,
            "auroc": rng.random(),
            "fpr95": rng.random(),
        }
        for each, group in sets
        for name in names
    )


def blocks_of(count, *, names=NAMES, groups=("near", "far"), metric="auroc"):
    rng = np.random.default_rng(0)
    sources = [Source(f"run {at}", 9, "encoder", rows_of(rng)) for at in range(count)]
    return collect(sources, metric, names, groups)


def test_blocks_are_pairs_of_a_run_and_a_set():
    rng = np.random.default_rng(1)
    tables = {name: rows_of(rng) for name in ("a", "b")}
    found = collect(
        [Source(name, 9, "encoder", rows) for name, rows in tables.items()],
        "fpr95",
        NAMES,
        ("near", "far"),
    )
    places = found.blocks[["Run", "OOD set"]].to_numpy().tolist()
    assert places == [["a", "letters"], ["a", "noise"], ["b", "letters"], ["b", "noise"]]
    assert found.detectors == tuple(NAMES)
    for b, (run, name) in enumerate(places):
        rows = tables[run].set_index(["set", "detector"])["fpr95"]
        assert found.values[:, b].tolist() == [rows[name, each] for each in NAMES]
    assert (found.runs, found.obstacle, found.left_out) == (2, "", ())
    assert found.shown == "a · epoch 9 · layer encoder; b · epoch 9 · layer encoder · 4 blocks"


def test_detectors_without_results_in_every_block_are_left_out():
    rng = np.random.default_rng(2)
    sources = [
        Source("a", 9, "encoder", rows_of(rng)),
        Source("b", 9, "encoder", rows_of(rng, names=NAMES[1:])),
    ]
    found = collect(sources, "auroc", NAMES, ("near", "far"))
    assert found.detectors == tuple(NAMES[1:])
    assert found.left_out == ("msp",)
    assert np.isfinite(found.values).all()


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        (blocks_of(0), "at least 3 blocks .* there are 0"),
        (blocks_of(1), "there are 2"),
        (blocks_of(1, groups=("far",)), "there is 1"),
        (blocks_of(3, names=NAMES[:2]), "at least 3 detectors .* there are 2"),
        (blocks_of(3, metric="unknown"), "there are 0; 4 others lack some blocks"),
    ],
)
def test_too_few_blocks_or_detectors_are_refused_with_a_reason(blocks, reason):
    assert re.search(reason, blocks.obstacle)


def test_tables_hold_ranks_groups_and_all_pairs():
    blocks = blocks_of(6)
    found = analyse(blocks, "auroc")
    table = rank_table(blocks, found, "AUROC").set_index("Detector")
    assert (np.diff(table["Mean rank"]) >= 0).all()
    for at, name in enumerate(blocks.detectors):
        assert table.loc[label(name), "Mean rank"] == found.ranks[at]
        assert table.loc[label(name), "Mean AUROC"] == pytest.approx(blocks.values[at].mean())
        member_of = {str(n) for n, group in enumerate(found.cliques, 1) if at in group}
        assert set(table.loc[label(name), "Groups"].split(", ")) == member_of
    pairs = pair_table(blocks, found)
    assert len(pairs) == 6
    assert (pairs["Difference in mean rank"] >= 0).all()
    positions = {label(name): at for at, name in enumerate(blocks.detectors)}
    for row in pairs.itertuples(index=False):
        expected = found.p_corrected[positions[row[0]], positions[row[1]]]
        assert row[3] == expected


# The diagram


def analysis_of(detectors, blocks=12, spread=0.08):
    rng = np.random.default_rng(3)
    values = rng.random((detectors, blocks)) + spread * np.arange(detectors)[:, None]
    return rank_analysis(values, higher_is_better=True)


def drawn(found, labels, **more):
    shown = figures.Shown("digits", 9, "encoder")
    return figures.critical_differences(found.ranks, labels, found.cliques, shown=shown, **more)


@pytest.mark.parametrize("detectors", [3, 4, 30])
def test_diagram_names_every_detector_once_on_a_row_of_its_own(detectors):
    found = analysis_of(detectors)
    labels = [f"<b>detector {at}" for at in range(detectors)]
    figure = drawn(found, labels)
    axes = figure.layout.yaxis, figure.layout.yaxis2
    assert [len(axis.tickvals) for axis in axes] == [(detectors + 1) // 2, detectors // 2]
    for axis in axes:
        assert len(set(axis.tickvals)) == len(axis.tickvals)
        assert (np.diff(sorted(axis.tickvals)) >= 18).all()  # rows do not overlap
    names = [text for axis in axes for text in axis.ticktext]
    for at in range(detectors):
        assert f"&lt;b&gt;detector {at} <b>{found.ranks[at]:.1f}</b>" in names
    low, high = figure.layout.xaxis.range
    assert low < found.ranks.min() <= found.ranks.max() < high
    points = [trace for trace in figure.data if trace.mode == "markers"]
    np.testing.assert_allclose(np.sort(np.concatenate([p.x for p in points])), np.sort(found.ranks))


def test_diagram_has_a_bar_for_each_group_of_several():
    found = analysis_of(12)
    several = [group for group in found.cliques if len(group) > 1]
    assert len(several) > 1
    figure = drawn(found, [str(at) for at in range(12)])
    bars = [trace for trace in figure.data if trace.mode == "lines" and len(trace.x) == 2]
    assert len(bars) == len(several)
    for bar, group in zip(bars, several, strict=True):
        inside = found.ranks[list(group)]
        assert bar.x[0] < inside.min()
        assert bar.x[1] > inside.max()
        outside = np.delete(found.ranks, list(group))
        assert not ((outside > bar.x[0]) & (outside < bar.x[1])).any()
    assert len({bar.y[0] for bar in bars}) == len(bars)
    widths = [bar.line.width for bar in bars]
    assert widths[0] > max(widths[1:])  # the best group is marked by more than colour


def test_diagram_without_significant_groups_has_one_bar_over_all():
    found = rank_analysis(np.random.default_rng(4).random((6, 4)), higher_is_better=True)
    assert not found.significant
    figure = drawn(found, list("abcdef"))
    (bar,) = [trace for trace in figure.data if trace.mode == "lines" and len(trace.x) == 2]
    assert bar.x[0] < found.ranks.min() < found.ranks.max() < bar.x[1]


def test_alt_text_names_the_best_group():
    found = analysis_of(12)
    labels = [f"d{at}" for at in range(12)]
    text = told.ranks(found, labels)
    best = labels[found.cliques[0][0]]
    assert text.startswith(f"Mean ranks of 12 detectors over 12 blocks: {best} ")
    assert f"Not significantly different from {best}: d" in text
    even = rank_analysis(np.ones((3, 4)), higher_is_better=True)
    assert told.ranks(even, list("abc")).endswith("No significant differences.")
    apart = rank_analysis(np.arange(3.0)[:, None] + np.zeros(5), higher_is_better=True)
    assert told.ranks(apart, list("abc")).endswith("c differs significantly from all others.")


# The tab

SETS = {"letters": "near", "noise": "far"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three networks of one ID set."""
    folder = tmp_path_factory.mktemp("ranked")
    made = {
        name: make_run(folder, name, epochs=(1, 4), ood_sets=SETS, dim=dim)
        for name, dim in (("cats", 8), ("dogs", 10), ("eels", 12))
    }
    return folder, made


def open_tab(monkeypatch, folder, **url):
    monkeypatch.setenv("NCVIZ_CHECKPOINTS", str(folder))
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for name, value in {"tab": TAB, **url}.items():
        app.query_params[name] = value
    app = app.switch_page("pages/5_Leaderboard.py").run()
    assert not app.exception, app.exception
    assert not app.error, [error.value for error in app.error]
    return app


def words(app):
    kinds = (app.markdown, app.caption, app.info)
    return "\n".join(str(each.value) for kind in kinds for each in kind).replace("\\", "")


def diagrams(app):
    titles = [(figure["layout"]["title"]["text"], figure) for figure in figures_on(app)]
    return [figure for title, figure in titles if title.startswith("Mean ranks")]


def test_tab_ranks_over_all_runs_with_the_same_id_set(monkeypatch, runs):
    folder, made = runs
    app = open_tab(monkeypatch, folder, run="cats")
    (figure,) = diagrams(app)
    values, names = [], None
    for run in made.values():
        table = run.detection().query("epoch == 4 and layer == 'encoder'")
        wide = table.pivot(index="detector", columns="set", values="auroc")
        names = wide.index if names is None else names
        values.append(wide.loc[names].to_numpy())
    expected = rank_analysis(np.concatenate(values, axis=1), higher_is_better=True)
    axes = (figure["layout"]["yaxis"], figure["layout"]["yaxis2"])
    drawn_names = [text for axis in axes for text in axis["ticktext"]]
    for name, rank in zip(names, expected.ranks, strict=True):
        assert f"{label(name)} <b>{rank:.1f}</b>" in drawn_names
    said = words(app)
    assert "6 blocks from 3 runs" in said
    assert "not independent" in said
    assert f"χ² = {expected.statistic:.1f}" in said
    frames = [frame.value for frame in app.dataframe]
    (blocks,) = (frame for frame in frames if list(frame) == ["Run", "Epoch", "Layer", "OOD set"])
    assert len(blocks) == 6


def test_tab_refuses_too_few_blocks(monkeypatch, runs, tmp_path):
    make_run(tmp_path, "alone", epochs=(1, 4), ood_sets=SETS)
    app = open_tab(monkeypatch, tmp_path)
    assert not diagrams(app)
    assert "requires at least 3 blocks" in words(app)


def test_tab_says_that_blocks_of_one_network_are_not_independent(monkeypatch, tmp_path):
    sets = {"letters": "near", "birds": "near", "noise": "far"}
    make_run(tmp_path, "alone", epochs=(1, 4), ood_sets=sets)
    app = open_tab(monkeypatch, tmp_path)
    assert len(diagrams(app)) == 1
    assert "3 blocks, all of one network" in words(app)


def test_every_pair_has_a_place_in_the_pair_table():
    blocks = blocks_of(3)
    pairs = pair_table(blocks, analyse(blocks, "auroc"))
    found = {frozenset(pair) for pair in pairs[["Better", "Worse"]].to_numpy().tolist()}
    assert found == {frozenset(map(label, pair)) for pair in combinations(blocks.detectors, 2)}
