"""Detectors compared with the best: slow definition, oracles, exact cases, error rate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from test_comparison import slow_placements

from ncviz import metrics
from ncviz.errors import InvalidArrayError
from ncviz.evaluation.comparisons import comparisons_table
from ncviz.metrics import AurocComponents, compare_with_best, holm


def draw(rng, detectors=4, ids=60, oods=(30, 45), levels=8):
    """Tied scores of detectors on ID samples and on OOD sets, all correlated."""
    shared = rng.integers(levels, size=ids), [rng.integers(levels, size=size) for size in oods]
    own = [rng.integers(-3, 4, size=(detectors, ids))]
    own += [rng.integers(-3, 4, size=(detectors, size)) for size in oods]
    parts = [part + noise for part, noise in zip([shared[0] + 2, *shared[1]], own, strict=True)]
    return parts[0].astype(float), [part.astype(float) for part in parts[1:]]


def compare(ids, oods):
    return compare_with_best([AurocComponents.of(ids, each) for each in oods])


def slow_comparison(ids, oods):
    """Mean AUROCs, and the variance of each difference from the best, sample by sample."""
    detectors, sets = len(ids), len(oods)
    id_parts = np.zeros((sets, detectors, ids.shape[1]))
    ood_parts = [np.zeros(each.shape) for each in oods]
    for s, each in enumerate(oods):
        for k in range(detectors):
            id_parts[s, k], ood_parts[s][k] = slow_placements(ids[k], each[k])
    auroc = [np.mean([id_parts[s, k].mean() for s in range(sets)]) for k in range(detectors)]
    best = int(np.argmax(auroc))
    variances = []
    for k in range(detectors):
        of_ids = [
            sum(id_parts[s, k, i] - id_parts[s, best, i] for s in range(sets)) / sets
            for i in range(ids.shape[1])
        ]
        total = np.var(of_ids, ddof=1) / len(of_ids)
        for part in ood_parts:
            gap = part[k] - part[best]
            total += np.var(gap, ddof=1) / len(gap) / sets**2
        variances.append(total)
    return np.array(auroc), best, np.array(variances)


@given(seed=st.integers(0, 10**6), detectors=st.integers(1, 5), sets=st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_comparison_matches_the_slow_definition(seed, detectors, sets):
    rng = np.random.default_rng(seed)
    ids, oods = draw(rng, detectors, 14, [7, 9, 12][:sets])
    auroc, best, variance = slow_comparison(ids, oods)
    found = compare(ids, oods)
    np.testing.assert_allclose(found.auroc, auroc, atol=1e-12)
    assert found.auroc[found.best] == pytest.approx(auroc[best], abs=1e-12)
    others = np.arange(detectors) != found.best
    sure = others & (variance > 1e-12)
    difference = auroc - auroc[best]
    expected = 2 * norm.cdf(-np.abs(difference[sure]) / np.sqrt(variance[sure]))
    np.testing.assert_allclose(found.p_value[sure], expected, rtol=1e-6)
    np.testing.assert_allclose(found.p_corrected[others], holm(found.p_value[others]))
    assert found.tied[found.best]
    reach = norm.ppf(0.975) * np.sqrt(variance[sure])
    np.testing.assert_allclose(found.low[sure], np.maximum(difference[sure] - reach, -1), atol=1e-9)
    np.testing.assert_allclose(found.high[sure], np.minimum(difference[sure] + reach, 1), atol=1e-9)


def test_comparison_on_one_set_is_delongs_paired_test():
    ids, oods = draw(np.random.default_rng(1), detectors=6)
    found = compare(ids, oods[:1])
    for k in range(6):
        test = metrics.delong(ids[k], oods[0][k], ids[found.best], oods[0][found.best])
        assert found.difference[k] == pytest.approx(test.difference)
        assert found.p_value[k] == pytest.approx(test.p_value)


def test_variance_of_a_mean_matches_resampled_shared_id_samples():
    rng = np.random.default_rng(2)
    ids, oods = draw(rng, detectors=2, ids=120, oods=(40, 60, 80), levels=40)
    found = compare(ids, oods)
    other = 1 - found.best
    differences = []
    for _ in range(1500):
        rows = rng.integers(120, size=120)
        again = [each[:, rng.integers(each.shape[1], size=each.shape[1])] for each in oods]
        auroc = compare(ids[:, rows], again).auroc
        differences.append(auroc[other] - auroc[found.best])
    deviation = (found.high[other] - found.low[other]) / (2 * norm.ppf(0.975))
    assert np.std(differences) == pytest.approx(deviation, rel=0.08)
    # Sets treated as if each had ID samples of its own would give a smaller variance.
    apart = [compare(ids, [each]) for each in oods]
    reaches = [(each.high[other] - each.low[other]) / 2 for each in apart]
    independent = np.sqrt(np.square(reaches).sum()) / 3
    assert independent < 0.9 * (found.high[other] - found.low[other]) / 2


def test_equal_detectors_are_tied_and_perfect_ones_certain():
    ids, oods = np.array([[3.0, 4.0, 5.0]] * 3), np.array([[0.0, 1.0, 2.0]] * 3)
    oods[2] = [6.0, 7.0, 8.0]
    found = compare(ids, [oods])
    assert found.auroc.tolist() == [1.0, 1.0, 0.0]
    assert found.tied.tolist() == [True, True, False]
    assert found.p_corrected.tolist() == [1.0, 1.0, 0.0]
    assert (found.difference <= 0).all()


def test_a_single_detector_is_the_best():
    ids, oods = draw(np.random.default_rng(3), detectors=1)
    found = compare(ids, oods)
    assert found.tied.tolist() == [True]
    assert found.p_corrected.tolist() == [1.0]


@pytest.mark.parametrize(("ids", "oods", "sets"), [(400, 30, 1), (400, 60, 3)])
def test_an_equally_good_detector_is_rarely_marked_as_different(ids, oods, sets):
    """Ten detectors with equal true AUROC: each stays in the group in at least 95% of draws."""
    rng = np.random.default_rng(4)
    excluded = []
    for _ in range(150):
        parts = [1.8 + rng.normal(size=(1, ids)) + rng.normal(size=(10, ids))]
        parts += [rng.normal(size=(1, oods)) + rng.normal(size=(10, oods)) for _ in range(sets)]
        excluded.append(~compare(parts[0], parts[1:]).tied)
    # The standard error of the share is below 0.01, draws being correlated.
    assert np.mean(excluded) < 0.05
    assert np.mean(excluded) > 0  # the test does find differences by chance


def test_a_worse_detector_is_marked_as_different():
    rng = np.random.default_rng(5)
    ids, oods = 2 + rng.normal(size=(3, 800)), rng.normal(size=(3, 500))
    ids[0], oods[0] = ids[2] + 0.01, oods[2]  # the same ranking but for a shift of 0.01
    ids[1] -= 2  # at chance
    assert compare(ids, [oods]).tied.tolist() == [True, False, False]
    ids[0] = ids[2]
    assert compare(ids, [oods]).tied.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("ids", "oods", "message"),
    [
        (np.zeros(4), np.zeros((1, 4)), "expected"),
        (np.zeros((2, 4)), np.zeros((1, 4)), "expected"),
        (np.zeros((0, 4)), np.zeros((0, 4)), "at least one detector"),
        (np.zeros((2, 1)), np.zeros((2, 4)), "two samples of each kind"),
        (np.full((2, 3), np.nan), np.zeros((2, 4)), "NaN"),
    ],
)
def test_components_reject_what_is_not_scores(ids, oods, message):
    with pytest.raises(InvalidArrayError, match=message):
        AurocComponents.of(ids, oods)


def test_means_reject_sets_of_other_samples():
    rng = np.random.default_rng(6)
    one, two = (AurocComponents.of(*draw(rng, 2, size, (9,))[:1], np.eye(2, 9)) for size in (8, 9))
    for sets in ([], [one, two]):
        with pytest.raises(InvalidArrayError, match="at least one set"):
            compare_with_best(sets)


# The table


def scores_of(rng, **sets):
    ids, oods = draw(rng, 3, 50, list(sets.values()))
    return {
        name: {"test": ids[k]} | {each: part[k] for each, part in zip(sets, oods, strict=True)}
        for k, name in enumerate(("knn", "msp", "vim"))
    }


GROUPS = {"letters": "near", "birds": "near", "noise": "far"}


def test_the_table_has_every_set_and_every_mean():
    scores = scores_of(np.random.default_rng(7), letters=20, birds=30, noise=25)
    table = comparisons_table("encoder", scores, GROUPS)
    places = table.groupby(["set", "group"], sort=False).size()
    assert places.to_dict() == {
        **dict.fromkeys(GROUPS.items(), 3),
        **{("", group): 3 for group in ("near", "far", "all")},
    }
    assert set(table["layer"]) == {"encoder"}
    assert set(table["metric"]) == {"auroc"}
    mean = table[(table["set"] == "") & (table["group"] == "near")].set_index("detector")
    best = mean["best"].iloc[0]
    aurocs = {
        name: np.mean(
            [
                metrics.detection_metrics(by_set["test"], by_set[s]).auroc
                for s in ("letters", "birds")
            ]
        )
        for name, by_set in scores.items()
    }
    assert aurocs[best] == max(aurocs.values())
    for name, value in aurocs.items():
        assert mean.loc[name, "difference"] == pytest.approx(value - aurocs[best], abs=1e-12)


def test_the_table_leaves_out_what_was_not_scored():
    scores = scores_of(np.random.default_rng(8), letters=20, birds=30, noise=1)
    del scores["msp"]["birds"]
    scores["vim"]["letters"] = scores["vim"]["letters"][:-1]  # not the same samples
    table = comparisons_table("encoder", scores, {**GROUPS, "planned": "far"})
    places = table.groupby(["set", "group"])["detector"].agg(list).to_dict()
    assert places == {
        ("letters", "near"): ["knn", "msp"],
        ("birds", "near"): ["knn", "vim"],
        ("", "near"): ["knn"],
    }
    assert comparisons_table("encoder", {}, GROUPS).empty
