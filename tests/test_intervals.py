"""Bootstrap intervals: each resample against `detection_metrics`, coverage, and exact cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from ncviz import metrics
from ncviz.errors import InvalidArrayError, InvalidOptionError, UnknownNameError
from ncviz.metrics.weighted import Contest, Groups

tied = st.lists(st.integers(-3, 3), min_size=1, max_size=25).map(lambda s: np.array(s, float))


def made(ids=120, oods=70, seed=0, decimals=1):
    rng = np.random.default_rng(seed)
    return rng.normal(1, 1, ids).round(decimals), rng.normal(0, 1.5, oods).round(decimals)


def drawn(seed, key, samples, resamples):
    """The indices that the documented stream of a set draws, one resample after another."""
    stream = np.random.default_rng([seed, *key])
    return [stream.integers(samples, size=samples) for _ in range(resamples)]


def assert_same(values, expected):
    """`values` of each metric against the metrics of each resample."""
    assert set(values) == set(metrics.INTERVAL_METRICS)
    for name in metrics.INTERVAL_METRICS:
        wanted = [getattr(each, name) for each in expected]
        np.testing.assert_allclose(values[name], wanted, rtol=0, atol=1e-12, err_msg=name)


@given(ids=tied, oods=tied, seed=st.integers(0, 1000))
@settings(max_examples=150, deadline=None)
def test_weights_of_a_resample_give_the_metrics_of_the_samples_drawn(ids, oods, seed):
    rng = np.random.default_rng(seed)
    of_ids = rng.integers(len(ids), size=(4, len(ids)))
    of_oods = rng.integers(len(oods), size=(4, len(oods)))
    id_groups, ood_groups = Groups.of(ids), Groups.of(oods)
    found = Contest.of(id_groups, ood_groups).metrics(
        id_groups.weigh(of_ids), ood_groups.weigh(of_oods)
    )
    pairs = zip(ids[of_ids], oods[of_oods], strict=True)
    assert_same(found, [metrics.detection_metrics(*pair) for pair in pairs])


# Two decimals: some ties; one: many; 16: none.
@pytest.mark.parametrize("decimals", [1, 2, 16])
@pytest.mark.parametrize("sizes", [(120, 70), (20, 400), (1, 5), (5, 1), (1, 1)])
def test_values_are_the_metrics_of_the_documented_draws(sizes, decimals):
    ids, oods = made(*sizes, decimals=decimals)
    found = metrics.bootstrap(ids, {"näh": oods}, resamples=30, seed=7).values["näh"]
    of_ids = drawn(7, [0], len(ids), 30)
    of_oods = drawn(7, [1, *"näh".encode()], len(oods), 30)
    pairs = zip(of_ids, of_oods, strict=True)
    assert_same(found, [metrics.detection_metrics(ids[i], oods[o]) for i, o in pairs])


def test_many_blocks_draw_as_one_does():
    ids, oods = made(30_000, 4_000, decimals=3)  # eight resamples a block
    found = metrics.bootstrap(ids, {"far": oods}, resamples=20, seed=1).values["far"]
    of_ids = drawn(1, [0], len(ids), 20)
    of_oods = drawn(1, [1, *b"far"], len(oods), 20)
    pairs = zip(of_ids, of_oods, strict=True)
    assert_same(found, [metrics.detection_metrics(ids[i], oods[o]) for i, o in pairs])


def test_weights_of_every_sample_once_give_the_metrics_of_the_set():
    ids, oods = made()
    id_groups, ood_groups = Groups.of(ids), Groups.of(oods)
    found = Contest.of(id_groups, ood_groups).metrics(
        id_groups.weigh(np.arange(len(ids))[None]), ood_groups.weigh(np.arange(len(oods))[None])
    )
    assert_same(found, [metrics.detection_metrics(ids, oods)])


def test_the_interval_is_made_of_percentiles_of_the_values():
    ids, oods = made()
    result = metrics.bootstrap(ids, {"a": oods})
    values = np.sort(result.values["a"]["auroc"])
    assert len(values) == 200
    for level in (0.5, 0.95):
        interval = result.interval("a", "auroc", level)
        low, high = np.percentile(values, [50 - 50 * level, 50 + 50 * level])
        assert (interval.low, interval.high) == (pytest.approx(low), pytest.approx(high))
    inside = np.mean((values >= interval.low) & (values <= interval.high))
    assert 0.94 <= inside <= 0.96


def test_seed_and_nothing_else_decides_what_is_drawn():
    ids, oods = made()
    others = made(seed=3)[1]
    one = metrics.bootstrap(ids, {"a": oods, "b": others}, resamples=40)
    again = metrics.bootstrap(ids, {"b": others, "a": oods}, resamples=40)
    alone = metrics.bootstrap(ids, {"a": oods}, resamples=40)
    for name in metrics.INTERVAL_METRICS:
        np.testing.assert_array_equal(one.values["a"][name], again.values["a"][name])
        np.testing.assert_array_equal(one.values["b"][name], again.values["b"][name])
        np.testing.assert_array_equal(one.values["a"][name], alone.values["a"][name])
    other_seed = metrics.bootstrap(ids, {"a": oods}, resamples=40, seed=1)
    assert (other_seed.values["a"]["auroc"] != alone.values["a"]["auroc"]).any()
    renamed = metrics.bootstrap(ids, {"c": oods}, resamples=40)
    assert (renamed.values["c"]["auroc"] != alone.values["a"]["auroc"]).any()


def test_more_resamples_begin_with_the_same_ones():
    ids, oods = made()
    few, many = (metrics.bootstrap(ids, {"a": oods}, resamples=n) for n in (10, 35))
    np.testing.assert_array_equal(many.values["a"]["auroc"][:10], few.values["a"]["auroc"])


def test_two_detectors_see_the_same_resamples():
    ids, oods = made()
    first = metrics.bootstrap(ids, {"a": oods}, resamples=50)
    second = metrics.bootstrap(np.exp(ids), {"a": np.exp(oods)}, resamples=50)  # the same order
    for name in metrics.INTERVAL_METRICS:
        np.testing.assert_array_equal(first.values["a"][name], second.values["a"][name])


def test_perfect_constant_and_single_scores():
    ids, oods = np.arange(30.0) + 100, np.arange(20.0)
    perfect = metrics.bootstrap(ids, {"a": oods}).interval("a", "auroc")
    worst = metrics.bootstrap(oods, {"a": ids})
    flat = metrics.bootstrap(np.ones(30), {"a": np.ones(20)})
    single = metrics.bootstrap(np.array([1.0]), {"a": np.array([0.0])})
    assert perfect == metrics.Interval(1.0, 1.0)
    assert worst.interval("a", "auroc") == metrics.Interval(0.0, 0.0)
    assert worst.interval("a", "detection_accuracy") == metrics.Interval(0.5, 0.5)
    assert flat.interval("a", "auroc") == metrics.Interval(0.5, 0.5)
    assert flat.interval("a", "fpr95") == metrics.Interval(1.0, 1.0)
    assert single.interval("a", "aupr_out") == metrics.Interval(1.0, 1.0)
    assert single.interval("a", "fpr95_ood") == metrics.Interval(0.0, 0.0)


def test_the_mean_interval_is_that_of_the_mean_in_each_resample():
    ids = made(60)[0]
    sets = {name: made(oods=50, seed=seed)[1] for seed, name in enumerate("abc")}
    result = metrics.bootstrap(ids, sets)
    mean = sum(result.values[name]["auroc"] for name in "abc") / 3
    found = result.mean_interval("abc", "auroc")
    low, high = np.quantile(mean, [0.025, 0.975])
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert result.mean_interval(iter("b"), "auroc") == result.interval("b", "auroc")


def test_the_mean_interval_keeps_what_sets_share_and_averages_out_the_rest():
    """Few ID samples move all sets together; with many, sets move on their own."""
    rng = np.random.default_rng(0)

    def widths(ids, oods):
        sets = {name: rng.normal(0, 1, oods) for name in "abcd"}
        result = metrics.bootstrap(rng.normal(1, 1, ids), sets, resamples=400)
        single = [result.interval(name, "auroc") for name in sets]
        mean = result.mean_interval(sets, "auroc")
        return mean.high - mean.low, np.mean([each.high - each.low for each in single])

    together, alone = widths(ids=30, oods=5000)
    assert together > 0.9 * alone
    together, alone = widths(ids=5000, oods=100)
    assert together == pytest.approx(alone / 2, rel=0.2)  # four independent sets


@pytest.mark.parametrize(("ids", "oods"), [(200, 100), (80, 300)])
def test_nineteen_of_twenty_intervals_hold_the_true_auroc(ids, oods):
    rng = np.random.default_rng(0)
    shift, repeats = 1.2, 1000
    true = norm.cdf(shift / np.sqrt(2))
    held = 0
    for seed in range(repeats):
        result = metrics.bootstrap(
            rng.normal(shift, 1, ids), {"a": rng.normal(0, 1, oods)}, seed=seed
        )
        interval = result.interval("a", "auroc")
        held += interval.low <= true <= interval.high
    # Three standard errors of a share of 1000 around 0.95, and a little short, as documented.
    assert 0.92 <= held / repeats <= 0.97


def test_paired_differences_are_those_of_the_same_resamples():
    (ids, oods), (other_ids, other_oods) = made(seed=0), made(seed=1)
    found = metrics.bootstrap(ids, {"far": oods, "near": oods}, resamples=25, seed=3).minus(
        metrics.bootstrap(other_ids, {"far": other_oods}, resamples=25, seed=3)
    )
    assert list(found.values) == ["far"]
    of_ids, of_oods = drawn(3, [0], len(ids), 25), drawn(3, [1, *b"far"], len(oods), 25)
    for r in range(25):
        one = metrics.detection_metrics(ids[of_ids[r]], oods[of_oods[r]])
        other = metrics.detection_metrics(other_ids[of_ids[r]], other_oods[of_oods[r]])
        for name in metrics.INTERVAL_METRICS:
            expected = getattr(one, name) - getattr(other, name)
            assert found.values["far"][name][r] == pytest.approx(expected, abs=1e-12)


def test_pairing_makes_the_interval_of_similar_scores_short_and_right():
    rng = np.random.default_rng(0)
    ids, oods = rng.normal(1, 1, 400), rng.normal(0, 1, 300)
    nearly = ids + rng.normal(0, 0.2, 400), oods + rng.normal(0, 0.2, 300)
    one = metrics.bootstrap(ids, {"a": oods}, resamples=1000)
    same, others = (
        metrics.bootstrap(nearly[0], {"a": nearly[1]}, resamples=1000, seed=s) for s in (0, 1)
    )
    paired, apart = (one.minus(each).interval("a", "auroc") for each in (same, others))
    assert apart.high - apart.low > 2 * (paired.high - paired.low)
    # DeLong's intervals rest on other arguments, and agree.
    for found, test in ((paired, metrics.delong), (apart, metrics.unpaired)):
        expected = test(ids, oods, *nearly)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.006)
    itself = one.minus(metrics.bootstrap(ids, {"a": oods}, resamples=1000))
    assert itself.interval("a", "fpr95") == metrics.Interval(0.0, 0.0)


def test_other_numbers_of_resamples_are_not_subtracted():
    few, many = (metrics.bootstrap(np.ones(3), {"a": np.ones(3)}, resamples=r) for r in (2, 5))
    with pytest.raises(InvalidOptionError, match="got 2 and 5 resamples"):
        few.minus(many)


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
        metrics.bootstrap(bad, {"a": np.ones(3)})
    with pytest.raises(InvalidArrayError, match=f"OOD set 'svhn'.*{message}"):
        metrics.bootstrap(np.ones(3), {"a": np.ones(3), "svhn": bad})


def test_impossible_options_and_unknown_names_are_refused():
    ones = np.ones(3)
    with pytest.raises(InvalidOptionError, match="at least 1 resample; got 0"):
        metrics.bootstrap(ones, {"a": ones}, resamples=0)
    with pytest.raises(InvalidOptionError, match="seed must not be negative; got -1"):
        metrics.bootstrap(ones, {"a": ones}, seed=-1)
    result = metrics.bootstrap(ones, {"a": ones}, resamples=2)
    for level in (0.0, 1.0, 95):
        with pytest.raises(InvalidOptionError, match="between 0 and 1"):
            result.interval("a", "auroc", level)
    with pytest.raises(UnknownNameError, match="'b'"):
        result.interval("b", "auroc")
    with pytest.raises(UnknownNameError, match="'threshold95'"):
        result.interval("a", "threshold95")
    with pytest.raises(InvalidOptionError, match="at least one set"):
        result.mean_interval([], "auroc")
    assert metrics.bootstrap(ones, {}, resamples=2).values == {}
