"""What detectors were fitted to, scores at the resolution of float32, dependence on parameters."""

from __future__ import annotations

import json

import numpy as np
import pytest
from detector_case import Case

from ncviz import detectors, metrics
from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.evaluation.detector_tables import FITTED, SENSITIVITY, fitted_table, sensitivity_table
from ncviz.evaluation.layers import Fit, Layer, score_layer
from ncviz.projector import project
from ncviz.store import columns, open_run

GROUPS = {"letters": "near", "noise": "far"}
BEYOND_ARRAYS = {name for name in detectors.names() if not detectors.info(name).scores_arrays}


def layer_of(features, labels, test, oods, head, name="encoder"):
    def seen(own, classes=None):
        return FeatureSet(own, head.logits(own).astype(np.float32), classes)

    return Layer(
        name=name,
        has_logits=True,
        without_features="",
        statistics=ClassStatistics.of(features, labels, head.classes),
        head=head,
        probe=head,
        train=seen(features, labels),
        test=seen(*test),
        ood={key: seen(own) for key, own in oods.items()},
    )


@pytest.fixture(scope="module")
def layer():
    case = Case(train=600, samples=120)
    rng = np.random.default_rng(3)
    predicted = case.ids.logits.argmax(axis=1)
    noise = np.abs(rng.normal(size=(80, case.head.dim)))
    oods = {"letters": case.oods.features, "noise": noise}
    return layer_of(
        case.train.features, case.train.labels, (case.ids.features, predicted), oods, case.head
    )


@pytest.fixture(scope="module")
def scored(layer):
    return score_layer(layer, detectors.names())


@pytest.fixture(scope="module")
def at_projector():
    """The output of a fixed simplex-ETF projector: unit vectors whose entries sum to 0."""
    rng = np.random.default_rng(0)
    classes, dim = 5, 64
    centres = 2 * np.abs(rng.normal(size=(classes, dim)))

    def draw(count, centre):
        encoder = np.maximum(centre + 0.4 * rng.normal(size=(count, dim)), 0)
        return project(encoder.astype(np.float16).astype(np.float32), dim)

    labels = np.arange(500) % classes
    test = np.arange(200) % classes
    oods = {"letters": draw(100, 1.0), "noise": draw(100, 0.3)}
    head = Head(rng.normal(size=(classes, dim)).astype(np.float32), rng.normal(size=classes))
    return layer_of(
        draw(500, centres[labels]),
        labels,
        (draw(200, centres[test]), test),
        oods,
        head,
        name="projector",
    )


# What they were fitted to


def test_every_detector_states_its_samples_and_parameters(layer, scored):
    table = fitted_table("encoder", scored.fits).set_index("detector")
    assert set(table.index) == {*detectors.names(), "energy_probe"} - BEYOND_ARRAYS
    assert not table["left_out"].any()
    samples = table["samples"]
    assert samples["msp"] == samples["energy"] == samples["ash_s"] == samples["gradnorm"] == 0
    assert samples["knn"] == samples["relation"] == samples["react"] == samples["vim"] == 600
    assert samples["mahalanobis"] == samples["neco"] == samples["dice"] == 600
    assert samples["nnguide"] == 500
    assert samples["temperature_scaling"] == 60  # one half of the ID test samples
    assert json.loads(table.loc["knn", "parameters"]) == {"k": 50}
    assert json.loads(table.loc["nnguide", "parameters"]) == {"k": 100, "share": 0.01}
    assert json.loads(table.loc["residual", "parameters"]) == {"dim": 12}
    assert json.loads(table.loc["neco", "parameters"])["dim"] == 5
    temperature = json.loads(table.loc["temperature_scaling", "parameters"])["temperature"]
    assert temperature == scored.detectors["temperature_scaling"].temperature_


def test_statistics_of_all_samples_count_where_they_alone_are_used(layer):
    part = layer._replace(train=layer.train[:200])
    fits = score_layer(part, ("mahalanobis", "she", "knn", "msp")).fits
    assert [fits[name].samples for name in ("mahalanobis", "she", "knn", "msp")] == [
        600,
        200,
        200,
        0,
    ]
    assert fits["knn"].parameters == {"k": 17}  # 200 of 600, so a third of 50


def test_an_undefined_detector_has_a_row_with_the_reason(layer):
    flat = layer.statistics
    flat = ClassStatistics(flat.counts, flat.means, flat.scatter * 0, flat.squares * 0)
    found = score_layer(layer._replace(statistics=flat), ("mahalanobis", "energy"))
    table = fitted_table("encoder", found.fits).set_index("detector")
    assert "do not vary" in table.loc["mahalanobis", "left_out"]
    assert table.loc["energy", "left_out"] == ""
    assert "mahalanobis" not in found.scores


# Scores at the resolution of float32


def test_ash_b_is_left_out_where_features_sum_to_zero(at_projector):
    assert np.abs(at_projector.test.features.sum(axis=1)).max() < 1e-5
    found = score_layer(at_projector, detectors.names())
    left_out = {name for name, fit in found.fits.items() if fit.left_out}
    assert left_out == {"ash_b"}
    assert "no more than float32 rounding" in found.fits["ash_b"].left_out
    assert "ash_b" not in found.scores
    assert "ash_b" not in found.detectors
    assert not any(name == "ash_b" for name, _, _ in found.variants)
    # What it would have shown: an AUROC of rounding errors, far from ties.
    ash_b = detectors.create("ash_b").fit(at_projector.train, at_projector.head)
    scores = ash_b.score(at_projector.test)
    assert 0 < np.ptp(scores) < 1e-6


def test_constant_scores_are_left_out(layer):
    same = np.ones((4, layer.head.dim))
    constant = layer._replace(
        test=FeatureSet(np.repeat(same, 30, axis=0), np.ones((120, 6)), np.zeros(120, int)),
        ood={"noise": FeatureSet(same, np.ones((4, 6)))},
    )
    found = score_layer(constant, ("msp", "energy", "knn"))
    assert not found.scores.keys() & {"msp", "energy", "knn"}
    assert found.fits["msp"].left_out == "All samples have the same score."


def test_probabilities_near_one_are_not_rounding_noise():
    rng = np.random.default_rng(0)
    logits = np.zeros((200, 6))
    logits[:, 0] = rng.uniform(18, 30, 200)  # 1 - p from 1e-12 to 1e-7, which float32 rounds to 0
    samples = FeatureSet(rng.normal(size=(200, 4)), logits.astype(np.float32))
    head = Head(np.zeros((6, 4)), np.zeros(6))
    for name in ("msp", "entropy", "gen", "max_logit", "energy"):
        detector = detectors.create(name).fit(samples, head)
        assert detectors.rounding_noise(detector.score, samples) < 0.01, name
    scores = detectors.create("msp").fit(samples, head).score(samples)
    assert len(np.unique(scores.astype(np.float32))) < 5


def test_neco_near_one_is_not_rounding_noise():
    rng = np.random.default_rng(0)
    centres = 5 * rng.normal(size=(10, 64))
    labels = np.arange(1000) % 10
    features = (centres[labels] + 1e-3 * rng.normal(size=(1000, 64))).astype(np.float32)
    head = Head(centres.astype(np.float32), np.zeros(10, np.float32))
    samples = FeatureSet(features, head.logits(features), labels)
    for name in ("neco", "residual", "mahalanobis", "knn"):
        detector = detectors.create(name).fit(samples, head)
        assert detectors.rounding_noise(detector.score, samples) < 0.05, name
    scores = detectors.create("neco").fit(samples, head).score(samples)
    assert scores.min() > 1 - 1e-4


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_rounding_noise_does_not_depend_on_the_scale_of_scores(layer, scale):
    energy = detectors.create("energy").fit(layer.train, layer.head)
    plain = detectors.rounding_noise(energy.score, layer.test)
    found = detectors.rounding_noise(lambda each: 7 + scale * energy.score(each), layer.test)
    assert found == pytest.approx(plain, rel=0.01)


def test_a_residual_that_is_rounding_alone_is_noise():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(16, 16)))[0][:3]
    features = (rng.normal(size=(300, 3)) @ basis).astype(np.float32)
    beyond = np.eye(16) - basis.T @ basis
    samples = FeatureSet(features, np.ones((300, 2), np.float32))
    noise = detectors.rounding_noise(
        lambda each: -np.linalg.norm(each.features @ beyond, axis=1), samples
    )
    assert noise > detectors.MAX_NOISE


def test_constant_compares_scores_with_their_own_rounding():
    assert detectors.constant(np.full(9, 0.3))
    assert detectors.constant(np.array([1.0, 1 + 1e-7]))
    assert not detectors.constant(np.array([1.0, 1 + 1e-5]))
    assert detectors.constant(np.zeros(3))


# Dependence on parameters


def test_variants_score_as_detectors_made_with_the_value(layer):
    for name in detectors.names():
        if name in BEYOND_ARRAYS or detectors.info(name).learns_held_out:
            continue
        detector = detectors.create(name).fit(layer.train, layer.head, layer.statistics)
        used, before = detector.used_parameters(), detector.score(layer.test)
        found = list(detector.variants(layer.train, layer.head, layer.statistics))
        assert bool(found) == bool(detector.sensitivity), name
        values = [(parameter, each.used_parameters()[parameter]) for parameter, each in found]
        assert len(set(values)) == len(values)
        for (parameter, value), (_, variant) in zip(values, found, strict=True):
            assert value != used[parameter]
            same = detectors.create(name, **{parameter: value})
            same.fit(layer.train, layer.head, layer.statistics)
            np.testing.assert_allclose(
                variant.score(layer.test), same.score(layer.test), rtol=1e-8, atol=1e-10
            )
        np.testing.assert_array_equal(detector.score(layer.test), before)
        assert not {"_spectrum", "_widest"} & set(vars(detector))


def test_the_table_of_sensitivity_matches_metrics_and_counted_ranks(layer, scored):
    table = sensitivity_table("encoder", scored.scores, scored.fits, scored.variants, GROUPS)
    assert list(table.columns) == list(SENSITIVITY) == list(columns.SENSITIVITY)
    assert set(table["detector"]) >= {"knn", "nnguide", "vim", "neco", "react", "ash_s", "dice"}
    assert set(table["set"]) == {"letters", "noise", ""}
    defaults = {
        name: metrics.detection_metrics(by_set["test"], by_set["letters"]).auroc
        for name, by_set in scored.scores.items()
    }
    rows = table[(table["detector"] == "knn") & (table["set"] == "letters")]
    assert rows["value"].tolist() == [1, 10, 50, 200]
    assert rows["is_default"].tolist() == [False, False, True, False]
    for row in rows.itertuples():
        knn = detectors.create("knn", k=int(row.value)).fit(layer.train, layer.head)
        found = metrics.detection_metrics(knn.score(layer.test), knn.score(layer.ood["letters"]))
        assert row.auroc == pytest.approx(found.auroc, abs=1e-6)
        assert row.fpr95 == pytest.approx(found.fpr95, abs=1e-6)
        others = [value for name, value in defaults.items() if name != "knn"]
        above = sum(value > row.auroc for value in others)
        assert row.rank == 1 + above + sum(value == row.auroc for value in others) / 2
    means = table[(table["detector"] == "knn") & (table["set"] == "")]
    every = means[means["group"] == "all"].set_index("value")["auroc"]
    by_set = table[(table["detector"] == "knn") & (table["set"] != "")]
    expected = by_set.groupby("value")["auroc"].mean()
    np.testing.assert_allclose(every, expected)


def test_without_ood_sets_there_is_nothing_to_be_sensitive(layer):
    found = score_layer(layer._replace(ood={}), ("knn", "energy"))
    table = sensitivity_table("encoder", found.scores, found.fits, found.variants, {})
    assert table.empty
    assert list(table.columns) == list(SENSITIVITY)


def test_the_fitted_table_has_the_columns_that_the_store_expects():
    table = fitted_table("encoder", {"knn": Fit(5, {"k": np.int64(3)}), "msp": Fit()})
    assert list(table.columns) == list(FITTED) == list(columns.FITTED)
    assert table["parameters"].tolist() == ['{"k": 3}', "{}"]
    assert len(fitted_table("encoder", {})) == 0


def test_evaluation_writes_both_tables(digits_checkpoints):
    run = open_run(digits_checkpoints / "digits")
    fitted, sensitivity = run.fitted(), run.sensitivity()
    assert set(fitted["epoch"]) == set(sensitivity["epoch"]) == set(run.epochs)
    epoch = run.epoch(6)
    scored = fitted[(fitted["epoch"] == 6) & (fitted["left_out"] == "")]
    detection = epoch.detection()
    assert set(zip(scored["layer"], scored["detector"], strict=True)) == set(
        zip(detection["layer"], detection["detector"], strict=True)
    )
    default = sensitivity[(sensitivity["epoch"] == 6) & sensitivity["is_default"]]
    default = default[default["set"] != ""]
    both = default.merge(detection, on=["layer", "detector", "set"], suffixes=("", "_results"))
    assert len(both) == len(default) > 0
    np.testing.assert_array_equal(both["auroc"], both["auroc_results"])
