"""Softmax, percentile and 95% rule: one definition each, and equal numbers on every page."""

from __future__ import annotations

import ast
from pathlib import Path

import made_runs
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from scipy.stats import percentileofscore

from ncviz import FeatureSet, detectors, metrics, xp
from ncviz.errors import InvalidArrayError
from ncviz.thresholds import choose
from ncviz.ui import loaders, path_loaders, sample_loaders

LOGITS = np.random.default_rng(0).normal(size=(200, 7)).astype(np.float32) * 9
MODULES = sorted((Path(__file__).parents[1] / "ncviz").rglob("*.py"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    checkpoints = tmp_path_factory.mktemp("checkpoints")
    return made_runs.make_run(checkpoints, "cats", epochs=(1, 4), layers=("encoder", "projector"))


# Softmax


@pytest.mark.parametrize("library", [np.asarray, torch.tensor])
def test_softmax_matches_scipy_in_float64(library):
    logits = library(LOGITS)
    wide = LOGITS.astype(np.float64)
    for found, oracle in (
        (xp.softmax(logits), softmax(wide, axis=1)),
        (xp.log_softmax(logits), log_softmax(wide, axis=1)),
        (xp.largest_probability(logits), softmax(wide, axis=1).max(axis=1)),
    ):
        assert xp.to_numpy(found).dtype == np.float64
        np.testing.assert_allclose(xp.to_numpy(found), oracle, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(LOGITS, xp.to_numpy(logits))


def test_softmax_does_not_overflow_or_underflow():
    extreme = np.array([[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4]])
    np.testing.assert_allclose(xp.softmax(extreme), [[1, 0, 0], [1 / 3] * 3])
    np.testing.assert_allclose(xp.log_softmax(extreme)[0], [0, -1e4, -2e4])
    assert xp.largest_probability(extreme).tolist() == pytest.approx([1, 1 / 3])


def test_the_complement_keeps_what_rounding_of_one_loses():
    log_p, log_rest = xp.log_softmax_and_complement(np.array([[100.0, 0.0, -1.0]]))
    np.testing.assert_allclose(log_p[0], [-np.exp(-100) * (1 + np.exp(-1)), -100, -101])
    np.testing.assert_allclose(log_rest[0, 0], -100 + np.log1p(np.exp(-1)))
    np.testing.assert_allclose(log_rest[0, 1:], -np.exp([-100.0, -101.0]))
    probabilities = softmax(LOGITS.astype(np.float64), axis=1)
    certain = probabilities < 0.9
    np.testing.assert_allclose(
        xp.log_softmax_and_complement(LOGITS)[1][certain], np.log1p(-probabilities[certain])
    )


def test_equal_logits_have_equal_confidence_everywhere(run):
    epoch = run.epoch(4)
    samples = epoch.features("made/test", "projector")
    expected = xp.softmax(samples.logits).max(axis=1)
    np.testing.assert_array_equal(xp.largest_probability(samples.logits), expected)
    outputs = sample_loaders.outputs(run, 4, "made/test")
    np.testing.assert_array_equal(outputs.confidence, expected)
    msp = detectors.create("msp").fit(
        FeatureSet(samples.features, samples.logits), epoch.head("projector")
    )
    np.testing.assert_array_equal(msp.score(samples), expected)
    reliability = metrics.reliability(samples.logits, samples.labels)
    assert reliability.mean_confidence == pytest.approx(expected.mean(), rel=1e-14)
    for row in (0, 7):
        placed = path_loaders.placed(run, "projector", "made/test", row)
        assert placed.probabilities[-1].max() == expected[row]


def _called(path: Path) -> set[str]:
    """Return names that a module imports from SciPy or calls as methods of tensors."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("scipy"):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.Attribute) and not (
            isinstance(node.value, ast.Name) and node.value.id == "xp"
        ):
            found.add(node.attr)
    return found


def _defined(path: Path) -> set[str]:
    """Return names of the functions that a module defines, without leading underscores."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.name.strip("_") for node in nodes if isinstance(node, ast.FunctionDef)}


def test_no_module_has_a_softmax_or_percentile_of_its_own():
    banned = {"softmax", "log_softmax", "logsumexp", "percentileofscore"}
    others = [path for path in MODULES if path.name != "xp.py"]
    assert len(others) > 100
    # It recognises a network that ends in torch's own softmax, and reports no probability.
    called = [path for path in MODULES if path.name != "wrap.py"]
    assert not {path.name for path in called if banned & _called(path)}
    assert not {path.name for path in others if banned & _defined(path)}


# Percentile


@given(
    scores=st.lists(st.integers(-3, 3), max_size=12),
    reference=st.lists(st.integers(-3, 3), min_size=1),
)
@settings(max_examples=150, deadline=None)
def test_percentiles_match_counting_and_scipy(scores, reference):
    found = metrics.percentiles(np.array(scores, float), np.array(reference, float))
    counted = [sum((r < s) + 0.5 * (r == s) for r in reference) / len(reference) for s in scores]
    np.testing.assert_allclose(found, counted)
    oracle = [percentileofscore(reference, score, "mean") / 100 for score in scores]
    np.testing.assert_allclose(found, oracle, atol=1e-12)
    among = metrics.percentiles(np.array(reference, float), np.array(reference, float))
    assert among.mean() == pytest.approx(0.5)


def test_percentiles_refuse_an_empty_reference_and_nan():
    with pytest.raises(InvalidArrayError, match="Reference scores"):
        metrics.percentiles(np.ones(3), np.empty(0))
    with pytest.raises(InvalidArrayError, match="Reference scores holds 1"):
        metrics.percentiles(np.ones(3), np.array([1.0, np.nan]))
    with pytest.raises(InvalidArrayError, match="NaN"):
        metrics.percentiles(np.array([np.nan]), np.ones(3))


def test_a_sample_has_one_percentile_on_every_page(run):
    epoch, name = run.epoch(4), "msp"
    known = epoch.scores(name, "made/test", "projector")
    assert len(np.unique(known)) < len(known) or len(known) > 10
    for set_name in ("made/test", "noise/test"):
        scores = epoch.scores(name, set_name, "projector")
        expected = np.array([percentileofscore(known, score, "mean") / 100 for score in scores])
        history = sample_loaders.histories(run, "projector", name)[set_name]
        np.testing.assert_allclose(history.percentiles[-1], expected, rtol=1e-6)
        judged = path_loaders.judged(run, "projector", set_name, 3)
        at = judged.detectors.index(name)
        assert judged.percentiles[-1, at] == pytest.approx(expected[3], rel=1e-12)
        moves = metrics.moves(scores, scores, known, known)
        np.testing.assert_allclose(moves.first, expected, rtol=1e-12)


# The 95% rule


@pytest.mark.parametrize("count", [1, 7, 19, 20, 21, 39, 100, 1999])
def test_the_threshold_at_95_percent_is_one_number(count):
    random = np.random.default_rng(count)
    ids, oods = random.normal(size=count).round(1), random.normal(size=30)
    slow = max(t for t in ids if np.mean(ids >= t) >= 0.95)
    assert metrics.DEFAULT_TPR == 0.95
    assert metrics.threshold_at_tpr(ids) == slow
    found = metrics.detection_metrics(ids, oods)
    assert found.threshold95 == slow
    assert found.fpr95 == np.mean(oods >= slow)
    assert choose("ID", ids).value == slow
    assert metrics.threshold_at_tpr(metrics.ScoreDistribution.of(ids).expand()) == slow


def test_sides_of_samples_follow_the_same_threshold(run):
    known = run.epoch(4).scores("energy", "made/test", "projector")
    threshold = metrics.threshold_at_tpr(known)
    judged = path_loaders.judged(run, "projector", "noise/test", 0)
    assert judged.thresholds[-1, judged.detectors.index("energy")] == threshold
    history = sample_loaders.histories(run, "projector", "energy")["made/test"]
    np.testing.assert_array_equal(history.accepted[-1], known >= threshold)
    table = loaders.detection_table(run)
    rows = table[(table["epoch"] == 4) & (table["layer"] == "projector")]
    assert set(rows.loc[rows["detector"] == "energy", "threshold95"].dropna()) == {threshold}
