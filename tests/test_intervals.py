"""Intervals of detection metrics: coverage by simulation, exact cases, slow twins, combinations."""

import numpy as np
import pytest
from scipy.stats import norm as gaussian

from benchmarks import coverage
from ncviz import metrics
from ncviz.errors import InvalidArrayError, InvalidOptionError

# Nominal coverage of an interval of 95%. The draws are seeded, so the bounds apply as they are.
LOW, HIGH = 0.93, 0.97
# With 30 OOD samples and an AUROC of 0.99 most draws leave one or no sample out of order. Intervals
# that are never short contain the true value more often there.
CONSERVATIVE = 0.997


def scores(ids=500, oods=400, seed=0, shift=1.0):
    rng = np.random.default_rng(seed)
    return rng.normal(shift, 1, ids), rng.normal(0, 1, oods)


def check(cells, low=LOW, high=HIGH):
    """Every metric has an interval in every draw, and its coverage is within [low, high]."""
    for cell in cells:
        assert cell.given == cell.repeats, cell
        assert low <= cell.coverage <= high, cell


@pytest.mark.parametrize(
    ("name", "auroc", "repeats", "measured"),
    [
        ("normal", 0.7, 1200, metrics.INTERVAL_METRICS),
        ("wide", 0.99, 3000, ("auroc", "fpr95")),
    ],
)
def test_coverage_of_one_set_is_nominal_at_1500_and_300_samples(name, auroc, repeats, measured):
    check(coverage.one_set(name, 1500, 300, auroc, repeats, measured=measured))


@pytest.mark.parametrize(
    ("auroc", "measured", "high"),
    [
        (0.7, ("auroc", "fpr95"), 0.99),
        (0.99, ("auroc",), CONSERVATIVE),
        (0.99, ("fpr95",), 0.99),
    ],
)
def test_coverage_of_one_set_is_never_short_at_30_samples(auroc, measured, high):
    check(coverage.one_set("normal", 400, 30, auroc, 2000, measured=measured), high=high)


@pytest.mark.parametrize(
    ("compute", "auroc"), [(coverage.mean_of_sets, 0.99), (coverage.difference, 0.7)]
)
def test_coverage_of_means_and_differences_is_nominal(compute, auroc):
    found = compute("normal", 1500, 300, auroc, 300)
    check(cell for cell in found if cell.metric == "auroc")


def zero_width(ids, oods):
    value = metrics.detection_metrics(ids, oods).auroc
    return metrics.CorrelatedEstimate(value, value, value, {})


def delong_alone(ids, oods):
    """DeLong's variance without the logit and without a lower bound."""
    value = metrics.detection_metrics(ids, oods).auroc
    reach = gaussian.ppf(0.975) * np.sqrt(metrics.auroc_variance(ids, oods))
    return metrics.CorrelatedEstimate(value, value - reach, value + reach, {})


@pytest.mark.parametrize(("faulty", "most"), [(zero_width, 0.05), (delong_alone, 0.85)])
def test_coverage_check_fails_for_short_intervals(monkeypatch, faulty, most):
    def estimates(ids, oods, *, metrics):
        return {name: faulty(ids, oods) for name in metrics}

    monkeypatch.setattr(metrics, "detection_estimates", estimates)
    found = coverage.one_set("normal", 400, 30, 0.99, 300, measured=("auroc",))
    assert found[0].coverage < most
    with pytest.raises(AssertionError):
        check(found)


@pytest.mark.parametrize("size", [(2, 2), (30, 20), (400, 30), (3000, 3000)])
@pytest.mark.parametrize("kind", ["perfect", "worst", "constant", "binary"])
def test_no_interval_has_zero_width(size, kind):
    ids, oods = np.zeros(size[0]), np.zeros(size[1])
    if kind != "constant":
        ids += {"perfect": 1, "worst": -1, "binary": 1}[kind]
    if kind == "binary":
        oods[::2] = 1
    found = metrics.detection_intervals(ids, oods)
    values = metrics.detection_metrics(ids, oods)
    assert "auroc" in found
    for name, interval in found.items():
        assert 0 <= interval.low <= getattr(values, name) <= interval.high <= 1
        assert interval.high - interval.low > 1e-4, name


@pytest.mark.parametrize("count", [10, 30, 100])
def test_a_perfect_auroc_has_a_lower_end_between_exact_bounds(count):
    """Perfect order of n disjoint pairs bounds the AUROC from below: (tail probability)^(1 / n).

    The end is never above the bound at 95%, and not below that at 99.9%.
    """
    ids, oods = np.arange(400.0) + 100, np.arange(float(count))
    found = metrics.detection_intervals(ids, oods)["auroc"]
    assert found.high == 1.0
    assert 0.0005 ** (1 / count) < found.low < 0.025 ** (1 / count)


def test_auroc_interval_approaches_delong_with_many_samples():
    ids, oods = scores(20_000, 20_000)
    found = metrics.detection_intervals(ids, oods)["auroc"]
    reach = gaussian.ppf(0.975) * np.sqrt(metrics.auroc_variance(ids, oods))
    assert found.high - found.low == pytest.approx(2 * reach, rel=0.002)


def test_small_sets_have_no_interval_of_aupr_and_of_fpr95_with_their_threshold():
    ids, oods = scores(400, 30)
    assert set(metrics.detection_intervals(ids, oods)) == {"auroc", "fpr95"}
    ids, oods = scores(30, 400)
    assert set(metrics.detection_intervals(ids, oods)) == {"auroc", "fpr95_ood"}
    # 0.95^71 is above 0.025: the smallest of 71 scores may be above the 5% quantile.
    assert "fpr95" not in metrics.detection_intervals(*scores(71, 400))
    assert "fpr95" in metrics.detection_intervals(*scores(72, 400))


def test_detection_accuracy_has_no_interval_because_it_is_biased():
    """At chance the true value is 0.5, below the maximum over thresholds in every draw."""
    assert "detection_accuracy" not in metrics.detection_intervals(*scores(5000, 5000))
    drawn = [
        metrics.detection_metrics(*scores(400, 300, seed, shift=0)).detection_accuracy
        for seed in range(200)
    ]
    assert np.percentile(drawn, 2.5) > 0.5


def test_intervals_contain_the_metrics_and_swap_with_the_classes():
    ids, oods = scores(600, 400)
    values = metrics.detection_metrics(ids, oods)
    found = metrics.detection_intervals(ids, oods)
    swapped = metrics.detection_intervals(-oods, -ids)
    assert set(found) == set(metrics.INTERVAL_METRICS)
    for name, interval in found.items():
        assert interval.low < getattr(values, name) < interval.high
    pairs = {"auroc": "auroc", "aupr_in": "aupr_out", "fpr95": "fpr95_ood"}
    for one, other in (pairs | {v: k for k, v in pairs.items()}).items():
        assert (found[one].low, found[one].high) == pytest.approx(
            (swapped[other].low, swapped[other].high)
        )


def test_a_higher_level_gives_wider_intervals():
    ids, oods = scores()
    narrow, wide = (metrics.detection_intervals(ids, oods, level) for level in (0.5, 0.99))
    for name in wide:
        assert wide[name].low < narrow[name].low < narrow[name].high < wide[name].high


def test_estimates_have_the_values_of_the_metrics():
    rng = np.random.default_rng(0)
    for decimals in (0, 1, 8):
        ids, oods = rng.normal(1, 1, 300).round(decimals), rng.normal(0, 1, 250).round(decimals)
        values = metrics.detection_metrics(ids, oods)
        for name, found in metrics.detection_estimates(ids, oods).items():
            assert found.value == pytest.approx(getattr(values, name), abs=1e-12)


@pytest.mark.parametrize("name", ["auroc", "aupr_in", "aupr_out"])
def test_influences_are_derivatives_with_respect_to_the_weight_of_a_sample(name):
    """A sample counted once more moves the metric by its centred influence over N."""
    ids, oods = scores(300, 250)
    found = metrics.detection_estimates(ids, oods)[name]
    copies = 20  # of all samples, so that one more is a small step

    def value(more_ids=(), more_oods=()):
        many = np.r_[np.tile(ids, copies), more_ids], np.r_[np.tile(oods, copies), more_oods]
        return metrics.detection_estimates(*many)[name].value

    # AUPR depends on the ratio of the sizes as well: add a sample and remove an average one.
    for key, samples, add in (("id", ids, "more_ids"), ("ood", oods, "more_oods")):
        influence = found.influences[key]
        at = [0, 7, 50]
        moved = np.array([value(**{add: samples[[one]]}) for one in at])
        expected = influence[at] / (copies * len(samples))
        assert np.diff(moved) == pytest.approx(np.diff(expected), rel=0.05, abs=1e-7)


def test_variance_is_that_over_draws():
    drawn = {name: ([], []) for name in metrics.INTERVAL_METRICS}
    for seed in range(300):
        for name, found in metrics.detection_estimates(*scores(800, 500, seed)).items():
            drawn[name][0].append(found.value)
            drawn[name][1].append(found.variance)
    for name, (values, variances) in drawn.items():
        assert np.mean(variances) == pytest.approx(np.var(values), rel=0.3), name


def test_mean_of_one_set_is_that_set_and_of_independent_sets_shrinks():
    ids, oods = scores()
    one = metrics.detection_estimates(ids, oods)["auroc"]
    assert metrics.mean_estimate([one]) == one
    apart = [
        metrics.detection_estimates(*scores(seed=seed))["auroc"].renamed(
            {"id": f"id {seed}", "ood": f"ood {seed}"}
        )
        for seed in range(4)
    ]
    mean = metrics.mean_estimate(apart)
    width = np.mean([each.high - each.low for each in apart])
    assert mean.high - mean.low == pytest.approx(width / 2, rel=0.05)
    assert mean.value == pytest.approx(np.mean([each.value for each in apart]))


def test_mean_of_the_same_set_twice_has_the_interval_of_that_set():
    one = metrics.detection_estimates(*scores())["fpr95"]
    mean = metrics.mean_estimate([one, one])
    assert (mean.low, mean.high) == pytest.approx((one.low, one.high))


def test_mean_respects_the_shared_id_samples():
    """With few ID samples the sets move together; with many each moves on its own."""
    rng = np.random.default_rng(0)

    def shrinkage(ids, oods):
        known = rng.normal(1, 1, ids)
        sets = [
            metrics.detection_estimates(known, rng.normal(0, 1, oods), ood_name=name)["auroc"]
            for name in "abcd"
        ]
        mean = metrics.mean_estimate(sets)
        return (mean.high - mean.low) / np.mean([each.high - each.low for each in sets])

    assert shrinkage(100, 5000) > 0.9
    assert shrinkage(20_000, 100) == pytest.approx(0.5, abs=0.05)


def test_mean_without_an_interval_has_none():
    one, other = (
        metrics.detection_estimates(*scores(400, m), ood_name=str(m))["aupr_in"] for m in (30, 300)
    )
    mean = metrics.mean_estimate([one, other])
    assert mean.value == (one.value + other.value) / 2
    assert not mean.interval.exists


def test_mean_of_perfectly_separated_sets_has_a_width():
    ids = np.arange(100.0) + 50
    sets = [
        metrics.detection_estimates(ids, np.arange(40.0), ood_name=name)["auroc"] for name in "ab"
    ]
    mean = metrics.mean_estimate(sets)
    assert mean.low < 0.99
    assert mean.low == pytest.approx(sets[0].low)  # unknown correlation: no shrinkage


def test_difference_of_a_score_with_itself_is_zero_and_of_other_samples_is_not():
    one = metrics.detection_estimates(*scores())["auroc"]
    same = metrics.difference_estimate(one, one)
    assert (same.value, same.low, same.high) == pytest.approx((0, 0, 0), abs=0.01)
    apart = metrics.difference_estimate(one, one.renamed({"id": "other", "ood": "others"}))
    assert apart.high - apart.low > 1.3 * (one.high - one.low)


def test_difference_of_two_perfect_scores_has_a_width():
    ids, oods = np.arange(60.0) + 100, np.arange(40.0)
    rng = np.random.default_rng(0)
    test = metrics.delong(ids, oods, rng.permutation(ids), rng.permutation(oods))
    assert test.p_value == 1
    assert test.low < -0.01 < 0.01 < test.high


def test_differences_need_the_same_samples_or_other_names():
    one, other = (metrics.detection_estimates(*scores(oods=m))["auroc"] for m in (40, 50))
    with pytest.raises(InvalidArrayError, match=r"share the samples 'ood'.*40 and 50"):
        metrics.difference_estimate(one, other)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.empty(0), "at least 1"),
        (np.ones((2, 2)), r"\(2, 2\)"),
        (np.array([1.0, np.nan]), "NaN"),
    ],
)
def test_unusable_scores_are_refused_and_named(bad, message):
    with pytest.raises(InvalidArrayError, match=f"ID scores.*{message}"):
        metrics.detection_intervals(bad, np.ones(3))
    with pytest.raises(InvalidArrayError, match=f"OOD scores.*{message}"):
        metrics.detection_intervals(np.ones(3), bad)


def test_impossible_options_are_refused():
    for level in (0.0, 1.0, 95):
        with pytest.raises(InvalidOptionError, match="between 0 and 1"):
            metrics.detection_intervals(np.ones(3), np.ones(3), level)
    with pytest.raises(InvalidOptionError, match="at least one set"):
        metrics.mean_estimate([])


def test_notes_name_small_samples_and_extreme_values():
    assert metrics.reliability_note(0.5, 100, 100) == ""
    assert "small sample: 99" in metrics.reliability_note(0.5, 99, 1000)
    assert "extreme value" in metrics.reliability_note(0.99, 1000, 499)
    assert "extreme value" in metrics.reliability_note(0.001, 1000, 499)
    assert metrics.reliability_note(0.99, 1000, 500) == ""
