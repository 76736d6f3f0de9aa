"""Detection metrics against scikit-learn, slow loops over thresholds, ties and exact cases."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from ncviz import metrics
from ncviz.errors import InvalidArrayError, InvalidOptionError

# Few distinct values, so that ties within and between the classes are the rule.
tied = st.lists(st.integers(-4, 4), min_size=1, max_size=30).map(lambda s: np.array(s, float))


def overlapping(ids=300, oods=170, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(1, 1, ids).round(1), rng.normal(0, 1.5, oods).round(1)


def joined(ids, oods):
    return np.r_[np.ones(len(ids)), np.zeros(len(oods))], np.r_[ids, oods]


def slow_metrics(ids, oods):
    """Each metric as its definition reads, by trying every threshold."""
    thresholds = sorted({*ids, *oods})
    pairs = [(a > b) + (a == b) / 2 for a in ids for b in oods]
    kept = [t for t in thresholds if np.mean(ids >= t) >= 0.95]
    caught = [t for t in thresholds if np.mean(oods <= t) >= 0.95]
    balanced = [(np.mean(ids >= t) + np.mean(oods < t)) / 2 for t in [*thresholds, np.inf]]
    return {
        "auroc": np.mean(pairs),
        "aupr_in": slow_average_precision(ids, oods),
        "aupr_out": slow_average_precision(-oods, -ids),
        "fpr95": np.mean(oods >= max(kept)),
        "fpr95_ood": np.mean(ids <= min(caught)),
        "detection_accuracy": max(balanced),
        "threshold95": max(kept),
    }


def slow_average_precision(positives, negatives):
    area, before = 0.0, 0.0
    for t in sorted({*positives, *negatives}, reverse=True):
        found, wrong = np.sum(positives >= t), np.sum(negatives >= t)
        recall = found / len(positives)
        area += (recall - before) * found / (found + wrong)
        before = recall
    return area


@given(ids=tied, oods=tied)
@settings(max_examples=150, deadline=None)
def test_metrics_match_their_definitions(ids, oods):
    assert metrics.detection_metrics(ids, oods).to_dict() == pytest.approx(
        slow_metrics(ids, oods), abs=1e-12
    )


@pytest.mark.parametrize("seed", range(3))
def test_metrics_match_scikit_learn(seed):
    ids, oods = overlapping(seed=seed)
    truth, scores = joined(ids, oods)
    found = metrics.detection_metrics(ids, oods)
    assert found.auroc == pytest.approx(sklearn_metrics.roc_auc_score(truth, scores), abs=1e-12)
    assert found.aupr_in == pytest.approx(
        sklearn_metrics.average_precision_score(truth, scores), abs=1e-12
    )
    assert found.aupr_out == pytest.approx(
        sklearn_metrics.average_precision_score(1 - truth, -scores), abs=1e-12
    )
    for name, labels, values in [("fpr95", truth, scores), ("fpr95_ood", 1 - truth, -scores)]:
        fpr, tpr, _ = sklearn_metrics.roc_curve(labels, values, drop_intermediate=False)
        assert getattr(found, name) == pytest.approx(fpr[np.argmax(tpr >= 0.95)]), name


def test_curves_match_scikit_learn():
    ids, oods = overlapping()
    truth, scores = joined(ids, oods)
    roc = metrics.roc_curve(ids, oods)
    fpr, tpr, thresholds = sklearn_metrics.roc_curve(truth, scores, drop_intermediate=False)
    np.testing.assert_allclose(roc.x, fpr)
    np.testing.assert_allclose(roc.y, tpr)
    np.testing.assert_array_equal(roc.thresholds, thresholds)
    for positive, labels, values in [("id", truth, scores), ("ood", 1 - truth, -scores)]:
        curve = metrics.precision_recall_curve(ids, oods, positive=positive)
        precision, recall, _ = sklearn_metrics.precision_recall_curve(labels, values)
        # scikit-learn stops at the first threshold of full recall.
        np.testing.assert_allclose(curve.x[: len(recall)], recall[::-1])
        np.testing.assert_allclose(curve.y[: len(recall)], precision[::-1])


@pytest.mark.parametrize("positive", ["id", "ood"])
def test_every_point_of_a_curve_is_the_operating_point_of_its_threshold(positive):
    ids, oods = overlapping(40, 30)
    curve = metrics.precision_recall_curve(ids, oods, positive=positive)
    assert len(curve.x) == len(curve.y) == len(curve.thresholds)
    for recall, precision, threshold in zip(curve.x, curve.y, curve.thresholds, strict=True):
        point = metrics.operating_point(ids, oods, threshold)
        if positive == "id":
            assert recall == point.tpr
            assert precision == (1.0 if point.precision is None else point.precision)
            continue
        rejected = point.ood_rejected + point.id_rejected
        assert recall == pytest.approx(1 - point.fpr)
        assert precision == pytest.approx(point.ood_rejected / rejected if rejected else 1.0)


@given(ids=tied, oods=tied)
@settings(max_examples=60, deadline=None)
def test_turning_scores_round_turns_the_metrics_round(ids, oods):
    found, negated = metrics.detection_metrics(ids, oods), metrics.detection_metrics(-ids, -oods)
    assert negated.auroc == pytest.approx(1 - found.auroc, abs=1e-12)
    swapped = metrics.detection_metrics(-oods, -ids)
    assert swapped.auroc == pytest.approx(found.auroc, abs=1e-12)
    assert swapped.aupr_in == pytest.approx(found.aupr_out, abs=1e-12)
    assert swapped.fpr95 == found.fpr95_ood
    assert swapped.detection_accuracy == pytest.approx(found.detection_accuracy)


@given(ids=tied, oods=tied)
@settings(max_examples=60, deadline=None)
def test_only_the_order_of_scores_matters(ids, oods):
    before = metrics.detection_metrics(ids, oods).to_dict()
    after = metrics.detection_metrics(np.exp(ids) - 3, np.exp(oods) - 3).to_dict()
    assert after.pop("threshold95") == np.exp(before.pop("threshold95")) - 3
    assert after == before


def test_perfect_worst_and_constant_scores():
    low, high = np.arange(20.0), np.arange(20.0) + 100
    perfect, worst = metrics.detection_metrics(high, low), metrics.detection_metrics(low, high)
    flat = metrics.detection_metrics(np.zeros(30), np.zeros(10))
    assert perfect.to_dict() == {
        "auroc": 1.0,
        "aupr_in": 1.0,
        "aupr_out": 1.0,
        "fpr95": 0.0,
        "fpr95_ood": 0.0,
        "detection_accuracy": 1.0,
        "threshold95": 101.0,
    }
    assert (worst.auroc, worst.fpr95, worst.fpr95_ood) == (0.0, 1.0, 1.0)
    assert worst.detection_accuracy == 0.5
    assert (flat.auroc, flat.aupr_in, flat.aupr_out) == (0.5, 0.75, 0.25)
    assert (flat.fpr95, flat.fpr95_ood, flat.detection_accuracy) == (1.0, 1.0, 0.5)
    assert worst.ranks_wrong_way
    assert not perfect.ranks_wrong_way
    assert not flat.ranks_wrong_way


def test_the_two_conventions_of_fpr95_differ():
    ids, oods = overlapping()
    found = metrics.detection_metrics(ids, oods)
    assert abs(found.fpr95 - found.fpr95_ood) > 0.01


def test_scores_of_any_real_type_are_taken():
    ids, oods = np.array([3, 2, 2]), np.array([2, 0])
    expected = metrics.detection_metrics(ids.astype(float), oods.astype(float))
    assert metrics.detection_metrics(ids, oods) == expected
    assert metrics.detection_metrics(ids.astype(np.float16), oods.astype(np.float32)) == expected


@given(ids=tied, percent=st.integers(1, 100))
@settings(max_examples=80, deadline=None)
def test_threshold_is_the_highest_that_keeps_enough(ids, percent):
    threshold = metrics.threshold_at_tpr(ids, percent / 100)
    assert 100 * np.sum(ids >= threshold) >= percent * len(ids)
    above = ids[ids > threshold]
    assert not len(above) or 100 * len(above) < percent * len(ids)


def test_threshold_keeps_19_of_20():
    assert metrics.threshold_at_tpr(np.arange(20.0)) == 1.0
    for samples in (20, 40, 60, 100, 1000):
        kept = np.arange(float(samples)) >= metrics.threshold_at_tpr(np.arange(float(samples)))
        assert kept.sum() == samples * 19 // 20


@pytest.mark.parametrize("share", [0.0, 1.01, np.nan])
def test_an_impossible_share_is_refused(share):
    with pytest.raises(InvalidOptionError, match=r"\(0, 1\]"):
        metrics.threshold_at_tpr(np.ones(3), share)


def test_operating_point_counts_what_lies_on_either_side():
    ids, oods = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 2.0])
    point = metrics.operating_point(ids, oods, 2.0)
    assert point.to_dict() == {
        "threshold": 2.0,
        "id_accepted": 3,
        "id_rejected": 1,
        "ood_accepted": 1,
        "ood_rejected": 1,
        "tpr": 0.75,
        "fpr": 0.5,
        "precision": 0.75,
        "accuracy": pytest.approx(4 / 6),
        "balanced_accuracy": 0.625,
    }
    assert metrics.operating_point(ids, oods, np.inf).precision is None
    with pytest.raises(InvalidOptionError, match="NaN"):
        metrics.operating_point(ids, oods, np.nan)


def test_thin_keeps_ends_and_shape():
    ids, oods = (np.random.default_rng(seed).normal(1 - seed, 1, 4000) for seed in (0, 1))
    whole = metrics.roc_curve(ids, oods)
    drawn = metrics.thin(whole, points=200)
    assert len(drawn.x) <= 200 < len(whole.x)
    for part in ("x", "y", "thresholds"):
        assert getattr(drawn, part)[0] == getattr(whole, part)[0]
        assert getattr(drawn, part)[-1] == getattr(whole, part)[-1]
    gap = np.abs(np.interp(whole.x, drawn.x, drawn.y) - whole.y)
    assert gap.max() < 2 * 2 / 200
    assert np.trapezoid(drawn.y, drawn.x) == pytest.approx(np.trapezoid(whole.y, whole.x), abs=1e-3)


def test_thin_leaves_a_short_curve_alone():
    curve = metrics.roc_curve(np.array([1.0, 2.0]), np.array([0.0]))
    assert metrics.thin(curve, points=10) is curve
    with pytest.raises(InvalidOptionError, match="at least 2"):
        metrics.thin(curve, points=1)


@pytest.mark.parametrize(
    "compute", [metrics.detection_metrics, metrics.roc_curve, metrics.precision_recall_curve]
)
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.empty(0), "at least 1"),
        (np.ones((2, 2)), r"\(2, 2\)"),
        (np.array([1.0, np.nan]), "NaN"),
        (np.array([1.0, -np.inf]), "infinite"),
    ],
)
def test_unusable_scores_are_refused_and_named(compute, bad, message):
    with pytest.raises(InvalidArrayError, match=f"ID scores.*{message}"):
        compute(bad, np.ones(3))
    with pytest.raises(InvalidArrayError, match=f"OOD scores.*{message}"):
        compute(np.ones(3), bad)


def test_an_unknown_positive_class_is_refused():
    with pytest.raises(InvalidOptionError, match="'id' or 'ood'"):
        metrics.precision_recall_curve(np.ones(2), np.ones(2), positive="in")


def test_definitions_cover_every_metric_and_nothing_else():
    names = {field.name for field in fields(metrics.DetectionMetrics)}
    assert names | set(metrics.RISK_DEFINITIONS) == set(metrics.DEFINITIONS)
    perfect = metrics.detection_metrics(np.ones(3), np.zeros(3)).to_dict()
    perfect |= metrics.ood_risks(np.ones(3), np.zeros(3))
    for name, info in metrics.DEFINITIONS.items():
        assert info.name == name
        assert info.group == "detection"
        assert all((info.label, info.definition, info.formula, info.source, info.caveat)), name
        assert info.limit in (None, perfect[name])
